//! Colour changes of ColorJitter and grayscale, on planes of values in [0, 255].
//!
//! Definitions as in torchvision on Pillow, without its rounding to whole numbers between steps.

use crate::kernels::pixels;

/// Red, green and blue of a picture: three planes, one after the other, of values in [0, 255].
#[derive(Debug)]
pub(super) struct Planes<'a> {
    values: &'a mut [f32],
}

impl<'a> Planes<'a> {
    /// `values` is `[3, pixels]`.
    pub(super) fn new(values: &'a mut [f32]) -> Self {
        Self { values }
    }

    /// The planes one by one, `[pixels]` each.
    pub(super) fn each(&mut self) -> [&mut [f32]; 3] {
        let (red, rest) = self.values.split_at_mut(self.pixels());
        let (green, blue) = rest.split_at_mut(red.len());
        [red, green, blue]
    }

    fn pixels(&self) -> usize {
        self.values.len() / 3
    }

    /// Scales towards (or away from) black.
    pub(super) fn brightness(&mut self, factor: f32) {
        pixels::blend(self.values, 0.0, factor);
    }

    /// Scales towards the mean grey of the picture.
    pub(super) fn contrast(&mut self, factor: f32) {
        let pixels = self.pixels().max(1) as f64;
        let sum = pixels::grey_sum(self.each().map(|plane| &*plane));
        pixels::blend(self.values, (sum / pixels).round() as f32, factor);
    }

    /// Scales towards the grey of each pixel.
    pub(super) fn saturation(&mut self, factor: f32) {
        pixels::blend_with_grey(self.each(), factor);
    }

    /// Turns the hue by `turns` of the colour wheel; value and saturation stay.
    pub(super) fn hue(&mut self, turns: f32) {
        pixels::turn_hue(self.each(), turns);
    }

    /// Replaces each pixel by its grey.
    pub(super) fn grayscale(&mut self) {
        pixels::grey(self.each());
    }
}

/// What the planes are compared with.
#[cfg(test)]
pub(super) mod textbook {
    /// By way of hue in turns, saturation and value, with remainders.
    pub(in crate::data) fn textbook_hue([r, g, b]: [f32; 3], turns: f32) -> [f32; 3] {
        let value = r.max(g).max(b);
        let chroma = value - r.min(g).min(b);
        if chroma <= 0.0 {
            return [value; 3];
        }
        let sector = if value == r {
            (g - b) / chroma
        } else if value == g {
            (b - r) / chroma + 2.0
        } else {
            (r - g) / chroma + 4.0
        };
        let hue = ((sector / 6.0).rem_euclid(1.0) + turns).rem_euclid(1.0);
        [5.0, 3.0, 1.0].map(|offset| {
            let k: f32 = (offset + hue * 6.0).rem_euclid(6.0);
            value - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pixel = [f32; 3];

    fn close(a: Pixel, b: Pixel) -> bool {
        a.iter().zip(b).all(|(x, y)| (x - y).abs() < 0.01)
    }

    fn one(change: impl Fn(&mut Planes<'_>), mut pixel: Pixel) -> Pixel {
        change(&mut Planes::new(&mut pixel));
        pixel
    }

    #[test]
    fn brightness_scales_and_clamps() {
        assert_eq!(
            one(|p| p.brightness(0.5), [200.0, 100.0, 0.0]),
            [100.0, 50.0, 0.0]
        );
        assert_eq!(
            one(|p| p.brightness(1.8), [200.0, 100.0, 0.0]),
            [255.0, 180.0, 0.0]
        );
    }

    #[test]
    fn contrast_keeps_the_mean_grey() {
        let mut values = [100.0, 200.0, 100.0, 200.0, 100.0, 200.0];
        Planes::new(&mut values).contrast(0.2);
        for pair in values.chunks_exact(2) {
            assert!((pair[0] - 140.0).abs() < 0.01 && (pair[1] - 160.0).abs() < 0.01);
        }
    }

    #[test]
    fn saturation_zero_is_grayscale() {
        let pixel = [200.0, 40.0, 90.0];
        assert!(close(
            one(|p| p.saturation(0.0), pixel),
            one(|p| p.grayscale(), pixel)
        ));
        assert!(close(one(|p| p.grayscale(), pixel), [93.54; 3]));
        assert!(close(one(|p| p.saturation(1.0), pixel), pixel));
    }

    #[test]
    fn a_third_of_a_turn_permutes_the_primaries() {
        let third = |p: &mut Planes<'_>| p.hue(1.0 / 3.0);
        assert!(close(one(third, [255.0, 0.0, 0.0]), [0.0, 255.0, 0.0]));
        assert!(close(one(third, [10.0, 20.0, 200.0]), [200.0, 10.0, 20.0]));
        assert!(close(one(third, [77.0; 3]), [77.0; 3]), "grey has no hue");
    }

    #[test]
    fn a_turn_and_back_restores_every_colour() {
        for r in [0.0, 60.0, 255.0] {
            for g in [0.0, 90.0, 255.0] {
                for b in [0.0, 13.0, 255.0] {
                    let there = one(|p| p.hue(0.17), [r, g, b]);
                    let back = one(|p| p.hue(-0.17), there);
                    assert!(close(back, [r, g, b]), "{r} {g} {b}: {back:?}");
                }
            }
        }
    }

    #[test]
    fn hue_is_that_of_the_textbook() {
        for index in 0..4096_u32 {
            let pixel = [index % 16, index / 16 % 16, index / 256].map(|level| level as f32 * 17.0);
            for turns in [-0.2, -0.07, 0.0, 0.11, 0.2] {
                let expected = textbook::textbook_hue(pixel, turns);
                let found = one(|p| p.hue(turns), pixel);
                assert!(close(found, expected), "{pixel:?} {turns}: {found:?}");
            }
        }
    }
}
