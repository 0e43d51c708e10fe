//! Loops over the planes of a picture: colour changes, blur, normalisation.
//!
//! Called by the batch threads, one picture per call, on planes of f32 values in [0, 255]. No fused
//! multiply-add and no reordering: a picture comes out equal, bit by bit, on every vector unit.

/// Weights of ITU-R 601 luma, the grey of Pillow's mode `L`.
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
/// Partial sums that the grey mean keeps apart.
const LANES: usize = 16;

/// `v ← base + factor·(v − base)`, clamped to [0, 255].
pub(crate) fn blend(plane: &mut [f32], base: f32, factor: f32) {
    compiled::blend(plane, base, factor);
}

/// [`blend`] of each pixel towards its own grey.
pub(crate) fn blend_with_grey(planes: [&mut [f32]; 3], factor: f32) {
    compiled::blend_with_grey(planes, factor);
}

/// Replaces each pixel by its grey.
pub(crate) fn grey(planes: [&mut [f32]; 3]) {
    compiled::grey(planes);
}

/// Sum of the greys of all pixels.
pub(crate) fn grey_sum(planes: [&[f32]; 3]) -> f64 {
    let mut sum = 0.0;
    compiled::grey_sum(planes, &mut sum);
    sum
}

/// Turns the hue by `turns` of the colour wheel, in [−1, 1]; value and chroma stay.
pub(crate) fn turn_hue(planes: [&mut [f32]; 3], turns: f32) {
    compiled::turn_hue(planes, turns);
}

/// Adds `weight · from` to `sums`, element by element.
pub(crate) fn add_weighted(sums: &mut [f32], weight: f32, from: &[f32]) {
    compiled::add_weighted(sums, weight, from);
}

/// `v ← (v / 255 − mean) / deviation`.
pub(crate) fn normalise(plane: &mut [f32], mean: f32, deviation: f32) {
    compiled::normalise(plane, mean, deviation);
}

mod compiled {
    use super::super::multiversion::multiversion;
    use super::{
        add_weighted_body, blend_body, blend_with_grey_body, grey_body, grey_sum_body,
        normalise_body, turn_hue_body,
    };

    multiversion! {
        fn blend(plane: &mut [f32], base: f32, factor: f32) = blend_body;
        fn blend_with_grey(planes: [&mut [f32]; 3], factor: f32) = blend_with_grey_body;
        fn grey(planes: [&mut [f32]; 3]) = grey_body;
        fn grey_sum(planes: [&[f32]; 3], sum: &mut f64) = grey_sum_body;
        fn turn_hue(planes: [&mut [f32]; 3], turns: f32) = turn_hue_body;
        fn add_weighted(sums: &mut [f32], weight: f32, from: &[f32]) = add_weighted_body;
        fn normalise(plane: &mut [f32], mean: f32, deviation: f32) = normalise_body;
    }
}

#[inline(always)]
fn luma(r: f32, g: f32, b: f32) -> f32 {
    LUMA[0] * r + LUMA[1] * g + LUMA[2] * b
}

#[inline(always)]
fn blended(value: f32, base: f32, factor: f32) -> f32 {
    (base + factor * (value - base)).clamp(0.0, 255.0)
}

#[inline(always)]
fn each_pixel(
    [red, green, blue]: [&mut [f32]; 3],
    change: impl Fn(f32, f32, f32) -> (f32, f32, f32),
) {
    for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
        (*r, *g, *b) = change(*r, *g, *b);
    }
}

#[inline(always)]
fn blend_body<const FMA: bool>(plane: &mut [f32], base: f32, factor: f32) {
    for value in plane {
        *value = blended(*value, base, factor);
    }
}

#[inline(always)]
fn blend_with_grey_body<const FMA: bool>(planes: [&mut [f32]; 3], factor: f32) {
    each_pixel(planes, |r, g, b| {
        let grey = luma(r, g, b);
        (
            blended(r, grey, factor),
            blended(g, grey, factor),
            blended(b, grey, factor),
        )
    });
}

#[inline(always)]
fn grey_body<const FMA: bool>(planes: [&mut [f32]; 3]) {
    each_pixel(planes, |r, g, b| {
        let grey = luma(r, g, b);
        (grey, grey, grey)
    });
}

#[inline(always)]
fn grey_sum_body<const FMA: bool>([red, green, blue]: [&[f32]; 3], sum: &mut f64) {
    let mut sums = [0.0_f64; LANES];
    let chunks = red.chunks(LANES).zip(green.chunks(LANES));
    for ((r, g), b) in chunks.zip(blue.chunks(LANES)) {
        for (lane, ((r, g), b)) in r.iter().zip(g).zip(b).enumerate() {
            sums[lane] += f64::from(luma(*r, *g, *b));
        }
    }
    *sum = sums.iter().sum();
}

