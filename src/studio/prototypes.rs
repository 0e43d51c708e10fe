//! Prototypes as people look at them: a list like the paper's Figure 2, and one prototype in full.
//!
//! Reads the snapshots that training leaves in the run directory; the newest few stay in memory.
//! May open a data set, so callers must be allowed to block.

mod absence;
mod agreement_figure;
mod cut;
mod disagreement;
mod health;
mod matching;
mod over_time;
mod overlap;
mod page;
mod river;
mod river_figure;
mod river_layout;
mod sheet;
mod snapshot_view;
mod soft_target;
mod student_side;
mod target_figure;
mod translation;

use protoclip::prototypes::Space;
use serde::{Deserialize, Serialize};

pub use absence::{AbsentPrototype, Occurrence};
pub use cut::{GroupedPrototype, PrototypeCut, PrototypeGroup};
pub use disagreement::{DisagreementPage, DisagreementQuery, DisagreementRow};
pub use health::{Health, HealthCount, OVERFULL};
pub use matching::{GroupingAgreement, PrototypeMatching};
pub use page::{
    NeighbourView, OverlapView, PrototypeCard, PrototypeDetail, PrototypePage, SampleView,
};

pub(super) use absence::PrototypeCounts;
pub(super) use disagreement::{KEPT_CHOICES, StudentChoices};
pub(super) use over_time::{KEPT_AGREEMENTS, KEPT_LINEAGES, SnapshotLineages};
pub use over_time::{
    Kin, PrototypeLineage, PrototypesOverTime, Relative, SpaceAgreement, StepAgreement, StepChanges,
};
pub use river::{RIVER_COLUMNS, River, RiverColumn, RiverFlow, RiverGroup};
pub use river_layout::{RiverLayout, RiverPlace, RiverStream};
pub use sheet::{MOST_SHEET_ROWS, SHEET_ROWS, SheetQuery};
pub use soft_target::{DESCRIBED_SHARES, TargetShare, TargetView};
pub use translation::{
    Hop, HopKind, PrototypeNode, TranslationDirection, TranslationView, Verdict,
};

pub(super) use page::image_url;
pub(super) use snapshot_view::SnapshotView;

use super::{DataSetId, RunId, Studio, StudioError};
use std::sync::Arc;

/// Which prototypes to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrototypeQuery {
    pub space: Space,
    /// Step of the snapshot; the newest when absent.
    pub step: Option<u64>,
    pub sort: PrototypeSort,
    /// Only prototypes with this text in a caption, whatever its case.
    pub text: String,
    /// Only prototypes that show this sign.
    pub health: Option<Health>,
    pub offset: usize,
    pub limit: usize,
}

/// Order of a list of prototypes. Ties, and prototypes without a value, go by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrototypeSort {
    /// Most samples first.
    #[default]
    Size,
    /// Smallest mean distance to the centroid first.
    Tightness,
    /// Least like any prototype of the episode before first.
    Change,
    /// By number.
    Id,
}

/// Snapshots kept in memory. At 200,000 samples and 20,000 prototypes one takes about 40 MB.
pub(super) const KEPT: usize = 6;

/// Most prototypes of one page, and samples of one card.
pub const MOST_CARDS: usize = 500;
pub const CARD_SAMPLES: usize = 12;

impl Studio {
    /// A page of the prototypes of a run.
    ///
    /// # Errors
    /// When the run, the step or the space has none, or a file cannot be read.
    pub fn prototypes(
        &self,
        id: &RunId,
        query: &PrototypeQuery,
    ) -> Result<PrototypePage, StudioError> {
        let (view, steps) = self.snapshot(id, query.step)?;
        let previous = previous_step(&steps, view.step())
            .and_then(|step| self.snapshot(id, Some(step)).ok())
            .map(|(view, _)| view);
        page::page(&view, previous.as_deref(), steps, query)
    }

    /// One prototype with all its samples.
    ///
    /// # Errors
    /// As [`Studio::prototypes`], or when the number is too large.
    pub fn prototype(
        &self,
        id: &RunId,
        step: Option<u64>,
        space: Space,
        prototype: usize,
    ) -> Result<PrototypeDetail, StudioError> {
        let (view, steps) = self.snapshot(id, step)?;
        let previous = previous_step(&steps, view.step())
            .and_then(|step| self.snapshot(id, Some(step)).ok())
            .map(|(view, _)| view);
        page::detail(&view, previous.as_deref(), steps, space, prototype)
    }

    /// Data set and samples nearest to the centroid of a prototype, at most `limit`.
    ///
    /// # Errors
    /// As [`Studio::prototype`].
    pub fn nearest_samples(
        &self,
        id: &RunId,
        step: Option<u64>,
        space: Space,
        (prototype, limit): (usize, usize),
    ) -> Result<(DataSetId, Vec<u32>), StudioError> {
        let (view, _) = self.snapshot(id, step)?;
        let samples = view.nearest(space, prototype, limit)?;
        Ok((view.data_set().clone(), samples))
    }

    /// The snapshot at `step`, or the newest, and the steps of all.
    pub(super) fn snapshot(
        &self,
        id: &RunId,
        step: Option<u64>,
    ) -> Result<(Arc<SnapshotView>, Vec<u64>), StudioError> {
        let record = self.readable(id)?;
        let run = self.data_dir.run(id);
        let steps = run.prototype_steps();
        let wanted = match step {
            Some(step) if steps.contains(&step) => step,
            Some(step) => return Err(no_prototypes_at(step, &steps)),
            None => *steps.last().ok_or_else(|| no_prototypes_yet(id))?,
        };
        let path = run.prototype_file(wanted);
        let data_set = self.data_sets.register(&record.config.data);
        let view = self
            .snapshots
            .get(&path, |path| SnapshotView::read(path, data_set))?;
        view.attach(&self.data_sets);
        Ok((view, steps))
    }
}

fn previous_step(steps: &[u64], step: u64) -> Option<u64> {
    steps.iter().copied().rfind(|&earlier| earlier < step)
}

fn no_prototypes_yet(id: &RunId) -> StudioError {
    StudioError::NotFound(format!(
        "run {id} has no prototypes yet; they come with its first episode"
    ))
}

fn no_prototypes_at(step: u64, steps: &[u64]) -> StudioError {
    let known = match (steps.first(), steps.last()) {
        (Some(first), Some(last)) => {
            format!("there are {} between steps {first} and {last}", steps.len())
        }
        _ => "there are none yet".into(),
    };
    StudioError::NotFound(format!("no prototypes were saved at step {step}; {known}"))
}
