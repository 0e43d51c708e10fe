//! One pass over a list of samples: rows to batches, broken pictures to replacements.
//!
//! Runs on the background thread that [`Batcher::batches`](super::Batcher::batches) starts and spreads
//! the rows over the batcher's pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use rayon::prelude::*;

use super::shared::Shared;
use super::{Batch, BatchMode, BatcherConfig, Replacement};
use crate::data::augment::{Draw, augment};
use crate::data::{DataError, SampleId};

/// One pass, on the background thread.
pub(super) struct Pass {
    pub(super) shared: Arc<Shared>,
    pub(super) samples: Vec<SampleId>,
    pub(super) mode: BatchMode,
    pub(super) cancel: Arc<AtomicBool>,
}

/// What is left to report of a row once its values are in the batch.
struct Row {
    sample: SampleId,
    replaced: Option<Replacement>,
}

impl Pass {
    /// Prepares the batches in order and sends them; an error ends the pass.
    pub(super) fn run(&self, sender: &SyncSender<Result<Batch, DataError>>, batches: usize) {
        for index in 0..batches {
            let batch = self.batch(index);
            let ends = batch.is_err() || self.cancel.load(Ordering::Relaxed);
            if sender.send(batch).is_err() || ends {
                return;
            }
        }
    }

    /// Each row is written where it lies in the batch.
    fn batch(&self, index: usize) -> Result<Batch, DataError> {
        let BatcherConfig {
            image_size,
            context,
            batch_size,
            ..
        } = self.shared.config;
        let size = batch_size.max(1);
        let positions = index * size..((index + 1) * size).min(self.samples.len());
        let pixels = 3 * image_size as usize * image_size as usize;
        let mut images = vec![0.0; positions.len() * pixels];
        let mut tokens = vec![0; positions.len() * context];
        let rows: Vec<Row> = self.shared.pool.install(|| {
            images
                .par_chunks_exact_mut(pixels)
                .zip(tokens.par_chunks_exact_mut(context))
                .zip(positions)
                .map(|((image, tokens), at)| self.row(at, image, tokens))
                .collect::<Result<_, DataError>>()
        })?;
        Ok(Batch {
            samples: rows.iter().map(|row| row.sample).collect(),
            images,
            tokens,
            replaced: rows.into_iter().filter_map(|row| row.replaced).collect(),
        })
    }

    /// Writes the pair at a position of the list, or its replacement: `image` is
    /// `[3, image_size, image_size]`, `tokens` `[context]`.
    fn row(
        &self,
        position: usize,
        image: &mut [f32],
        tokens: &mut [i32],
    ) -> Result<Row, DataError> {
        let wanted = self.samples[position];
        let mut reason = None;
        for sample in self.candidates(position) {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(DataError::Cancelled);
            }
            match self.image(sample, image) {
                Ok(()) => {
                    tokens.copy_from_slice(&self.shared.tokens(sample)?);
                    return Ok(Row {
                        sample,
                        replaced: reason.map(|reason| Replacement {
                            wanted,
                            used: sample,
                            reason,
                        }),
                    });
                }
                Err(error @ DataError::Image { .. }) => {
                    self.shared.note_broken(sample)?;
                    reason.get_or_insert_with(|| error.to_string());
                }
                Err(other) => return Err(other),
            }
        }
        let message = format!(
            "none of the {} pictures of this pass can be decoded; {}",
            self.samples.len(),
            reason.unwrap_or_default()
        );
        Err(DataError::format(self.shared.source.name(), message))
    }

    /// The sample at `position`, then those from one batch further on, then those before.
    fn candidates(&self, position: usize) -> impl Iterator<Item = SampleId> {
        let len = self.samples.len();
        let further = self.shared.config.batch_size.max(1).min(len);
        std::iter::once(position)
            .chain((0..len).map(move |step| (position + further + step) % len))
            .map(|at| self.samples[at])
    }

    /// Writes the picture of a sample, as the mode wants it.
    fn image(&self, sample: SampleId, values: &mut [f32]) -> Result<(), DataError> {
        let size = self.shared.config.image_size;
        self.shared
            .with_picture(sample, |picture, transform| match self.mode {
                BatchMode::Evaluate => transform.evaluate_into(picture, size, values),
                BatchMode::Train {
                    episode,
                    augmentation,
                } => {
                    let draw = Draw {
                        seed: self.shared.config.seed,
                        episode,
                        sample,
                    };
                    augment(transform, picture, size, augmentation, draw, values);
                }
            })
    }
}
