//! From a picture to the numbers that an image tower takes.
//!
//! The evaluation transform follows torchvision on Pillow: shorter side to the model size by
//! antialiased bicubic convolution (a = −0.5), centre crop, CLIP's mean and standard deviation.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::{RgbImage, RgbaImage};

use super::decode::{decode_picture, is_palette_png};

/// Channel means of CLIP's training images, in [0, 1].
pub const MEAN: [f32; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
/// Channel standard deviations of CLIP's training images, in [0, 1].
pub const STD: [f32; 3] = [0.268_629_54, 0.261_302_6, 0.275_777_1];

/// A rectangle of a picture, in pixels; sides may be fractions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Region {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Region {
    /// All of a picture.
    pub(super) fn whole(width: u32, height: u32) -> Self {
        Self {
            left: 0.0,
            top: 0.0,
            width: f64::from(width),
            height: f64::from(height),
        }
    }
}

/// Pillow's bicubic filter; the convolution widens with the reduction, which is the antialiasing.
const BICUBIC: ResizeAlg = ResizeAlg::Convolution(FilterType::CatmullRom);

/// Interleaved bytes of a picture.
struct Pixels<'a> {
    bytes: &'a [u8],
    width: u32,
    height: u32,
    kind: PixelType,
}

impl<'a> Pixels<'a> {
    fn of_rgb(picture: &'a RgbImage) -> Self {
        Self {
            bytes: picture.as_raw(),
            width: picture.width(),
            height: picture.height(),
            kind: PixelType::U8x3,
        }
    }

    fn of_rgba(picture: &'a RgbaImage) -> Self {
        Self {
            bytes: picture.as_raw(),
            width: picture.width(),
            height: picture.height(),
            kind: PixelType::U8x4,
        }
    }
}

/// Resizes and normalises pictures; keeps its buffers, so use one per thread.
#[derive(Debug, Clone, Default)]
pub struct Transform {
    resizer: Resizer,
}

impl Transform {
    /// A transform with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The evaluation transform: `[3, size, size]`, channels first, normalised.
    pub fn evaluate(&mut self, picture: &RgbImage, size: u32) -> Vec<f32> {
        let (width, height) = shorter_side_to(picture.width(), picture.height(), size);
        let whole = Region::whole(picture.width(), picture.height());
        let resized = self.resize(Pixels::of_rgb(picture), whole, (width, height), BICUBIC);
        normalise_centre::<3>(&resized, (width, height), size)
    }

    /// The evaluation transform of the reference from the bytes of a file. It resizes transparent
    /// pictures before it drops transparency, and palettes without interpolation, because Pillow
    /// does; ours composites on white and expands palettes first. For comparisons with it.
    ///
    /// # Errors
    /// The decoder's message.
    pub fn evaluate_as_reference(&mut self, file: &[u8], size: u32) -> Result<Vec<f32>, String> {
        let rgba = decode_picture(file)?.into_rgba8();
        let algorithm = if is_palette_png(file) {
            ResizeAlg::Nearest
        } else {
            BICUBIC
        };
        let (width, height) = shorter_side_to(rgba.width(), rgba.height(), size);
        let resized = self.resize(
            Pixels::of_rgba(&rgba),
            Region::whole(rgba.width(), rgba.height()),
            (width, height),
            algorithm,
        );
        Ok(normalise_centre::<4>(&resized, (width, height), size))
    }

    /// The picture with its shorter side reduced to `side`; unchanged where it is no longer.
    pub(super) fn shrink(&mut self, picture: RgbImage, side: u32) -> RgbImage {
        let (width, height) = picture.dimensions();
        if width.min(height) <= side {
            return picture;
        }
        let to = shorter_side_to(width, height, side);
        let whole = Region::whole(width, height);
        let bytes = self.resize(Pixels::of_rgb(&picture), whole, to, BICUBIC);
        RgbImage::from_raw(to.0, to.1, bytes).unwrap_or(picture)
    }

    /// One region of a picture, resized to a square: `size · size` RGB bytes.
    pub(super) fn resize_region(&mut self, picture: &RgbImage, from: Region, size: u32) -> Vec<u8> {
        self.resize(Pixels::of_rgb(picture), from, (size, size), BICUBIC)
    }

