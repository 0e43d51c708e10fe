//! Colour changes of ColorJitter and grayscale, on RGB values in [0, 255].
//!
//! Definitions as in torchvision on Pillow, without its rounding to whole numbers between steps.

/// Red, green and blue in [0, 255].
pub(super) type Pixel = [f32; 3];

/// Scales towards (or away from) black.
pub(super) fn brightness(pixels: &mut [Pixel], factor: f32) {
    blend(pixels, factor, |_| 0.0);
}

/// Scales towards the mean grey of the picture.
pub(super) fn contrast(pixels: &mut [Pixel], factor: f32) {
    let sum: f64 = pixels.iter().map(|p| f64::from(luma(*p))).sum();
    let mean = (sum / pixels.len().max(1) as f64).round() as f32;
    blend(pixels, factor, |_| mean);
}

/// Scales towards the grey of each pixel.
pub(super) fn saturation(pixels: &mut [Pixel], factor: f32) {
    blend(pixels, factor, luma);
}

/// Turns the hue by `turns` of the colour wheel; value and saturation stay.
pub(super) fn hue(pixels: &mut [Pixel], turns: f32) {
    for pixel in pixels {
        let [h, s, v] = to_hsv(*pixel);
        *pixel = from_hsv([(h + turns).rem_euclid(1.0), s, v]);
    }
}

/// Replaces each pixel by its grey.
pub(super) fn grayscale(pixels: &mut [Pixel]) {
    for pixel in pixels {
        *pixel = [luma(*pixel); 3];
    }
}

fn blend(pixels: &mut [Pixel], factor: f32, towards: impl Fn(Pixel) -> f32) {
    for pixel in pixels {
        let base = towards(*pixel);
        *pixel = pixel.map(|c| (base + factor * (c - base)).clamp(0.0, 255.0));
    }
}

/// ITU-R 601 luma, the grey of Pillow's mode `L`.
fn luma([r, g, b]: Pixel) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// Hue in turns, saturation in [0, 1], value in [0, 255].
fn to_hsv([r, g, b]: Pixel) -> [f32; 3] {
    let value = r.max(g).max(b);
    let chroma = value - r.min(g).min(b);
    if chroma <= 0.0 {
        return [0.0, 0.0, value];
    }
    let sector = if value == r {
        (g - b) / chroma
    } else if value == g {
        (b - r) / chroma + 2.0
    } else {
        (r - g) / chroma + 4.0
    };
    [(sector / 6.0).rem_euclid(1.0), chroma / value, value]
}

fn from_hsv([hue, saturation, value]: [f32; 3]) -> Pixel {
    let chroma = value * saturation;
    // Distance of the hue from each primary decides how much of it is missing.
    [5.0, 3.0, 1.0].map(|offset| {
        let k = (offset + hue * 6.0).rem_euclid(6.0);
        value - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Pixel, b: Pixel) -> bool {
        a.iter().zip(b).all(|(x, y)| (x - y).abs() < 0.01)
    }

    fn one(change: impl Fn(&mut [Pixel]), pixel: Pixel) -> Pixel {
        let mut pixels = [pixel];
        change(&mut pixels);
        pixels[0]
    }

    #[test]
    fn brightness_scales_and_clamps() {
        assert_eq!(
            one(|p| brightness(p, 0.5), [200.0, 100.0, 0.0]),
            [100.0, 50.0, 0.0]
        );
        assert_eq!(
            one(|p| brightness(p, 1.8), [200.0, 100.0, 0.0]),
            [255.0, 180.0, 0.0]
        );
    }

    #[test]
    fn contrast_keeps_the_mean_grey() {
        let mut pixels = [[100.0; 3], [200.0; 3]];
        contrast(&mut pixels, 0.2);
        assert!(close(pixels[0], [140.0; 3]) && close(pixels[1], [160.0; 3]));
    }

    #[test]
    fn saturation_zero_is_grayscale() {
        let pixel = [200.0, 40.0, 90.0];
        assert!(close(
            one(|p| saturation(p, 0.0), pixel),
            one(grayscale, pixel)
        ));
        assert!(close(one(grayscale, pixel), [93.54; 3]));
        assert!(close(one(|p| saturation(p, 1.0), pixel), pixel));
    }

    #[test]
    fn a_third_of_a_turn_permutes_the_primaries() {
        let third = |p: &mut [Pixel]| hue(p, 1.0 / 3.0);
        assert!(close(one(third, [255.0, 0.0, 0.0]), [0.0, 255.0, 0.0]));
        assert!(close(one(third, [10.0, 20.0, 200.0]), [200.0, 10.0, 20.0]));
        assert!(close(one(third, [77.0; 3]), [77.0; 3]), "grey has no hue");
    }

    #[test]
    fn a_turn_and_back_restores_every_colour() {
        for r in [0.0, 60.0, 255.0] {
            for g in [0.0, 90.0, 255.0] {
                for b in [0.0, 13.0, 255.0] {
                    let there = one(|p| hue(p, 0.17), [r, g, b]);
                    let back = one(|p| hue(p, -0.17), there);
                    assert!(close(back, [r, g, b]), "{r} {g} {b}: {back:?}");
                }
            }
        }
    }
}
