//! The X-ray of a training batch: how alike all its images and texts are, ordered by prototype, and
//! which of them InfoNCE pushes apart.
//!
//! A batch is drawn again as training drew it, and filled with the features that were kept when its
//! episode began: evaluation transform, no augmentation. Callers must be allowed to block.

mod matrix_figure;

use std::collections::HashMap;
use std::sync::Arc;

use protoclip::analysis::BatchPairs;
use protoclip::prototypes::{FeatureSnapshot, Space};
use protoclip::train::{tag, training_order};
use serde::{Deserialize, Serialize};

use super::figure::{Figure, FigureLook, draw};
use super::prototypes::{SnapshotView, image_url};
use super::{RunId, Studio, StudioError};
use matrix_figure::MatrixFigure;

/// Pairs of a batch that are shown, the first ones it draws.
pub const MOST_SHOWN: usize = 256;
/// Pairs of one prototype that are listed, those pushed hardest.
const LISTED: usize = 20;

/// Which batch, and how it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchQuery {
    /// Step of the features; the newest when absent.
    pub step: Option<u64>,
    /// Batch of the episode, from 0.
    pub batch: usize,
    /// Whose prototypes order the batch.
    pub space: Space,
}

/// What the cells of the matrix say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchCells {
    /// Inner product of image and text.
    #[default]
    Cosine,
    /// How hard InfoNCE pushes them apart, relative to the mean over all unmatched pairs.
    Repulsion,
}

/// A batch, ordered by prototype and within one by sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchView {
    /// Step of the features, at the start of the episode.
    pub step: u64,
    pub episode: u64,
    /// Steps whose features were kept, ascending.
    pub steps: Vec<u64>,
    /// Number of this batch in its episode, from 0, and of batches.
    pub batch: usize,
    pub batches: usize,
    /// The optimizer step that this batch made; absent when no training followed.
    pub made_step: Option<u64>,
    pub space: Space,
    pub spaces: Vec<Space>,
    /// exp(logit_scale) at the step of the features.
    pub scale: f64,
    /// Pairs of the batch of which no features are shown.
    pub left_out: usize,
    pub pairs: Vec<BatchPair>,
    pub blocks: Vec<BatchBlock>,
    /// Percent of the unmatched pairs that belong to one prototype.
    pub same_pairs_percent: f64,
    /// Percent of InfoNCE's pushes that fall on them.
    pub same_repulsion_percent: f64,
    /// Unmatched pairs of one prototype, pushed hardest first.
    pub pushed: Vec<PushedPair>,
    /// `[pairs][pairs]`, image by text: inner products, to four decimals.
    pub cosines: Vec<f32>,
    /// `[pairs][pairs]`: pushes relative to their mean, to four decimals; 0 on the diagonal.
    pub repulsion: Vec<f32>,
    /// Why captions and pictures are absent, if they are.
    pub data_error: Option<String>,
}

/// A row and a column of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchPair {
    pub sample: u32,
    pub prototype: u32,
    pub caption: String,
    pub image_url: String,
}

/// Neighbouring rows of one prototype.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchBlock {
    pub prototype: u32,
    pub words: Vec<String>,
    pub first: usize,
    pub size: usize,
    /// Mean cosine of its unmatched pairs; absent for a single one.
    pub mean_cosine: Option<f64>,
    /// Percent of all pushes that fall inside it.
    pub repulsion_percent: f64,
}

/// An image and a text of one prototype that are pushed apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PushedPair {
    /// Places in `pairs`.
    pub image: usize,
    pub text: usize,
    pub cosine: f32,
    /// Relative to the mean push.
    pub repulsion: f32,
}

impl BatchCells {
    pub const ALL: [Self; 2] = [Self::Cosine, Self::Repulsion];

    /// The word used in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::Repulsion => "repulsion",
        }
    }
}

/// A batch as it was drawn: positions of its samples in the episode.
struct Drawn {
    positions: Vec<u32>,
    batches: usize,
    left_out: usize,
}

impl Studio {
    /// One batch of a run.
    ///
    /// # Errors
    /// When there is no such run, no features were kept at the step, or the episode has fewer batches.
    pub fn batch(&self, id: &RunId, query: &BatchQuery) -> Result<BatchView, StudioError> {
        let features = self.features(id, query.step)?;
        let (view, _) = self.snapshot(id, Some(features.step))?;
        let drawn = self.draw_batch(id, query.batch, &features, &view)?;
        let labels = view.clusters(query.space)?.assignments.as_slice();
        let mut positions = drawn.positions;
        positions.sort_by_key(|&p| (labels[p as usize], view.samples()[p as usize]));
        let labels: Vec<u32> = positions.iter().map(|&p| labels[p as usize]).collect();
        let scale = 1.0 / self.temperature_at(id, tag::TEMPERATURE, features.step)?;
        let measured = measure(&features, &positions, scale)?;
        let same = measured.same_prototype(&labels).map_err(failed)?;
        let run = self.run(id)?;
        let size = labels.len();
        let mean = (size * (size - 1)).max(1) as f32;
        let repulsion: Vec<f32> = measured.repulsion.iter().map(|r| r * mean).collect();
        let trained = features.step + query.batch as u64 + 1;
        Ok(BatchView {
            step: features.step,
            episode: features.episode,
            steps: self.feature_steps(id)?,
            batch: query.batch,
            batches: drawn.batches,
            made_step: (trained <= run.step && features.episode < run.total_episodes)
                .then_some(trained),
            space: query.space,
            spaces: view.spaces(),
            scale,
            left_out: drawn.left_out,
            blocks: blocks(&view, query.space, &labels, &measured)?,
            same_pairs_percent: same.pairs_percent,
            same_repulsion_percent: same.repulsion_percent,
            pushed: pushed(&labels, &measured.cosines, &repulsion),
            pairs: pairs(&view, &positions, &labels),
            cosines: measured.cosines.iter().copied().map(rounded).collect(),
            repulsion: repulsion.into_iter().map(rounded).collect(),
            data_error: view.data_error(),
        })
    }

