//! What the user asked for: flags over environment over defaults, parsed once.

mod bench;
mod evaluate;
mod notebook;
mod teacher;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use bench::{
    AugmentationName, BenchEpisode, BenchImages, BenchIndex, BenchInput, BenchKMeans, BenchPca,
    BenchSettings, BenchTrainStep, BenchTsne, BenchWork, KernelsName, PrecisionName,
};
pub use evaluate::{EvaluateSettings, SourceKind};
pub use notebook::{
    NotebookExport, NotebookFormat, NotebookRun, NotebookSettings, NotebookSource, NotebookVerify,
    NotebookWork,
};
pub use teacher::TeacherSettings;

/// Interactive studio for prototypical contrastive language-image pretraining.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    after_help = "\
Examples:
  protoclip-studio serve                     start the studio and open the address it prints
  protoclip-studio train run.toml            train in this terminal; `serve` shows the run
  protoclip-studio verify golden             compare with golden values on a device
  protoclip-studio import RN50.pt            a model of others, to start runs from
  protoclip-studio export CHECKPOINT --out DIR
                                             a model for OpenCLIP
  protoclip-studio evaluate RUN_ID           measure the latest checkpoint of a run
  protoclip-studio notebook verify findings.md
                                             compute a notebook again and compare
  protoclip-studio teacher --model DIR --data pairs.csv --out features.npy
                                             features for an external teacher
  protoclip-studio bench kmeans --features F.npy --k 1000
                                             time one piece of work
  protoclip-studio doctor                    what this machine offers"
)]
pub struct Settings {
    #[command(subcommand)]
    pub command: Command,
    /// How log messages are written to the terminal
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        env = "PROTOCLIP_STUDIO_LOG_FORMAT"
    )]
    pub log_format: LogFormat,
    #[command(flatten)]
    pub cache: CacheSettings,
}

/// Where indexes of data sets and unpacked shards are kept.
#[derive(Debug, Args)]
pub struct CacheSettings {
    /// Where indexes of data sets and unpacked shards are kept [default: protoclip-studio in the
    /// user's cache directory]
    #[arg(long, global = true, env = "PROTOCLIP_STUDIO_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,
    /// How much they may take, in GiB; what was used longest ago goes first
    #[arg(
        long,
        global = true,
        default_value_t = 50,
        env = "PROTOCLIP_STUDIO_CACHE_GIB"
    )]
    pub cache_gib: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the studio: an address to open in a browser
    Serve(ServeSettings),
    /// Train one run in this terminal
    Train(TrainSettings),
    /// Compare this program with golden values on a device, figure by figure
    Verify(VerifySettings),
    /// Read a PyTorch checkpoint or OpenCLIP weights into a model that runs start from
    Import(ImportSettings),
    /// Write a checkpoint as a directory that OpenCLIP loads
    Export(ExportSettings),
    /// Measure a checkpoint: zero-shot, retrieval, grouping, linear probe
    Evaluate(Box<EvaluateSettings>),
    /// Run, verify or export a notebook: findings that re-run
    Notebook(Box<NotebookSettings>),
    /// Compute features of a data set's captions with a text encoder, for the npy teacher
    Teacher(Box<TeacherSettings>),
    /// Time one piece of work, such as k-means; one JSON line
    Bench(BenchSettings),
    /// Print what this machine offers: devices, instructions, threads, disk
    Doctor(DoctorSettings),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  protoclip-studio serve
  protoclip-studio serve ~/experiments --port 8000 --open
  protoclip-studio serve --host 0.0.0.0 --allow-host nas --read-only
  PROTOCLIP_STUDIO_DEVICE=cpu protoclip-studio serve")]
pub struct ServeSettings {
    /// Where runs are kept [default: protoclip-studio in the user's data directory]
    #[arg(env = "PROTOCLIP_STUDIO_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address to listen on; only this machine unless you say otherwise
    #[arg(long, default_value = "127.0.0.1", env = "PROTOCLIP_STUDIO_HOST")]
    pub host: IpAddr,
    /// Port to listen on [default: 7878, or the next free one]
    #[arg(long, env = "PROTOCLIP_STUDIO_PORT")]
    pub port: Option<u16>,
    /// Open the studio in the browser
    #[arg(long, env = "PROTOCLIP_STUDIO_OPEN")]
    pub open: bool,
    /// Device of new runs: auto, cpu, cuda:N or wgpu
    #[arg(long, default_value = "auto", env = "PROTOCLIP_STUDIO_DEVICE")]
    pub device: String,
    /// Ask every visitor for this token; a --host that others reach has a new one by default
    #[arg(long, env = "PROTOCLIP_STUDIO_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// A further name by which visitors address the server, such as nas or studio.example:443
    #[arg(
        long = "allow-host",
        value_name = "NAME",
        value_delimiter = ',',
        env = "PROTOCLIP_STUDIO_ALLOW_HOST"
    )]
    pub allowed_hosts: Vec<String>,
    /// Show runs and let nobody change anything
    #[arg(long, env = "PROTOCLIP_STUDIO_READ_ONLY")]
    pub read_only: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  protoclip-studio train run.toml
  protoclip-studio train run.toml --set episodes=5 --set prototypes.count=256
  protoclip-studio train run.toml --set 'data.path=\"pairs.csv\"' --set 'data.source=\"csv\"'
  protoclip-studio train --resume 20261124-061530-protoclip-k3x9
  protoclip-studio train --resume 20261124-061530-protoclip-k3x9 --data /mnt/new/pairs.csv")]
