//! The modality gap of a step: how far apart the two modalities lie, and what changes when they are
//! moved together or apart.
//!
//! Measures take a good part of a second on large features: callers must be allowed to block. What
//! was measured stays in memory, so that going back to a shift costs nothing. Above a bound, retrieval
//! and grouping look at the first samples of the episode, which its order makes a random sample.

mod gap_figure;
mod measure;

use std::sync::{Arc, Mutex, PoisonError};

use protoclip::analysis::PrototypeGap;
use protoclip::config::ConfigErrors;
use protoclip::prototypes::{FeatureSnapshot, Space};
use protoclip::train::tag;
use serde::{Deserialize, Serialize};

pub use gap_figure::GapChart;
pub use measure::{GapMeasures, GroupingView, RetrievalView};

use super::figure::{Figure, FigureLook, draw};
use super::prototypes::SnapshotView;
use super::{RunId, Studio, StudioError};
use gap_figure::GapFigure;
use measure::{Frame, Settings};

/// Steps whose features are ready to be moved.
pub(super) const KEPT: usize = 3;
/// Shifts of one step that stay in memory.
const SHIFTS: usize = 64;
/// The largest shift either way.
pub const MOST_SHIFT: f64 = 1.0;
/// log(1 / 0.07), where both scales start.
const FIRST_TEMPERATURE: f64 = 0.07;

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GapQuery {
    /// Step of the features; the newest when absent.
    pub step: Option<u64>,
    /// λ in [−1, 1]; 0 leaves the features as they are.
    pub shift: f64,
    /// Whose prototypes are listed.
    pub space: Space,
    pub sort: GapSort,
    /// Prototypes to pass over, and to list at most.
    pub offset: usize,
    pub limit: usize,
}

/// Order of the prototypes. Empty ones come last, ties go by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GapSort {
    /// Widest gap first.
    #[default]
    Gap,
    /// Least aligned with the gap of all samples first.
    Alignment,
    /// Least similar pairs first.
    Cosine,
    /// Most samples first.
    Size,
    /// By number.
    Id,
}

/// The gap of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GapView {
    pub step: u64,
    pub episode: u64,
    /// Steps whose features were kept, ascending.
    pub steps: Vec<u64>,
    pub space: Space,
    /// Spaces that can be chosen.
    pub spaces: Vec<Space>,
    /// exp(logit_scale_proto) at this step.
    pub scale: f64,
    pub target_temperature: f64,
    /// The features as they are.
    pub unshifted: Arc<GapMeasures>,
    /// The features after the shift.
    pub shifted: Arc<GapMeasures>,
    /// Why captions are absent and pictures cannot be told apart, if so.
    pub data_error: Option<String>,
    /// Prototypes of the space.
    pub count: usize,
    pub offset: usize,
    /// Some of them, after the shift, in the asked order.
    pub prototypes: Vec<PrototypeGapView>,
}

/// The gap of one prototype.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypeGapView {
    pub id: usize,
    #[serde(flatten)]
    pub measured: PrototypeGap,
    /// The same before the shift.
    pub unshifted_gap: f64,
    pub words: Vec<String>,
}

/// A step's features, ready to be moved, and what was measured of them.
#[derive(Debug)]
pub(super) struct GapFrame {
    features: Arc<FeatureSnapshot>,
    view: Arc<SnapshotView>,
    frame: Frame,
    scale: f64,
    target_temperature: f64,
    /// Oldest first.
    measured: Mutex<Vec<Arc<GapMeasures>>>,
}

impl GapSort {
    pub const ALL: [Self; 5] = [
        Self::Gap,
        Self::Alignment,
        Self::Cosine,
        Self::Size,
        Self::Id,
    ];

    /// The word used in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Alignment => "alignment",
            Self::Cosine => "cosine",
            Self::Size => "size",
            Self::Id => "id",
        }
    }

    /// What comes first is smallest.
    fn key(self, gap: &PrototypeGap) -> f64 {
        match self {
            Self::Gap => -gap.gap,
            Self::Alignment => gap.alignment,
            Self::Cosine => gap.matched_cosine,
            Self::Size => -(gap.samples as f64),
            Self::Id => 0.0,
        }
    }
}

impl Studio {
    /// Measures the gap of a run at a step, with both modalities moved.
    ///
    /// # Errors
    /// When there is no such run, no features were kept at the step, the space is absent or the shift
    /// is out of range.
    pub fn gap(&self, id: &RunId, query: &GapQuery) -> Result<GapView, StudioError> {
        let shift = checked_shift(query.shift)?;
        let features = self.features(id, query.step)?;
        let steps = self.feature_steps(id)?;
        let (view, _) = self.snapshot(id, Some(features.step))?;
        let path = self.data_dir.run(id).feature_file(features.step);
        let frame = self
            .gap_frames
            .get(&path, |_| self.gap_frame(id, features, view))?;
        let unshifted = frame.measured(0.0)?;
        let shifted = frame.measured(shift)?;
        Ok(GapView {
            step: frame.features.step,
            episode: frame.features.episode,
            steps,
            space: query.space,
            spaces: frame.view.spaces(),
            scale: frame.scale,
            target_temperature: frame.target_temperature,
            data_error: frame.view.data_error(),
            count: shifted.of(query.space).len(),
            offset: query.offset,
            prototypes: frame.prototypes(&unshifted, &shifted, query)?,
            unshifted,
            shifted,
        })
    }