    /// Sizes and regions come from this crate and fit the picture, so the resizer's own checks
    /// cannot fail; were one to, the result would stay black rather than end the run.
    fn resize(
        &mut self,
        source: Pixels<'_>,
        from: Region,
        to: (u32, u32),
        algorithm: ResizeAlg,
    ) -> Vec<u8> {
        let mut resized = Image::new(to.0, to.1, source.kind);
        let options = ResizeOptions::new().resize_alg(algorithm).crop(
            from.left,
            from.top,
            from.width,
            from.height,
        );
        let outcome = ImageRef::new(source.width, source.height, source.bytes, source.kind)
            .map_err(|e| e.to_string())
            .and_then(|source| {
                self.resizer
                    .resize(&source, &mut resized, &options)
                    .map_err(|e| e.to_string())
            });
        if let Err(message) = outcome {
            debug_assert!(false, "{message}");
            tracing::error!(message, ?from, "a picture was not resized");
        }
        resized.into_vec()
    }
}

/// Size after bringing the shorter side to `size`; the longer one is rounded down, as torchvision
/// does, and never below `size`.
fn shorter_side_to(width: u32, height: u32, size: u32) -> (u32, u32) {
    let longer = |long: u32, short: u32| {
        let exact = u64::from(size) * u64::from(long) / u64::from(short.max(1));
        (exact as u32).max(size)
    };
    if width <= height {
        (size, longer(height, width))
    } else {
        (longer(width, height), size)
    }
}

/// Crops the centre and normalises it; `CHANNELS` bytes per pixel, of which three are used.
fn normalise_centre<const CHANNELS: usize>(
    pixels: &[u8],
    (width, height): (u32, u32),
    size: u32,
) -> Vec<f32> {
    let (left, top) = (centre(width, size), centre(height, size));
    let (size, width) = (size as usize, width as usize);
    let mut values = vec![0.0; 3 * size * size];
    for row in 0..size {
        let start = ((top + row) * width + left) * CHANNELS;
        let line = &pixels[start..start + size * CHANNELS];
        for (column, pixel) in line.chunks_exact(CHANNELS).enumerate() {
            for channel in 0..3 {
                values[(channel * size + row) * size + column] =
                    normalised(f32::from(pixel[channel]), channel);
            }
        }
    }
    values
}

/// First row or column of a centre crop: half the difference, rounded half to even as Python does.
fn centre(length: u32, size: u32) -> usize {
    (f64::from(length - size) / 2.0).round_ties_even() as usize
}

/// A channel value in [0, 255] in units of CLIP's standard deviation.
pub(super) fn normalised(value: f32, channel: usize) -> f32 {
    (value / 255.0 - MEAN[channel]) / STD[channel]
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::data::decode::decode_bytes;

    fn golden(name: &str) -> Vec<u8> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/");
        std::fs::read(format!("{folder}{name}")).expect(name)
    }

    #[test]
    fn opaque_pictures_are_treated_as_by_the_reference() {
        for name in ["photo.jpg", "landscape.png", "gray.png"] {
            let file = golden(&format!("images/{name}"));
            let picture = decode_bytes(&file).expect(name);
            let mut transform = Transform::new();
            let ours = transform.evaluate(&picture, 32);
            let theirs = transform.evaluate_as_reference(&file, 32).expect(name);
            assert_eq!(ours, theirs, "{name}");
        }
    }

    #[test]
    fn the_longer_side_is_rounded_down() {
        assert_eq!(shorter_side_to(180, 97, 32), (59, 32));
        assert_eq!(shorter_side_to(75, 210, 64), (64, 179));
        assert_eq!(shorter_side_to(20, 20, 64), (64, 64));
        assert_eq!(shorter_side_to(16_384, 1, 32), (524_288, 32));
    }

    #[test]
    fn a_plain_picture_stays_plain() {
        let picture = RgbImage::from_pixel(50, 31, Rgb([255, 128, 0]));
        let values = Transform::new().evaluate(&picture, 8);
        for (channel, value) in [255.0, 128.0, 0.0].into_iter().enumerate() {
            let plane = &values[channel * 64..(channel + 1) * 64];
            assert!(plane.iter().all(|&v| v == normalised(value, channel)));
        }
    }

    #[test]
    fn shrinking_never_enlarges() {
        let mut transform = Transform::new();
        let picture = RgbImage::new(100, 60);
        assert_eq!(transform.shrink(picture.clone(), 30).dimensions(), (50, 30));
        assert_eq!(transform.shrink(picture, 60).dimensions(), (100, 60));
    }
}
