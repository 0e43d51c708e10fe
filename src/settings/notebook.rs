//! Flags of `notebook`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  protoclip-studio notebook run findings.md            views and computations that are stale
  protoclip-studio notebook run findings.md --effects  also what starts and changes runs
  protoclip-studio notebook verify findings.md         compute everything again and compare
  protoclip-studio notebook export findings.md --format html --out findings.html")]
pub struct NotebookSettings {
    #[command(subcommand)]
    pub work: NotebookWork,
}

#[derive(Debug, Subcommand)]
pub enum NotebookWork {
    /// Run the cells of a notebook file; their outputs lie beside it
    Run(NotebookRun),
    /// Compute a notebook again and compare with its outputs; exits 1 when something differs
    Verify(NotebookVerify),
    /// Write a notebook with its outputs as HTML, Markdown, a Jupyter notebook or CSV
    Export(NotebookExport),
}

/// Which notebook, over which runs.
#[derive(Debug, Args)]
pub struct NotebookSource {
    /// The notebook: a Markdown file
    pub file: PathBuf,
    /// Where runs are kept [default: protoclip-studio in the user's data directory]
    #[arg(long, env = "PROTOCLIP_STUDIO_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder of the outputs [default: FILE with .outputs instead of .md]
    #[arg(long, value_name = "DIR")]
    pub outputs: Option<PathBuf>,
    /// Another value for a control, this time only; can be repeated
    #[arg(long = "set", value_name = "CONTROL=VALUE")]
    pub set: Vec<String>,
    /// Device of new runs and measurements: auto, cpu, cuda:N or wgpu
    #[arg(long, default_value = "auto", env = "PROTOCLIP_STUDIO_DEVICE")]
    pub device: String,
}

#[derive(Debug, Args)]
pub struct NotebookRun {
    #[command(flatten)]
    pub source: NotebookSource,
    /// Also run effects: cells that start, fork, change or delete runs
    #[arg(long)]
    pub effects: bool,
    /// Run every view and computation, stale or not
    #[arg(long)]
    pub all: bool,
    /// Run this cell and what it needs, instead of all that is stale; can be repeated
    #[arg(long = "cell", value_name = "ID")]
    pub cells: Vec<String>,
}

#[derive(Debug, Args)]
pub struct NotebookVerify {
    #[command(flatten)]
    pub source: NotebookSource,
    /// Print one JSON list instead of lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct NotebookExport {
    #[command(flatten)]
    pub source: NotebookSource,
    /// What to write
    #[arg(long, value_enum, default_value = "html")]
    pub format: NotebookFormat,
    /// File to write; a folder for md and csv [default: beside the notebook]
    #[arg(long)]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum NotebookFormat {
    /// One file that opens offline
    Html,
    /// A folder with the text and its figures
    Md,
    /// A Jupyter notebook
    Ipynb,
    /// A folder with one file per table
    Csv,
}
