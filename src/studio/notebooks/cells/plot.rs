//! `plot`: curves of runs as one figure, with a table of their ends.

use serde_json::{Value, json};

use super::super::super::curves_figure::{CurvesFigure, FigureCurve};
use super::super::super::figure::draw;
use super::super::super::series::{Bucket, buckets};
use super::super::super::{ComparisonAxis, FigureFormat, PlacedBucket, RunView, Studio};
use super::super::output::{Made, MadeBlock, OutputLink, Table, number};
use super::values::Values;
use super::{CellFailure, Context, provenance};

/// Most curves of a figure.
const MOST_CURVES: usize = 16;
/// Points drawn per curve.
const DRAWN: usize = 800;

struct Asked {
    runs: Vec<RunView>,
    metrics: Vec<String>,
    axis: ComparisonAxis,
    /// In [0, 1), as on the Live page.
    smooth: f64,
    steps: (u64, u64),
}

/// One curve as read.
struct Curve {
    run: usize,
    metric: String,
    points: Vec<(u64, f64)>,
}

pub(super) fn inputs(studio: &Studio, values: Values<'_>) -> Result<Value, CellFailure> {
    let runs = values.runs(studio)?;
    Ok(runs
        .iter()
        .map(|run| json!([run.id, run.name, run.step]))
        .collect())
}

pub(super) fn make(context: &Context<'_>) -> Result<Made, CellFailure> {
    let studio = context.studio;
    let asked = Asked::read(studio, context.values)?;
    let mut curves = Vec::new();
    for (run, view) in asked.runs.iter().enumerate() {
        for metric in &asked.metrics {
            let mut points = studio.points(&view.id, metric)?;
            points.retain(|(step, _)| (asked.steps.0..=asked.steps.1).contains(step));
            let metric = metric.clone();
            curves.push(Curve {
                run,
                metric,
                points,
            });
        }
    }
    if curves.iter().all(|curve| curve.points.is_empty()) {
        return Err(no_points(studio, &asked).into());
    }
    let title = match context.values.text("title")? {
        Some(title) => title.to_owned(),
        None => asked.metrics.join(", "),
    };
    let figure = CurvesFigure {
        title: title.clone(),
        x_title: asked.axis.title().into(),
        y_title: match asked.metrics.as_slice() {
            [one] => one.clone(),
            _ => String::new(),
        },
        curves: curves
            .iter()
            .map(|curve| asked.drawn(studio, curve))
            .collect::<Result<_, CellFailure>>()?,
    };
    let svg = draw(&figure, &title, FigureFormat::Svg)?.bytes;
    let table = asked.table(&curves);
    let summary = summary(&title, &table);
    let first = curves.iter().find(|curve| !curve.points.is_empty());
    let last = first.and_then(|curve| curve.points.last());
    let mut provenances = Vec::new();
    for run in &asked.runs {
        provenances.push(provenance(studio, run, run.step.min(asked.steps.1))?);
    }
    let fields = json!({"last": last.map(|p| p.1), "step": last.map(|p| p.0)});
    Ok(Made {
        blocks: vec![
            MadeBlock::Figure {
                svg,
                alt: summary.clone(),
            },
            MadeBlock::Table(table),
        ],
        summary,
        fields: fields.as_object().cloned().unwrap_or_default(),
        links: vec![asked.link()],
        provenance: provenances,
    })
}

impl Asked {
    fn read(studio: &Studio, values: Values<'_>) -> Result<Self, CellFailure> {
        let runs = values.runs(studio)?;
        if runs.is_empty() {
            return Err("run: is missing; give the id of a run, or runs with a list"
                .to_owned()
                .into());
        }
        let mut metrics = values.texts("metric")?;
        metrics.extend(values.texts("metrics")?);
        if metrics.is_empty() {
            return Err("metric: is missing; give a curve such as train/loss_total"
                .to_owned()
                .into());
        }
        let count = runs.len() * metrics.len();
        if count > MOST_CURVES {
            return Err(format!("{count} curves; a figure shows at most {MOST_CURVES}").into());
        }
        let smooth = values.number("smooth")?.unwrap_or(0.0);
        if !(0.0..1.0).contains(&smooth) {
            return Err(format!("smooth: {smooth} is not from 0 to below 1").into());
        }
        Ok(Self {
            runs,
            metrics,
            axis: values.word("axis")?.unwrap_or_default(),
            smooth,
            steps: (
                values.whole("from")?.unwrap_or(0),
                values.whole("to")?.unwrap_or(u64::MAX),
            ),
        })
    }

