//! Settings of one training job, as data.
//!
//! [`RunConfig`] is what a person writes (TOML file, JSON body, form, flags): every field has the
//! value of its preset unless given. [`RunConfig::validate`] turns it into a [`ValidRunConfig`],
//! the only form that the trainer accepts. Nothing here touches a file or a device.

mod error;
mod holdout;
mod merge;
mod preset;
mod validate;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use error::{ConfigErrors, FieldError};
pub use holdout::{Holdout, HoldoutError};
pub use preset::Preset;
pub use validate::{DataFacts, ValidRunConfig};

/// All settings of one run. Serialises to the `config.toml` / `run.json` of its run directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// The preset whose values fill every field that was not given.
    pub preset: Preset,
    /// Display name; empty means "derive one from the preset and data".
    pub name: String,
    /// A registered model name such as `vit-nano-32`, or a path to an OpenCLIP-style JSON file.
    pub model: String,
    /// Weights to start from instead of fresh values: a checkpoint, the directory of an imported or
    /// exported model, a safetensors file or a PyTorch checkpoint. They must be those of `model`.
    pub weights: Option<PathBuf>,
    /// `auto`, `cpu`, `cuda:N` or `wgpu`.
    pub device: String,
    /// Seed of every random choice of the run.
    pub seed: u64,
    /// Number of episodes; one episode is sample, extract, cluster, one training pass.
    pub episodes: usize,
    /// Samples per episode; absent means one pass over the whole (balanced) data set.
    pub episode_size: Option<usize>,
    /// Pairs per optimizer step.
    pub batch_size: usize,
    /// Whether to follow the reference implementation's oddities or their corrections.
    pub fidelity: Fidelity,
    /// How the products of dense and convolutional layers are computed.
    pub precision: Precision,
    /// Image augmentation of the training pass.
    pub augmentation: Augmentation,
    pub data: DataConfig,
    pub prototypes: PrototypeConfig,
    pub teacher: TeacherConfig,
    pub loss: LossConfig,
    pub optimizer: OptimizerConfig,
    pub schedule: ScheduleConfig,
    pub checkpoints: CheckpointConfig,
    pub evaluation: EvaluationConfig,
}

/// Where the pairs come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    pub source: DataSource,
    /// File or folder of the data set; required for every source but `builtin`.
    pub path: Option<PathBuf>,
    /// Field separator of a CSV/TSV file; absent means tab for `.tsv`, comma otherwise.
    pub separator: Option<char>,
    /// Column with the image path, or in Parquet files the image; absent means `filepath`, or
    /// `image`.
    pub image_column: Option<String>,
    /// Column with the caption, or field of the `.json` member; absent means `title` in CSV and TSV
    /// files, `caption` in Parquet files, and in WebDataset shards the `.txt` member or else the field
    /// `caption`.
    pub caption_column: Option<String>,
    /// Folder that image paths are relative to; absent means that of the file.
    pub image_folder: Option<PathBuf>,
    /// Columns kept as labels for evaluation; never seen by model or teacher.
    pub label_columns: Vec<String>,
    /// Abort when more than this share of rows is unusable, in [0, 1].
    pub max_broken_share: f64,
    /// Pairs kept from training, as `sha1:10` or `column:split=test`; absent means none.
    pub holdout: Option<Holdout>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataSource {
    /// 3,724 emoji with names and shortcodes, compiled into the program.
    Builtin,
    /// A CSV or TSV file with image paths and captions.
    Csv,
    /// A folder with one folder of pictures per class; the caption is the class name.
    Folder,
    /// Tar shards with pictures, captions and labels as members.
    WebDataset,
    /// Parquet files with pictures or their paths in one column and captions in another.
    Parquet,
    /// A JSON file of COCO captions with pictures in a folder.
    Coco,
}

/// Prototype construction, section "Episode" of the method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrototypeConfig {
    /// K, the number of prototypes of each space.
    pub count: usize,
    /// k-means iterations.
    pub iterations: usize,
    /// k-means restarts; the lowest final objective wins.
    pub restarts: usize,
    /// Hard or soft targets.
    pub target: TargetKind,
    /// τ_y, temperature of the soft targets; ignored by hard ones.
    pub target_temperature: f64,
    /// Prototype back translation: students are compared with centroids of their own space.
    pub back_translation: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    Soft,
    Hard,
}

