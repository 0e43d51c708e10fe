//! Curves: reduced for charts, complete as CSV.

use std::fmt::Write;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::csv::csv;
use crate::studio::{FigureFormat, RunId, Series, SeriesQuery};

/// Buckets of one answer unless asked otherwise.
const BUCKETS: usize = 1000;

const TAG: (&str, &str) = ("tag", "name of the curve, such as train/loss_total");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(
            "/api/runs/{id}/tags",
            "Names of the curves and their sizes",
            tags,
        )
        .failures(&[404, 409]),
        Endpoint::get(
            "/api/runs/{id}/series",
            "A curve as [step, min, max, mean] per bucket",
            series,
        )
        .query(&[
            TAG,
            ("from", "first step"),
            ("to", "last step"),
            ("points", "most buckets, 1000 unless given"),
        ])
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/series.csv",
            "A curve complete, as step,value",
            points_csv,
        )
        .query(&[TAG])
        .success(200, "text/csv")
        .failures(&[400, 404, 409]),
        Endpoint::get("/api/runs/{id}/series.svg", "A curve as a figure", svg)
            .query(&[TAG])
            .success(200, "image/svg+xml")
            .failures(&[400, 404, 409]),
        Endpoint::get("/api/runs/{id}/series.png", "A curve as a figure", png)
            .query(&[TAG])
            .success(200, "image/png")
            .failures(&[400, 404, 409]),
    ]
}

async fn tags(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<Json<Vec<Value>>, AppError> {
    let tags = state.ask(move |studio| studio.tags(&id)).await?;
    let listed = tags
        .into_iter()
        .map(|(tag, points)| json!({"tag": tag, "points": points}));
    Ok(Json(listed.collect()))
}

#[derive(Deserialize)]
struct Asked {
    tag: String,
    #[serde(default)]
    from: u64,
    to: Option<u64>,
    points: Option<usize>,
}

async fn series(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> Result<Json<Series>, AppError> {
    let query = SeriesQuery {
        tag: asked.tag,
        from: asked.from,
        to: asked.to.unwrap_or(u64::MAX),
        points: asked.points.unwrap_or(BUCKETS),
    };
    Ok(Json(
        state.ask(move |studio| studio.series(&id, &query)).await?,
    ))
}

#[derive(Deserialize)]
struct OneTag {
    tag: String,
}

async fn points_csv(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(OneTag { tag }): ApiQuery<OneTag>,
) -> Result<Response, AppError> {
    let name = format!(
        "{id}-{}",
        tag.replace(|c: char| !c.is_ascii_alphanumeric(), "-")
    );
    let points = state.ask(move |studio| studio.points(&id, &tag)).await?;
    let mut text = String::from("step,value\n");
    for (step, value) in points {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{step},{value}");
    }
    Ok(csv(&name, text))
}

async fn svg(
    state: State<AppState>,
    id: Path<RunId>,
    tag: ApiQuery<OneTag>,
) -> Result<impl IntoResponse, AppError> {
    figure(state, id, tag, FigureFormat::Svg).await
}

async fn png(
    state: State<AppState>,
    id: Path<RunId>,
    tag: ApiQuery<OneTag>,
) -> Result<impl IntoResponse, AppError> {
    figure(state, id, tag, FigureFormat::Png).await
}

async fn figure(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(OneTag { tag }): ApiQuery<OneTag>,
    format: FigureFormat,
) -> Result<impl IntoResponse, AppError> {
    let figure = state
        .ask(move |studio| studio.figure(&id, &tag, format))
        .await?;
    Ok(([(header::CONTENT_TYPE, figure.content_type)], figure.bytes))
}
