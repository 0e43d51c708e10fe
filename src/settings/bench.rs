//! The command line of `bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to measure.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  python3 benches/features.py features.npy --samples 200000 --dim 128
  protoclip-studio bench kmeans --features features.npy --k 20000 --iterations 20 --threads 1
  protoclip-studio bench pca --features features.npy --dim 64

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
    /// Reduce features to their principal components; quality: share of the variance that is kept
    Pca(BenchPca),
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
pub struct BenchPca {
    #[command(flatten)]
    pub input: BenchInput,
    /// Number of components to keep
    #[arg(long)]
    pub dim: usize,
}
