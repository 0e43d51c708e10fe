//! The command line of `evaluate`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use protoclip::config::Holdout;

/// Which checkpoint to measure, on what, and where the report goes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  protoclip-studio evaluate 20261124-061530-protoclip-k3x9
  protoclip-studio evaluate model.safetensors --data builtin --probe
  protoclip-studio evaluate epoch_8.pt --data pairs.csv --label-column category --holdout sha1:10
  protoclip-studio evaluate epoch_8.pt --data 'shards/{00000..00003}.tar' --label-column category
  protoclip-studio evaluate exported/ --data pictures/ --templates templates.txt --json report.json")]
pub struct EvaluateSettings {
    /// A run id, a run's or checkpoint's directory, an exported model, a .safetensors or .pt file
    pub checkpoint: PathBuf,
    /// A model name or an OpenCLIP-style JSON file, where the weight file does not tell its shape
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// `builtin`, a CSV, TSV, Parquet or COCO captions file, a folder with one folder of pictures
    /// per class, or tar shards as in shards/{00000..00003}.tar or their folder [default: the data of the run, for a run or its checkpoint]
    #[arg(long, value_name = "builtin|PATH")]
    pub data: Option<PathBuf>,
    /// How to read --data [default: by its name, and for a directory by what it holds]
    #[arg(long, value_enum)]
    pub source: Option<SourceKind>,
    /// Column with the image path
    #[arg(long, value_name = "NAME")]
    pub image_column: Option<String>,
    /// Folder that image paths are relative to [default: that of the file]
    #[arg(long, value_name = "FOLDER")]
    pub image_folder: Option<PathBuf>,
    /// Column with the caption; in shards the field of the .json member
    #[arg(long, value_name = "NAME")]
    pub caption_column: Option<String>,
    /// Column with class labels; can be repeated [default: those the data set brings itself]
    #[arg(long = "label-column", value_name = "NAME")]
    pub label_columns: Vec<String>,
    /// Names of the classes: one per line in the order of the labels, or lines of a
    /// label, a tab and its name
    #[arg(long, value_name = "FILE")]
    pub classes: Option<PathBuf>,
    /// Prompt templates: one sentence with {} per line
    #[arg(long, value_name = "FILE")]
    pub templates: Option<PathBuf>,
    /// Also fit a linear probe
    #[arg(long)]
    pub probe: bool,
    /// Measure only the pairs that a rule holds out: sha1:N, or column:NAME=VALUE; the probe trains
    /// on the others [default: the rule of the run, for its own data]
    #[arg(long, value_name = "RULE")]
    pub holdout: Option<Holdout>,
    /// Seed of splits, clusters and samples
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// auto, cpu, cuda:N or wgpu
    #[arg(long, default_value = "auto", env = "PROTOCLIP_STUDIO_DEVICE")]
    pub device: String,
    /// Pictures or texts encoded at a time
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch_size: u16,
    /// Also write the report as JSON; - writes it to the standard output instead of the table
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where runs are kept [default: protoclip-studio in the user's data directory]
    #[arg(long, env = "PROTOCLIP_STUDIO_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Kinds of data sets that a path can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    Csv,
    Folder,
    Webdataset,
    Parquet,
    Coco,
}
