//! Where a result comes from: run, step, checkpoint, seed.

use super::super::super::{RunView, Studio, StudioError};
use super::super::output::{CheckpointMark, Provenance};

/// The origin of what is shown of a run at a step.
pub(in super::super) fn of_run(
    studio: &Studio,
    run: &RunView,
    step: u64,
) -> Result<Provenance, StudioError> {
    let checkpoints = studio.checkpoints(&run.id)?;
    let newest = checkpoints
        .into_iter()
        .rev()
        .find(|checkpoint| checkpoint.step <= step);
    Ok(Provenance {
        run: run.id.clone(),
        name: run.name.clone(),
        step,
        checkpoint: newest.map(|checkpoint| CheckpointMark {
            step: checkpoint.step,
            hash: checkpoint.hash,
        }),
        seed: match run.imported {
            None => Some(studio.config(&run.id)?.seed),
            Some(_) => None,
        },
    })
}
