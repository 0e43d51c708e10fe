//! Every setting of a run as a person meets it: label, meaning, the paper's value, how it is typed.
//!
//! Read by the form of a new run and by the Config tab. A test keeps it complete.

use protoclip::config::RunConfig;
use serde_json::{Number, Value};

use crate::server::pages::figures::typed;

/// How a setting is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server::pages) enum Kind {
    Number,
    Text,
    /// Comma-separated words.
    List,
    /// `true` or `false`.
    Flag,
    /// One of these values, with what a person reads.
    Choice(&'static [(&'static str, &'static str)]),
}

#[derive(Debug, Clone, Copy)]
pub(in crate::server::pages) struct FieldSpec {
    /// Dotted path in [`RunConfig`].
    pub(in crate::server::pages) name: &'static str,
    pub(in crate::server::pages) label: &'static str,
    pub(in crate::server::pages) kind: Kind,
    /// One sentence.
    pub(in crate::server::pages) help: &'static str,
    /// What the paper used; empty where it says nothing.
    pub(in crate::server::pages) paper: &'static str,
    /// What an absent value means.
    pub(in crate::server::pages) absent: &'static str,
}

/// Settings that belong together.
#[derive(Debug, Clone, Copy)]
pub(in crate::server::pages) struct GroupSpec {
    pub(in crate::server::pages) key: &'static str,
    pub(in crate::server::pages) title: &'static str,
    pub(in crate::server::pages) text: &'static str,
    /// Shown without asking.
    pub(in crate::server::pages) open: bool,
    pub(in crate::server::pages) fields: &'static [FieldSpec],
}

const fn field(
    name: &'static str,
    label: &'static str,
    kind: Kind,
    help: &'static str,
    paper: &'static str,
) -> FieldSpec {
    FieldSpec {
        name,
        label,
        kind,
        help,
        paper,
        absent: "none",
    }
}

const fn optional(spec: FieldSpec, absent: &'static str) -> FieldSpec {
    FieldSpec { absent, ..spec }
}

const TARGETS: Kind = Kind::Choice(&[("soft", "soft"), ("hard", "hard")]);

