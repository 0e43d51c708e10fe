//! What the augmentation of a run would make of some pictures of its data set, before it runs.
//!
//! Pictures are those of training, from [`TrainingPictures`]; only their size on the screen may differ.
//! Callers must be allowed to block: a strip takes one decoding and some milliseconds.

use std::io::Cursor;

use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageFormat, RgbImage, Rgba, RgbaImage};
use protoclip::config::{Augmentation, DataConfig};
use protoclip::data::{CACHE_BYTES, TrainingPictures, picture_of};

use super::data_sets::pair;
use super::{DataSetId, PairView, Studio, StudioError, Thumbnail};

/// How a picture is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AugmentationQuery {
    pub augmentation: Augmentation,
    /// Pixels a side that the model takes.
    pub size: u32,
    /// Of the run.
    pub seed: u64,
    /// Which episodes: those from `draw` · [`VARIANTS`] on.
    pub draw: u64,
}

/// Pictures of a preview.
pub const PREVIEWED: u64 = 4;
/// Episodes of a strip.
pub const VARIANTS: u64 = 6;
/// Largest picture that is made, in pixels a side.
pub const LARGEST_PREVIEW: u32 = 512;
/// Larger ones are shown at this size.
const LARGEST_SHOWN: u32 = 128;
/// Transparent pixels between two pictures of a strip.
const BETWEEN: u32 = 4;

impl Studio {
    /// The pairs of a preview; each draw has others.
    ///
    /// # Errors
    /// When the data set is not known or cannot be opened.
    pub fn previewed(&self, id: &DataSetId, draw: u64) -> Result<Vec<PairView>, StudioError> {
        let set = self.data_sets.get(id)?;
        let samples = spread(set.source.len() as u64, draw);
        Ok(samples.map(|sample| pair(&set, sample)).collect())
    }

    /// Whether a data set with these settings is open, or built in; does not make it known.
    pub fn is_open(&self, config: &DataConfig) -> bool {
        self.data_set_is_open(&DataSetId::of(config))
    }

    /// A sample's picture as evaluation takes it, then as [`VARIANTS`] episodes would train on it, side
    /// by side in a PNG.
    ///
    /// # Errors
    /// When there is no such data set or sample, or its picture cannot be decoded.
    pub fn augmented(
        &self,
        id: &DataSetId,
        sample: u32,
        query: &AugmentationQuery,
    ) -> Result<Thumbnail, StudioError> {
        let set = self.data_sets.get(id)?;
        let pairs = set.source.len();
        if sample as usize >= pairs {
            let name = set.source.name();
            let message = format!("{name} has {pairs} samples, numbered from 0");
            return Err(StudioError::NotFound(message));
        }
        let size = query.size.clamp(1, LARGEST_PREVIEW);
        let (augmentation, seed) = (query.augmentation, query.seed);
        let mut pictures =
            TrainingPictures::new(&*set.source, size, augmentation, seed, CACHE_BYTES);
        let mut tiles = vec![picture_of(&pictures.evaluated(sample)?, size)];
        for variant in 0..VARIANTS {
            let episode = query.draw.saturating_mul(VARIANTS).saturating_add(variant);
            tiles.push(picture_of(&pictures.trained(sample, episode)?, size));
        }
        strip(&tiles, size)
    }
}

/// Different samples for each draw, spread over the data set.
fn spread(pairs: u64, draw: u64) -> impl Iterator<Item = u32> {
    let divisor = |mut a: u64, mut b: u64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let golden = (pairs as f64 * 0.618) as u64;
    let step = (1..=golden.max(1)).rev().find(|&s| divisor(s, pairs) == 1);
    let (step, first) = (step.unwrap_or(1), (draw % pairs.max(1)) * PREVIEWED);
    (0..PREVIEWED.min(pairs)).map(move |row| {
        let place = u128::from(first + row) * u128::from(step) % u128::from(pairs);
        place as u32
    })
}

/// Width and height of a strip for a model of `size` pixels, in pixels.
pub fn strip_size(size: u32) -> (u32, u32) {
    let (side, count) = (size.min(LARGEST_SHOWN), VARIANTS as u32 + 1);
    (count * side + (count - 1) * BETWEEN, side)
}

/// Square pictures side by side.
fn strip(tiles: &[RgbImage], size: u32) -> Result<Thumbnail, StudioError> {
    let (width, side) = strip_size(size);
    let mut sheet = RgbaImage::from_pixel(width, side, Rgba([0; 4]));
    for (place, tile) in (0..).zip(tiles) {
        let tile = match side < size {
            true => imageops::resize(tile, side, side, FilterType::CatmullRom),
            false => tile.clone(),
        };
        let tile = DynamicImage::ImageRgb8(tile).into_rgba8();
        imageops::replace(&mut sheet, &tile, (place * (side + BETWEEN)).into(), 0);
    }
    let mut png = Vec::new();
    sheet
        .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
        .map_err(|e| StudioError::Other(format!("cannot encode a picture: {e}")))?;
    Ok(Thumbnail {
        content_type: "image/png",
        bytes: png.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_different_samples_and_all_of_them_in_time() {
        for pairs in [1, 2, 3, 4, 5, 30, 3724] {
            let mut seen = std::collections::BTreeSet::new();
            for draw in 0..pairs {
                let samples: Vec<u32> = spread(pairs, draw).collect();
                let distinct: std::collections::BTreeSet<u32> = samples.iter().copied().collect();
                assert_eq!(distinct.len() as u64, PREVIEWED.min(pairs), "{samples:?}");
                seen.extend(distinct);
            }
            assert_eq!(seen.len() as u64, pairs);
        }
        assert_eq!(spread(0, 7).count(), 0);
        assert_eq!(spread(30, u64::MAX).count(), 4);
    }
}
