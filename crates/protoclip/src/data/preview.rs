//! Single pictures as training passes take them, to be looked at before a run.
//!
//! The same decoding, reduction, draws and arithmetic as a batch of a [`Batcher`](super::Batcher): a
//! picture depends on seed, episode and sample alone, so that one alone equals the one in its batch.

use image::{Rgb, RgbImage};

use super::augment::{Draw, augment};
use super::cache::ImageCache;
use super::transform::{MEAN, STD, Transform};
use super::{DataError, PairSource, SampleId};
use crate::config::Augmentation;

/// Makes pictures of one data set for one model; keeps its buffers.
#[derive(Debug)]
pub struct TrainingPictures<'a> {
    source: &'a dyn PairSource,
    size: u32,
    augmentation: Augmentation,
    seed: u64,
    cache: ImageCache,
    transform: Transform,
}

impl<'a> TrainingPictures<'a> {
    /// Pictures of `size` pixels a side as a run with this seed takes them. `cache_bytes` is that of the
    /// run's batcher: above 0, large pictures are reduced before they are changed.
    pub fn new(
        source: &'a dyn PairSource,
        size: u32,
        augmentation: Augmentation,
        seed: u64,
        cache_bytes: usize,
    ) -> Self {
        Self {
            source,
            size,
            augmentation,
            seed,
            cache: ImageCache::new(cache_bytes, size),
            transform: Transform::new(),
        }
    }

    /// The picture of a sample as an episode (from 0) trains on it: `[3, size, size]`, normalised.
    ///
    /// # Errors
    /// As [`PairSource::image`].
    pub fn trained(&mut self, sample: SampleId, episode: u64) -> Result<Vec<f32>, DataError> {
        let picture = self.cache.get(self.source, sample, &mut self.transform)?;
        let mut values = self.room();
        let draw = Draw {
            seed: self.seed,
            episode,
            sample,
        };
        augment(
            &mut self.transform,
            &picture,
            self.size,
            self.augmentation,
            draw,
            &mut values,
        );
        Ok(values)
    }

    /// The picture of a sample as features are made of it: `[3, size, size]`, normalised.
    ///
    /// # Errors
    /// As [`PairSource::image`].
    pub fn evaluated(&mut self, sample: SampleId) -> Result<Vec<f32>, DataError> {
        let picture = self.cache.get(self.source, sample, &mut self.transform)?;
        let mut values = self.room();
        self.transform
            .evaluate_into(&picture, self.size, &mut values);
        Ok(values)
    }

    fn room(&self) -> Vec<f32> {
        vec![0.0; 3 * self.size as usize * self.size as usize]
    }
}

/// Normalised values `[3, size, size]` as the bytes that a person sees, rounded and cut to 0–255.
///
/// # Panics
/// When there are fewer values.
pub fn picture_of(values: &[f32], size: u32) -> RgbImage {
    let plane = size as usize * size as usize;
    RgbImage::from_fn(size, size, |x, y| {
        let at = y as usize * size as usize + x as usize;
        let byte = |channel: usize| {
            let value = values[channel * plane + at] * STD[channel] + MEAN[channel];
            (value * 255.0).round().clamp(0.0, 255.0) as u8
        };
        Rgb([byte(0), byte(1), byte(2)])
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Fidelity;
    use crate::data::{BatchMode, Batcher, BatcherConfig, BuiltinSource};
    use crate::tokenizer::Tokenizer;

    const SAMPLES: [SampleId; 4] = [3, 900, 1701, 3000];

    #[test]
    fn every_picture_is_bit_for_bit_the_one_of_its_training_batch() {
        let source: Arc<dyn PairSource> = Arc::new(BuiltinSource::new());
        // At 16 pixels the 72-pixel pictures are reduced first, at 32 they are not.
        for size in [16, 32] {
            let config = BatcherConfig {
                image_size: size,
                context: 8,
                batch_size: SAMPLES.len(),
                seed: 11,
                fidelity: Fidelity::Corrected,
                threads: 1,
                cache_bytes: 1 << 20,
                max_broken_share: 0.5,
            };
            let pixels = 3 * size as usize * size as usize;
            let batcher = Batcher::new(Arc::clone(&source), Arc::new(Tokenizer::new()), config);
            let batcher = batcher.expect("threads");
            let batch = |mode| {
                let mut batches = batcher.batches(SAMPLES.to_vec(), mode).expect("starts");
                batches.next().expect("one").expect("a batch").images
            };
            for augmentation in [Augmentation::ProtoclipLight, Augmentation::Clip] {
                let mut pictures = TrainingPictures::new(&*source, size, augmentation, 11, 1 << 20);
                for episode in [0, 5] {
                    let mode = BatchMode::Train {
                        episode,
                        augmentation,
                    };
                    let images = batch(mode);
                    for (image, &sample) in images.chunks_exact(pixels).zip(&SAMPLES) {
                        let alone = pictures.trained(sample, episode).expect("decodes");
                        assert!(alone == image, "{augmentation:?} {episode} {sample}");
                    }
                }
            }
            let mut pictures =
                TrainingPictures::new(&*source, size, Augmentation::None, 11, 1 << 20);
            let images = batch(BatchMode::Evaluate);
            for (image, &sample) in images.chunks_exact(pixels).zip(&SAMPLES) {
                assert!(pictures.evaluated(sample).expect("decodes") == image);
                assert!(pictures.trained(sample, 0).expect("decodes") == image);
            }
        }
    }

    #[test]
    fn bytes_survive_the_way_there_and_back() {
        let picture = RgbImage::from_fn(8, 8, |x, y| Rgb([x as u8 * 36, y as u8 * 36, 255]));
        let values = Transform::new().evaluate(&picture, 8);
        assert_eq!(picture_of(&values, 8), picture);
        let bright = vec![9.0; 3 * 64];
        assert!(picture_of(&bright, 8).pixels().all(|p| p.0 == [255; 3]));
    }
}
