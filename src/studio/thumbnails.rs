//! Small pictures of samples, encoded on demand and kept in bounded memory.
//!
//! Decoding takes milliseconds: callers must be allowed to block.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ImageFormat, Rgb, RgbImage};

use super::{DataSetId, Studio, StudioError};

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    pub content_type: &'static str,
    pub bytes: Arc<[u8]>,
}

/// Widths that are made; others are rounded up to the next.
pub const SIZES: [u32; 5] = [32, 64, 96, 128, 256];

/// Pictures kept, in bytes.
const BUDGET: usize = 64 << 20;
/// Up to this size a PNG is kept as it is; above, a JPEG is smaller and good enough.
const LARGEST_PNG: usize = 8 << 10;
const JPEG_QUALITY: u8 = 85;

type Key = (DataSetId, u32, u32);

/// The pictures asked for last.
#[derive(Debug, Default)]
pub(crate) struct ThumbnailCache {
    state: Mutex<CacheState>,
}

#[derive(Debug, Default)]
struct CacheState {
    kept: HashMap<Key, (Thumbnail, u64)>,
    bytes: usize,
    clock: u64,
}

impl Studio {
    /// A picture of a sample that fits a square of `size` pixels; never enlarged.
    ///
    /// # Errors
    /// When there is no such data set or sample, or its picture cannot be decoded.
    pub fn thumbnail(
        &self,
        data_set: &DataSetId,
        sample: u32,
        size: u32,
    ) -> Result<Thumbnail, StudioError> {
        let size = rounded(size);
        let key = (data_set.clone(), sample, size);
        if let Some(found) = self.thumbnails.find(&key) {
            return Ok(found);
        }
        let made = encode(&fitted(&self.picture(data_set, sample)?, size))?;
        self.thumbnails.keep(key, &made);
        Ok(made)
    }

    /// Pictures of the samples nearest to a prototype's centroid in one PNG: `across` × `across`
    /// squares of `size` pixels, white where there is none.
    ///
    /// # Errors
    /// When there is no such data set, or a picture cannot be decoded.
    pub fn montage(
        &self,
        data_set: &DataSetId,
        samples: &[u32],
        (across, size): (u32, u32),
    ) -> Result<Thumbnail, StudioError> {
        let size = rounded(size);
        let side = across * size;
        let mut sheet = RgbImage::from_pixel(side, side, Rgb([255; 3]));
        for (place, &sample) in (0..across * across).zip(samples) {
            let picture = fitted(&self.picture(data_set, sample)?, size);
            let left = place % across * size + (size - picture.width()) / 2;
            let top = place / across * size + (size - picture.height()) / 2;
            imageops::replace(&mut sheet, &picture, left.into(), top.into());
        }
        encode(&sheet)
    }

    pub(super) fn picture(
        &self,
        data_set: &DataSetId,
        sample: u32,
    ) -> Result<RgbImage, StudioError> {
        let set = self.data_sets.get(data_set)?;
        if sample as usize >= set.source.len() {
            return Err(StudioError::NotFound(format!(
                "{} has {} samples, numbered from 0",
                set.source.name(),
                set.source.len()
            )));
        }
        Ok(set.source.image(sample)?)
    }
}

fn rounded(size: u32) -> u32 {
    let [.., largest] = SIZES;
    let next = SIZES.into_iter().find(|&known| known >= size);
    next.unwrap_or(largest)
}

fn fitted(picture: &RgbImage, size: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    if width.max(height) <= size {
        return picture.clone();
    }
    let scale = f64::from(size) / f64::from(width.max(height));
    let scaled = |length: u32| ((f64::from(length) * scale).round() as u32).max(1);
    imageops::resize(
        picture,
        scaled(width),
        scaled(height),
        FilterType::CatmullRom,
    )
}

fn encode(picture: &RgbImage) -> Result<Thumbnail, StudioError> {
    let failed = |e: image::ImageError| StudioError::Other(format!("cannot encode a picture: {e}"));
    let mut png = Vec::new();
    picture
        .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
        .map_err(failed)?;
    if png.len() <= LARGEST_PNG {
        return Ok(Thumbnail {
            content_type: "image/png",
            bytes: png.into(),
        });
    }
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, JPEG_QUALITY)
        .encode_image(picture)
        .map_err(failed)?;
    Ok(Thumbnail {
        content_type: "image/jpeg",
        bytes: jpeg.into(),
    })
}

impl ThumbnailCache {
    fn find(&self, key: &Key) -> Option<Thumbnail> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        let (found, used) = state.kept.get_mut(key)?;
        *used = now;
        Some(found.clone())
    }

    fn keep(&self, key: Key, made: &Thumbnail) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let now = state.clock;
        state.bytes += made.bytes.len();
        if let Some((replaced, _)) = state.kept.insert(key, (made.clone(), now)) {
            state.bytes -= replaced.bytes.len();
        }
        if state.bytes > BUDGET {
            state.forget_older_half();
        }
    }
}

impl CacheState {
    fn forget_older_half(&mut self) {
        let mut uses: Vec<u64> = self.kept.values().map(|(_, used)| *used).collect();
        uses.sort_unstable();
        let middle = uses.get(uses.len() / 2).copied().unwrap_or(0);
        self.kept.retain(|_, (_, used)| *used >= middle);
        self.bytes = self.kept.values().map(|(kept, _)| kept.bytes.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thumbnail(length: usize) -> Thumbnail {
        Thumbnail {
            content_type: "image/png",
            bytes: vec![0; length].into(),
        }
    }

    #[test]
    fn sizes_are_rounded_up_to_those_that_are_made() {
        assert_eq!([0, 32, 33, 100, 9999].map(rounded), [32, 32, 64, 128, 256]);
    }

    #[test]
    fn pictures_keep_their_shape_and_are_never_enlarged() {
        let wide = RgbImage::new(300, 30);
        assert_eq!(fitted(&wide, 64).dimensions(), (64, 6));
        assert_eq!(fitted(&RgbImage::new(1000, 1), 64).dimensions(), (64, 1));
        assert_eq!(fitted(&RgbImage::new(20, 10), 64).dimensions(), (20, 10));
    }

    #[test]
    fn flat_pictures_are_png_and_noisy_ones_jpeg() {
        let flat = encode(&RgbImage::new(64, 64)).expect("encodes");
        assert_eq!(flat.content_type, "image/png");
        let noise = |x: u32, y: u32| (x * 7919 + y * 104_729) as u8;
        let noisy = RgbImage::from_fn(128, 128, |x, y| Rgb([noise(x, y), noise(y, x), x as u8]));
        let noisy = encode(&noisy).expect("encodes");
        assert_eq!(noisy.content_type, "image/jpeg");
        let read = image::load_from_memory(&noisy.bytes).expect("decodes");
        assert_eq!((read.width(), read.height()), (128, 128));
    }

    #[test]
    fn memory_is_bounded_and_what_was_used_last_stays() {
        let cache = ThumbnailCache::default();
        let key = |sample| (DataSetId::from("a"), sample, 64);
        for sample in 0..100 {
            cache.keep(key(sample), &thumbnail(BUDGET / 64));
            assert!(cache.find(&key(0)).is_some(), "used after each");
        }
        let state = cache.state.lock().expect("locks");
        assert!(state.bytes <= BUDGET, "{}", state.bytes);
        assert_eq!(
            state.bytes,
            state
                .kept
                .values()
                .map(|(t, _)| t.bytes.len())
                .sum::<usize>()
        );
        assert!(state.kept.len() < 100);
    }
}
