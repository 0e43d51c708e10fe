//! The command line of `bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// What to measure.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  python3 benches/features.py features.npy --samples 200000 --dim 128
  protoclip-studio bench kmeans --features features.npy --k 20000 --iterations 20 --threads 1
  protoclip-studio bench tsne --features features.npy --perplexity 30 --out map.npy
  protoclip-studio bench pca --features features.npy --dim 64
  protoclip-studio bench train-step --model vit-tiny-64 --batch 64 --threads 1
  protoclip-studio bench images --data pictures/ --threads 1
  protoclip-studio bench index --data 'shards/{00000..00249}.tar'
  protoclip-studio bench episode docs/examples/emoji.toml

Prints one JSON line: the work, its sizes, seconds without reading the file, and how good the
result is. benches/README.md says how to put it beside other programs.")]
pub struct BenchSettings {
    #[command(subcommand)]
    pub work: BenchWork,
}

#[derive(Debug, Subcommand)]
pub enum BenchWork {
    /// Cluster features; quality: inertia, the sum of squared distances to the own centroids
    Kmeans(BenchKMeans),
    /// Map features to the plane; quality: kl, the divergence of the map from the features
    Tsne(BenchTsne),
    /// Reduce features to their principal components; quality: share of the variance that is kept
    Pca(BenchPca),
    /// Take optimizer steps of a model on one batch of the built-in data; quality: the last loss
    TrainStep(BenchTrainStep),
    /// Decode, augment and batch the pictures of a data set, as training does
    Images(BenchImages),
    /// Open a data set, draw an episode and read 1,000 of its pairs; with the most memory taken
    Index(BenchIndex),
    /// Train one whole episode of a run; quality: loss, the mean over the last quarter of the steps
    Episode(BenchEpisode),
}

/// Which features to work on, with how many threads.
#[derive(Debug, Args)]
pub struct BenchInput {
    /// A two-dimensional .npy file of float32, float64 or float16, one row per sample
    #[arg(long, value_name = "FILE")]
    pub features: PathBuf,
    /// Threads [default: as many as the machine has]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}

#[derive(Debug, Args)]
pub struct BenchKMeans {
    #[command(flatten)]
    pub input: BenchInput,
    /// Number of clusters
    #[arg(long = "k", value_name = "K")]
    pub count: usize,
    /// Most iterations of one restart
    #[arg(long, default_value_t = 20)]
    pub iterations: usize,
    /// Independent starts, of which the best is kept
    #[arg(long, default_value_t = 1)]
    pub restarts: usize,
    /// Seed of the first centroids
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct BenchTsne {
    #[command(flatten)]
    pub input: BenchInput,
    /// Effective number of neighbours of a sample
    #[arg(long, default_value_t = 30.0)]
    pub perplexity: f64,
    /// Iterations in all, the first quarter of them with exaggerated affinities
    #[arg(long, default_value_t = 1000)]
    pub iterations: usize,
    /// Seed of the shift that separates copies
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// A map to go on from, without exaggeration: a .npy file as --out writes it
    #[arg(long, value_name = "MAP.npy")]
    pub initial: Option<PathBuf>,
    /// Where to write the map, `[samples, 2]`
    #[arg(long, value_name = "MAP.npy")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct BenchPca {
    #[command(flatten)]
    pub input: BenchInput,
    /// Number of components to keep
    #[arg(long)]
    pub dim: usize,
}

#[derive(Debug, Args)]
pub struct BenchTrainStep {
    /// A built-in model's name, or an OpenCLIP-style JSON file
    #[arg(long, default_value = "vit-tiny-64")]
    pub model: String,
    /// Pairs per step
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..))]
    pub batch: u16,
    /// Steps that count, after three to warm up
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    pub steps: u16,
    /// Training threads [default: as many as the machine has]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// How dense and convolutional layers multiply
    #[arg(long, value_enum, default_value_t = PrecisionName::F32)]
    pub precision: PrecisionName,
    /// The program's own operations, or Burn's
    #[arg(long, value_enum, default_value_t = KernelsName::Fused)]
    pub kernels: KernelsName,
    /// Seed of the initial weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// The precisions of a run, as a command line names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PrecisionName {
    F32,
    Bf16,
}

/// Which implementation of the operations a step takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelsName {
    Fused,
    Plain,
}

#[derive(Debug, Args)]
pub struct BenchImages {
    /// `builtin`, a CSV, TSV, Parquet or COCO captions file, a folder with one folder of pictures
    /// per class, or tar shards as in shards/{00000..00003}.tar or their folder
    #[arg(long, value_name = "builtin|PATH")]
    pub data: PathBuf,
    /// Threads [default: as many as the machine has]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Side of the prepared pictures, in pixels
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub image_size: u32,
    /// Pictures per batch; a smaller remainder is left out
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
    /// How pictures are changed
    #[arg(long, value_enum, default_value_t = AugmentationName::ProtoclipLight)]
    pub augmentation: AugmentationName,
    /// Passes over the data
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub passes: u16,
    /// Memory for decoded pictures, in MiB; 0 decodes every picture in every pass
    #[arg(long, value_name = "MIB", default_value_t = 0)]
    pub cache: u16,
    /// Seed of the changes
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

#[derive(Debug, Args)]
pub struct BenchIndex {
    /// `builtin`, a CSV, TSV, Parquet or COCO captions file, a folder with one folder of pictures
    /// per class, or tar shards as in shards/{00000..00003}.tar or their folder
    #[arg(long, value_name = "builtin|PATH")]
    pub data: PathBuf,
    /// Column with class labels; can be repeated
    #[arg(long = "label-column", value_name = "NAME")]
    pub label_columns: Vec<String>,
    /// Samples of the episode
    #[arg(long, default_value_t = 200_000)]
    pub episode: usize,
    /// Seed of the episode
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// The augmentations of a run, as a command line names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AugmentationName {
    None,
    Clip,
    CropGray,
    ProtoclipLight,
}

#[derive(Debug, Args)]
pub struct BenchEpisode {
    /// A run's settings as TOML, as `train` takes them
    pub config: PathBuf,
    /// Replace a setting, as in --set model=vit-tiny-64; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Training threads [default: as many as the machine has]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
}
