//! Random changes of a training picture, each a pure function of its drawn parameters.
//!
//! `protoclip-light` is RandomResizedCrop(0.5–1) → flip (½) → ColorJitter(.8, .8, .8, .2) (p .2) →
//! grayscale (p .2) → Gaussian blur (p .2); `crop-gray` is its crop and grayscale, `clip` is
//! RandomResizedCrop(0.9–1) alone. The flip mirrors text, flags and hands too, as in the paper.
//!
//! The reference blurs 224-pixel pictures with 21 taps and σ in 0.1–2 pixels. Both scale with the
//! model size, so that a blur covers the same share of the picture; taps stay odd and at least 3,
//! and the largest σ at least half a pixel, below which a blur would change nothing.

#[cfg(test)]
mod tests;

use image::RgbImage;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::colour::Planes;
use super::draw::{Purpose, generator};
use super::transform::{MEAN, NORMALISED, Region, STD, Transform};
use super::{SampleId, blur};
use crate::config::Augmentation;
use crate::kernels::pixels;

/// Tries before RandomResizedCrop falls back to the centre, as in torchvision.
const CROP_TRIES: usize = 10;
/// Aspect ratios of the crop.
const CROP_RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// What decides one augmented picture besides its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Draw {
    pub(super) seed: u64,
    pub(super) episode: u64,
    pub(super) sample: SampleId,
}

/// The drawn parameters of one picture.
#[derive(Debug, Clone, PartialEq)]
struct Plan {
    crop: Region,
    flip: bool,
    /// Colour changes in the order of their application.
    jitter: Vec<Jitter>,
    grayscale: bool,
    /// Standard deviation in pixels.
    blur: Option<f32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Jitter {
    Brightness(f32),
    Contrast(f32),
    Saturation(f32),
    /// Turns of the colour wheel.
    Hue(f32),
}

/// Writes the picture as a training batch takes it into `values`: `[3, size, size]`, channels
/// first, normalised.
pub(super) fn augment(
    transform: &mut Transform,
    picture: &RgbImage,
    size: u32,
    augmentation: Augmentation,
    draw: Draw,
    values: &mut [f32],
) {
    let (width, height) = picture.dimensions();
    let mut random = generator(
        draw.seed,
        Purpose::Augment,
        draw.episode,
        draw.sample.into(),
    );
    let plan = match augmentation {
        Augmentation::None => return transform.evaluate_into(picture, size, values),
        Augmentation::Clip => Plan::clip(width, height, &mut random),
        Augmentation::CropGray => Plan::crop_gray(width, height, &mut random),
        Augmentation::ProtoclipLight => Plan::light(width, height, size, &mut random),
    };
    plan.apply(transform, picture, size, values);
}

impl Plan {
    fn clip(width: u32, height: u32, random: &mut impl RngExt) -> Self {
        Self {
            crop: random_crop(width, height, (0.9, 1.0), random),
            flip: false,
            jitter: Vec::new(),
            grayscale: false,
            blur: None,
        }
    }

    fn crop_gray(width: u32, height: u32, random: &mut impl RngExt) -> Self {
        Self {
            crop: random_crop(width, height, (0.5, 1.0), random),
            grayscale: random.random_bool(0.2),
            flip: false,
            jitter: Vec::new(),
            blur: None,
        }
    }

    fn light(width: u32, height: u32, size: u32, random: &mut impl RngExt) -> Self {
        Self {
            crop: random_crop(width, height, (0.5, 1.0), random),
            flip: random.random_bool(0.5),
            jitter: if random.random_bool(0.2) {
                random_jitter(random)
            } else {
                Vec::new()
            },
            grayscale: random.random_bool(0.2),
            blur: random
                .random_bool(0.2)
                .then(|| random.random_range(blur::sigmas(size))),
        }
    }

