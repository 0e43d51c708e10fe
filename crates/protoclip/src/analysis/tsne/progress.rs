//! What an observer of t-SNE sees.

use super::{TsneError, TsneObserver};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TsnePhase {
    /// The search for every sample's neighbours.
    Neighbours,
    /// Iterations with exaggerated affinities, which let clusters find together.
    Exaggeration,
    /// The iterations after those.
    Refinement,
}

/// Where t-SNE is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TsneProgress<'a> {
    pub phase: TsnePhase,
    /// Samples whose neighbours are known, or iterations; of all.
    pub done: usize,
    pub total: usize,
    /// The map, every [`report_every`](super::TsneConfig::report_every) iterations.
    pub map: Option<MapSnapshot<'a>>,
}

/// A map that is not finished.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MapSnapshot<'a> {
    /// `[n, 2]`, row-major.
    pub points: &'a [f32],
    /// As [`TsneMap::kl`](super::TsneMap::kl).
    pub kl: f64,
}

/// Tells the observer and hears whether to go on.
pub(super) struct Watch<'a> {
    observer: TsneObserver<'a>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(observer: TsneObserver<'a>) -> Self {
        Self { observer }
    }

    pub(super) fn work(
        &self,
        phase: TsnePhase,
        done: usize,
        total: usize,
    ) -> Result<(), TsneError> {
        self.tell(&TsneProgress {
            phase,
            done,
            total,
            map: None,
        })
    }

    pub(super) fn tell(&self, progress: &TsneProgress<'_>) -> Result<(), TsneError> {
        match (self.observer)(progress) {
            true => Ok(()),
            false => Err(TsneError::Cancelled),
        }
    }
}
