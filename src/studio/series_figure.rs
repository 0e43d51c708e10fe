//! Curves as one figure for a paper: those of a chart of one run, or one curve of several runs.

use plotters::prelude::RGBColor;

use super::curves_figure::{CurvesFigure, FigureCurve};
use super::figure::{Figure, FigureLook, Hue, OKABE_ITO, Palette, draw};
use super::{
    Bucket, Compared, ComparisonQuery, PlacedBucket, RunId, SeriesQuery, Studio, StudioError,
    run_labels,
};

/// Which curves of a run share a figure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartQuery {
    /// What stands after the name of the run; the tags when empty.
    pub title: String,
    pub unit: String,
    pub curves: Vec<ChartCurve>,
}

/// One curve of a figure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChartCurve {
    pub tag: String,
    /// What the legend says; the tag when empty.
    pub label: String,
    /// Its hue on the pages; that of its place when there is no such hue.
    pub hue: String,
}

const BUCKETS: usize = 800;
/// Curves with fewer points have each of them marked.
const FEW: usize = 20;

impl Studio {
    /// Draws the curves of a chart of a run.
    ///
    /// # Errors
    /// When there is no such run, it has none of the curves, or its database cannot be read.
    pub fn chart_figure(
        &self,
        id: &RunId,
        query: &ChartQuery,
        look: FigureLook,
    ) -> Result<Figure, StudioError> {
        let name = self.run(id)?.name;
        let mut curves = Vec::new();
        for (place, asked) in query.curves.iter().enumerate() {
            curves.extend(self.chart_curve(id, asked, (place, look.palette))?);
        }
        let tags = query.curves.iter().map(|curve| curve.tag.as_str());
        let tags = tags.collect::<Vec<_>>().join(", ");
        if curves.is_empty() {
            return Err(StudioError::NotFound(format!(
                "run {id} has no curve {tags} yet; its tags list those it has"
            )));
        }
        let what = match query.title.as_str() {
            "" => &tags,
            title => title,
        };
        let figure = CurvesFigure {
            title: format!("{name}: {what}"),
            x_title: "optimizer step".into(),
            y_title: query.unit.clone(),
            curves,
        };
        draw(&figure, &figure.title, look.format)
    }

    /// A curve of a run; `None` when it has no points.
    fn chart_curve(
        &self,
        id: &RunId,
        asked: &ChartCurve,
        (place, palette): (usize, Palette),
    ) -> Result<Option<FigureCurve>, StudioError> {
        let query = SeriesQuery {
            tag: asked.tag.clone(),
            from: 0,
            to: u64::MAX,
            points: BUCKETS,
        };
        let points = self.series(id, &query)?.points;
        let placed =
            |&Bucket(step, min, max, mean): &Bucket| PlacedBucket(step as f64, min, max, mean);
        Ok((!points.is_empty()).then(|| FigureCurve {
            label: match asked.label.as_str() {
                "" => asked.tag.clone(),
                label => label.to_owned(),
            },
            marked: points.len() < FEW,
            points: points.iter().map(placed).collect(),
            colour: Some(colour(&asked.hue, place, palette)),
        }))
    }

    /// Draws one curve of several runs; `title` stands for its tag.
    ///
    /// # Errors
    /// As [`Studio::compare`], and when none of the runs has the curve.
    pub fn comparison_figure(
        &self,
        query: &ComparisonQuery,
        title: &str,
        look: FigureLook,
    ) -> Result<Figure, StudioError> {
        let figure = self.comparison_curves(query, title, look.palette)?;
        draw(&figure, &figure.title, look.format)
    }

    /// What [`Studio::comparison_figure`] draws.
    pub(super) fn comparison_curves(
        &self,
        query: &ComparisonQuery,
        title: &str,
        palette: Palette,
    ) -> Result<CurvesFigure, StudioError> {
        let asked = ComparisonQuery {
            points: BUCKETS,
            ..query.clone()
        };
        let found = self.compare(&asked)?;
        let labels = run_labels(&self.compared_runs(&query.runs)?);
        // Of differences the first run is what is subtracted.
        let skipped = usize::from(query.of == Compared::Difference);
        let curves = found.runs.into_iter().enumerate();
        let curves = curves.filter(|(_, curve)| curve.total > 0);
        let curves: Vec<FigureCurve> = curves
            .map(|(place, curve)| FigureCurve {
                label: labels[place + skipped].clone(),
                colour: Some(colour("", place + skipped, palette)),
                marked: curve.points.len() < FEW,
                points: curve.points,
            })
            .collect();
        if curves.is_empty() {
            let shared = self.shared_tags(&query.runs)?;
            let shared: Vec<&str> = shared.keys().map(String::as_str).collect();
            let (tag, shared) = (&query.tag, shared.join(", "));
            let message = format!("none of these runs has the curve {tag}; they share {shared}");
            return Err(StudioError::NotFound(message));
        }
        let what = if title.is_empty() { &query.tag } else { title };
        Ok(CurvesFigure {
            title: match query.of {
                Compared::Values => what.to_owned(),
                Compared::Difference => format!("{what}, minus {}", labels[0]),
            },
            x_title: query.axis.title().into(),
            y_title: String::new(),
            curves,
        })
    }
}

/// The hue with this name, or the colour of this place.
fn colour(hue: &str, place: usize, palette: Palette) -> RGBColor {
    let of_place = Hue::ALL.get(place).copied();
    let hue = Hue::named(hue).or(of_place).map(|hue| palette.of(hue));
    hue.unwrap_or(OKABE_ITO[place % OKABE_ITO.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_palette_colours_what_has_a_meaning() {
        let of = |hue, palette| colour(hue, 0, palette);
        assert_eq!(of("text", Palette::OkabeIto), RGBColor(213, 94, 0));
        assert_eq!(of("text", Palette::Lightness), RGBColor(187, 85, 102));
        assert_eq!(of("no hue", Palette::OkabeIto), RGBColor(0, 114, 178));
        assert_eq!(colour("", 7, Palette::OkabeIto), OKABE_ITO[7]);
    }
}