    /// The crop alone is resized; where no colour changes, bytes become normalised values at once.
    fn apply(&self, transform: &mut Transform, picture: &RgbImage, size: u32, values: &mut [f32]) {
        let bytes = transform.resize_region(picture, self.crop, size);
        if !self.changes_values() {
            return spread(bytes, size as usize, self.flip, values, |byte, channel| {
                NORMALISED[channel][usize::from(byte)]
            });
        }
        spread(bytes, size as usize, self.flip, values, |byte, _| {
            byte.into()
        });
        let mut planes = Planes::new(values);
        for jitter in &self.jitter {
            match *jitter {
                Jitter::Brightness(factor) => planes.brightness(factor),
                Jitter::Contrast(factor) => planes.contrast(factor),
                Jitter::Saturation(factor) => planes.saturation(factor),
                Jitter::Hue(turns) => planes.hue(turns),
            }
        }
        if self.grayscale {
            planes.grayscale();
        }
        if let Some(sigma) = self.blur {
            let taps = blur::taps(size);
            blur::gaussian(&mut planes, size as usize, taps, sigma, transform.scratch());
        }
        for (channel, plane) in planes.each().into_iter().enumerate() {
            pixels::normalise(plane, MEAN[channel], STD[channel]);
        }
    }

    fn changes_values(&self) -> bool {
        !self.jitter.is_empty() || self.grayscale || self.blur.is_some()
    }
}

/// Interleaved bytes of a square picture to three planes, mirrored or not.
fn spread(
    bytes: &[u8],
    side: usize,
    flip: bool,
    values: &mut [f32],
    value: impl Fn(u8, usize) -> f32,
) {
    let (red, rest) = values.split_at_mut(side * side);
    let (green, blue) = rest.split_at_mut(side * side);
    let lines = red.chunks_exact_mut(side).zip(green.chunks_exact_mut(side));
    let lines = lines.zip(blue.chunks_exact_mut(side));
    for (((red, green), blue), bytes) in lines.zip(bytes.chunks_exact(3 * side)) {
        let pixels = red.iter_mut().zip(green).zip(blue);
        let set = |(((r, g), b), p): (((&mut f32, &mut f32), &mut f32), &[u8])| {
            (*r, *g, *b) = (value(p[0], 0), value(p[1], 1), value(p[2], 2));
        };
        if flip {
            pixels.zip(bytes.chunks_exact(3).rev()).for_each(set);
        } else {
            pixels.zip(bytes.chunks_exact(3)).for_each(set);
        }
    }
}

/// torchvision's RandomResizedCrop: area and logarithm of the aspect ratio are uniform; when no
/// draw fits, the largest centred crop of an allowed ratio is taken.
fn random_crop(
    width: u32,
    height: u32,
    (least, most): (f64, f64),
    random: &mut impl RngExt,
) -> Region {
    let area = f64::from(width) * f64::from(height);
    for _ in 0..CROP_TRIES {
        let target = area * random.random_range(least..=most);
        let ratio = random
            .random_range(CROP_RATIO.0.ln()..=CROP_RATIO.1.ln())
            .exp();
        let crop_width = (target * ratio).sqrt().round_ties_even() as u32;
        let crop_height = (target / ratio).sqrt().round_ties_even() as u32;
        if (1..=width).contains(&crop_width) && (1..=height).contains(&crop_height) {
            return Region {
                top: f64::from(random.random_range(0..=height - crop_height)),
                left: f64::from(random.random_range(0..=width - crop_width)),
                width: f64::from(crop_width),
                height: f64::from(crop_height),
            };
        }
    }
    centre_crop(f64::from(width), f64::from(height))
}

fn centre_crop(width: f64, height: f64) -> Region {
    let ratio = width / height;
    let (crop_width, crop_height) = if ratio < CROP_RATIO.0 {
        (width, (width / CROP_RATIO.0).round().clamp(1.0, height))
    } else if ratio > CROP_RATIO.1 {
        ((height * CROP_RATIO.1).round().clamp(1.0, width), height)
    } else {
        (width, height)
    };
    Region {
        left: ((width - crop_width) / 2.0).floor(),
        top: ((height - crop_height) / 2.0).floor(),
        width: crop_width,
        height: crop_height,
    }
}

/// ColorJitter(.8, .8, .8, .2): factors in 0.2–1.8, hue by up to a fifth of a turn, random order.
fn random_jitter(random: &mut impl RngExt) -> Vec<Jitter> {
    let mut factor = || random.random_range(0.2_f32..=1.8);
    let mut changes = vec![
        Jitter::Brightness(factor()),
        Jitter::Contrast(factor()),
        Jitter::Saturation(factor()),
    ];
    changes.push(Jitter::Hue(random.random_range(-0.2_f32..=0.2)));
    changes.shuffle(random);
    changes
}
