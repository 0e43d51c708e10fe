//! The charts of a run whose curves another program recorded: each of its curves has one.

use super::{Chart, ChartSeries, charts, evaluation_charts};
use crate::studio::RunView;

/// The charts of the curves that a run has: those known here as on the Live and the Evaluate tab,
/// then one for each other curve, by name.
pub(in crate::server::pages) fn recorded_charts(
    run: &RunView,
    tags: &[(String, u64)],
) -> Vec<Chart> {
    let mut open: Vec<&str> = tags.iter().map(|(tag, _)| tag.as_str()).collect();
    let mut shown = Vec::new();
    for mut chart in charts(run).into_iter().chain(evaluation_charts(run)) {
        chart.series.retain(|series| {
            let place = open.iter().position(|tag| *tag == series.tag);
            place.map(|place| open.remove(place)).is_some()
        });
        // It would be made of settings that the run does not have.
        chart.reference = None;
        if !chart.series.is_empty() {
            shown.push(chart);
        }
    }
    let unknown = open.into_iter().enumerate();
    shown.extend(unknown.map(|(place, tag)| alone(place, tag)));
    shown
}

fn alone(place: usize, tag: &str) -> Chart {
    Chart {
        key: format!("curve-{place}").into(),
        title: tag.to_owned().into(),
        unit: "",
        definition: format!("The curve {tag} as it was recorded").into(),
        reference: None,
        log: false,
        series: vec![ChartSeries {
            tag: tag.to_owned().into(),
            label: "recorded".into(),
            hue: "total",
        }],
    }
}
