//! The features of a run's episodes, as training left them in the run directory.

use std::sync::Arc;

use protoclip::prototypes::FeatureSnapshot;

use super::{RunId, Studio, StudioError};

/// Files kept in memory. At 200,000 samples of 128 numbers one takes about 200 MB.
pub(super) const KEPT: usize = 3;

impl Studio {
    /// Steps at which features of a run were kept, ascending. Each has prototypes too.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn feature_steps(&self, id: &RunId) -> Result<Vec<u64>, StudioError> {
        self.readable(id)?;
        Ok(self.data_dir.run(id).feature_steps())
    }

    /// The features kept at `step`, or the newest.
    ///
    /// # Errors
    /// When there is no such run, or it has none at that step.
    pub fn features(
        &self,
        id: &RunId,
        step: Option<u64>,
    ) -> Result<Arc<FeatureSnapshot>, StudioError> {
        let steps = self.feature_steps(id)?;
        let wanted = match step {
            Some(step) if steps.contains(&step) => step,
            Some(step) => return Err(none_at(step, &steps)),
            None => *steps.last().ok_or_else(|| none_yet(id))?,
        };
        let path = self.data_dir.run(id).feature_file(wanted);
        let read = |path: &std::path::Path| Ok(FeatureSnapshot::read(path)?);
        self.feature_files.get(&path, read)
    }
}

fn none_yet(id: &RunId) -> StudioError {
    StudioError::NotFound(format!(
        "run {id} has no features yet; they are kept at the start of every episode (runs of earlier \
         versions have none: resume or fork one to get some)"
    ))
}

fn none_at(step: u64, steps: &[u64]) -> StudioError {
    let known: Vec<String> = steps.iter().map(u64::to_string).collect();
    StudioError::NotFound(match known.is_empty() {
        true => format!("no features were kept at step {step}; there are none yet"),
        false => format!(
            "no features were kept at step {step}; there are some at {}",
            known.join(", ")
        ),
    })
}
