//! A curve as a figure for a paper.

use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::figure::{Drawn, FAMILY, Figure, FigureFormat, GRID, INK, Painting, draw};
use super::{Bucket, RunId, Series, SeriesQuery, Studio, StudioError};

const SIZE: (u32, u32) = (960, 480);
const BUCKETS: usize = 800;
/// Blue of the Okabe–Ito palette.
const LINE: RGBColor = RGBColor(0, 114, 178);

/// A curve on its way to a figure.
struct Curve<'a> {
    series: &'a Series,
    title: &'a str,
}

impl Studio {
    /// Draws a curve of a run.
    ///
    /// # Errors
    /// When there is no such run or curve, or its database cannot be read.
    pub fn figure(
        &self,
        id: &RunId,
        tag: &str,
        format: FigureFormat,
    ) -> Result<Figure, StudioError> {
        let name = self.run(id)?.name;
        let series = self.series(
            id,
            &SeriesQuery {
                tag: tag.to_owned(),
                from: 0,
                to: u64::MAX,
                points: BUCKETS,
            },
        )?;
        if series.points.is_empty() {
            return Err(StudioError::NotFound(format!(
                "run {id} has no curve {tag} yet; its tags list those it has"
            )));
        }
        let title = &format!("{name}: {tag}");
        let series = &series;
        draw(&Curve { series, title }, title, format)
    }
}

impl Painting for Curve<'_> {
    fn size(&self) -> (u32, u32) {
        SIZE
    }

    fn paint<D: DrawingBackend>(&self, area: &DrawingArea<D, Shift>) -> Drawn
    where
        D::ErrorType: 'static,
    {
        let Self { series, title } = *self;
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .caption(title, (FAMILY, 20).into_font().color(&INK))
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(72)
            .build_cartesian_2d(steps(series), values(series))?;
        chart
            .configure_mesh()
            .x_desc("optimizer step")
            .label_style((FAMILY, 14).into_font().color(&INK))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        if series.total > series.shown {
            chart.draw_series(std::iter::once(Polygon::new(band(series), LINE.mix(0.2))))?;
        }
        let means = series.points.iter();
        let means = means.filter_map(|&Bucket(step, _, _, mean)| Some((step as f64, mean?)));
        chart.draw_series(LineSeries::new(means, LINE.stroke_width(2)))?;
        area.present()?;
        Ok(())
    }
}

/// The outline between smallest and largest values.
fn band(series: &Series) -> Vec<(f64, f64)> {
    let below = series.points.iter();
    let below = below.filter_map(|&Bucket(step, min, _, _)| Some((step as f64, min?)));
    let above = series.points.iter().rev();
    let above = above.filter_map(|&Bucket(step, _, max, _)| Some((step as f64, max?)));
    below.chain(above).collect()
}

fn steps(series: &Series) -> Range<f64> {
    let first = series.points.first().map_or(0.0, |p| p.0 as f64);
    let last = series.points.last().map_or(0.0, |p| p.0 as f64);
    first..if last > first { last } else { first + 1.0 }
}

/// From smallest to largest value with some air; never empty.
fn values(series: &Series) -> Range<f64> {
    let all = || series.points.iter();
    let low = all().filter_map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = all().filter_map(|p| p.2).fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return 0.0..1.0;
    }
    let air = ((high - low) * 0.05).max(high.abs() * 1e-3).max(1e-9);
    low - air..high + air
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(series: &Series, title: &str, format: FigureFormat) -> Result<Figure, StudioError> {
        draw(&Curve { series, title }, title, format)
    }

    fn series(points: Vec<Bucket>) -> Series {
        Series {
            tag: "train/loss_total".into(),
            shown: points.len(),
            total: points.len() * 3,
            points,
        }
    }

    #[test]
    fn curves_of_every_shape_can_be_drawn_in_both_formats() {
        let some = |v| Some(v);
        let curves = [
            vec![
                Bucket(1, some(2.0), some(3.0), some(2.5)),
                Bucket(9, some(1.0), some(1.0), some(1.0)),
            ],
            vec![Bucket(5, some(0.0), some(0.0), some(0.0))],
            vec![Bucket(5, None, None, None)],
        ];
        for points in curves {
            let svg = drawn(&series(points.clone()), "a <b>", FigureFormat::Svg).expect("draws");
            let text = String::from_utf8(svg.bytes).expect("text");
            assert!(
                text.starts_with("<svg") && text.contains("optimizer step"),
                "{text}"
            );
            assert!(!text.contains("<b>"), "titles are escaped: {text}");
            let png = drawn(&series(points), "a", FigureFormat::Png).expect("draws");
            let picture = image::load_from_memory(&png.bytes)
                .expect("decodes")
                .to_rgb8();
            let dark = picture
                .pixels()
                .filter(|p| p.0.iter().all(|&c| c < 120))
                .count();
            assert!(dark > 500, "text and axes are visible: {dark} dark pixels");
        }
    }
}
