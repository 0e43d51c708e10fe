//! The feature files of a run: one beside each prototype snapshot, in bounded room.

use std::path::{Path, PathBuf};

use super::episode::steps_in;
use super::extract::{EpisodeFeatures, Matrix};
use super::session::Session;
use super::{LogLevel, TrainError};
use crate::prototypes::{FeaturePair, FeatureSnapshot, PrototypeSnapshot};

const FOLDER: &str = "artifacts/features";

/// Bytes that all feature files of a run may take.
const ROOM: u64 = 1 << 30;

/// The path of an episode's features, relative to the run directory.
pub fn feature_file(step: u64) -> String {
    format!("{FOLDER}/{step:08}.safetensors")
}

/// Steps for which a run directory holds features, oldest first.
pub fn feature_steps(run_directory: &Path) -> Vec<u64> {
    steps_in(&run_directory.join(FOLDER))
}

impl Session<'_> {
    /// Keeps the features of an episode for maps and the gap. What cannot be kept is only warned of:
    /// training does not need it.
    pub(super) fn keep_features(
        &mut self,
        features: &EpisodeFeatures,
        prototypes: &PrototypeSnapshot,
    ) -> Result<(), TrainError> {
        let path = self.directory.join(feature_file(prototypes.step));
        let snapshot = snapshot(features, prototypes);
        if let Err(message) = store(&snapshot, &path) {
            return self.log(
                LogLevel::Warning,
                format!("no map of this episode: its features cannot be kept: {message}"),
            );
        }
        make_room(&self.directory, ROOM);
        Ok(())
    }
}

fn snapshot(features: &EpisodeFeatures, prototypes: &PrototypeSnapshot) -> FeatureSnapshot {
    let pair = |image: &Matrix, text: &Matrix| {
        FeaturePair::within_budget(image.dim, &image.values, &text.values)
    };
    let projected = (features.projected_image.dim > 0)
        .then(|| pair(&features.projected_image, &features.projected_text));
    let mut snapshot = FeatureSnapshot {
        episode: prototypes.episode,
        step: prototypes.step,
        samples: features.samples.clone(),
        tower: pair(&features.image, &features.text),
        projected,
    };
    let rows = snapshot.clustered().rows();
    snapshot.samples.truncate(rows);
    snapshot
}

fn store(snapshot: &FeatureSnapshot, path: &Path) -> Result<(), String> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    snapshot.write(path).map_err(|e| e.to_string())
}

/// Removes files until the rest fits: never the first, which shows where the run began, nor the
/// newest; of the others those whose neighbours in time are closest, so that what stays is spread.
fn make_room(run_directory: &Path, room: u64) {
    let file = |step: u64| run_directory.join(feature_file(step));
    let bytes = |path: &PathBuf| std::fs::metadata(path).map_or(0, |facts| facts.len());
    let mut steps = feature_steps(run_directory);
    let mut used: u64 = steps.iter().map(|&step| bytes(&file(step))).sum();
    while used > room && steps.len() > 2 {
        let inner = 1..steps.len() - 1;
        let crowded = inner.min_by_key(|&i| steps[i + 1] - steps[i - 1]);
        let path = file(steps.remove(crowded.unwrap_or(1)));
        used -= bytes(&path);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot remove old features");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_spread_over_the_run() {
        let folder = tempfile::tempdir().expect("temporary folder");
        std::fs::create_dir_all(folder.path().join(FOLDER)).expect("creates");
        for step in (0..=10).map(|i| i * 10) {
            std::fs::write(folder.path().join(feature_file(step)), [0; 100]).expect("writes");
        }
        make_room(folder.path(), 1100);
        assert_eq!(feature_steps(folder.path()).len(), 11);
        make_room(folder.path(), 650);
        assert_eq!(feature_steps(folder.path()), [0, 20, 40, 60, 80, 100]);
        make_room(folder.path(), 1);
        assert_eq!(feature_steps(folder.path()), [0, 100]);
    }
}
