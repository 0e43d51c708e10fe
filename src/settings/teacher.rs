//! The command line of `teacher`.

use std::path::PathBuf;

use clap::Args;

use super::SourceKind;

/// Which captions to turn into features, by which encoder, and where they go.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  protoclip-studio teacher --model all-MiniLM-L6-v2 --data pairs.csv --out features.npy
  protoclip-studio teacher --model roberta-large --data 'shards/{00000..00003}.tar' --out features.npy
  protoclip-studio teacher --model all-MiniLM-L6-v2 --data builtin --dim 0 --out features.npy

Then train with teacher.kind = \"npy\" and teacher.path = \"features.npy\". A command that was stopped goes
on where it was when it is given again.")]
pub struct TeacherSettings {
    /// A Hugging Face directory of a BERT or RoBERTa encoder: config.json, tokenizer.json and
    /// model.safetensors or pytorch_model.bin
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// `builtin`, a CSV, TSV, Parquet or COCO captions file, a folder with one folder of pictures
    /// per class, or tar shards as in shards/{00000..00003}.tar or their folder
    #[arg(long, value_name = "builtin|PATH")]
    pub data: PathBuf,
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
    /// The file to write: one row per usable pair
    #[arg(long, value_name = "FILE.npy")]
    pub out: PathBuf,
    /// Numbers per row, by principal components; 0 keeps all
    #[arg(long, default_value_t = 64)]
    pub dim: usize,
    /// auto, cpu, cuda:N or wgpu
    #[arg(long, default_value = "auto", env = "PROTOCLIP_STUDIO_DEVICE")]
    pub device: String,
}
