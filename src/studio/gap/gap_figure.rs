//! The two charts of the gap for a paper: cosine histograms, and the gaps of all prototypes.

use plotters::coord::Shift;
use plotters::prelude::*;
use protoclip::analysis::{COSINE_BINS, CosineHistogram};

use super::super::figure::{Drawn, FAMILY, GRID, Hue, INK, Painting, Palette};
use super::GapView;

const SIZE: (u32, u32) = (960, 480);

/// What to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapChart {
    Cosines,
    Prototypes,
}

impl GapChart {
    /// The chart with this name in addresses.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "cosines" => Some(Self::Cosines),
            "prototypes" => Some(Self::Prototypes),
            _ => None,
        }
    }
}

/// A chart with its title.
#[derive(Debug)]
pub(super) struct GapFigure<'a> {
    pub(super) view: &'a GapView,
    pub(super) chart: GapChart,
    pub(super) title: &'a str,
    pub(super) palette: Palette,
}

/// Bars from `x.0` to `x.1`, `height` high.
type Bars = Vec<((f64, f64), f64)>;

impl Painting for GapFigure<'_> {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        let (first, second) = (self.palette.of(Hue::Image), self.palette.of(Hue::Text));
        match self.chart {
            GapChart::Cosines => {
                let cosines = &self.view.shifted.cosines;
                let (matched, unmatched) = (shares(&cosines.matched), shares(&cosines.unmatched));
                let texts = ("cosine of image and text", "% of the pairs");
                let sides = [
                    (unmatched, second, "unmatched"),
                    (matched, first, "matched"),
                ];
                bars(area, self.title, texts, (-1.0, 1.0), &sides)
            }
            GapChart::Prototypes => {
                let gaps = self.view.prototypes.iter().map(|one| one.measured.gap);
                let wide: Bars = gaps
                    .enumerate()
                    .map(|(place, gap)| ((place as f64, place as f64 + 1.0), gap))
                    .collect();
                let texts = ("prototypes, in the asked order", "gap inside the prototype");
                let range = (0.0, wide.len().max(1) as f64);
                bars(area, self.title, texts, range, &[(wide, first, "gap")])
            }
        }
    }
}

fn shares(histogram: &CosineHistogram) -> Bars {
    let pairs = histogram.pairs.max(1) as f64;
    let bar = |bin: usize| {
        let edges = (CosineHistogram::edge(bin), CosineHistogram::edge(bin + 1));
        (edges, 100.0 * histogram.counts[bin] as f64 / pairs)
    };
    (0..COSINE_BINS).map(bar).collect()
}

fn bars<D: DrawingBackend>(
    area: &DrawingArea<D, Shift>,
    title: &str,
    (x, y): (&str, &str),
    (from, to): (f64, f64),
    sides: &[(Bars, RGBColor, &str)],
) -> Drawn
where
    D::ErrorType: 'static,
{
    area.fill(&WHITE)?;
    let heights = sides.iter().flat_map(|side| side.0.iter().map(|bar| bar.1));
    let top = heights.fold(0.0, f64::max).max(1e-9) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption(title, (FAMILY, 20).into_font().color(&INK))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(from..to, 0.0..top)?;
    chart
        .configure_mesh()
        .x_desc(x)
        .y_desc(y)
        .label_style((FAMILY, 14).into_font().color(&INK))
        .axis_style(INK)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .draw()?;
    for &(ref side, colour, name) in sides {
        let rectangles = side
            .iter()
            .filter(|bar| bar.1 > 0.0)
            .map(|&((left, right), height)| {
                Rectangle::new([(left, 0.0), (right, height)], colour.mix(0.5).filled())
            });
        chart
            .draw_series(rectangles)?
            .label(name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
    }
    if sides.len() > 1 {
        chart
            .configure_series_labels()
            .label_font((FAMILY, 14).into_font().color(&INK))
            .position(SeriesLabelPosition::UpperLeft)
            .draw()?;
    }
    area.present()?;
    Ok(())
}