/// Hue in sectors of a sixth of the wheel; no branches, so that it becomes vector code.
#[inline(always)]
fn turn_hue_body<const FMA: bool>(planes: [&mut [f32]; 3], turns: f32) {
    each_pixel(planes, |r, g, b| {
        let value = r.max(g).max(b);
        let chroma = value - r.min(g).min(b);
        let divisor = if chroma > 0.0 { chroma } else { 1.0 };
        let from_red = (g - b) / divisor;
        let from_green = (b - r) / divisor + 2.0;
        let from_blue = (r - g) / divisor + 4.0;
        let not_red = if value == g { from_green } else { from_blue };
        let sector = if value == r { from_red } else { not_red } + 6.0 * turns;
        (
            value - chroma * missing(5.0 + sector),
            value - chroma * missing(3.0 + sector),
            value - chroma * missing(1.0 + sector),
        )
    });
}

/// How much of a primary is missing at a distance of `sectors` (in [−6, 18)) from it, in [0, 1].
#[inline(always)]
fn missing(sectors: f32) -> f32 {
    let k = if sectors < 0.0 {
        sectors + 6.0
    } else {
        sectors
    };
    let k = if k >= 6.0 { k - 6.0 } else { k };
    let k = if k >= 6.0 { k - 6.0 } else { k };
    k.min(4.0 - k).clamp(0.0, 1.0)
}

#[inline(always)]
fn add_weighted_body<const FMA: bool>(sums: &mut [f32], weight: f32, from: &[f32]) {
    for (sum, value) in sums.iter_mut().zip(from) {
        *sum += weight * value;
    }
}

#[inline(always)]
fn normalise_body<const FMA: bool>(plane: &mut [f32], mean: f32, deviation: f32) {
    for value in plane {
        *value = (*value / 255.0 - mean) / deviation;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Planes of every colour whose channels are multiples of 15, and some uneven rest.
    fn planes() -> [Vec<f32>; 3] {
        let mut planes = [Vec::new(), Vec::new(), Vec::new()];
        for index in 0..18 * 18 * 18 + 7 {
            let colour = [index % 18, index / 18 % 18, index / 324 % 18];
            for (plane, level) in planes.iter_mut().zip(colour) {
                plane.push(level as f32 * 15.0);
            }
        }
        planes
    }

    fn refs([r, g, b]: &mut [Vec<f32>; 3]) -> [&mut [f32]; 3] {
        [r, g, b]
    }

    #[test]
    fn compiled_and_portable_loops_agree_in_every_bit() {
        type Change = (&'static str, fn([&mut [f32]; 3]), fn([&mut [f32]; 3]));
        let changes: [Change; 3] = [
            ("grey", grey, grey_body::<false>),
            (
                "saturation",
                |p| blend_with_grey(p, 1.7),
                |p| blend_with_grey_body::<false>(p, 1.7),
            ),
            (
                "hue",
                |p| turn_hue(p, -0.13),
                |p| turn_hue_body::<false>(p, -0.13),
            ),
        ];
        for (name, compiled, portable) in changes {
            let (mut ours, mut theirs) = (planes(), planes());
            compiled(refs(&mut ours));
            portable(refs(&mut theirs));
            assert_eq!(ours, theirs, "{name}");
            assert_ne!(ours, planes(), "{name}");
        }
    }

    #[test]
    fn loops_over_one_plane_agree_in_every_bit() {
        let [mut ours, from, _] = planes();
        let mut theirs = ours.clone();
        blend(&mut ours, 93.0, 0.3);
        blend_body::<false>(&mut theirs, 93.0, 0.3);
        add_weighted(&mut ours, 0.37, &from);
        add_weighted_body::<false>(&mut theirs, 0.37, &from);
        normalise(&mut ours, 0.48, 0.27);
        normalise_body::<false>(&mut theirs, 0.48, 0.27);
        assert_eq!(ours, theirs);
    }

    #[test]
    fn the_grey_sum_is_that_of_the_greys() {
        let mut planes = planes();
        let sum = grey_sum([&planes[0], &planes[1], &planes[2]]);
        let mut portable = 0.0;
        grey_sum_body::<false>([&planes[0], &planes[1], &planes[2]], &mut portable);
        assert_eq!(sum, portable);
        grey(refs(&mut planes));
        let plain: f64 = planes[0].iter().map(|&v| f64::from(v)).sum();
        assert!((sum - plain).abs() < 1e-6 * plain, "{sum} {plain}");
    }
}
