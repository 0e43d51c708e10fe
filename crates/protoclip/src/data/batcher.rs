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

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

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
    broken: Mutex<BTreeSet<SampleId>>,
}

/// The batches of one pass, in order. The last item may be the error that ended it.
#[derive(Debug)]
pub struct Batches {
    receiver: Option<Receiver<Result<Batch, DataError>>>,
    cancel: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    remaining: usize,
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
        DataError::Format {
            path: "batches".into(),
            message: format!("the preparing thread ended early: {message}"),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        let received = self.receiver.as_ref()?.recv();
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

/// One row of a batch.
struct Row {
    sample: SampleId,
    image: Vec<f32>,
    tokens: Vec<i32>,
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

    fn batch(&self, index: usize) -> Result<Batch, DataError> {
        let size = self.shared.config.batch_size.max(1);
        let positions = index * size..((index + 1) * size).min(self.samples.len());
        let rows: Vec<Row> = self.shared.pool.install(|| {
            positions
                .into_par_iter()
                .map_init(Transform::new, |transform, at| self.row(at, transform))
                .collect::<Result<_, DataError>>()
        })?;
        let mut batch = Batch {
            samples: Vec::with_capacity(rows.len()),
            images: Vec::with_capacity(rows.iter().map(|r| r.image.len()).sum()),
            tokens: Vec::with_capacity(rows.len() * self.shared.config.context),
            replaced: Vec::new(),
        };
        for row in rows {
            batch.samples.push(row.sample);
            batch.images.extend_from_slice(&row.image);
            batch.tokens.extend_from_slice(&row.tokens);
            batch.replaced.extend(row.replaced);
        }
        Ok(batch)
    }

    /// The pair at a position of the list, or its replacement.
    fn row(&self, position: usize, transform: &mut Transform) -> Result<Row, DataError> {
        let wanted = self.samples[position];
        let mut reason = None;
        for sample in self.candidates(position) {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(DataError::Cancelled);
            }
            match self.image(sample, transform) {
                Ok(image) => {
                    return Ok(Row {
                        sample,
                        image,
                        tokens: self.shared.tokens(sample)?,
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
        Err(DataError::Format {
            path: self.shared.source.name().into(),
            message: format!(
                "none of the {} pictures of this pass can be decoded; {}",
                self.samples.len(),
                reason.unwrap_or_default()
            ),
        })
    }

    /// The sample at `position`, then those from one batch further on, then those before.
    fn candidates(&self, position: usize) -> impl Iterator<Item = SampleId> {
        let len = self.samples.len();
        let further = self.shared.config.batch_size.max(1).min(len);
        std::iter::once(position)
            .chain((0..len).map(move |step| (position + further + step) % len))
            .map(|at| self.samples[at])
    }

    fn image(&self, sample: SampleId, transform: &mut Transform) -> Result<Vec<f32>, DataError> {
        let shared = &self.shared;
        let size = shared.config.image_size;
        let picture = shared.cache.get(&*shared.source, sample, transform)?;
        Ok(match self.mode {
            BatchMode::Evaluate => transform.evaluate(&picture, size),
            BatchMode::Train {
                episode,
                augmentation,
            } => {
                let draw = Draw {
                    seed: shared.config.seed,
                    episode,
                    sample,
                };
                augment(transform, &picture, size, augmentation, draw)
            }
        })
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
            return Err(DataError::Format {
                path: self.source.name().into(),
                message: format!(
                    "{found} of {all} pictures cannot be decoded, more than data.max_broken_share = {} allows; repair the data set or raise it",
                    self.config.max_broken_share
                ),
            });
        }
        Ok(())
    }

    fn lock_broken(&self) -> std::sync::MutexGuard<'_, BTreeSet<SampleId>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BuiltinSource;
    use crate::data::scripted::ScriptedSource;

    const TRAIN: BatchMode = BatchMode::Train {
        episode: 2,
        augmentation: Augmentation::ProtoclipLight,
    };

    fn batcher(source: impl PairSource + 'static, threads: usize, cache_bytes: usize) -> Batcher {
        let config = BatcherConfig {
            image_size: 16,
            context: 12,
            batch_size: 4,
            seed: 5,
            fidelity: Fidelity::Corrected,
            threads,
            cache_bytes,
            max_broken_share: 0.5,
        };
        Batcher::new(Arc::new(source), Arc::new(Tokenizer::new()), config).expect("threads")
    }

    fn all(batcher: &Batcher, samples: &[SampleId], mode: BatchMode) -> Vec<Batch> {
        let batches = batcher.batches(samples.to_vec(), mode).expect("starts");
        batches.map(|b| b.expect("batch")).collect()
    }

    #[test]
    fn batches_come_in_the_order_given_and_training_drops_the_remainder() {
        let batcher = batcher(ScriptedSource::new(10), 2, 0);
        let order: Vec<SampleId> = vec![9, 3, 4, 1, 0, 2, 8, 7, 6, 5];
        let trained = all(&batcher, &order, TRAIN);
        let evaluated = all(&batcher, &order, BatchMode::Evaluate);
        let flat = |batches: &[Batch]| -> Vec<SampleId> {
            batches.iter().flat_map(|b| b.samples.clone()).collect()
        };
        assert_eq!(flat(&trained), order[..8]);
        assert_eq!(flat(&evaluated), order);
        assert_eq!(evaluated[2].images.len(), 2 * 3 * 16 * 16);
        assert_eq!(evaluated[2].tokens.len(), 2 * 12);
    }

    #[test]
    fn images_and_tokens_belong_to_their_sample() {
        let source = ScriptedSource::new(6);
        let batcher = batcher(source, 2, 1 << 20);
        let batch = &all(&batcher, &[4, 2, 0, 5], BatchMode::Evaluate)[0];
        let tokenizer = Tokenizer::new();
        for (row, &sample) in batch.samples.iter().enumerate() {
            let red = batch.images[row * 3 * 256];
            let expected = super::super::transform::normalised(sample as f32, 0);
            assert!((red - expected).abs() < 1e-6);
            let caption = format!("sample {sample}");
            assert_eq!(
                batch.tokens[row * 12..][..12],
                tokenizer.encode(&caption, 12, Fidelity::Corrected)
            );
        }
    }

    #[test]
    fn results_do_not_depend_on_threads_or_cache() {
        let samples: Vec<SampleId> = (0..40).map(|i| i * 90).collect();
        let one = all(&batcher(BuiltinSource::new(), 1, 1), &samples, TRAIN);
        for (threads, cache) in [(3, 1), (2, 1 << 20), (2, 40_000)] {
            let batcher = batcher(BuiltinSource::new(), threads, cache);
            for state in ["cold", "warm"] {
                let same = all(&batcher, &samples, TRAIN) == one;
                assert!(same, "{threads} threads, {cache} bytes, {state}");
            }
        }
    }

    #[test]
    fn a_broken_picture_is_replaced_by_one_a_batch_further_and_reported() {
        let batcher = batcher(ScriptedSource::new(12).with_broken(&[1, 5]), 2, 0);
        let order: Vec<SampleId> = (0..12).collect();
        for _ in 0..2 {
            let batches = all(&batcher, &order, TRAIN);
            assert_eq!(batches[0].samples, [0, 6, 2, 3], "5 is broken too");
            assert_eq!(batches[1].samples, [4, 9, 6, 7]);
            assert_eq!(batches[2].samples, [8, 9, 10, 11]);
            let replaced = &batches[0].replaced[0];
            assert_eq!((replaced.wanted, replaced.used), (1, 6));
            assert!(replaced.reason.contains("row 1"), "{}", replaced.reason);
        }
        assert_eq!(batcher.broken(), [1, 5]);
    }

    #[test]
    fn too_many_broken_pictures_end_the_pass_with_the_reason() {
        let broken: Vec<SampleId> = (0..9).collect();
        let batcher = batcher(ScriptedSource::new(12).with_broken(&broken), 1, 0);
        let mut batches = batcher
            .batches((0..12).collect(), TRAIN)
            .expect("thread starts");
        let message = batches
            .find_map(Result::err)
            .expect("ends with an error")
            .to_string();
        assert!(message.contains("max_broken_share"), "{message}");
        assert!(batches.next().is_none());
    }

    #[test]
    fn dropping_an_unfinished_pass_ends_its_thread() {
        let source = Arc::new(ScriptedSource::new(4000));
        let shared: Arc<dyn PairSource> = source.clone();
        let mut batcher = batcher(ScriptedSource::new(1), 1, 0);
        let config = batcher.shared.config.clone();
        batcher = Batcher::new(shared, Arc::new(Tokenizer::new()), config).expect("threads");
        let mut batches = batcher
            .batches((0..4000).collect(), TRAIN)
            .expect("thread starts");
        batches.next().expect("one").expect("batch");
        drop(batches);
        let decoded: u32 = source.decoded().iter().sum();
        // One taken, two waiting, one in hand, one begun.
        assert!(decoded <= 5 * 4, "decoded {decoded} after the drop");
    }

    #[test]
    fn a_panic_while_decoding_becomes_an_error() {
        let batcher = batcher(ScriptedSource::new(8).with_panic_at(5), 1, 0);
        let batches = batcher.batches((0..8).collect(), TRAIN).expect("starts");
        let outcomes: Vec<Result<Batch, DataError>> = batches.collect();
        assert_eq!(outcomes.len(), 2);
        let message = outcomes[1].as_ref().expect_err("panicked").to_string();
        assert!(message.contains("scripted panic"), "{message}");
    }

    #[test]
    fn the_reference_mode_drops_non_ascii_characters() {
        let captions = vec!["café".to_owned(), "caf".to_owned()];
        let mut batcher = batcher(ScriptedSource::with_captions(captions), 1, 0);
        let tokens =
            |batcher: &Batcher| all(batcher, &[0, 1], BatchMode::Evaluate)[0].tokens.clone();
        let corrected = tokens(&batcher);
        assert_ne!(corrected[..12], corrected[12..]);
        let config = BatcherConfig {
            fidelity: Fidelity::Reference,
            ..batcher.shared.config.clone()
        };
        let source = Arc::clone(&batcher.shared.source);
        batcher = Batcher::new(source, Arc::new(Tokenizer::new()), config).expect("threads");
        let reference = tokens(&batcher);
        assert_eq!(reference[..12], reference[12..]);
    }
}