    /// A chart of the gap as a figure.
    ///
    /// # Errors
    /// As [`Studio::gap`], or when it cannot be drawn.
    pub fn gap_figure(
        &self,
        id: &RunId,
        query: &GapQuery,
        (chart, look): (GapChart, FigureLook),
    ) -> Result<Figure, StudioError> {
        let view = self.gap(id, query)?;
        let (name, shift) = (self.run(id)?.name, view.shifted.shift);
        let title = match shift {
            0.0 => format!("{name}: step {}", view.step),
            shift => format!("{name}: step {}, shift {shift}", view.step),
        };
        let figure = GapFigure {
            view: &view,
            chart,
            title: &title,
            palette: look.palette,
        };
        draw(&figure, &title, look.format)
    }

    fn gap_frame(
        &self,
        id: &RunId,
        features: Arc<FeatureSnapshot>,
        view: Arc<SnapshotView>,
    ) -> Result<GapFrame, StudioError> {
        let record = self.readable(id)?;
        let supervision = self.supervision(id, (features.episode, features.step))?;
        let target_temperature = supervision.target_temperature;
        let scale = 1.0 / self.temperature_at(id, tag::TEMPERATURE_PROTO, features.step)?;
        let settings = Settings::new(&record.config, target_temperature, scale);
        Ok(GapFrame {
            frame: Frame::new(&features, &view, settings)?,
            features,
            view,
            scale,
            target_temperature,
            measured: Mutex::default(),
        })
    }

    /// A temperature after `step` updates: that of the next step, which is computed from the same
    /// weights; else the last one before; else that of a new model.
    pub(super) fn temperature_at(
        &self,
        id: &RunId,
        tag: &str,
        step: u64,
    ) -> Result<f64, StudioError> {
        let points = self.points(id, tag)?;
        let next = points.iter().find(|(at, _)| *at == step + 1);
        let before = points.iter().rfind(|(at, _)| *at <= step);
        Ok(next.or(before).map_or(FIRST_TEMPERATURE, |point| point.1))
    }
}

impl GapFrame {
    /// The measures at a shift. One at a time is computed; who waits for it then finds it.
    fn measured(&self, shift: f64) -> Result<Arc<GapMeasures>, StudioError> {
        let mut kept = self.measured.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept.iter().find(|m| m.shift == shift) {
            return Ok(Arc::clone(found));
        }
        let measures = Arc::new(self.frame.measure(&self.features, &self.view, shift)?);
        if kept.len() >= SHIFTS {
            kept.remove(0);
        }
        kept.push(Arc::clone(&measures));
        Ok(measures)
    }

    fn prototypes(
        &self,
        unshifted: &GapMeasures,
        shifted: &GapMeasures,
        query: &GapQuery,
    ) -> Result<Vec<PrototypeGapView>, StudioError> {
        self.view.clusters(query.space)?;
        let (before, after) = (unshifted.of(query.space), shifted.of(query.space));
        let mut order: Vec<usize> = (0..after.len()).collect();
        order.sort_by(|&a, &b| {
            let key = |id: usize| (after[id].samples == 0, query.sort.key(&after[id]));
            let ((a_empty, a_key), (b_empty, b_key)) = (key(a), key(b));
            let empty_last = a_empty.cmp(&b_empty);
            empty_last.then(a_key.total_cmp(&b_key)).then(a.cmp(&b))
        });
        let one = |id: usize| {
            Ok(PrototypeGapView {
                id,
                measured: after[id],
                unshifted_gap: before[id].gap,
                words: self.view.words_of(query.space, id)?,
            })
        };
        let listed = order.into_iter().skip(query.offset).take(query.limit);
        listed.map(one).collect()
    }
}

impl GapMeasures {
    fn of(&self, space: Space) -> &[PrototypeGap] {
        let found = self.prototypes.iter().find(|(of, _)| *of == space);
        found.map_or(&[], |(_, gaps)| gaps)
    }
}

/// A shift to three decimals, so that equal ones are found again.
fn checked_shift(shift: f64) -> Result<f64, StudioError> {
    if shift.is_finite() && shift.abs() <= MOST_SHIFT {
        // Adding zero turns −0 into 0.
        return Ok((shift * 1000.0).round() / 1000.0 + 0.0);
    }
    let message = format!("{shift} given; a shift lies between −{MOST_SHIFT} and {MOST_SHIFT}");
    Err(ConfigErrors::one("shift", message).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifts_are_rounded_and_bounded() {
        assert_eq!(checked_shift(0.123_456).expect("fits"), 0.123);
        assert!(checked_shift(-0.000_1).expect("fits").is_sign_positive());
        for wrong in [1.1, -9.0, f64::NAN, f64::INFINITY] {
            let message = checked_shift(wrong).expect_err("too far").to_string();
            assert!(message.contains("shift"), "{message}");
        }
    }

    #[test]
    fn every_order_puts_the_striking_first() {
        let gap = |samples, gap, alignment| PrototypeGap {
            samples,
            gap,
            alignment,
            matched_cosine: 0.0,
        };
        let (wide, odd) = (gap(3, 0.9, 0.8), gap(5, 0.4, -0.2));
        assert!(GapSort::Gap.key(&wide) < GapSort::Gap.key(&odd));
        assert!(GapSort::Alignment.key(&odd) < GapSort::Alignment.key(&wide));
        assert!(GapSort::Size.key(&odd) < GapSort::Size.key(&wide));
    }
}
