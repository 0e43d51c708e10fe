//! Batches of pairs, prepared ahead of the step that uses them.
//!
//! [`Batcher::batches`] starts one background thread, which decodes, transforms and tokenizes on
//! the batcher's own small thread pool and keeps at most [`PREFETCH`] finished batches in a bounded
//! channel; when it is full, the thread waits. Dropping [`Batches`] cancels and joins it. Threads
//! inherit the niceness of the thread that creates the batcher. What a batch holds depends on the
//! seed, the episode and the samples alone, never on threads or cache.
//!
//! A picture that turns out broken is replaced, because a smaller batch would change what InfoNCE
//! and BatchNorm compute: by the sample that lies one batch further in the list (the search goes on
//! from there and wraps), so that a replacement is not in the same batch already. The batch says
//! which samples it holds and what was replaced.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::augment::{Draw, augment};
use super::cache::ImageCache;
use super::transform::Transform;
use super::{DataError, PairSource, SampleId};
use crate::config::{Augmentation, Fidelity};
use crate::tokenizer::{Tokenizer, strip_non_ascii};

/// Finished batches that wait for the consumer.
pub const PREFETCH: usize = 2;

/// What all batches of a run have in common.
#[derive(Debug, Clone)]
pub struct BatcherConfig {
    /// Side of the square images, in pixels.
    pub image_size: u32,
    /// Tokens per caption.
    pub context: usize,
    /// Pairs per batch.
    pub batch_size: usize,
    /// Seed of the run.
    pub seed: u64,
    pub fidelity: Fidelity,
    /// Threads that decode and transform; 0 means one per core.
    pub threads: usize,
    /// Memory for decoded pictures, in bytes; 0 turns caching off.
    pub cache_bytes: usize,
    /// Give up when more than this share of the data set turned out broken, in [0, 1].
    pub max_broken_share: f64,
}

/// How the pictures of a pass are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchMode {
    /// Augmented; a remainder smaller than a batch is left out.
    Train {
        episode: u64,
        augmentation: Augmentation,
    },
    /// The evaluation transform; the last batch may be smaller.
    Evaluate,
}

/// Some pairs, ready for the device.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The samples it holds, in order, after replacements.
    pub samples: Vec<SampleId>,
    /// `[samples, 3, image_size, image_size]`, normalised.
    pub images: Vec<f32>,
    /// `[samples, context]`.
    pub tokens: Vec<i32>,
    /// Broken pictures of this batch.
    pub replaced: Vec<Replacement>,
}

/// A sample that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    pub wanted: SampleId,
    pub used: SampleId,
    /// Origin and decoder's message.
    pub reason: String,
}

/// Makes batches of one data set for one model.
#[derive(Debug)]
pub struct Batcher {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    source: Arc<dyn PairSource>,
    tokenizer: Arc<Tokenizer>,
    config: BatcherConfig,
    cache: ImageCache,
    pool: rayon::ThreadPool,
    /// Those not in use; at most one per thread of the pool.
    transforms: Mutex<Vec<Transform>>,
    broken: Mutex<BTreeSet<SampleId>>,
}

/// The batches of one pass, in order. The last item may be the error that ended it.
#[derive(Debug)]
pub struct Batches {
    receiver: Option<Receiver<Result<Batch, DataError>>>,
    cancel: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    remaining: usize,
    /// Time that the consumer was kept waiting, since it was last taken.
    waited: Duration,
    /// Whether the consumer waits right now; lets a test act at that moment.
    waiting: Arc<AtomicBool>,
}

impl Batcher {
    /// A batcher with its own thread pool and empty cache.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn new(
        source: Arc<dyn PairSource>,
        tokenizer: Arc<Tokenizer>,
        config: BatcherConfig,
    ) -> Result<Self, DataError> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(config.threads)
            .thread_name(|index| format!("decode-{index}"))
            .build()
            .map_err(|e| DataError::threads(std::io::Error::other(e)))?;
        Ok(Self {
            shared: Arc::new(Shared {
                cache: ImageCache::new(config.cache_bytes, config.image_size),
                source,
                tokenizer,
                config,
                pool,
                transforms: Mutex::default(),
                broken: Mutex::default(),
            }),
        })
    }

    /// Starts preparing the batches of a pass over `samples`.
    ///
    /// # Errors
    /// When the thread cannot be started. Everything later is an item of the iterator.
    pub fn batches(&self, samples: Vec<SampleId>, mode: BatchMode) -> Result<Batches, DataError> {
        let size = self.shared.config.batch_size.max(1);
        let remaining = match mode {
            BatchMode::Train { .. } => samples.len() / size,
            BatchMode::Evaluate => samples.len().div_ceil(size),
        };
        let (sender, receiver) = sync_channel(PREFETCH);
        let cancel = Arc::new(AtomicBool::new(false));
        let pass = Pass {
            shared: Arc::clone(&self.shared),
            samples,
            mode,
            cancel: Arc::clone(&cancel),
        };
        let thread = std::thread::Builder::new()
            .name("batches".into())
            .spawn(move || pass.run(&sender, remaining))
            .map_err(DataError::threads)?;
        Ok(Batches {
            receiver: Some(receiver),
            cancel,
            thread: Some(thread),
            remaining,
            waited: Duration::ZERO,
            waiting: Arc::default(),
        })
    }

    /// Samples whose pictures turned out broken so far.
    pub fn broken(&self) -> Vec<SampleId> {
        self.shared.lock_broken().iter().copied().collect()
    }
}

