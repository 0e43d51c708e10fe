//! `/runs/{id}/evaluate`: every measure's newest, first and best value, and its curve.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use protoclip::config::{DataSource, EvaluatedPairs, RunConfig};
use protoclip::train::tag;

use super::chart_catalogue::{Chart, evaluation_charts};
use super::figures::{NONE, grouped};
use super::measure_catalogue::{Better, GROUPS, Measure, MeasureGroup, measures, shown};
use super::respond::page;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::server::api::quoted;
use crate::studio::{MOST_BUCKETS, RunId, RunView, SeriesQuery, Studio, StudioError};

#[derive(Debug, Template)]
#[template(path = "pages/run_evaluate.html")]
struct EvaluatePage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    table: MeasureTable,
    charts: Vec<Chart>,
    waiting: &'static str,
    empty: Empty,
    /// What measures this run's latest checkpoint in a terminal.
    command: String,
}

/// The tables alone, for their live update after an evaluation.
#[derive(Debug, Template)]
#[template(path = "partials/measure_tables.html")]
struct MeasureTable {
    /// Which pairs were measured, and when.
    subject: String,
    groups: Vec<Group>,
    measured: bool,
}

/// Why there is nothing to see.
#[derive(Debug)]
struct Empty {
    title: &'static str,
    text: &'static str,
}

#[derive(Debug)]
struct Group {
    title: &'static str,
    /// What is missing.
    note: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    unit: &'static str,
    definition: &'static str,
    latest: String,
    first: String,
    best: String,
    best_step: String,
}

pub(super) async fn evaluate(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let config = studio.config(&id)?;
        Ok(EvaluatePage {
            shell: shell.in_section("runs"),
            tab: "evaluate",
            run: RunCard::new(&view),
            table: MeasureTable::read(studio, &view, &config)?,
            charts: evaluation_charts(&view),
            waiting: "Not measured in this run",
            empty: Empty::of(&view, &config),
            command: format!("protoclip-studio evaluate {id} --probe --json report.json"),
        })
    })
    .await
}

/// The tables alone.
pub(super) async fn tables(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    page(state, shell, move |studio, _| {
        let id = RunId::from(id.as_str());
        let (view, config) = (studio.run(&id)?, studio.config(&id)?);
        MeasureTable::read(studio, &view, &config)
    })
    .await
}

/// The measures of a run as CSV text.
///
/// # Errors
/// For a run that does not exist or cannot be read.
pub(in crate::server) fn run_measures_table(
    studio: &Studio,
    id: &RunId,
) -> Result<String, StudioError> {
    studio.run(id)?;
    let mut text = String::from("group,measure,unit,latest,step,first,best,best_step\n");
    for (group, measure) in measures() {
        let points = points(studio, id, measure.tag)?;
        let (Some(first), Some(latest)) = (points.first(), points.last()) else {
            continue;
        };
        let words = [group.title, measure.name, measure.unit].map(quoted);
        let best = best(measure.better, &points)
            .map_or_else(|| ",".to_owned(), |(step, value)| format!("{value},{step}"));
        text += &format!(
            "{},{},{},{},{best}\n",
            words.join(","),
            latest.1,
            latest.0,
            first.1
        );
    }
    Ok(text)
}

impl MeasureTable {
    fn read(studio: &Studio, view: &RunView, config: &RunConfig) -> Result<Self, StudioError> {
        let mut newest = None;
        let mut groups = Vec::new();
        for group in &GROUPS {
            let mut rows = Vec::new();
            for measure in group.measures {
                let points = points(studio, &view.id, measure.tag)?;
                newest = newest.max(points.last().map(|point| point.0));
                rows.extend(Row::of(measure, &points));
            }
            groups.push(Group {
                title: group.title,
                note: if rows.is_empty() {
                    missing(group, view)
                } else {
                    ""
                },
                rows,
            });
        }
        Ok(Self {
            subject: newest.map_or_else(String::new, |step| subject(step, config)),
            measured: newest.is_some(),
            groups,
        })
    }
}

