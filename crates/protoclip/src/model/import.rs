//! Models from files: checkpoints of this program, its exports, and what others saved.
//!
//! [`load_checkpoint`] opens anything that holds a model; [`import_weights`] lets the caller say what
//! the file does not. Both answer with notes on what was found, assumed and left out.

mod known_config;

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

pub(super) use known_config::directory_config;
use known_config::{
    beside_or, choose_config, drop_unusual_heads, known_config, quick_gelu_evidence,
    silent_difference,
};

use super::weights::{WeightSource, WeightsError, state_dict::OPENAI_KEYS, transfer};
use super::{Clip, ClipConfig, ModelConfigError, architecture};
use crate::config::Fidelity;

/// A model that was read from a file.
#[derive(Debug)]
pub struct ImportedModel {
    pub clip: Clip,
    pub config: ClipConfig,
    /// The weight file that was read.
    pub file: PathBuf,
    /// What was found, assumed, left out and freshly initialised, one sentence each.
    pub notes: Vec<String>,
}

/// What the caller knows about a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportOptions {
    /// A model name, or the path of an OpenCLIP-style JSON file; absent means that the file, a
    /// configuration beside it, or the shapes decide.
    pub model: Option<String>,
    /// Seed of what the file does not have: projection heads.
    pub seed: u64,
    pub fidelity: Fidelity,
}

impl Default for ImportOptions {
    fn default() -> Self {
        Self {
            model: None,
            seed: 0,
            fidelity: Fidelity::Corrected,
        }
    }
}

/// Why a model cannot be read from a file.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Config(#[from] ModelConfigError),
    #[error("{path}: {message}")]
    Place { path: String, message: String },
    #[error("the import was cancelled")]
    Cancelled,
}

/// Weight files that a directory may hold, in the order in which they are looked for: a checkpoint's
/// or an imported model's, an export's, and those of OpenCLIP.
const FILES: [&str; 4] = [
    "model.safetensors",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
];
/// Second file of an export.
pub(super) const HEADS: &str = "projection_heads.safetensors";
/// Reads a model from a checkpoint directory of a run, an imported or exported model's directory, a
/// safetensors file or a PyTorch checkpoint. It lies on `device`; with an autodiff device it trains.
///
/// # Errors
/// Names the file and what is wrong with it, down to the tensor with the shapes wanted and found.
pub fn load_checkpoint(path: &Path, device: &Device) -> Result<ImportedModel, ImportError> {
    import_weights(path, &ImportOptions::default(), device)
}

/// As [`load_checkpoint`], with knowledge that the file lacks.
///
/// # Errors
/// As [`load_checkpoint`], and when the given model is not that of the file.
pub fn import_weights(
    path: &Path,
    options: &ImportOptions,
    device: &Device,
) -> Result<ImportedModel, ImportError> {
    let (mut source, file) = open(path)?;
    let mut notes = Vec::new();
    let config = choose_config(&mut source, &file, options, &mut notes)?;
    architecture::check(&source, &config)?;
    let clip = config.init(options.seed, options.fidelity, device);
    let clip = fill(clip, &mut source, options.seed, &mut notes)?;
    Ok(ImportedModel {
        clip,
        config,
        file,
        notes,
    })
}

/// A run's fresh model with the values of `path`, which may be whatever [`load_checkpoint`] opens, and
/// notes as in [`ImportedModel`]. `seed` is that of the fresh values, which the heads keep where the
/// file has none.
///
/// # Errors
/// As [`load_checkpoint`]; when the sizes are not those of the run's model; when the file is known to
/// need another activation or other attention heads, which would give wrong features in silence.
pub fn start_from_weights(
    clip: Clip,
    config: &ClipConfig,
    path: &Path,
    seed: u64,
) -> Result<(Clip, Vec<String>), ImportError> {
    let (mut source, mut notes) = open_for(path, config)?;
    let clip = fill(clip, &mut source, seed, &mut notes)?;
    Ok((clip, notes))
}

/// Makes the checks of [`start_from_weights`] that need no numbers: it reads names and shapes only.
///
/// # Errors
/// As [`start_from_weights`].
pub fn check_weights(path: &Path, config: &ClipConfig) -> Result<(), ImportError> {
    open_for(path, config).map(|_| ())
}

