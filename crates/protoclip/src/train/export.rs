//! Checkpoints for other programs: a directory that `open_clip` and this program load.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde_json::{Value, json};

use super::checkpoint::{MANIFEST, read_header, verify_checkpoint};
use crate::config::RunConfig;
use crate::data::{MEAN, STD};
use crate::model::{
    ClipConfig, ImageLayers, ImportError, ImportedModel, Watch, load_checkpoint,
    write_open_clip_weights,
};

/// What a person chooses of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Name on the model card; absent means one made of the checkpoint's path.
    pub name: Option<String>,
    /// Keep the projection heads in the main file, which `open_clip` then refuses.
    pub heads_inside: bool,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    pub directory: PathBuf,
    /// Names of the files in it.
    pub files: Vec<String>,
    /// Notes of the import that preceded the export.
    pub notes: Vec<String>,
}

/// Why a checkpoint cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Weights(#[from] crate::model::weights::WeightsError),
    #[error("{path}: {message}")]
    Place { path: String, message: String },
    #[error("the export was cancelled")]
    Cancelled,
}

/// Writes the model in `checkpoint` (whatever [`load_checkpoint`] opens) to a new directory:
/// `open_clip_model.safetensors`, `projection_heads.safetensors`, `open_clip_config.json` as `open_clip`
/// reads it from `local-dir:` and from a hub, `config.json` with our model configuration, and a model
/// card in `README.md`. The directory appears complete or not at all.
///
/// # Errors
/// When the checkpoint is damaged, or the directory exists or cannot be written.
pub fn export_checkpoint(
    checkpoint: &Path,
    directory: &Path,
    options: &ExportOptions,
) -> Result<Exported, ExportError> {
    export_watched(checkpoint, directory, options, &|_, _, _| true)
}

/// As [`export_checkpoint`], watched: where `watch` says no, nothing is left.
///
/// # Errors
/// Also [`ExportError::Cancelled`].
pub fn export_watched(
    checkpoint: &Path,
    directory: &Path,
    options: &ExportOptions,
    watch: &Watch<'_>,
) -> Result<Exported, ExportError> {
    let go_on = |phase| match watch(phase, 0, 0) {
        true => Ok(()),
        false => Err(ExportError::Cancelled),
    };
    let place = |path: &Path, message: String| ExportError::Place {
        path: path.display().to_string(),
        message,
    };
    let empty = fs::read_dir(directory).map(|mut entries| entries.next().is_none());
    if directory.exists() && !empty.unwrap_or(false) {
        let message = "exists already; give a new or an empty directory".to_owned();
        return Err(place(directory, message));
    }
    go_on("checking hashes")?;
    if checkpoint.join(MANIFEST).exists() {
        verify_checkpoint(checkpoint).map_err(|message| place(checkpoint, message))?;
    }
    go_on("reading the weights")?;
    let model = load_checkpoint(checkpoint, &Device::flex())?;
    go_on("writing the weights")?;
    let target = std::path::absolute(directory).map_err(|e| place(directory, e.to_string()))?;
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let staged = target.with_file_name(format!(".exporting-{name}"));
    let written = write(checkpoint, &model, &staged, options).and_then(|files| {
        go_on("writing the weights")?;
        let moved = fs::rename(&staged, &target);
        moved.map_err(|e| place(&target, e.to_string()))?;
        Ok(files)
    });
    if written.is_err() {
        let _removed = fs::remove_dir_all(&staged);
    }
    Ok(Exported {
        files: written?,
        directory: target,
        notes: model.notes,
    })
}