/// Why a group has no value. Every evaluation of labelled data gives an ARI.
fn missing(group: &MeasureGroup, view: &RunView) -> &'static str {
    match group.labels && !view.latest.contains_key(tag::EVAL_ARI) {
        true => "needs class labels: name a column in data.label_columns",
        false => "not measured",
    }
}

fn subject(step: u64, config: &RunConfig) -> String {
    let pairs = match (config.evaluation.on, &config.data.holdout) {
        (EvaluatedPairs::Holdout, Some(holdout)) => {
            format!("the pairs that {holdout} keeps from training")
        }
        _ => "the samples of the episode".to_owned(),
    };
    let classes = match (config.data.source, config.data.label_columns.first()) {
        (DataSource::Builtin, _) => "; classes are the emoji groups".to_owned(),
        (DataSource::Folder, _) => "; classes are the folders".to_owned(),
        (_, Some(column)) => format!("; classes are those of column {column}"),
        (_, None) => String::new(),
    };
    format!("Step {}, on {pairs}{classes}", grouped(step))
}

/// Step and value of every finite point of a curve, ascending.
fn points(studio: &Studio, id: &RunId, tag: &str) -> Result<Vec<(u64, f64)>, StudioError> {
    let query = SeriesQuery {
        tag: tag.to_owned(),
        from: 0,
        to: u64::MAX,
        points: MOST_BUCKETS,
    };
    let series = studio.series(id, &query)?;
    let value = |bucket: &crate::studio::Bucket| Some((bucket.0, bucket.3?));
    Ok(series.points.iter().filter_map(value).collect())
}

impl Row {
    fn of(measure: &Measure, points: &[(u64, f64)]) -> Option<Self> {
        let (first, latest) = (points.first()?, points.last()?);
        let best = best(measure.better, points);
        Some(Self {
            name: measure.name,
            unit: measure.unit,
            definition: measure.definition,
            latest: shown(measure, latest.1),
            first: shown(measure, first.1),
            best: best.map_or_else(|| NONE.into(), |point| shown(measure, point.1)),
            best_step: best.map_or_else(|| NONE.into(), |point| grouped(point.0)),
        })
    }
}

/// The best point, of equal ones the earliest.
fn best(better: Better, points: &[(u64, f64)]) -> Option<(u64, f64)> {
    let sign = match better {
        Better::Higher => 1.0,
        Better::Lower => -1.0,
        Better::Neither => return None,
    };
    let later_wins = |best: (u64, f64), &point: &(u64, f64)| {
        if sign * point.1 > sign * best.1 {
            point
        } else {
            best
        }
    };
    let (first, rest) = points.split_first()?;
    Some(rest.iter().fold(*first, later_wins))
}

impl Empty {
    fn of(view: &RunView, config: &RunConfig) -> Self {
        let (title, text) = if config.evaluation.every_episodes == 0 {
            (
                "Evaluation is off",
                "Start a run with evaluation.every_episodes of 1 or more, or measure a checkpoint with the command below.",
            )
        } else if view.state.is_active() {
            (
                "Nothing measured yet",
                "The first evaluation follows as soon as the first episode's features are extracted; the values then appear here by themselves.",
            )
        } else {
            (
                "Nothing was measured",
                "The run ended before its first evaluation; measure its checkpoint with the command below.",
            )
        };
        Self { title, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_value_follows_the_direction_of_the_measure() {
        let points = [(0, 2.0), (5, 3.0), (9, 3.0), (12, 1.0)];
        assert_eq!(best(Better::Higher, &points), Some((5, 3.0)));
        assert_eq!(best(Better::Lower, &points), Some((12, 1.0)));
        assert_eq!(best(Better::Neither, &points), None);
        assert_eq!(best(Better::Higher, &[]), None);
    }
}
