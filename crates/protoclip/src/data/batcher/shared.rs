//! What the passes of a batcher have in common: data, cache, threads, and what was found broken.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use image::RgbImage;

use super::BatcherConfig;
use crate::config::Fidelity;
use crate::data::cache::ImageCache;
use crate::data::transform::Transform;
use crate::data::{DataError, PairSource, SampleId};
use crate::tokenizer::{Tokenizer, strip_non_ascii};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) source: Arc<dyn PairSource>,
    tokenizer: Arc<Tokenizer>,
    pub(super) config: BatcherConfig,
    cache: ImageCache,
    pub(super) pool: rayon::ThreadPool,
    /// Those not in use; at most one per thread of the pool.
    transforms: Mutex<Vec<Transform>>,
    broken: Mutex<BTreeSet<SampleId>>,
}

impl Shared {
    pub(super) fn new(
        source: Arc<dyn PairSource>,
        tokenizer: Arc<Tokenizer>,
        config: BatcherConfig,
        pool: rayon::ThreadPool,
    ) -> Self {
        Self {
            cache: ImageCache::new(config.cache_bytes, config.image_size),
            source,
            tokenizer,
            config,
            pool,
            transforms: Mutex::default(),
            broken: Mutex::default(),
        }
    }

    /// The tokens of a sample's caption, `[context]`.
    pub(super) fn tokens(&self, sample: SampleId) -> Result<Vec<i32>, DataError> {
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
    pub(super) fn note_broken(&self, sample: SampleId) -> Result<(), DataError> {
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

    /// Samples whose pictures turned out broken so far.
    pub(super) fn broken(&self) -> Vec<SampleId> {
        self.lock_broken().iter().copied().collect()
    }

    /// Has those of the pictures fetched that are not in memory.
    ///
    /// # Errors
    /// As [`PairSource::fetch`].
    pub(super) fn fetch(&self, samples: &[SampleId]) -> Result<(), DataError> {
        let missing = samples.iter().copied();
        let missing: Vec<SampleId> = missing.filter(|&s| !self.cache.has(s)).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => self.source.fetch(&missing),
        }
    }

    /// Gives the picture of a sample to `with`, and a transform that no other thread uses.
    ///
    /// # Errors
    /// As [`PairSource::image`].
    pub(super) fn with_picture(
        &self,
        sample: SampleId,
        with: impl FnOnce(&RgbImage, &mut Transform),
    ) -> Result<(), DataError> {
        let mut transform = self.lock_transforms().pop().unwrap_or_default();
        let picture = self.cache.get(&*self.source, sample, &mut transform);
        let outcome = picture.map(|picture| with(&picture, &mut transform));
        self.lock_transforms().push(transform);
        outcome
    }

    fn lock_transforms(&self) -> MutexGuard<'_, Vec<Transform>> {
        self.transforms
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_broken(&self) -> MutexGuard<'_, BTreeSet<SampleId>> {
        self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
