//! What lets a map follow an earlier one, so that points do not jump between two episodes.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Shift of a sample that starts where its group is, as a share of the map's spread.
const SHIFT: f32 = 0.02;

/// A map made before, perhaps of other samples.
#[derive(Debug, Clone, Copy)]
pub struct EarlierMap<'a> {
    pub samples: &'a [u32],
    /// `[n, 2]`, aligned with `samples`.
    pub points: &'a [f32],
}

impl EarlierMap<'_> {
    fn places(&self) -> HashMap<u32, [f32; 2]> {
        let (pairs, _) = self.points.as_chunks::<2>();
        self.samples
            .iter()
            .copied()
            .zip(pairs.iter().copied())
            .collect()
    }
}

/// Places for `samples` to start from: where the earlier map has them; otherwise where the known
/// samples of the same group are on average, with a little random shift. `groups` is aligned with
/// `samples`. `[n, 2]`; `None` when fewer than a tenth of the samples are known, for then there is
/// nothing to go on from.
pub fn carried_start(earlier: EarlierMap<'_>, samples: &[u32], groups: &[u32]) -> Option<Vec<f32>> {
    let places = earlier.places();
    let known: Vec<Option<[f32; 2]>> = samples.iter().map(|s| places.get(s).copied()).collect();
    let count = known.iter().flatten().count();
    if count * 10 < samples.len() || count == 0 || groups.len() != samples.len() {
        return None;
    }
    let centre = mean(known.iter().flatten());
    let spread = spread(known.iter().flatten(), centre);
    let mut sums: HashMap<u32, ([f32; 2], f32)> = HashMap::new();
    for (place, &group) in known.iter().zip(groups) {
        if let Some([x, y]) = place {
            let sum = sums.entry(group).or_default();
            sum.0[0] += x;
            sum.0[1] += y;
            sum.1 += 1.0;
        }
    }
    let mut random = ChaCha8Rng::seed_from_u64(0);
    let mut shift = || (random.random::<f32>() - 0.5) * SHIFT * spread;
    let placed = known.iter().zip(groups).flat_map(|(place, group)| {
        place.unwrap_or_else(|| {
            let [x, y] = sums
                .get(group)
                .map_or(centre, |(sum, n)| [sum[0] / n, sum[1] / n]);
            [x + shift(), y + shift()]
        })
    });
    Some(placed.collect())
}

/// `points` turned, and mirrored if that fits better, about their mean so that known samples come as
/// near as possible to their direction in the earlier map (orthogonal Procrustes in the plane,
/// Schönemann 1966). Distances stay. Unchanged when fewer than two samples are known.
pub fn aligned_to(earlier: EarlierMap<'_>, samples: &[u32], points: &[f32]) -> Vec<f32> {
    let places = earlier.places();
    let (own, _) = points.as_chunks::<2>();
    let pairs: Vec<([f32; 2], [f32; 2])> = samples
        .iter()
        .zip(own)
        .filter_map(|(sample, place)| Some((*place, *places.get(sample)?)))
        .collect();
    if pairs.len() < 2 {
        return points.to_vec();
    }
    let from = mean(pairs.iter().map(|p| &p.0));
    let to = mean(pairs.iter().map(|p| &p.1));
    // Sums of products of both; turning by the angle of (dot, cross) maximises their agreement.
    let mut products = [[0.0_f64; 2]; 2];
    for (a, b) in &pairs {
        for (i, row) in products.iter_mut().enumerate() {
            for (j, sum) in row.iter_mut().enumerate() {
                *sum += f64::from(a[i] - from[i]) * f64::from(b[j] - to[j]);
            }
        }
    }
    let [[xx, xy], [yx, yy]] = products;
    let turned = (xx + yy).hypot(xy - yx);
    let mirrored = (xx - yy).hypot(xy + yx);
    let (cos, sin, flip) = if turned >= mirrored {
        ((xx + yy) / turned, (xy - yx) / turned, 1.0)
    } else {
        ((xx - yy) / mirrored, (xy + yx) / mirrored, -1.0)
    };
    if !(cos.is_finite() && sin.is_finite()) {
        return points.to_vec();
    }
    let turn = |&[x, y]: &[f32; 2]| {
        let (x, y) = (f64::from(x - from[0]), flip * f64::from(y - from[1]));
        [
            (cos * x - sin * y) as f32 + from[0],
            (sin * x + cos * y) as f32 + from[1],
        ]
    };
    own.iter().flat_map(turn).collect()
}