impl Batches {
    /// Batches still to come.
    pub fn remaining(&self) -> usize {
        self.remaining
    }

    /// How long [`Iterator::next`] blocked since this was last asked; nothing while a finished batch
    /// was always there.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// The next message; the clock runs only where there is none yet.
    fn receive(&mut self) -> Option<Result<Result<Batch, DataError>, RecvError>> {
        let receiver = self.receiver.as_ref()?;
        Some(match receiver.try_recv() {
            Ok(item) => Ok(item),
            Err(TryRecvError::Disconnected) => Err(RecvError),
            Err(TryRecvError::Empty) => {
                let started = Instant::now();
                self.waiting.store(true, Ordering::Relaxed);
                let item = receiver.recv();
                self.waiting.store(false, Ordering::Relaxed);
                self.waited += started.elapsed();
                item
            }
        })
    }

    /// Why the thread ended without sending everything.
    fn early_end(&mut self) -> DataError {
        let outcome = self.thread.take().map(JoinHandle::join);
        let message = match outcome {
            Some(Err(panic)) => panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
                .unwrap_or_else(|| "unknown panic".into()),
            _ => "it sent too few batches".into(),
        };
        let message = format!("the preparing thread ended early: {message}");
        DataError::format("batches", message)
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        let received = self.receive()?;
        let item = received.unwrap_or_else(|_| Err(self.early_end()));
        self.remaining = if item.is_ok() { self.remaining - 1 } else { 0 };
        Some(item)
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        self.cancel.store(true, Ordering::Relaxed);
        // Without a receiver a waiting send fails, so the thread cannot hang.
        self.receiver = None;
        if let Some(thread) = self.thread.take() {
            let _already_reported = thread.join();
        }
    }
}

/// One pass, on the background thread.
struct Pass {
    shared: Arc<Shared>,
    samples: Vec<SampleId>,
    mode: BatchMode,
    cancel: Arc<AtomicBool>,
}

/// What is left to report of a row once its values are in the batch.
struct Row {
    sample: SampleId,
    replaced: Option<Replacement>,
}

impl Pass {
    fn run(&self, sender: &SyncSender<Result<Batch, DataError>>, batches: usize) {
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

    fn image(&self, sample: SampleId, values: &mut [f32]) -> Result<(), DataError> {
        let shared = &self.shared;
        let mut transform = shared.lock_transforms().pop().unwrap_or_default();
        let size = shared.config.image_size;
        let picture = shared.cache.get(&*shared.source, sample, &mut transform);
        let outcome = picture.map(|picture| match self.mode {
            BatchMode::Evaluate => transform.evaluate_into(&picture, size, values),
            BatchMode::Train {
                episode,
                augmentation,
            } => {
                let draw = Draw {
                    seed: shared.config.seed,
                    episode,
                    sample,
                };
                augment(&mut transform, &picture, size, augmentation, draw, values);
            }
        });
        shared.lock_transforms().push(transform);
        outcome
    }
}

impl Shared {
    fn tokens(&self, sample: SampleId) -> Result<Vec<i32>, DataError> {
        let caption = self.source.caption(sample)?;
        let (context, fidelity) = (self.config.context, self.config.fidelity);
        Ok(match fidelity {
            Fidelity::Corrected => self.tokenizer.encode(&caption, context, fidelity),
            Fidelity::Reference => {
                let ascii = strip_non_ascii(&caption);
                self.tokenizer.encode(&ascii, context, fidelity)
            }
        })
    }

    /// Remembers a broken sample.
    ///
    /// # Errors
    /// When too many are.
    fn note_broken(&self, sample: SampleId) -> Result<(), DataError> {
        let mut broken = self.lock_broken();
        broken.insert(sample);
        let (found, all) = (broken.len(), self.source.len());
        if found as f64 > self.config.max_broken_share * all as f64 {
            let message = format!(
                "{found} of {all} pictures cannot be decoded, more than data.max_broken_share = {} allows; repair the data set or raise it",
                self.config.max_broken_share
            );
            return Err(DataError::format(self.source.name(), message));
        }
        Ok(())
    }

    fn lock_transforms(&self) -> std::sync::MutexGuard<'_, Vec<Transform>> {
        self.transforms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_broken(&self) -> std::sync::MutexGuard<'_, BTreeSet<SampleId>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