    /// The matrix of a batch as a figure.
    ///
    /// # Errors
    /// As [`Studio::batch`], or when it cannot be drawn.
    pub fn batch_figure(
        &self,
        id: &RunId,
        query: &BatchQuery,
        (cells, look): (BatchCells, FigureLook),
    ) -> Result<Figure, StudioError> {
        let view = self.batch(id, query)?;
        let name = self.run(id)?.name;
        let title = format!("{name}: batch {} of step {}", view.batch + 1, view.step);
        draw(
            &MatrixFigure::new(&view, cells, &title),
            &title,
            look.format,
        )
    }

    fn draw_batch(
        &self,
        id: &RunId,
        batch: usize,
        features: &FeatureSnapshot,
        view: &SnapshotView,
    ) -> Result<Drawn, StudioError> {
        let config = self.config(id)?;
        let (samples, size) = (view.samples(), config.batch_size);
        let batches = samples.len() / size;
        if batch >= batches {
            return Err(StudioError::NotFound(format!(
                "there is no batch {batch}: the episode of step {} has {batches}, numbered from 0",
                features.step
            )));
        }
        let rows = features.tower.rows();
        let kept: HashMap<u32, u32> = samples[..rows.min(samples.len())]
            .iter()
            .copied()
            .zip(0..)
            .collect();
        let order = training_order(samples, config.seed, features.episode);
        let drawn = &order[batch * size..(batch + 1) * size];
        let found = drawn.iter().filter_map(|sample| kept.get(sample).copied());
        let positions: Vec<u32> = found.take(MOST_SHOWN).collect();
        if positions.len() < 2 {
            return Err(StudioError::NotFound(format!(
                "too few features of batch {batch} were kept: {} of {size}; look at another batch",
                positions.len()
            )));
        }
        Ok(Drawn {
            left_out: size - positions.len(),
            positions,
            batches,
        })
    }
}

/// Tower features at some positions, against each other.
fn measure(
    features: &FeatureSnapshot,
    positions: &[u32],
    scale: f64,
) -> Result<BatchPairs, StudioError> {
    let dim = features.tower.dim;
    let rows = |all: &[f32]| -> Vec<f32> {
        let row = |&p: &u32| all[p as usize * dim..][..dim].iter().copied();
        positions.iter().flat_map(row).collect()
    };
    let (image, text) = (rows(&features.tower.image), rows(&features.tower.text));
    BatchPairs::of(&image, &text, dim, scale).map_err(failed)
}

fn failed(error: protoclip::analysis::AnalysisError) -> StudioError {
    StudioError::Other(format!("the batch cannot be measured: {error}"))
}

fn pairs(view: &Arc<SnapshotView>, positions: &[u32], labels: &[u32]) -> Vec<BatchPair> {
    let pair = |(&position, &prototype): (&u32, &u32)| {
        let sample = view.samples()[position as usize];
        BatchPair {
            sample,
            prototype,
            caption: view.caption(position).to_owned(),
            image_url: image_url(view, sample),
        }
    };
    positions.iter().zip(labels).map(pair).collect()
}

fn blocks(
    view: &SnapshotView,
    space: Space,
    labels: &[u32],
    measured: &BatchPairs,
) -> Result<Vec<BatchBlock>, StudioError> {
    let mut first = 0;
    let mut blocks = Vec::new();
    for same in labels.chunk_by(|a, b| a == b) {
        let (size, prototype) = (same.len(), same[0]);
        let inside = || {
            let rows = first..first + size;
            let cells = move |row: usize| (first..first + size).map(move |column| (row, column));
            rows.flat_map(cells).filter(|(row, column)| row != column)
        };
        let at = |(row, column): (usize, usize)| row * measured.size + column;
        let cosines: f64 = inside().map(|c| f64::from(measured.cosines[at(c)])).sum();
        let pushes: f64 = inside().map(|c| f64::from(measured.repulsion[at(c)])).sum();
        blocks.push(BatchBlock {
            prototype,
            words: view.words_of(space, prototype as usize)?,
            first,
            size,
            mean_cosine: (size > 1).then(|| cosines / (size * (size - 1)) as f64),
            repulsion_percent: 100.0 * pushes,
        });
        first += size;
    }
    Ok(blocks)
}

fn pushed(labels: &[u32], cosines: &[f32], repulsion: &[f32]) -> Vec<PushedPair> {
    let size = labels.len();
    let mut found: Vec<PushedPair> = (0..size * size)
        .map(|cell| (cell, cell / size, cell % size))
        .filter(|&(_, image, text)| image != text && labels[image] == labels[text])
        .map(|(cell, image, text)| PushedPair {
            image,
            text,
            cosine: rounded(cosines[cell]),
            repulsion: rounded(repulsion[cell]),
        })
        .collect();
    found.sort_by(|a, b| b.repulsion.total_cmp(&a.repulsion));
    found.truncate(LISTED);
    found
}

fn rounded(value: f32) -> f32 {
    (value * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unmatched_pairs_of_one_prototype_are_listed_hardest_first() {
        let repulsion = [0.0, 0.5, 9.0, 2.0, 0.0, 9.0, 9.0, 9.0, 0.0];
        let found = pushed(&[4, 4, 7], &[0.5; 9], &repulsion);
        let places: Vec<_> = found
            .iter()
            .map(|p| (p.image, p.text, p.repulsion))
            .collect();
        assert_eq!(places, [(1, 0, 2.0), (0, 1, 0.5)]);
    }
}
