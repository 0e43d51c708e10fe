//! What is drawn, and the pass over the planes beside one pixel after the other.

use image::Rgb;
use proptest::prelude::*;

use super::*;
use crate::data::colour::textbook as colour;
use crate::data::transform::normalised;

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        Rgb([(x * 7) as u8, (y * 5) as u8, (x * y) as u8])
    })
}

fn draw(sample: SampleId, episode: u64) -> Draw {
    Draw {
        seed: 3,
        episode,
        sample,
    }
}

fn plans() -> Vec<Plan> {
    (0..4000)
        .map(|sample| {
            let mut random = generator(3, Purpose::Augment, 0, sample);
            Plan::light(90, 60, 32, &mut random)
        })
        .collect()
}

fn applied(plan: &Plan, transform: &mut Transform, source: &RgbImage, size: u32) -> Vec<f32> {
    let mut values = vec![f32::NAN; 3 * (size * size) as usize];
    plan.apply(transform, source, size, &mut values);
    values
}

#[test]
fn crops_lie_inside_and_keep_area_and_ratio() {
    for (index, plan) in plans().iter().enumerate() {
        let crop = plan.crop;
        assert!(
            crop.left >= 0.0 && crop.left + crop.width <= 90.0,
            "{index}"
        );
        assert!(crop.top >= 0.0 && crop.top + crop.height <= 60.0, "{index}");
        let (ratio, area) = (crop.width / crop.height, crop.width * crop.height);
        assert!((0.73..1.37).contains(&ratio), "{index}: ratio {ratio}");
        assert!(
            (0.48..=1.0).contains(&(area / 5400.0)),
            "{index}: area {area}"
        );
    }
}

#[test]
fn every_change_happens_as_often_as_documented() {
    let plans = plans();
    let share = |happens: &dyn Fn(&Plan) -> bool| {
        plans.iter().filter(|p| happens(p)).count() as f64 / plans.len() as f64
    };
    for (found, wanted) in [
        (share(&|p| p.flip), 0.5),
        (share(&|p| !p.jitter.is_empty()), 0.2),
        (share(&|p| p.grayscale), 0.2),
        (share(&|p| p.blur.is_some()), 0.2),
    ] {
        assert!((found - wanted).abs() < 0.03, "{found} instead of {wanted}");
    }
    let first_changes = plans.iter().filter_map(|p| p.jitter.first());
    let hue_first = first_changes
        .clone()
        .filter(|j| matches!(j, Jitter::Hue(_)))
        .count() as f64;
    let share = hue_first / first_changes.count() as f64;
    assert!((share - 0.25).abs() < 0.06, "hue comes first in {share}");
}

#[test]
fn a_crop_that_cannot_fit_falls_back_to_the_centre() {
    let mut random = generator(1, Purpose::Augment, 0, 0);
    let crop = random_crop(1000, 10, (0.5, 1.0), &mut random);
    assert_eq!((crop.width, crop.height), (13.0, 10.0));
    assert_eq!(crop.left, 493.0);
}

#[test]
fn a_flip_mirrors_and_twice_restores() {
    let source = picture(32, 32);
    let plan = |flip| Plan {
        crop: Region::whole(32, 32),
        flip,
        jitter: Vec::new(),
        grayscale: false,
        blur: None,
    };
    let mut transform = Transform::new();
    let straight = applied(&plan(false), &mut transform, &source, 32);
    let mirrored = applied(&plan(true), &mut transform, &source, 32);
    assert_eq!(straight, transform.evaluate(&source, 32), "nothing drawn");
    for row in 0..3 * 32 {
        let mut line = mirrored[row * 32..][..32].to_vec();
        line.reverse();
        assert_eq!(line, straight[row * 32..][..32]);
    }
}

#[test]
fn draws_depend_on_seed_episode_and_sample_alone() {
    let source = picture(40, 40);
    let make = |d: Draw| {
        let mut values = vec![0.0; 3 * 16 * 16];
        augment(
            &mut Transform::new(),
            &source,
            16,
            Augmentation::ProtoclipLight,
            d,
            &mut values,
        );
        values
    };
    assert_eq!(make(draw(5, 1)), make(draw(5, 1)));
    assert_ne!(make(draw(5, 1)), make(draw(5, 2)));
    assert_ne!(make(draw(5, 1)), make(draw(6, 1)));
}

#[test]
fn crop_and_grayscale_turn_a_fifth_of_the_pictures_gray_and_no_colour_into_another() {
    let source = RgbImage::from_pixel(40, 40, Rgb([200, 40, 90]));
    let mut transform = Transform::new();
    let plain = transform.evaluate(&source, 8);
    let mut grays = 0;
    for sample in 0..1000 {
        let mut values = vec![0.0; 3 * 8 * 8];
        let kind = Augmentation::CropGray;
        augment(
            &mut transform,
            &source,
            8,
            kind,
            draw(sample, 0),
            &mut values,
        );
        if values != plain {
            let channel = |index: usize| values[index * 64] * STD[index] + MEAN[index];
            assert!((channel(0) - channel(1)).abs() < 1e-5);
            assert!((channel(0) - channel(2)).abs() < 1e-5);
            grays += 1;
        }
    }
    // Three standard deviations of 1,000 draws.
    assert!((162..=238).contains(&grays), "{grays} of 1000");
}

