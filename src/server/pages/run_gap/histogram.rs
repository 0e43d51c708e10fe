//! The two cosine histograms as outlines over one axis, and as a table.

use std::fmt::Write;

use protoclip::analysis::{COSINE_BINS, CosineHistogram, PairCosines};

use super::super::figures::{figure, grouped};

/// Width and height of the drawing's own units.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 200.0;

/// Outlines as SVG paths in a box of 1000 × 200, each as high as its own share of pairs.
#[derive(Debug)]
pub(super) struct Histogram {
    pub(super) matched: Outline,
    pub(super) unmatched: Outline,
    /// Chance in percent that a matched pair is more similar than an unmatched one.
    pub(super) separation: String,
    /// What the top of the drawing is, in percent of the pairs.
    pub(super) top: String,
    pub(super) bars: Vec<Bar>,
    /// All of it in a sentence.
    pub(super) alternative: String,
}

#[derive(Debug)]
pub(super) struct Outline {
    pub(super) path: String,
    /// Where the mean lies.
    pub(super) mean_at: String,
    pub(super) mean: String,
    pub(super) pairs: String,
}

/// A row of the table: bars without a pair are left out.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) range: String,
    pub(super) matched: String,
    pub(super) unmatched: String,
}

impl Histogram {
    pub(super) fn of(cosines: &PairCosines) -> Self {
        let (matched, unmatched) = (shares(&cosines.matched), shares(&cosines.unmatched));
        let top = matched
            .iter()
            .chain(&unmatched)
            .fold(0.0, |a: f64, &b| a.max(b));
        let rows = matched.iter().zip(&unmatched).enumerate();
        let bars =
            rows.filter(|(_, (a, b))| **a > 0.0 || **b > 0.0)
                .map(|(bin, (matched, unmatched))| Bar {
                    range: format!(
                        "{:.2} to {:.2}",
                        CosineHistogram::edge(bin),
                        CosineHistogram::edge(bin + 1)
                    ),
                    matched: format!("{matched:.2}"),
                    unmatched: format!("{unmatched:.2}"),
                });
        Self {
            bars: bars.collect(),
            separation: format!("{:.1}", 100.0 * cosines.separation),
            top: format!("{top:.1} %"),
            alternative: format!(
                "Histogram of cosines from −1 to 1: matched pairs around {}, unmatched pairs around {}",
                figure(cosines.matched.mean),
                figure(cosines.unmatched.mean)
            ),
            matched: Outline::of(&cosines.matched, &matched, top),
            unmatched: Outline::of(&cosines.unmatched, &unmatched, top),
        }
    }
}

impl Outline {
    fn of(histogram: &CosineHistogram, shares: &[f64], top: f64) -> Self {
        let width = WIDTH / COSINE_BINS as f64;
        let mut path = format!("M0 {HEIGHT}");
        for (bin, share) in shares.iter().enumerate() {
            let height = if top > 0.0 {
                share / top * (HEIGHT - 4.0)
            } else {
                0.0
            };
            let (left, y) = (bin as f64 * width, HEIGHT - height);
            // Writing to a String cannot fail.
            let _written = write!(path, "L{left:.0} {y:.1}L{:.0} {y:.1}", left + width);
        }
        path += &format!("L{WIDTH} {HEIGHT}Z");
        Self {
            path,
            mean_at: format!("{:.1}", (histogram.mean + 1.0) / 2.0 * WIDTH),
            mean: figure(histogram.mean),
            pairs: grouped(histogram.pairs),
        }
    }
}

/// Percent of the pairs in each bar.
fn shares(histogram: &CosineHistogram) -> Vec<f64> {
    let pairs = histogram.pairs.max(1) as f64;
    histogram
        .counts
        .iter()
        .map(|&count| 100.0 * count as f64 / pairs)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_bar_reaches_the_top_and_empty_ones_have_no_row() {
        let histogram = |bin: usize, pairs: u64| {
            let mut counts = vec![0; COSINE_BINS];
            counts[bin] = pairs;
            CosineHistogram {
                counts,
                pairs,
                mean: 0.5,
            }
        };
        let drawn = Histogram::of(&PairCosines {
            matched: histogram(75, 4),
            unmatched: histogram(50, 8),
            separation: 1.0,
        });
        assert_eq!(drawn.bars.len(), 2);
        assert_eq!(drawn.bars[1].range, "0.50 to 0.52");
        assert_eq!(drawn.bars[1].matched, "100.00");
        assert!(
            drawn.matched.path.contains("L750 4.0L760 4.0"),
            "{}",
            drawn.matched.path
        );
        assert_eq!(drawn.matched.mean_at, "750.0");
    }
}
