//! One curve of several runs: reduced for charts, complete as CSV, and as a figure.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::csv::{by_step, csv};
use super::figures::{Look, TableAnswer, csv_svg_and_png, drawn, figures, svg_and_png};
use crate::server::pages::{grouping_table, measures_table, settings_table};
use crate::studio::{
    Compared, Comparison, ComparisonAxis, ComparisonQuery, PrototypeMatching, RunId, Studio,
    StudioError, listed_runs,
};

/// Buckets of one run unless asked otherwise.
const BUCKETS: usize = 1000;

const RUNS: (&str, &str) = ("runs", "ids of 2 to 8 runs, separated by commas");
const TAG: (&str, &str) = ("tag", "name of the curve, such as train/loss_total");
const OF: (&str, &str) = (
    "of",
    "values, or difference: the value minus the first run's at the same step, from where the two part",
);

const AXIS: (&str, &str) = ("axis", "step, samples or time (seconds of training)");

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get(
            "/api/compare/series",
            "A curve of several runs as [x, min, max, mean] per bucket",
            series,
        )
        .query(&[
            RUNS,
            TAG,
            OF,
            AXIS,
            ("points", "most buckets per run, 1000 unless given"),
        ])
        .failures(&[400, 404, 409, 422]),
        Endpoint::get(
            "/api/compare/series.csv",
            "The same complete, one column per run",
            curves_csv,
        )
        .query(&[RUNS, TAG, OF])
        .success(200, "text/csv")
        .failures(&[400, 404, 409, 422]),
        Endpoint::get(
            "/api/compare/prototypes",
            "How alike the newest prototypes of two runs group their common samples",
            prototypes,
        )
        .query(&[("runs", "ids of two runs, separated by a comma")])
        .failures(&[400, 404, 409, 422]),
    ];
    endpoints.extend(figures(
        svg_and_png!("/api/compare/series"),
        "The same as a figure, one line per run",
        &[
            RUNS,
            TAG,
            OF,
            AXIS,
            ("title", "what stands above; the tag unless given"),
        ],
        figure,
    ));
    endpoints.extend(tables());
    endpoints
}

/// The tables of the page.
fn tables() -> Vec<Endpoint> {
    [
        figures(
            csv_svg_and_png!("/api/compare/measures"),
            "The newest value of every measure, one column per run",
            &[RUNS],
            measures,
        ),
        figures(
            csv_svg_and_png!("/api/compare/settings"),
            "The settings that are not the same in all runs, one column per run",
            &[RUNS],
            settings,
        ),
        figures(
            csv_svg_and_png!("/api/compare/grouping"),
            "How alike the first run and each other group their common samples, one row per space",
            &[RUNS],
            grouping,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[derive(Deserialize)]
struct CurveQuery {
    runs: String,
    tag: String,
    #[serde(default)]
    of: Compared,
    #[serde(default)]
    axis: ComparisonAxis,
    #[serde(default = "most_buckets")]
    points: usize,
    #[serde(default)]
    title: String,
}

fn most_buckets() -> usize {
    BUCKETS
}

impl From<CurveQuery> for ComparisonQuery {
    fn from(asked: CurveQuery) -> Self {
        Self {
            runs: listed_runs(&asked.runs),
            tag: asked.tag,
            axis: asked.axis,
            of: asked.of,
            points: asked.points,
        }
    }
}

async fn series(
    State(state): State<AppState>,
    ApiQuery(asked): ApiQuery<CurveQuery>,
) -> Result<Json<Comparison>, AppError> {
    let query = ComparisonQuery::from(asked);
    Ok(Json(state.ask(move |studio| studio.compare(&query)).await?))
}

async fn figure(
    State(state): State<AppState>,
    ApiQuery(asked): ApiQuery<CurveQuery>,
    Look(look): Look,
) -> Result<Response, AppError> {
    let title = asked.title.clone();
    let query = ComparisonQuery::from(asked);
    let figure = state.ask(move |studio| studio.comparison_figure(&query, &title, look));
    Ok(drawn(figure.await?))
}

/// Nothing for what is no number.
fn finite(value: f64) -> String {
    Some(value)
        .filter(|value| value.is_finite())
        .map_or_else(String::new, |value| value.to_string())
}

async fn curves_csv(
    State(state): State<AppState>,
    ApiQuery(asked): ApiQuery<CurveQuery>,
) -> Result<impl IntoResponse, AppError> {
    let query = ComparisonQuery::from(asked);
    let text = state.ask(move |studio| {
        let rows = studio.compared_rows(&query)?;
        let skipped = usize::from(query.of == Compared::Difference);
        let runs = query.runs[skipped..].iter().map(RunId::to_string);
        Ok(by_step(runs, &rows, finite))
    });
    Ok(csv("comparison", text.await?))
}

#[derive(Deserialize)]
struct RunsQuery {
    runs: String,
}

type Runs = ApiQuery<RunsQuery>;

async fn measures(
    state: State<AppState>,
    runs: Runs,
    answer: TableAnswer,
) -> Result<Response, AppError> {
    let text = table_of(state, runs, measures_table).await?;
    answer.of("evaluation", "Evaluation", text).await
}

async fn settings(
    state: State<AppState>,
    runs: Runs,
    answer: TableAnswer,
) -> Result<Response, AppError> {
    let text = table_of(state, runs, settings_table).await?;
    answer.of("settings", "Settings that differ", text).await
}

async fn grouping(
    state: State<AppState>,
    runs: Runs,
    answer: TableAnswer,
) -> Result<Response, AppError> {
    let text = table_of(state, runs, grouping_table).await?;
    answer
        .of("grouping", "Agreement of the groupings", text)
        .await
}

async fn table_of(
    State(state): State<AppState>,
    ApiQuery(asked): Runs,
    table: fn(&Studio, &[RunId]) -> Result<String, StudioError>,
) -> Result<String, AppError> {
    let ids = listed_runs(&asked.runs);
    state.ask(move |studio| table(studio, &ids)).await
}

async fn prototypes(
    State(state): State<AppState>,
    ApiQuery(asked): ApiQuery<RunsQuery>,
) -> Result<Json<PrototypeMatching>, AppError> {
    let runs = listed_runs(&asked.runs);
    let [a, b] = <[RunId; 2]>::try_from(runs).map_err(|runs| {
        let message = format!("{} given; give two, separated by a comma", runs.len());
        protoclip::config::ConfigErrors::one("runs", message)
    })?;
    Ok(Json(
        state
            .ask(move |studio| studio.match_prototypes(&a, &b))
            .await?,
    ))
}