fn write(
    checkpoint: &Path,
    model: &ImportedModel,
    directory: &Path,
    options: &ExportOptions,
) -> Result<Vec<String>, ExportError> {
    let io = |e: io::Error| ExportError::Place {
        path: directory.display().to_string(),
        message: e.to_string(),
    };
    let _absent_is_fine = fs::remove_dir_all(directory);
    fs::create_dir_all(directory).map_err(io)?;
    let inside = options.heads_inside;
    let weights = write_open_clip_weights(&model.clip, &model.config, directory, inside)?;
    let mut files: Vec<String> = weights.into_iter().map(str::to_owned).collect();
    let open_clip = json!({
        "model_cfg": open_clip_model(&model.config),
        "preprocess_cfg": {
            "mean": MEAN.map(short),
            "std": STD.map(short),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
    });
    let config = serde_json::to_value(&model.config).unwrap_or_default();
    for (name, value) in [
        ("open_clip_config.json", open_clip),
        ("config.json", config),
    ] {
        let text = serde_json::to_vec_pretty(&value).map_err(|e| io(e.into()))?;
        fs::write(directory.join(name), text).map_err(io)?;
        files.push(name.to_owned());
    }
    let card = ModelCard::of(checkpoint, model, options);
    fs::write(directory.join("README.md"), card.text()).map_err(io)?;
    files.push("README.md".to_owned());
    Ok(files)
}

/// The decimal number that a person would write for this f32.
fn short(value: f32) -> Value {
    value
        .to_string()
        .parse::<f64>()
        .map_or(Value::Null, Value::from)
}

/// OpenCLIP's model settings; ours without the projection head and without empty fields.
fn open_clip_model(config: &ClipConfig) -> Value {
    let (vision, text) = (&config.vision_cfg, &config.text_cfg);
    let mut vision_cfg = json!({
        "image_size": vision.image_size,
        "layers": vision.layers,
        "width": vision.width,
        "head_width": vision.head_width,
    });
    if let Some(patch) = vision.patch_size {
        vision_cfg["patch_size"] = patch.into();
    }
    json!({
        "embed_dim": config.embed_dim,
        "quick_gelu": config.quick_gelu,
        "vision_cfg": vision_cfg,
        "text_cfg": text,
    })
}

/// What a reader of the export should know.
struct ModelCard<'a> {
    name: String,
    config: &'a ClipConfig,
    parameters: usize,
    heads_inside: bool,
    /// Rows of the table, name and value.
    facts: Vec<(&'static str, String)>,
}

impl<'a> ModelCard<'a> {
    fn of(checkpoint: &Path, model: &'a ImportedModel, options: &ExportOptions) -> Self {
        let mut facts = Vec::new();
        if let Ok(header) = read_header(checkpoint) {
            facts.push(("training steps", header.step.to_string()));
            facts.push(("episode", header.episode.to_string()));
            facts.push(("data fingerprint", header.data_fingerprint));
        }
        if let Some(run) = run_config(checkpoint) {
            facts.push(("data", data_name(&run)));
            facts.push(("preset", run.preset.name().to_owned()));
            facts.push(("prototypes", run.prototypes.count.to_string()));
            facts.push(("batch size", run.batch_size.to_string()));
            facts.push(("seed", run.seed.to_string()));
        }
        facts.push(("exported from", name_of(checkpoint)));
        Self {
            name: options.name.clone().unwrap_or_else(|| name_of(checkpoint)),
            config: &model.config,
            parameters: model.clip.num_parameters(),
            heads_inside: options.heads_inside,
            facts,
        }
    }

    fn text(&self) -> String {
        let mut rows = vec![
            ("image tower", self.image_tower()),
            ("text tower", self.text_tower()),
            ("embedding", format!("{} dimensions", self.config.embed_dim)),
            ("activation", activation(self.config).to_owned()),
            ("parameters", self.parameters.to_string()),
        ];
        rows.extend(self.facts.iter().cloned());
        let rows: Vec<String> = rows
            .iter()
            .map(|(name, value)| format!("| {name} | {} |", cell(value)))
            .collect();
        format!(
            "---\ntags:\n- clip\n- open_clip\n- protoclip\nlibrary_name: open_clip\npipeline_tag: zero-shot-image-classification\n---\n\n\
             # {}\n\nA CLIP model, written by protoclip-studio {}.\n\n| | |\n|---|---|\n{}\n\n{}",
            cell(&self.name),
            env!("CARGO_PKG_VERSION"),
            rows.join("\n"),
            self.how_to_load()
        )
    }

    fn image_tower(&self) -> String {
        let vision = &self.config.vision_cfg;
        let heads = self.config.vision_heads();
        let (size, width) = (vision.image_size, vision.width);
        match vision.layers {
            ImageLayers::VisionTransformer(layers) => format!(
                "vision transformer, {layers} layers, width {width}, {heads} heads, {size} px in patches of {}",
                vision.patch_size.unwrap_or(size)
            ),
            ImageLayers::ModifiedResNet(layers) => format!(
                "modified ResNet, {layers:?} blocks, width {width}, {heads} heads in the pool, {size} px"
            ),
        }
    }

    fn text_tower(&self) -> String {
        let text = &self.config.text_cfg;
        format!(
            "{} layers, width {}, {} heads, {} tokens of {}",
            text.layers, text.width, text.heads, text.context_length, text.vocab_size
        )
    }

    fn how_to_load(&self) -> String {
        let ours = "With protoclip-studio: `protoclip-studio import DIRECTORY`, or `weights = \"DIRECTORY\"` and `model = \"DIRECTORY\"` in a run's settings.\n";
        if self.heads_inside {
            return format!(
                "The weight file also holds the projection heads; OpenCLIP's strict loading refuses it.\n\n{ours}"
            );
        }
        format!(
            "With OpenCLIP (where the directory is, or its copy on a hub as `hf-hub:NAME`):\n\n\
             ```python\nimport open_clip\n\n\
             model, preprocess = open_clip.create_model_from_pretrained(\"local-dir:DIRECTORY\")\n\
             tokenizer = open_clip.get_tokenizer(\"local-dir:DIRECTORY\")\n```\n\n{ours}\n\
             `projection_heads.safetensors` holds ProtoCLIP's projection heads and the scale of its prototype\nlosses; training needs them, OpenCLIP does not.\n"
        )
    }
}

fn activation(config: &ClipConfig) -> &'static str {
    match config.quick_gelu {
        true => "QuickGELU",
        false => "GELU",
    }
}

/// Text that cannot end a table's cell or a line.
fn cell(text: &str) -> String {
    let line = text.replace(|c: char| c.is_control(), " ");
    line.replace('|', "\\|").replace('<', "&lt;")
}

/// The settings of the run that wrote a checkpoint.
fn run_config(checkpoint: &Path) -> Option<RunConfig> {
    let text = fs::read_to_string(checkpoint.join("config.json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn data_name(run: &RunConfig) -> String {
    match &run.data.path {
        Some(path) => path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into(),
        None => "built-in emoji".into(),
    }
}

/// `<run> at <step>` of a checkpoint in a run directory, else the last part of the path.
fn name_of(checkpoint: &Path) -> String {
    let last = |path: &Path| {
        let name = path.file_stem().unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    let run = checkpoint
        .parent()
        .filter(|folder| folder.ends_with("checkpoints"))
        .and_then(Path::parent);
    match run.filter(|_| checkpoint.join(MANIFEST).exists()) {
        Some(run) => format!("{} at step {}", last(run), last(checkpoint)),
        None => last(checkpoint),
    }
}
