//! One pass over a list of samples: rows to batches, broken pictures to replacements.
//!
//! Runs on the background thread that [`Batcher::batches`](super::Batcher::batches) starts and spreads
//! the rows over the batcher's pool. Pictures on S3 are fetched while the batch before is decoded.

use std::ops::Range;
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
        let remote = self.shared.source.is_remote();
        let mut fetched = match remote {
            true => self.fetch(0),
            false => Ok(()),
        };
        for index in 0..batches {
            let batch = std::mem::replace(&mut fetched, Ok(())).and_then(|()| {
                let next = index + 1;
                if !remote || next >= batches {
                    return self.batch(index);
                }
                std::thread::scope(|scope| {
                    let ahead = scope.spawn(|| self.fetch(next));
                    let batch = self.batch(index);
                    // A panic there costs time alone: the pictures are read one by one.
                    fetched = ahead.join().unwrap_or(Ok(()));
                    batch
                })
            });
            let ends = batch.is_err() || self.cancel.load(Ordering::Relaxed);
            if sender.send(batch).is_err() || ends {
                return;
            }
        }
    }

    /// Has the pictures of a batch fetched from storage.
    fn fetch(&self, index: usize) -> Result<(), DataError> {
        self.shared.fetch(&self.samples[self.positions(index)])
    }

    /// Where the samples of a batch are in the list.
    fn positions(&self, index: usize) -> Range<usize> {
        let size = self.shared.config.batch_size.max(1);
        let end = ((index + 1) * size).min(self.samples.len());
        (index * size).min(end)..end
    }

    /// Each row is written where it lies in the batch.
    fn batch(&self, index: usize) -> Result<Batch, DataError> {
        let BatcherConfig {
            image_size,
            context,
            ..
        } = self.shared.config;
        let positions = self.positions(index);
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