#[test]
fn every_augmentation_gives_finite_values_for_odd_pictures() {
    let mut transform = Transform::new();
    for (width, height) in [(1, 1), (1, 300), (300, 1), (7, 5)] {
        let source = picture(width, height);
        for kind in [
            Augmentation::None,
            Augmentation::Clip,
            Augmentation::CropGray,
            Augmentation::ProtoclipLight,
        ] {
            for sample in 0..20 {
                let mut values = vec![f32::NAN; 3 * 8 * 8];
                let draw = draw(sample, 0);
                augment(&mut transform, &source, 8, kind, draw, &mut values);
                assert!(values.iter().all(|v| v.is_finite() && v.abs() < 5.0));
            }
        }
    }
}

proptest! {
    #[test]
    fn the_pass_over_planes_is_the_plain_one(
        seed in any::<u64>(),
        (width, height) in (1_u32..60, 1_u32..60),
        size in 1_u32..40,
    ) {
        let source = RgbImage::from_fn(width, height, |x, y| {
            let mixed = (u64::from(x) << 32 | u64::from(y)).wrapping_mul(seed | 1);
            let [_, r, _, g, _, b, ..] = mixed.to_be_bytes();
            Rgb([r, g, b])
        });
        let mut random = generator(seed, Purpose::Augment, 0, 0);
        let plan = Plan {
            // Every change at once, which the draws seldom give.
            jitter: random_jitter(&mut random),
            grayscale: seed.is_multiple_of(3),
            blur: (!seed.is_multiple_of(5)).then(|| random.random_range(blur::sigmas(size))),
            ..Plan::light(width, height, size, &mut random)
        };
        let mut transform = Transform::new();
        let found = applied(&plan, &mut transform, &source, size);
        let expected = plainly_applied(&plan, &mut transform, &source, size);
        for (index, (a, b)) in found.iter().zip(&expected).enumerate() {
            prop_assert!((a - b).abs() < 1e-3, "{}: {} {}", index, a, b);
        }
    }
}

type Pixel = [f32; 3];

/// Pixel by pixel, changes by their definitions.
fn plainly_applied(
    plan: &Plan,
    transform: &mut Transform,
    source: &RgbImage,
    size: u32,
) -> Vec<f32> {
    let side = size as usize;
    let bytes = transform
        .resize_region(source, plan.crop, size)
        .chunks_exact(3);
    let mut pixels: Vec<Pixel> = bytes.map(|p| [p[0], p[1], p[2]].map(f32::from)).collect();
    if plan.flip {
        pixels.chunks_exact_mut(side).for_each(<[Pixel]>::reverse);
    }
    for jitter in &plan.jitter {
        jittered(&mut pixels, *jitter);
    }
    if plan.grayscale {
        pixels.iter_mut().for_each(|p| *p = [luma(*p); 3]);
    }
    if let Some(sigma) = plan.blur {
        pixels = plainly_blurred(&pixels, side, blur::taps(size), sigma);
    }
    let plane = |channel: usize| pixels.iter().map(move |p| normalised(p[channel], channel));
    (0..3).flat_map(plane).collect()
}

fn luma([r, g, b]: Pixel) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

fn jittered(pixels: &mut [Pixel], jitter: Jitter) {
    let greys: f64 = pixels.iter().map(|p| f64::from(luma(*p))).sum();
    let mean = (greys / pixels.len() as f64).round() as f32;
    for pixel in pixels {
        let towards = |base: f32, factor: f32| {
            pixel.map(|value| (base + factor * (value - base)).clamp(0.0, 255.0))
        };
        *pixel = match jitter {
            Jitter::Brightness(factor) => towards(0.0, factor),
            Jitter::Contrast(factor) => towards(mean, factor),
            Jitter::Saturation(factor) => towards(luma(*pixel), factor),
            Jitter::Hue(turns) => colour::textbook_hue(*pixel, turns),
        };
    }
}

fn plainly_blurred(pixels: &[Pixel], side: usize, taps: usize, sigma: f32) -> Vec<Pixel> {
    let mut blurred = vec![[0.0; 3]; pixels.len()];
    for channel in 0..3 {
        let plane: Vec<f32> = pixels.iter().map(|p| p[channel]).collect();
        for (at, pixel) in blurred.iter_mut().enumerate() {
            let place = (at % side, at / side);
            pixel[channel] = blur::weighted_mean(&plane, side, place, taps, sigma);
        }
    }
    blurred
}