fn mean<'a>(points: impl Iterator<Item = &'a [f32; 2]>) -> [f32; 2] {
    let mut sum = [0.0_f64; 2];
    let mut count = 0.0;
    for [x, y] in points {
        sum[0] += f64::from(*x);
        sum[1] += f64::from(*y);
        count += 1.0;
    }
    sum.map(|s| if count > 0.0 { (s / count) as f32 } else { 0.0 })
}

fn spread<'a>(points: impl Iterator<Item = &'a [f32; 2]>, centre: [f32; 2]) -> f32 {
    let mut sum = 0.0_f64;
    let mut count = 0.0;
    for [x, y] in points {
        sum += f64::from(x - centre[0]).powi(2) + f64::from(y - centre[1]).powi(2);
        count += 1.0;
    }
    if count > 0.0 {
        (sum / count).sqrt() as f32
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTS: [f32; 8] = [0.0, 0.0, 4.0, 0.0, 4.0, 2.0, 1.0, 5.0];

    #[test]
    fn a_turned_or_mirrored_map_is_turned_back() {
        let samples = [7, 3, 9, 1];
        let earlier = EarlierMap {
            samples: &samples,
            points: &POINTS,
        };
        for flip in [1.0, -1.0] {
            let (sin, cos) = 1.1_f32.sin_cos();
            let turned: Vec<f32> = POINTS
                .as_chunks::<2>()
                .0
                .iter()
                .flat_map(|&[x, y]| {
                    [
                        cos * x - sin * flip * y + 3.0,
                        sin * x + cos * flip * y - 1.0,
                    ]
                })
                .collect();
            let back = aligned_to(earlier, &samples, &turned);
            for pair in 1..4 {
                for axis in 0..2 {
                    let wanted = POINTS[2 * pair + axis] - POINTS[axis];
                    let found = back[2 * pair + axis] - back[axis];
                    assert!((wanted - found).abs() < 1e-4, "{flip}: {back:?}");
                }
            }
        }
    }

    #[test]
    fn new_samples_start_where_their_group_is() {
        let earlier = EarlierMap {
            samples: &[1, 2, 3, 4],
            points: &POINTS,
        };
        let start = carried_start(earlier, &[3, 50, 1, 2], &[0, 1, 1, 1]).expect("known");
        assert_eq!((start[0], start[1]), (4.0, 2.0));
        assert_eq!((start[4], start[5]), (0.0, 0.0));
        // Between samples 1 and 2.
        assert!(
            (start[2] - 2.0).abs() < 0.1 && start[3].abs() < 0.1,
            "{start:?}"
        );
        let strangers: Vec<u32> = (100..130).collect();
        assert_eq!(carried_start(earlier, &strangers, &[0; 30]), None);
    }

    #[test]
    fn a_map_of_strangers_stays_as_it_is() {
        let earlier = EarlierMap {
            samples: &[1],
            points: &[0.0, 1.0],
        };
        assert_eq!(aligned_to(earlier, &[1, 2], &POINTS[..4]), &POINTS[..4]);
        let one_place = EarlierMap {
            samples: &[1, 2],
            points: &[1.0; 4],
        };
        assert_eq!(aligned_to(one_place, &[1, 2], &POINTS[..4]), &POINTS[..4]);
    }
}
