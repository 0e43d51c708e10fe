//! Decoded pictures, kept up to a budget.
//!
//! Episodes walk the data set in ever new orders, where evicting the least recent picture would
//! evict exactly what comes next. So pictures are kept until the budget is full and then stay: the
//! hit rate is the share of the data set that fits. Misses decode again.
//!
//! Pictures whose shorter side exceeds [`ImageCache::SHRINK_ABOVE`] times the model size are
//! reduced to [`ImageCache::SHRINK_TO`] times it first, kept or not, so that results do not depend
//! on the budget's fill. Smaller ones stay as they are. A budget of 0 turns both off.

use std::sync::{Arc, Mutex, PoisonError};

use image::RgbImage;
use rustc_hash::FxHashMap;

use super::transform::Transform;
use super::{DataError, PairSource, SampleId};

#[derive(Debug)]
pub(super) struct ImageCache {
    budget: usize,
    model_size: u32,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    pictures: FxHashMap<SampleId, Arc<RgbImage>>,
    bytes: usize,
}

impl ImageCache {
    /// Multiples of the model size; see the module's description.
    pub(super) const SHRINK_ABOVE: u32 = 3;
    pub(super) const SHRINK_TO: u32 = 2;

    /// An empty cache of at most `budget` bytes for a model of `model_size` pixels.
    pub(super) fn new(budget: usize, model_size: u32) -> Self {
        Self {
            budget,
            model_size,
            kept: Mutex::default(),
        }
    }

    /// The picture of a sample, from memory or from its source.
    ///
    /// # Errors
    /// As [`PairSource::image`].
    pub(super) fn get(
        &self,
        source: &dyn PairSource,
        sample: SampleId,
        transform: &mut Transform,
    ) -> Result<Arc<RgbImage>, DataError> {
        if let Some(picture) = self.lock(|kept| kept.pictures.get(&sample).cloned()) {
            return Ok(picture);
        }
        let picture = self.reduced(source.image(sample)?, transform);
        let picture = Arc::new(picture);
        let bytes = picture.as_raw().len();
        self.lock(|kept| {
            if kept.bytes + bytes <= self.budget && !kept.pictures.contains_key(&sample) {
                kept.bytes += bytes;
                kept.pictures.insert(sample, Arc::clone(&picture));
            }
        });
        Ok(picture)
    }

    /// Whether the picture of a sample is in memory.
    pub(super) fn has(&self, sample: SampleId) -> bool {
        self.lock(|kept| kept.pictures.contains_key(&sample))
    }

    fn reduced(&self, picture: RgbImage, transform: &mut Transform) -> RgbImage {
        let shorter = picture.width().min(picture.height());
        if self.budget > 0 && shorter > Self::SHRINK_ABOVE * self.model_size {
            transform.shrink(picture, Self::SHRINK_TO * self.model_size)
        } else {
            picture
        }
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Kept) -> T) -> T {
        with(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scripted::ScriptedSource;

    #[test]
    fn pictures_are_decoded_once_while_the_budget_lasts() {
        let source = ScriptedSource::new(3).with_size(10, 10);
        let cache = ImageCache::new(2 * 300, 32);
        let mut transform = Transform::new();
        for _ in 0..2 {
            for sample in 0..3 {
                cache.get(&source, sample, &mut transform).expect("decodes");
            }
        }
        assert_eq!(source.decoded(), [1, 1, 2], "the third does not fit");
    }

    #[test]
    fn large_pictures_are_reduced_whether_kept_or_not() {
        let source = ScriptedSource::new(1).with_size(200, 97);
        let mut transform = Transform::new();
        let mut size = |budget| {
            let cache = ImageCache::new(budget, 32);
            let picture = cache.get(&source, 0, &mut transform).expect("decodes");
            picture.dimensions()
        };
        assert_eq!(size(1 << 20), (131, 64));
        assert_eq!(size(1), (131, 64), "nothing fits into one byte");
        assert_eq!(size(0), (200, 97), "caching is off");
    }
}