fn open_for(path: &Path, config: &ClipConfig) -> Result<(WeightSource, Vec<String>), ImportError> {
    let (mut source, file) = open(path)?;
    let mut notes = Vec::new();
    drop_unusual_heads(&mut source, &mut notes)?;
    architecture::check(&source, config)?;
    let known = known_config(&source, &file)?.map(|(known, _)| known);
    let other = |message: String| ImportError::Place {
        path: path.display().to_string(),
        message,
    };
    if let Some(known) = &known
        && let Some((setting, theirs, ours)) = silent_difference(known, config)
    {
        return Err(other(format!(
            "these weights were trained with {setting} = {theirs}, the run's model has {ours}; set model to their configuration: \"{}\"",
            beside_or(&file, path).display()
        )));
    }
    if let (None, Some(reason), false) = (&known, quick_gelu_evidence(&source), config.quick_gelu) {
        return Err(other(format!(
            "these weights need QuickGELU ({reason}); choose a model whose name ends in -quickgelu, or a JSON file with \"quick_gelu\": true"
        )));
    }
    for key in OPENAI_KEYS {
        source.ignore(key);
    }
    Ok((source, notes))
}

/// Opens the weight file that `path` is or holds, an export's second file with it.
fn open(path: &Path) -> Result<(WeightSource, PathBuf), ImportError> {
    let file = weight_file(path)?;
    let mut source = WeightSource::open(&file)?;
    let heads = file.with_file_name(HEADS);
    if path.is_dir() && heads.is_file() {
        source.add(&heads)?;
    }
    Ok((source, file))
}

/// Puts all of a source into a model whose sizes were checked.
fn fill(
    clip: Clip,
    source: &mut WeightSource,
    seed: u64,
    notes: &mut Vec<String>,
) -> Result<Clip, ImportError> {
    let filled = transfer::fill(clip, source)?;
    leave_nothing(source, &filled)?;
    whole_heads(source, &filled)?;
    note_heads(&filled, seed, notes);
    note_ignored(source, notes);
    Ok(filled.clip)
}

/// The weight file that `path` is or holds.
fn weight_file(path: &Path) -> Result<PathBuf, ImportError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let inside = FILES.iter().map(|name| path.join(name));
    inside.into_iter().find(|p| p.is_file()).ok_or_else(|| {
        let message = match newest_checkpoint(path) {
            Some(newest) => format!(
                "this is a run; give one of its checkpoints, such as {}",
                newest.display()
            ),
            None => format!("holds none of {}; give a weight file", FILES.join(", ")),
        };
        ImportError::Place {
            path: path.display().to_string(),
            message,
        }
    })
}

/// The last checkpoint by name of a run directory.
fn newest_checkpoint(run: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(run.join("checkpoints")).ok()?.flatten();
    let visible = entries.filter(|e| !e.file_name().to_string_lossy().starts_with('.'));
    visible.map(|e| e.path()).max()
}

/// A tensor that the model does not have would be left out silently, and features would be wrong.
fn leave_nothing(source: &WeightSource, filled: &transfer::Filled) -> Result<(), WeightsError> {
    let left = source.names().find(|name| !filled.used.contains(*name));
    match left {
        None => Ok(()),
        Some(name) => Err(WeightsError::Unexpected {
            path: source.place().to_owned(),
            tensor: name.to_owned(),
            found: source.shape(name)?.to_vec(),
        }),
    }
}

/// Projection heads are there as a whole or not at all.
fn whole_heads(source: &WeightSource, filled: &transfer::Filled) -> Result<(), WeightsError> {
    let is_head = |name: &&String| name.contains("projection_head");
    let missing = filled.kept.iter().find(is_head);
    match missing.filter(|_| filled.used.iter().any(|name| is_head(&name))) {
        None => Ok(()),
        Some(name) => source.shape(name).map(|_| ()),
    }
}

fn note_heads(filled: &transfer::Filled, seed: u64, notes: &mut Vec<String>) {
    if filled
        .kept
        .iter()
        .any(|name| name.contains("projection_head"))
    {
        notes.push(format!(
            "the file has no projection heads; they start with values drawn from seed {seed}"
        ));
    }
    if filled.kept.iter().any(|name| name == "logit_scale_proto") {
        notes.push("the file has no logit_scale_proto; it starts at ln(1/0.07)".into());
    }
}

fn note_ignored(source: &WeightSource, notes: &mut Vec<String>) {
    if let [first, rest @ ..] = source.ignored() {
        let more = match rest.len() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        notes.push(format!("left out, as they are no weights: {first}{more}"));
    }
}