pub struct TrainSettings {
    /// Settings of the run as TOML; what is left out comes from its preset
    #[arg(required_unless_present = "resume", conflicts_with = "resume")]
    pub config: Option<PathBuf>,
    /// Where runs are kept [default: protoclip-studio in the user's data directory]
    #[arg(long, env = "PROTOCLIP_STUDIO_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Replace one setting, such as prototypes.count=256; can be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub set: Vec<String>,
    /// Go on with a run from its latest checkpoint
    #[arg(long, value_name = "RUN_ID")]
    pub resume: Option<String>,
    /// Where the data set of the resumed run is now, when it moved
    #[arg(long, value_name = "PATH", requires = "resume")]
    pub data: Option<PathBuf>,
    /// Where the pictures of the resumed run are now, when they are not beside the file
    #[arg(long, value_name = "FOLDER", requires = "data")]
    pub image_folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  protoclip-studio verify crates/protoclip/tests/golden
  protoclip-studio verify golden --device cuda:0
  protoclip-studio verify golden --json > verified.json

Exits 1 when a figure is out of tolerance or a file is damaged.")]
pub struct VerifySettings {
    /// Folder with files of the golden format (crates/protoclip/tests/golden/README.md)
    pub folder: PathBuf,
    /// Device to compute on: auto, cpu, cuda:N or wgpu
    #[arg(long, default_value = "cpu", env = "PROTOCLIP_STUDIO_DEVICE")]
    pub device: String,
    /// Hugging Face directory of the text encoder behind teacher_*.json
    #[arg(long, value_name = "DIR")]
    pub teacher: Option<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  protoclip-studio import ViT-B-32.pt --model ViT-B-32-quickgelu
  protoclip-studio import epoch_32.pt --model my-model.json --name protoclip-rn50
  protoclip-studio import open_clip_model.safetensors
  protoclip-studio import --tensorboard logs --name baseline")]
pub struct ImportSettings {
    /// A PyTorch checkpoint (.pt, .pth, .bin), a safetensors file, or a directory with one
    #[arg(required_unless_present = "tensorboard")]
    pub file: Option<PathBuf>,
    /// Instead of weights, the curves of TensorBoard's event files in a folder and below it: a
    /// finished run of each folder that has such files
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "model"])]
    pub tensorboard: Option<PathBuf>,
    /// Model name or OpenCLIP-style JSON file [default: the file's own, one beside it, or its shapes]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// What to call it below checkpoints/ in the data directory, or in the list of runs [default: the
    /// name of the file or folder]
    #[arg(long)]
    pub name: Option<String>,
    /// Where runs are kept [default: protoclip-studio in the user's data directory]
    #[arg(long, env = "PROTOCLIP_STUDIO_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  protoclip-studio export ~/data/runs/20261124-061530-protoclip-k3x9/checkpoints/00001740 --out my-clip
  protoclip-studio export --tensorboard ~/data/runs/20261124-061530-protoclip-k3x9 --out logs
  protoclip-studio export --tensorboard --follow ~/data/runs/20261124-061530-protoclip-k3x9 --out logs")]
pub struct ExportSettings {
    /// A checkpoint of a run, an imported model's directory, or a weight file; with --tensorboard a
    /// run's directory
    pub checkpoint: PathBuf,
    /// Write the curves of a run as an event file for `tensorboard --logdir OUT` instead of weights
    #[arg(long, conflicts_with_all = ["name", "with_heads"])]
    pub tensorboard: bool,
    /// With --tensorboard, go on writing what the run records until it ends
    #[arg(long, requires = "tensorboard")]
    pub follow: bool,
    /// Directory to create; with --tensorboard one that may have other runs
    #[arg(long)]
    pub out: PathBuf,
    /// Name on the model card [default: made of the checkpoint's path]
    #[arg(long)]
    pub name: Option<String>,
    /// Keep the projection heads in the main weight file, which OpenCLIP then refuses to load
    #[arg(long)]
    pub with_heads: bool,
}

#[derive(Debug, Args)]
pub struct DoctorSettings {
    /// Where runs are kept [default: protoclip-studio in the user's data directory]
    #[arg(long, env = "PROTOCLIP_STUDIO_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
}

/// The directory given, or `protoclip-studio` where the system keeps a user's data.
pub fn data_dir_or_default(given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| user_directory("XDG_DATA_HOME", ".local/share"))
}

/// The directory given, or `protoclip-studio` where the system keeps what can be made again.
pub fn cache_dir_or_default(given: Option<PathBuf>) -> Option<PathBuf> {
    given.or_else(|| user_directory("XDG_CACHE_HOME", ".cache"))
}

fn user_directory(named_by: &str, in_home: &str) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(in_home));
    let base = variable(named_by).map(PathBuf::from).or_else(home)?;
    Some(base.join("protoclip-studio"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Settings::command().debug_assert();
    }

    #[test]
    fn train_wants_a_file_or_a_run_but_not_both() {
        let parse = |line: &str| Settings::try_parse_from(line.split(' '));
        assert!(parse("x train").is_err());
        assert!(parse("x train a.toml --resume r").is_err());
        assert!(parse("x train --resume r --set seed=1").is_err());
        assert!(parse("x train a.toml --set seed=1 --set episodes=2").is_ok());
        assert!(parse("x train --resume r").is_ok());
    }
}