#[rustfmt::skip] // one setting per line reads as the table it is
pub(in crate::server::pages) const GROUPS: [GroupSpec; 7] = [
    GroupSpec { key: "run", title: "Run", text: "", open: true, fields: &[
        optional(field("name", "Name", Kind::Text, "Shown in lists; may be changed later.", ""), "from preset and data"),
        field("model", "Model", Kind::Text, "A named model, or the path of an OpenCLIP-style JSON file or of an imported model.", "RN50"),
        optional(field("weights", "Start from", Kind::Text, "Weights to start from: path of a checkpoint, an imported model or a weight file of this model.", ""), "fresh values"),
        field("episodes", "Episodes", Kind::Number, "Each one samples, extracts, clusters and trains one pass.", ""),
        field("batch_size", "Batch size", Kind::Number, "Pairs per optimizer step.", "512"),
        field("prototypes.count", "Prototypes K", Kind::Number, "Clusters of each space.", "20000"),
        field("seed", "Seed", Kind::Number, "Of every random choice.", ""),
        field("device", "Device", Kind::Text, "auto, cpu, cuda:N or wgpu.", ""),
    ]},
    GroupSpec { key: "data", title: "Data", text: "", open: true, fields: &[
        field("data.source", "Source", Kind::Choice(&[("builtin", "built-in emoji, 3,724 pairs"), ("csv", "CSV or TSV file"), ("folder", "folder of classes"), ("webdataset", "WebDataset tar shards"), ("parquet", "Parquet files"), ("coco", "COCO captions JSON")]), "Where the pairs come from.", ""),
        field("data.path", "File or folder", Kind::Text, "Path on this machine; picture paths in a file are relative to it. A folder of classes holds one folder of pictures per class; shards and Parquet files are named as in shards/{00000..00003}.tar or train-*.parquet, or by their folder. Files on S3 begin with s3://.", ""),
        optional(field("data.image_column", "Picture column", Kind::Text, "Column with picture paths; in Parquet files also with the pictures themselves.", "filepath"), "filepath, or image in Parquet files"),
        optional(field("data.image_folder", "Picture folder", Kind::Text, "What picture paths in a file are relative to.", ""), "that of the file"),
        optional(field("data.caption_column", "Caption column", Kind::Text, "Header of the column with captions; in shards the field of the .json member.", "title"), "title, caption in Parquet files, the .txt member in shards"),
        optional(field("data.separator", "Separator", Kind::Text, "One character; \\t stands for a tab.", ""), "by file name"),
        field("data.label_columns", "Label columns", Kind::List, "Comma-separated; columns, or fields of the .json member. Only used for evaluation.", ""),
        field("data.max_broken_share", "Broken rows allowed", Kind::Number, "Share of unusable rows above which opening fails.", ""),
        field("data.holdout", "Held out", Kind::Text, "Pairs kept from training: sha1:10 for one in ten by the hash of the file name, or column:split=test.", ""),
    ]},
    GroupSpec { key: "method", title: "Prototypes and teacher", text: "clustering, targets, loss weights", open: false, fields: &[
        field("prototypes.iterations", "k-means iterations", Kind::Number, "Per restart.", "20"),
        field("prototypes.restarts", "k-means restarts", Kind::Number, "The lowest objective wins.", "3"),
        field("prototypes.target", "Targets", TARGETS, "Soft ones weigh neighbours of the own prototype.", "soft"),
        field("prototypes.target_temperature", "Target temperature τ_y", Kind::Number, "Of the soft targets; smaller is closer to one-hot.", "0.01"),
        field("prototypes.back_translation", "Back translation (PBT)", Kind::Flag, "Compares students with centroids of their own space.", "true"),
        field("teacher.kind", "External teacher", Kind::Choice(&[("none", "none"), ("lsa", "lsa, built in"), ("npy", "npy, features from a file")]), "Its clusters supervise both towers.", "RoBERTa-large"),
        field("teacher.path", "Teacher file", Kind::Text, "A .npy file with one feature row per pair.", ""),
        field("teacher.dim", "Teacher dimension", Kind::Number, "Of the lsa features.", "64"),
        field("teacher.target", "Teacher targets", TARGETS, "Hard as in the reference, or soft.", "hard"),
        field("loss.clip", "InfoNCE weight", Kind::Number, "", "1"),
        field("loss.proto", "Prototype weight", Kind::Number, "Can be steered while the run trains.", "1"),
        field("loss.external", "Teacher weight", Kind::Number, "Can be steered while the run trains.", "1"),
    ]},
    GroupSpec { key: "episodes", title: "Episodes and stages", text: "sampling, warm-up, augmentation", open: false, fields: &[
        optional(field("episode_size", "Episode size", Kind::Number, "Pairs sampled per episode.", "200000"), "whole data set"),
        field("schedule.infonce_episodes", "InfoNCE episodes", Kind::Number, "Leading episodes without prototype losses.", "1"),
        field("schedule.lit_episodes", "LiT episodes", Kind::Number, "Trailing episodes with the image tower locked.", "1"),
        field("augmentation", "Augmentation", Kind::Choice(&[("protoclip-light", "protoclip-light"), ("crop-gray", "crop-gray"), ("clip", "clip"), ("none", "none")]), "Of the training pass only.", "protoclip-light"),
        field("precision", "Precision", Kind::Choice(&[("f32", "f32"), ("bf16", "bf16")]), "Of products on the CPU; bf16 is faster where doctor says so.", ""),
        field("fidelity", "Fidelity", Kind::Choice(&[("corrected", "corrected"), ("reference", "reference")]), "Correct the reference implementation's oddities, or keep them.", ""),
    ]},
    GroupSpec { key: "optimizer", title: "Optimizer", text: "AdamW, learning rates, clipping", open: false, fields: &[
        field("optimizer.learning_rate", "Learning rate", Kind::Number, "Of everything but the image tower.", "0.0005"),
        optional(field("optimizer.visual_learning_rate", "Image tower rate", Kind::Number, "Of parameters named visual.*.", "0.0005"), "the learning rate"),
        field("schedule.warmup_steps", "Warm-up steps", Kind::Number, "Linear, then a cosine to 0.", "15625"),
        field("optimizer.weight_decay", "Weight decay", Kind::Number, "On matrices of the towers.", "0.5"),
        field("optimizer.beta1", "β₁", Kind::Number, "", "0.9"),
        field("optimizer.beta2", "β₂", Kind::Number, "", "0.999 ResNet, 0.98 ViT"),
        field("optimizer.epsilon", "ε", Kind::Number, "", "1e-8 ResNet, 1e-6 ViT"),
        field("optimizer.grad_clip_norm", "Gradient clip", Kind::Number, "Limit of the global norm.", "10"),
    ]},
    GroupSpec { key: "checkpoints", title: "Checkpoints", text: "how often, how many", open: false, fields: &[
        field("checkpoints.every_episodes", "Every episodes", Kind::Number, "And at every stop.", ""),
        field("checkpoints.keep_last", "Keep", Kind::Number, "Newest ones kept, beside the pinned.", ""),
    ]},
    GroupSpec { key: "evaluation", title: "Evaluation", text: "zero-shot, retrieval, grouping, probe", open: false, fields: &[
        field("evaluation.every_episodes", "Every episodes", Kind::Number, "0 turns it off.", ""),
        field("evaluation.on", "Measured pairs", Kind::Choice(&[("episode", "those of the episode"), ("holdout", "the held-out ones")]), "Held-out pairs cost an extraction of their own and compare runs fairly.", ""),
        field("evaluation.linear_probe", "Linear probe", Kind::Flag, "Fits a classifier on the image features at each evaluation; takes longer than the rest.", ""),
    ]},
];

