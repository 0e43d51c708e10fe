//! Several curves as one figure for a paper, with a legend.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::PlacedBucket;
use super::figure::{Drawn, FAMILY, GRID, INK, OKABE_ITO, Painting};

/// A chart of curves on common axes.
#[derive(Debug, Clone)]
pub(super) struct CurvesFigure {
    pub(super) title: String,
    pub(super) x_title: String,
    pub(super) y_title: String,
    pub(super) curves: Vec<FigureCurve>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(super) struct FigureCurve {
    pub(super) label: String,
    /// Ascending in x.
    pub(super) points: Vec<PlacedBucket>,
    /// Whether each point is marked, as for few measurements.
    pub(super) marked: bool,
    /// The next one of the Okabe–Ito palette when absent.
    pub(super) colour: Option<RGBColor>,
}

const SIZE: (u32, u32) = (960, 480);
/// Height of a line of the legend, which stands below the chart.
const LEGEND_LINE: u32 = 22;
/// Characters of a label; more are cut.
const LONGEST_LABEL: usize = 100;

impl Painting for CurvesFigure {
    fn size(&self) -> (u32, u32) {
        (SIZE.0, SIZE.1 + self.legend_height())
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        area.fill(&WHITE)?;
        let (above, below) = area.split_vertically(SIZE.1);
        let mut chart = ChartBuilder::on(&above)
            .caption(&self.title, (FAMILY, 20).into_font().color(&INK))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(self.xs(), self.ys())?;
        chart
            .configure_mesh()
            .x_desc(&self.x_title)
            .y_desc(&self.y_title)
            .label_style((FAMILY, 14).into_font().color(&INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (at, curve) in self.curves.iter().enumerate() {
            let colour = curve.colour(at);
            if curve.has_band() {
                chart.draw_series(std::iter::once(Polygon::new(
                    curve.band(),
                    colour.mix(0.18),
                )))?;
            }
            chart.draw_series(LineSeries::new(curve.means(), colour.stroke_width(2)))?;
            if curve.marked {
                let dots = curve
                    .means()
                    .map(|place| Circle::new(place, 4, colour.filled()));
                chart.draw_series(dots)?;
            }
        }
        self.paint_legend(&below)?;
        area.present()?;
        Ok(())
    }
}

impl CurvesFigure {
    fn legend_height(&self) -> u32 {
        match self.curves.len() {
            0 | 1 => 0,
            count => LEGEND_LINE * u32::try_from(count).unwrap_or(0) + 12,
        }
    }

    fn paint_legend<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        if self.curves.len() < 2 {
            return Ok(());
        }
        for (at, curve) in self.curves.iter().enumerate() {
            let top = i32::try_from(LEGEND_LINE * u32::try_from(at)?)?;
            let line = [(88, top + 9), (116, top + 9)];
            area.draw(&PathElement::new(line, curve.colour(at).stroke_width(3)))?;
            let label: String = curve.label.chars().take(LONGEST_LABEL).collect();
            let style = (FAMILY, 14).into_font().color(&INK);
            area.draw(&Text::new(label, (126, top + 2), style))?;
        }
        Ok(())
    }

    fn xs(&self) -> Range<f64> {
        let all = || self.curves.iter().flat_map(|c| &c.points).map(|p| p.0);
        let low = all().fold(f64::INFINITY, f64::min);
        let high = all().fold(f64::NEG_INFINITY, f64::max);
        match high > low {
            true => low..high,
            false if low.is_finite() => low - 0.5..low + 0.5,
            false => 0.0..1.0,
        }
    }

    /// From smallest to largest value with some air; never empty.
    fn ys(&self) -> Range<f64> {
        let all = || self.curves.iter().flat_map(|c| &c.points);
        let low = all().filter_map(|p| p.1).fold(f64::INFINITY, f64::min);
        let high = all().filter_map(|p| p.2).fold(f64::NEG_INFINITY, f64::max);
        if low > high {
            return 0.0..1.0;
        }
        let air = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
        low - air..high + air
    }
}

impl FigureCurve {
    fn colour(&self, at: usize) -> RGBColor {
        self.colour.unwrap_or(OKABE_ITO[at % OKABE_ITO.len()])
    }

    fn means(&self) -> impl Iterator<Item = (f64, f64)> {
        self.points
            .iter()
            .filter_map(|&PlacedBucket(x, _, _, mean)| Some((x, mean?)))
    }

    fn has_band(&self) -> bool {
        self.points.iter().any(|p| p.1 != p.2)
    }

    /// The outline between smallest and largest values.
    fn band(&self) -> Vec<(f64, f64)> {
        let below = self.points.iter().filter_map(|p| Some((p.0, p.1?)));
        let above = self.points.iter().rev().filter_map(|p| Some((p.0, p.2?)));
        below.chain(above).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::FigureFormat;
    use super::super::figure::draw;
    use super::*;

    #[test]
    fn charts_of_any_number_of_curves_can_be_drawn() {
        let curve = |label: &str, values: &[Option<f64>]| FigureCurve {
            label: label.into(),
            points: values
                .iter()
                .enumerate()
                .map(|(x, &v)| PlacedBucket(x as f64, v.map(|v| v - 0.1), v.map(|v| v + 0.1), v))
                .collect(),
            marked: true,
            colour: None,
        };
        let all = [
            curve("a <b>", &[Some(1.0), None, Some(2.0)]),
            curve("second", &[Some(-1.0)]),
            curve("empty", &[]),
        ];
        for count in 0..=all.len() {
            let figure = CurvesFigure {
                title: "t".into(),
                x_title: "optimizer step".into(),
                y_title: "loss".into(),
                curves: all[..count].to_vec(),
            };
            let svg = draw(&figure, "t", FigureFormat::Svg).expect("draws");
            let text = String::from_utf8(svg.bytes).expect("text");
            assert!(text.contains("optimizer step") && !text.contains("<b>"));
            assert_eq!(text.contains("second"), count >= 2, "{count}");
            draw(&figure, "t", FigureFormat::Png).expect("draws");
        }
    }
}