/// The external teacher whose prototypes supervise both towers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeacherConfig {
    pub kind: TeacherKind,
    /// `.npy` file with one feature row per record, for `npy`.
    pub path: Option<PathBuf>,
    /// Dimension of the `lsa` features.
    pub dim: usize,
    /// Hard targets as in the reference, or soft ones with the run's target temperature.
    pub target: TargetKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TeacherKind {
    None,
    /// TF-IDF of caption words and character n-grams, reduced; needs no download.
    Lsa,
    /// Features computed elsewhere.
    Npy,
}

/// Weights of the three loss terms; all 1 in the paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossConfig {
    pub clip: f64,
    pub proto: f64,
    pub external: f64,
}

/// AdamW and its clipping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Base learning rate of everything but the image tower (and of it, unless given).
    pub learning_rate: f64,
    /// Base learning rate of parameters named `visual.*`.
    pub visual_learning_rate: Option<f64>,
    pub weight_decay: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub epsilon: f64,
    /// Global gradient-norm limit.
    pub grad_clip_norm: f64,
}

/// Stages and learning-rate shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleConfig {
    /// Linear warm-up, in optimizer steps.
    pub warmup_steps: usize,
    /// Leading episodes trained with InfoNCE only.
    pub infonce_episodes: usize,
    /// Trailing episodes with the image tower locked and InfoNCE only.
    pub lit_episodes: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Save every so many episodes (and at every stop).
    pub every_episodes: usize,
    /// Keep this many of the newest, besides pinned ones.
    pub keep_last: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Evaluate every so many episodes; 0 turns it off.
    pub every_episodes: usize,
    /// Which pairs are evaluated.
    pub on: EvaluatedPairs,
    /// Also fit a linear probe, which takes longer than the rest.
    pub linear_probe: bool,
}

/// The pairs that an evaluation during training looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EvaluatedPairs {
    /// Those of the episode, whose features are at hand.
    Episode,
    /// Those that `data.holdout` keeps from training.
    Holdout,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fidelity {
    Corrected,
    Reference,
}

/// How the products of dense and convolutional layers are computed on the CPU. Weights, optimizer and
/// everything else stay f32 in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    #[default]
    F32,
    /// Operands rounded to bfloat16, sums in f32: faster where the CPU has AVX-512 BF16.
    Bf16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Augmentation {
    /// The evaluation transform.
    None,
    /// RandomResizedCrop(0.9–1), the CLIP baseline.
    Clip,
    /// RandomResizedCrop(0.5–1) and grayscale, which leave colours, text and hands as they are.
    CropGray,
    /// Crop(0.5–1), flip, colour jitter, grayscale, blur.
    ProtoclipLight,
}

impl RunConfig {
    /// Builds a configuration from JSON in which every field is optional over its `preset`.
    ///
    /// # Errors
    /// Names each unknown or ill-typed field by its dotted path.
    pub fn from_json(given: serde_json::Value) -> Result<Self, ConfigErrors> {
        merge::from_json(given)
    }

    /// The same from the text of a TOML file.
    ///
    /// # Errors
    /// As [`RunConfig::from_json`]; a syntax error names its line.
    pub fn from_toml(text: &str) -> Result<Self, ConfigErrors> {
        merge::from_toml(text)
    }

    /// The configuration as TOML, complete, ready to be run again.
    ///
    /// # Errors
    /// When a value cannot be written as TOML (a path that is not UTF-8).
    pub fn to_toml(&self) -> Result<String, ConfigErrors> {
        toml::to_string_pretty(self).map_err(|e| ConfigErrors::one("config", e.to_string()))
    }

    /// Checks every setting and their combinations.
    ///
    /// # Errors
    /// All problems at once, each with its field and the fix.
    pub fn validate(self) -> Result<ValidRunConfig, ConfigErrors> {
        validate::validate(self)
    }
}
