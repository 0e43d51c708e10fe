//! What is known of a file's model: what was given, what the file says, what lies beside it, and what
//! its shapes tell.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ImportError, ImportOptions};
use crate::model::weights::{NumberType, WeightSource, WeightsError, state_dict::OPENAI_KEYS};
use crate::model::{ClipConfig, ImageLayers, ModelConfigError, architecture};

/// Configurations that a directory may hold. Ours comes first, since OpenCLIP's has no projection head;
/// in a run's checkpoint it is the run's, which is passed over.
const CONFIGS: [&str; 2] = ["config.json", "open_clip_config.json"];

/// The configuration given, in the file, beside it, or that of the shapes, in this order.
pub(super) fn choose_config(
    source: &mut WeightSource,
    file: &Path,
    options: &ImportOptions,
    notes: &mut Vec<String>,
) -> Result<ClipConfig, ImportError> {
    drop_unusual_heads(source, notes)?;
    let evidence = quick_gelu_evidence(source);
    let mut config = if let Some(model) = &options.model {
        let mut config = ClipConfig::load(model)?;
        notes.push(format!(
            "sizes and attention heads are those of {model}, as given"
        ));
        let named = !Path::new(model).is_file();
        note_activation(&mut config, named.then_some(evidence).flatten(), notes);
        config
    } else if let Some((config, place)) = known_config(source, file)? {
        notes.push(format!("the configuration was read from {place}"));
        config
    } else {
        let mut config = architecture::infer(source)?;
        note_inferred(&config, notes);
        note_activation(
            &mut config,
            evidence.or_else(|| half_precision(source)),
            notes,
        );
        config
    };
    if let Some(heads) = architecture::projection_head(source)? {
        config.projection_head = heads;
    }
    for key in OPENAI_KEYS {
        source.ignore(key);
    }
    let config = config.checked(source.place())?;
    Ok(config)
}

/// Leaves out projection heads that have another depth than ours.
pub(super) fn drop_unusual_heads(
    source: &mut WeightSource,
    notes: &mut Vec<String>,
) -> Result<(), WeightsError> {
    let names = architecture::head_tensors(source);
    if names.is_empty() || architecture::projection_head(source)?.is_some() {
        return Ok(());
    }
    notes.push(format!(
        "the projection heads ({} tensors) do not have one hidden layer and were left out",
        names.len()
    ));
    for name in names {
        source.ignore(&name);
    }
    Ok(())
}

/// Why a file's model must have QuickGELU, if it says so.
///
/// OpenAI's checkpoints carry three sizes as tensors. The ProtoCLIP reference builds every model with
/// QuickGELU, whatever its configuration says (`quick_gelu = True` in `CLIP.__init__` of its
/// `open_clip/model.py`); `logit_scale_proto` tells its checkpoints.
pub(super) fn quick_gelu_evidence(source: &WeightSource) -> Option<&'static str> {
    if OPENAI_KEYS.iter().all(|key| source.entry(key).is_some()) {
        Some("the file is one of OpenAI's checkpoints")
    } else if source.entry("logit_scale_proto").is_some() {
        Some("the file is a checkpoint of the ProtoCLIP reference, which always uses it")
    } else {
        None
    }
}

/// OpenAI published half precision; others train and publish f32.
fn half_precision(source: &WeightSource) -> Option<&'static str> {
    let kernel = source.entry("visual.conv1.weight")?;
    (kernel.number_type == NumberType::F16).then_some("the weights are f16, as OpenAI's are")
}

fn note_activation(config: &mut ClipConfig, evidence: Option<&str>, notes: &mut Vec<String>) {
    match evidence {
        Some(reason) => {
            config.quick_gelu = true;
            notes.push(format!("QuickGELU: {reason}"));
        }
        None if config.quick_gelu => notes.push("QuickGELU, as given".into()),
        None => notes.push("GELU: nothing says that the model has QuickGELU".into()),
    }
}

fn note_inferred(config: &ClipConfig, notes: &mut Vec<String>) {
    let (vision, text) = (&config.vision_cfg, &config.text_cfg);
    let kind = match vision.layers {
        ImageLayers::VisionTransformer(layers) => format!(
            "a vision transformer of {layers} layers, width {}, patches of {} px",
            vision.width,
            vision.patch_size.unwrap_or_default()
        ),
        ImageLayers::ModifiedResNet(layers) => {
            format!(
                "a modified ResNet of {layers:?} blocks, width {}",
                vision.width
            )
        }
    };
    notes.push(format!(
        "the shapes tell {kind}, for {} px; a text tower of {} layers, width {}, {} tokens of {}; {} dimensions",
        vision.image_size,
        text.layers,
        text.width,
        text.context_length,
        text.vocab_size,
        config.embed_dim
    ));
    notes.push(format!(
        "attention heads are not in the file: {} for images and {} for text, by the convention of 64 numbers per head; give the model if it has others",
        config.vision_heads(),
        text.heads
    ));
}

/// The configuration in the file, or in its folder, and where it was.
pub(super) fn known_config(
    source: &WeightSource,
    file: &Path,
) -> Result<Option<(ClipConfig, String)>, ImportError> {
    if let Some(json) = source.config() {
        let config = ClipConfig::from_json(json, source.place())?;
        return Ok(Some((config, "the file".into())));
    }
    for name in CONFIGS {
        let path = file.with_file_name(name);
        if let Some(config) = config_at(&path)? {
            return Ok(Some((config, path.display().to_string())));
        }
    }
    Ok(None)
}

/// `None` when there is no such file or it describes something else, such as a run.
fn config_at(path: &Path) -> Result<Option<ClipConfig>, ModelConfigError> {
    match fs::read_to_string(path) {
        Ok(text) => ClipConfig::from_open_clip_json(&text, &path.display().to_string()),
        Err(_) => Ok(None),
    }
}

/// The configuration in a directory that holds a model; what `model` means where it names one.
pub(in crate::model) fn directory_config(
    directory: &Path,
) -> Result<Option<ClipConfig>, ModelConfigError> {
    for name in CONFIGS {
        if let Some(config) = config_at(&directory.join(name))? {
            return Ok(Some(config));
        }
    }
    Ok(None)
}

/// A setting that leaves no trace in the shapes and differs, with both values.
pub(super) fn silent_difference(
    theirs: &ClipConfig,
    ours: &ClipConfig,
) -> Option<(&'static str, String, String)> {
    let settings = [
        (
            "quick_gelu",
            usize::from(theirs.quick_gelu),
            usize::from(ours.quick_gelu),
        ),
        (
            "vision_cfg.head_width",
            theirs.vision_cfg.head_width,
            ours.vision_cfg.head_width,
        ),
        ("text_cfg.heads", theirs.text_cfg.heads, ours.text_cfg.heads),
    ];
    let differs = settings.into_iter().find(|(_, a, b)| a != b);
    differs.map(|(name, a, b)| match name {
        "quick_gelu" => (name, (a == 1).to_string(), (b == 1).to_string()),
        _ => (name, a.to_string(), b.to_string()),
    })
}

/// The path to name as `model`: a configuration beside the file, else what was given.
pub(super) fn beside_or(file: &Path, path: &Path) -> PathBuf {
    let beside = CONFIGS.iter().map(|name| file.with_file_name(name));
    beside
        .into_iter()
        .find(|p| config_at(p).is_ok_and(|found| found.is_some()))
        .unwrap_or_else(|| path.to_owned())
}