    fn drawn(&self, studio: &Studio, curve: &Curve) -> Result<FigureCurve, CellFailure> {
        let run = &self.runs[curve.run];
        let place = studio.axis_of(&run.id, self.axis)?;
        let mut points: Vec<PlacedBucket> = buckets(&curve.points, DRAWN)
            .iter()
            .map(|&Bucket(step, min, max, mean)| PlacedBucket(place.at(step), min, max, mean))
            .collect();
        if self.smooth > 0.0 {
            smooth(&mut points, self.smooth);
        }
        Ok(FigureCurve {
            label: self.label(curve),
            points,
            marked: curve.points.len() <= 40,
            colour: None,
        })
    }

    fn label(&self, curve: &Curve) -> String {
        let run = &self.runs[curve.run];
        match (self.runs.len(), self.metrics.len()) {
            (1, _) => curve.metric.clone(),
            (_, 1) => run.name.clone(),
            _ => format!("{}: {}", run.name, curve.metric),
        }
    }

    fn table(&self, curves: &[Curve]) -> Table {
        let columns = [
            "run",
            "curve",
            "points",
            "last step",
            "first",
            "last",
            "lowest",
            "highest",
        ];
        let mut table = Table::new("", &columns);
        for curve in curves {
            let finite = || curve.points.iter().map(|p| p.1).filter(|v| v.is_finite());
            let shown = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
            table.rows.push(vec![
                self.runs[curve.run].name.clone(),
                curve.metric.clone(),
                curve.points.len().to_string(),
                curve
                    .points
                    .last()
                    .map_or_else(|| "–".into(), |p| p.0.to_string()),
                shown(curve.points.first().map(|p| p.1)),
                shown(curve.points.last().map(|p| p.1)),
                shown(finite().reduce(f64::min)),
                shown(finite().reduce(f64::max)),
            ]);
        }
        table
    }

    fn link(&self) -> OutputLink {
        let ids: Vec<&str> = self.runs.iter().map(|run| run.id.as_str()).collect();
        match ids.as_slice() {
            [one] => OutputLink {
                label: "Open the run's curves".into(),
                href: format!("/runs/{one}"),
            },
            several => OutputLink {
                label: "Compare these runs".into(),
                href: format!("/compare?runs={}", several.join(",")),
            },
        }
    }
}

/// Replaces means by m_t / (1 − wᵗ), m_t = w·m_{t−1} + (1 − w)·x_t, as the Live page does.
fn smooth(points: &mut [PlacedBucket], weight: f64) {
    let (mut moving, mut power) = (0.0, 1.0);
    for point in points {
        if let Some(mean) = point.3 {
            moving = weight * moving + (1.0 - weight) * mean;
            power *= weight;
            point.3 = Some(moving / (1.0 - power));
        }
    }
}

fn summary(title: &str, table: &Table) -> String {
    let rows = table.rows.iter().map(|row| {
        format!(
            "{} of {} goes from {} to {} at step {}",
            row[1], row[0], row[4], row[5], row[3]
        )
    });
    format!("{title}: {}.", rows.collect::<Vec<_>>().join("; "))
}

fn no_points(studio: &Studio, asked: &Asked) -> String {
    let mut known: Vec<String> = Vec::new();
    for run in &asked.runs {
        for (tag, _) in studio.tags(&run.id).unwrap_or_default() {
            if !known.contains(&tag) {
                known.push(tag);
            }
        }
    }
    let names = asked.metrics.join(", ");
    match known.is_empty() {
        true => format!("there is no {names} yet: no step was taken"),
        false => format!(
            "there is no {names} in that range; there are {}",
            known.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_has_no_pull_of_its_start() {
        let mut points: Vec<PlacedBucket> = [Some(2.0), None, Some(2.0)]
            .map(|v| PlacedBucket(0.0, v, v, v))
            .into();
        smooth(&mut points, 0.9);
        assert!((points[0].3.expect("a value") - 2.0).abs() < 1e-12);
        assert_eq!(points[1].3, None);
        assert!((points[2].3.expect("a value") - 2.0).abs() < 1e-12);
    }
}