/// Sources of data with files, by their names in [`RunConfig`].
pub(in crate::server::pages) const FILE_SOURCES: &[&str] =
    &["csv", "folder", "webdataset", "parquet", "coco"];

impl FieldSpec {
    /// Which sources of data the setting is for; `None` for all.
    pub(in crate::server::pages) fn sources(&self) -> Option<&'static [&'static str]> {
        match self.name {
            "data.path" | "data.max_broken_share" => Some(FILE_SOURCES),
            "data.separator" => Some(&["csv"]),
            "data.image_column" => Some(&["csv", "parquet"]),
            "data.image_folder" => Some(&["csv", "parquet", "coco"]),
            "data.caption_column" | "data.label_columns" => Some(&["csv", "webdataset", "parquet"]),
            _ => None,
        }
    }

    /// Whether the setting is for this source of data.
    pub(in crate::server::pages) fn is_for(&self, source: &str) -> bool {
        self.sources().is_none_or(|known| known.contains(&source))
    }

    /// Reads what a person typed; nothing for a blank field.
    ///
    /// # Errors
    /// When a number is none.
    pub(in crate::server::pages) fn read(&self, text: &str) -> Result<Option<Value>, String> {
        match self.kind {
            _ if text.is_empty() => Ok(None),
            Kind::Number => number(text).map(Some),
            Kind::Text if self.name == "data.separator" && text == "\\t" => Ok(Some("\t".into())),
            Kind::Text | Kind::Choice(_) => Ok(Some(text.into())),
            Kind::Flag => Ok(Some(Value::Bool(text == "true"))),
            Kind::List => {
                let words = text.split(',').map(str::trim).filter(|w| !w.is_empty());
                Ok(Some(words.collect::<Vec<_>>().into()))
            }
        }
    }

    /// The setting's value in a configuration, as a person would type it.
    pub(in crate::server::pages) fn value_in(&self, config: &Value) -> Option<String> {
        let path = format!("/{}", self.name.replace('.', "/"));
        match config.pointer(&path)? {
            Value::Null => None,
            Value::String(text) => Some(text.replace('\t', "\\t")).filter(|t| !t.is_empty()),
            Value::Array(items) => {
                let words: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                Some(words.join(", ")).filter(|t| !t.is_empty())
            }
            Value::Number(number) if number.is_f64() => number.as_f64().map(typed),
            other => Some(other.to_string()),
        }
    }

    /// The same, with the word for an absent value.
    pub(in crate::server::pages) fn shown_in(&self, config: &Value) -> String {
        self.value_in(config)
            .unwrap_or_else(|| self.absent.to_owned())
    }
}

pub(in crate::server::pages) fn number(text: &str) -> Result<Value, String> {
    if let Ok(whole) = text.parse::<u64>() {
        return Ok(whole.into());
    }
    text.parse::<f64>()
        .ok()
        .and_then(Number::from_f64)
        .map(Value::Number)
        .ok_or_else(|| format!("{text:?} is no number; type one such as 128 or 0.01"))
}

/// A configuration as the JSON that [`FieldSpec::value_in`] looks into.
pub(in crate::server::pages) fn as_json(config: &RunConfig) -> Value {
    serde_json::to_value(config).unwrap_or_default()
}

/// All settings in the order of the form.
pub(in crate::server::pages) fn all_fields() -> impl Iterator<Item = &'static FieldSpec> {
    GROUPS.iter().flat_map(|group| group.fields)
}

/// The setting with this dotted path.
pub(in crate::server::pages) fn spec(name: &str) -> Option<&'static FieldSpec> {
    all_fields().find(|field| field.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(prefix: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let path = if prefix.is_empty() {
                        key.clone()
                    } else {
                        format!("{prefix}.{key}")
                    };
                    leaves(&path, value, found);
                }
            }
            _ => found.push(prefix.to_owned()),
        }
    }

    #[test]
    fn every_setting_of_a_run_is_in_the_catalogue_once() {
        let mut settings = Vec::new();
        leaves("", &as_json(&RunConfig::default()), &mut settings);
        settings.retain(|name| name != "preset");
        let mut described: Vec<String> = GROUPS
            .iter()
            .flat_map(|group| group.fields)
            .map(|field| field.name.to_owned())
            .collect();
        settings.sort();
        described.sort();
        assert_eq!(described, settings);
    }

    #[test]
    fn values_are_shown_as_they_are_typed() {
        let config = as_json(&RunConfig::default());
        let shown = |name: &str| spec(name).expect(name).shown_in(&config);
        assert_eq!(shown("prototypes.count"), "128");
        assert_eq!(shown("optimizer.epsilon"), "1e-6");
        assert_eq!(shown("loss.clip"), "1");
        assert_eq!(shown("episode_size"), "whole data set");
        assert_eq!(shown("prototypes.back_translation"), "true");
        assert_eq!(shown("data.label_columns"), "none");
    }
}
