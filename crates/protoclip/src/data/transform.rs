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

/// [`normalised`] of every byte, by channel.
pub(super) static NORMALISED: [[f32; 256]; 3] = {
    let mut table = [[0.0; 256]; 3];
    let mut at = 0;
    while at < 3 * 256 {
        let (channel, byte) = (at / 256, at % 256);
        table[channel][byte] = normalised(byte as f32, channel);
        at += 1;
    }
    table
};

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
    /// The picture resized last.
    bytes: Vec<u8>,
    scratch: Vec<f32>,
}

impl Transform {
    /// A transform with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The evaluation transform: `[3, size, size]`, channels first, normalised.
    pub fn evaluate(&mut self, picture: &RgbImage, size: u32) -> Vec<f32> {
        let mut values = vec![0.0; 3 * size as usize * size as usize];
        self.evaluate_into(picture, size, &mut values);
        values
    }

    /// The same into `values`.
    pub(super) fn evaluate_into(&mut self, picture: &RgbImage, size: u32, values: &mut [f32]) {
        let to = shorter_side_to(picture.width(), picture.height(), size);
        let whole = Region::whole(picture.width(), picture.height());
        let resized = self.resize(Pixels::of_rgb(picture), whole, to, BICUBIC);
        normalise_centre::<3>(resized, to, size, values);
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
        let to = shorter_side_to(rgba.width(), rgba.height(), size);
        let whole = Region::whole(rgba.width(), rgba.height());
        let resized = self.resize(Pixels::of_rgba(&rgba), whole, to, algorithm);
        let mut values = vec![0.0; 3 * size as usize * size as usize];
        normalise_centre::<4>(resized, to, size, &mut values);
        Ok(values)
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
        RgbImage::from_raw(to.0, to.1, bytes.to_vec()).unwrap_or(picture)
    }

    /// One region of a picture, resized to a square: `size · size` RGB bytes, valid until the next
    /// call.
    pub(super) fn resize_region(&mut self, picture: &RgbImage, from: Region, size: u32) -> &[u8] {
        self.resize(Pixels::of_rgb(picture), from, (size, size), BICUBIC)
    }

    /// Room for values between two steps; what it holds is up to the caller.
    pub(super) fn scratch(&mut self) -> &mut Vec<f32> {
        &mut self.scratch
    }

    /// Sizes and regions come from this crate and fit the picture, so the resizer's own checks
    /// cannot fail; were one to, the result would stay black rather than end the run.
    fn resize(
        &mut self,
        source: Pixels<'_>,
        from: Region,
        to: (u32, u32),
        algorithm: ResizeAlg,
    ) -> &[u8] {
        let length = to.0 as usize * to.1 as usize * source.kind.size();
        self.bytes.resize(length, 0);
        let options = ResizeOptions::new().resize_alg(algorithm).crop(
            from.left,
            from.top,
            from.width,
            from.height,
        );
        let outcome = ImageRef::new(source.width, source.height, source.bytes, source.kind)
            .map_err(|e| e.to_string())
            .and_then(|from| {
                Image::from_slice_u8(to.0, to.1, &mut self.bytes, source.kind)
                    .map_err(|e| e.to_string())
                    .map(|to| (from, to))
            })
            .and_then(|(from, mut to)| {
                self.resizer
                    .resize(&from, &mut to, &options)
                    .map_err(|e| e.to_string())
            });
        if let Err(message) = outcome {
            debug_assert!(false, "{message}");
            tracing::error!(message, ?from, "a picture was not resized");
            self.bytes.fill(0);
        }
        &self.bytes
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

/// Crops the centre and normalises it into `values`, `[3, size, size]`; `CHANNELS` bytes per pixel,
/// of which three are used.
fn normalise_centre<const CHANNELS: usize>(
    pixels: &[u8],
    (width, height): (u32, u32),
    size: u32,
    values: &mut [f32],
) {
    let (left, top) = (centre(width, size), centre(height, size));
    let (size, width) = (size as usize, width as usize);
    for row in 0..size {
        let start = ((top + row) * width + left) * CHANNELS;
        let line = &pixels[start..start + size * CHANNELS];
        for (channel, table) in NORMALISED.iter().enumerate() {
            let to = &mut values[(channel * size + row) * size..][..size];
            for (value, pixel) in to.iter_mut().zip(line.chunks_exact(CHANNELS)) {
                *value = table[usize::from(pixel[channel])];
            }
        }
    }
}

/// First row or column of a centre crop: half the difference, rounded half to even as Python does.
fn centre(length: u32, size: u32) -> usize {
    (f64::from(length - size) / 2.0).round_ties_even() as usize
}

/// A channel value in [0, 255] in units of CLIP's standard deviation.
pub(super) const fn normalised(value: f32, channel: usize) -> f32 {
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
