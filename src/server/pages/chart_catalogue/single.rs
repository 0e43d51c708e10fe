//! What one curve is called and means when it has a chart to itself.

use super::{Chart, charts, evaluation_charts};
use crate::studio::RunView;

/// Title, unit and meaning of one curve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::server::pages) struct CurveTitle {
    pub(in crate::server::pages) tag: String,
    pub(in crate::server::pages) title: String,
    pub(in crate::server::pages) unit: &'static str,
    pub(in crate::server::pages) definition: String,
}

/// The given curves in the order of the Live and the Evaluate tab; those that neither tab draws
/// follow by name. `runs` are the runs that have them.
pub(in crate::server::pages) fn curve_titles<'a>(
    runs: &[RunView],
    tags: impl Iterator<Item = &'a str>,
) -> Vec<CurveTitle> {
    let mut open: Vec<&str> = tags.collect();
    let mut found = Vec::with_capacity(open.len());
    let all = runs
        .iter()
        .flat_map(|run| charts(run).into_iter().chain(evaluation_charts(run)));
    for chart in all {
        for series in &chart.series {
            if let Some(place) = open.iter().position(|tag| *tag == series.tag) {
                open.remove(place);
                found.push(CurveTitle::of(&chart, &series.tag, &series.label));
            }
        }
    }
    found.extend(open.into_iter().map(CurveTitle::unnamed));
    found
}

impl CurveTitle {
    fn of(chart: &Chart, tag: &str, label: &str) -> Self {
        let alone = chart.series.len() == 1;
        Self {
            tag: tag.to_owned(),
            title: if alone {
                chart.title.to_string()
            } else {
                format!("{}, {label}", chart.title)
            },
            unit: chart.unit,
            definition: chart.definition.to_string(),
        }
    }

    fn unnamed(tag: &str) -> Self {
        Self {
            tag: tag.to_owned(),
            title: tag.to_owned(),
            unit: "",
            definition: format!("The curve {tag} as the trainer wrote it"),
        }
    }
}
