//! `/`: start the demo, what trains now, what trained lately, this machine.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use protoclip::train::tag;

use super::facts::{Fact, machine};
use super::figures::date_time;
use super::notebooks::NotebookRow;
use super::respond::page;
use super::run_card::{RunCard, latest};
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{RunView, SeriesQuery, Studio, StudioError};

#[derive(Debug, Template)]
#[template(path = "pages/home.html")]
struct HomePage {
    shell: Shell,
    active: Vec<ActiveRun>,
    recent: Vec<RecentRun>,
    notebooks: Vec<NotebookRow>,
    machine: Vec<Fact>,
}

#[derive(Debug, Template)]
#[template(path = "partials/active_runs.html")]
struct ActiveRuns {
    shell: Shell,
    active: Vec<ActiveRun>,
}

#[derive(Debug)]
struct ActiveRun {
    run: RunCard,
    /// InfoNCE as the `points` of an SVG polyline in a box of 200 × 48; empty before two points exist.
    spark: String,
    /// Newest value of the curve.
    loss: String,
}

#[derive(Debug)]
struct RecentRun {
    run: RunCard,
    created: String,
    created_iso: String,
}
/// Runs that ended and are listed on the page.
const RECENT: usize = 8;
/// Notebooks that are listed on the page.
const NOTEBOOKS: usize = 6;
const SPARK_BUCKETS: usize = 100;
const SPARK_WIDTH: f64 = 200.0;
const SPARK_HEIGHT: f64 = 48.0;

pub(super) async fn home(State(state): State<AppState>, shell: Shell) -> Response {
    page(state, shell, |studio, shell| {
        let runs = studio.runs();
        Ok(HomePage {
            shell: shell.in_section("home"),
            active: active(studio, &runs)?,
            recent: recent(&runs),
            notebooks: notebooks(studio)?,
            machine: machine(studio),
        })
    })
    .await
}

/// The list of active runs alone, for the page's live update.
pub(super) async fn active_runs(State(state): State<AppState>, shell: Shell) -> Response {
    page(state, shell, |studio, shell| {
        let active = active(studio, &studio.runs())?;
        Ok(ActiveRuns { shell, active })
    })
    .await
}

fn active(studio: &Studio, runs: &[RunView]) -> Result<Vec<ActiveRun>, StudioError> {
    let active = runs.iter().filter(|run| run.state.is_active());
    active
        .map(|run| {
            let query = SeriesQuery {
                tag: tag::LOSS_CLIP.into(),
                from: 0,
                to: u64::MAX,
                points: SPARK_BUCKETS,
            };
            let series = studio.series(&run.id, &query)?;
            let values: Vec<f64> = series.points.iter().filter_map(|bucket| bucket.3).collect();
            Ok(ActiveRun {
                run: RunCard::new(run),
                spark: spark(&values),
                loss: latest(run, tag::LOSS_CLIP),
            })
        })
        .collect()
}

fn recent(runs: &[RunView]) -> Vec<RecentRun> {
    let ended = runs.iter().filter(|run| !run.state.is_active());
    ended
        .take(RECENT)
        .map(|run| RecentRun {
            run: RunCard::new(run),
            created: date_time(run.created),
            created_iso: run.created.to_string(),
        })
        .collect()
}

/// Those that can be read and were changed lately.
fn notebooks(studio: &Studio) -> Result<Vec<NotebookRow>, StudioError> {
    let readable = studio
        .notebooks()?
        .into_iter()
        .filter(|n| n.broken.is_none());
    Ok(readable.take(NOTEBOOKS).map(NotebookRow::of).collect())
}

/// Values spread evenly over the width, the largest at the top.
fn spark(values: &[f64]) -> String {
    if values.len() < 2 {
        return String::new();
    }
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let span = if high > low { high - low } else { 1.0 };
    let step = SPARK_WIDTH / (values.len() - 1) as f64;
    let points = values.iter().enumerate().map(|(index, value)| {
        let (x, y) = (index as f64 * step, (high - value) / span * SPARK_HEIGHT);
        format!("{x:.1},{y:.1}")
    });
    points.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_spans_its_box() {
        assert_eq!(spark(&[3.0, 1.0, 2.0]), "0.0,0.0 100.0,48.0 200.0,24.0");
        assert_eq!(spark(&[1.0, 1.0]), "0.0,0.0 200.0,0.0");
        assert_eq!(spark(&[1.0]), "");
    }
}
