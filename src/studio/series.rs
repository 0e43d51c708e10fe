//! A curve, reduced to what a chart can show.

use serde::Serialize;

/// Which part of a curve, and in how many buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesQuery {
    pub tag: String,
    /// First step, inclusive.
    pub from: u64,
    /// Last step, inclusive.
    pub to: u64,
    /// Most buckets to give back.
    pub points: usize,
}

/// A curve in buckets of neighbouring steps.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    pub tag: String,
    /// Buckets in `points`.
    pub shown: usize,
    /// Points of the curve in the asked range.
    pub total: usize,
    pub points: Vec<Bucket>,
}

/// Step of the last point of the bucket; smallest, largest and mean value, null where every value
/// was not a number. Serialises as `[step, min, max, mean]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bucket(pub u64, pub Option<f64>, pub Option<f64>, pub Option<f64>);

/// Fewest and most buckets of one answer.
pub const FEWEST_BUCKETS: usize = 10;
pub const MOST_BUCKETS: usize = 20_000;

impl Series {
    /// The asked part of a curve; `curve` has every point, ascending. One without points gives an
    /// empty series.
    pub(super) fn of(curve: &[(u64, f64)], query: &SeriesQuery) -> Self {
        let start = curve.partition_point(|point| point.0 < query.from);
        let end = curve.partition_point(|point| point.0 <= query.to);
        let values = curve.get(start..end).unwrap_or_default();
        let points = buckets(values, query.points.clamp(FEWEST_BUCKETS, MOST_BUCKETS));
        Self {
            tag: query.tag.clone(),
            shown: points.len(),
            total: values.len(),
            points,
        }
    }
}

/// Cuts the points into at most `most` runs of equal number. Extremes survive; the last point keeps
/// its step.
pub(super) fn buckets(values: &[(u64, f64)], most: usize) -> Vec<Bucket> {
    let size = values.len().div_ceil(most).max(1);
    values.chunks(size).map(bucket).collect()
}

fn bucket(values: &[(u64, f64)]) -> Bucket {
    let step = values.last().map_or(0, |p| p.0);
    let finite = || values.iter().map(|p| p.1).filter(|v| v.is_finite());
    let count = finite().count();
    if count == 0 {
        return Bucket(step, None, None, None);
    }
    Bucket(
        step,
        finite().reduce(f64::min),
        finite().reduce(f64::max),
        Some(finite().sum::<f64>() / count as f64),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn few_points_are_shown_as_they_are() {
        let shown = buckets(&[(1, 2.0), (5, f64::NAN)], 10);
        assert_eq!(
            shown,
            [
                Bucket(1, Some(2.0), Some(2.0), Some(2.0)),
                Bucket(5, None, None, None)
            ]
        );
        assert_eq!(
            serde_json::to_string(&shown).expect("writes"),
            "[[1,2.0,2.0,2.0],[5,null,null,null]]"
        );
    }

    proptest! {
        #[test]
        fn reduction_keeps_extremes_and_the_last_step(
            values in prop::collection::vec(-1e6_f64..1e6, 1..400), most in 10_usize..60,
        ) {
            let points: Vec<(u64, f64)> =
                values.iter().enumerate().map(|(i, v)| (i as u64 * 3, *v)).collect();
            let shown = buckets(&points, most);
            prop_assert!(shown.len() <= most);
            let lowest = shown.iter().filter_map(|b| b.1).fold(f64::INFINITY, f64::min);
            let highest = shown.iter().filter_map(|b| b.2).fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(lowest, values.iter().copied().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(highest, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            prop_assert_eq!(shown.last().map(|b| b.0), points.last().map(|p| p.0));
            prop_assert!(shown.windows(2).all(|w| w[0].0 < w[1].0));
        }
    }
}
