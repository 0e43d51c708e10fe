//! Where a checkpoint stands, for those who go on from it with other settings.

use std::fs;
use std::path::Path;

use super::session::{Place, STATE};
use super::{ControlValues, TrainError};

/// The place of a checkpoint in its run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CheckpointPlace {
    /// Settings in force or accepted when it was written.
    pub controls: ControlValues,
    /// Whether nothing of the next episode was drawn yet, so that another seed may draw it.
    pub between_episodes: bool,
}

/// Reads the place of a checkpoint.
///
/// # Errors
/// When its file is absent or not what this program writes.
pub fn checkpoint_place(checkpoint: &Path) -> Result<CheckpointPlace, TrainError> {
    let path = checkpoint.join(STATE);
    let failed = |message: String| TrainError::Checkpoint {
        path: path.display().to_string(),
        message,
    };
    let bytes = fs::read(&path).map_err(|e| failed(e.to_string()))?;
    let place: Place = serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))?;
    Ok(CheckpointPlace {
        controls: place.wanted,
        between_episodes: place.cursor == 0 && !place.announced,
    })
}
