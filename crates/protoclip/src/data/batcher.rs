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

mod pass;
mod shared;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use self::pass::Pass;
use self::shared::Shared;
use super::{DataError, PairSource, SampleId};
use crate::config::{Augmentation, Fidelity};
use crate::tokenizer::Tokenizer;

/// Finished batches that wait for the consumer.
pub const PREFETCH: usize = 2;
/// Memory for decoded pictures of a run, in bytes.
pub const CACHE_BYTES: usize = 512 << 20;

/// What all batches of a run have in common.
#[derive(Debug, Clone)]
pub struct BatcherConfig {
    /// Side of the square images, in pixels; at least 1.
    pub image_size: u32,
    /// Tokens per caption; at least 1.
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
            shared: Arc::new(Shared::new(source, tokenizer, config, pool)),
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
        self.shared.broken()
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
