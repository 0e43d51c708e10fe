//! One chart for each curve that at least two of the runs have.

use protoclip::train::tag;
use serde::Serialize;

use super::super::address::percent;
use super::super::chart_catalogue::{CurveTitle, curve_titles};
use super::super::figures::{NONE, figure};
use super::ComparedRun;
use crate::studio::{Compared, ComparisonAxis, RunId, RunView, Studio, StudioError};

/// A chart with one line per run.
#[derive(Debug)]
pub(super) struct ComparedChart {
    pub(super) key: String,
    pub(super) title: String,
    pub(super) unit: &'static str,
    pub(super) definition: String,
    pub(super) series: Vec<ComparedSeries>,
    /// The newest values in a sentence, for those who do not see the plot.
    pub(super) summary: String,
    /// Query of the CSV file.
    pub(super) csv: String,
    /// Query of the figure.
    pub(super) figure: String,
    pub(super) spec: String,
}

#[derive(Debug, Serialize)]
pub(super) struct ComparedSeries {
    pub(super) run: String,
    pub(super) label: String,
    pub(super) hue: String,
    #[serde(skip)]
    pub(super) latest: String,
}

/// What the browser needs to draw it.
#[derive(Serialize)]
struct Spec<'a> {
    key: &'a str,
    title: &'a str,
    unit: &'a str,
    tag: &'a str,
    reference: Option<()>,
    log: bool,
    series: &'a [ComparedSeries],
}

/// Curves of the machine, not of learning.
const MACHINE: [&str; 2] = [tag::SAMPLES_PER_SECOND, tag::DATA_WAIT_PERCENT];

/// Charts worth a look at once, and the others.
pub(super) fn compared_charts(
    studio: &Studio,
    views: &[RunView],
    runs: &[ComparedRun],
    (of, axis): (Compared, ComparisonAxis),
) -> Result<(Vec<ComparedChart>, Vec<ComparedChart>), StudioError> {
    let ids: Vec<RunId> = views.iter().map(|view| view.id.clone()).collect();
    let shared = studio.shared_tags(&ids)?;
    let titles = curve_titles(views, shared.keys().map(String::as_str));
    let (mut charts, mut more): (Vec<_>, Vec<_>) = titles
        .into_iter()
        .partition(|curve| curve.title != curve.tag && !MACHINE.contains(&curve.tag.as_str()));
    // Imported runs may have no curve that is known here.
    if charts.is_empty() {
        std::mem::swap(&mut charts, &mut more);
    }
    let list = ids.iter().map(RunId::as_str).collect::<Vec<_>>().join(",");
    let chart = |curve: CurveTitle| {
        let csv = format!("runs={list}&tag={}&of={}", percent(&curve.tag), of.name());
        ComparedChart::new(curve, (csv, axis), views, runs, of)
    };
    Ok((
        charts.into_iter().map(chart).collect(),
        more.into_iter().map(chart).collect(),
    ))
}

impl ComparedChart {
    fn new(
        curve: CurveTitle,
        (csv, axis): (String, ComparisonAxis),
        views: &[RunView],
        runs: &[ComparedRun],
        of: Compared,
    ) -> Self {
        let skipped = usize::from(of == Compared::Difference);
        let latest = |view: &RunView| view.latest.get(&curve.tag).map(|v| figure(*v));
        let series: Vec<ComparedSeries> = views
            .iter()
            .zip(runs)
            .skip(skipped)
            .map(|(view, run)| ComparedSeries {
                run: view.id.to_string(),
                label: run.label.clone(),
                hue: format!("run-{}", run.place),
                latest: latest(view).unwrap_or_else(|| NONE.into()),
            })
            .collect();
        let values: Vec<String> = series
            .iter()
            .map(|one| format!("{} {}", one.label, one.latest))
            .collect();
        let key = curve.tag.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let spec = serde_json::to_string(&Spec {
            key: &key,
            title: &curve.title,
            unit: curve.unit,
            tag: &curve.tag,
            reference: None,
            log: false,
            series: &series,
        });
        Self {
            figure: format!("{csv}&axis={}&title={}", axis.name(), percent(&curve.title)),
            title: curve.title,
            unit: curve.unit,
            summary: format!("{}. Newest values: {}", curve.definition, values.join(", ")),
            definition: curve.definition,
            spec: spec.unwrap_or_default(),
            key,
            series,
            csv,
        }
    }
}
