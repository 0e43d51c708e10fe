//! Curves: reduced for charts, complete as CSV, and the curves of a chart as one figure.

use std::collections::BTreeMap;
use std::fmt::Write;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::csv::{by_step, csv, quoted};
use super::figures::{Look, drawn, figures, svg_and_png};
use crate::studio::{ChartCurve, ChartQuery, RunId, Series, SeriesQuery};

/// Buckets of one answer unless asked otherwise.
const BUCKETS: usize = 1000;

const TAG: (&str, &str) = ("tag", "name of the curve, such as train/loss_total");
const TAGS: (&str, &str) = ("tag", "name of a curve; may be given again for more curves");

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
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
            "A curve complete, as step,value; several as step and a column for each",
            points_csv,
        )
        .query(&[TAGS])
        .success(200, "text/csv")
        .failures(&[400, 404, 409]),
    ];
    endpoints.extend(figures(
        svg_and_png!("/api/runs/{id}/series"),
        "A curve, or the curves of a chart, as a figure",
        &[
            TAGS,
            ("label", "what the legend calls the tag before it"),
            (
                "hue",
                "colour of the tag before it: image, text, teacher, clip, proto or total",
            ),
            (
                "title",
                "what stands after the name of the run; the tags unless given",
            ),
            ("unit", "what stands at the values"),
        ],
        figure,
    ));
    endpoints
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

/// The curves that an address names: `tag`, each with its `label` and `hue` behind it.
fn chart_of(pairs: Vec<(String, String)>) -> Result<ChartQuery, AppError> {
    let mut query = ChartQuery::default();
    for (key, value) in pairs {
        match (key.as_str(), query.curves.last_mut()) {
            ("tag", _) => query.curves.push(ChartCurve {
                tag: value,
                ..ChartCurve::default()
            }),
            ("label", Some(curve)) => curve.label = value,
            ("hue", Some(curve)) => curve.hue = value,
            ("title", _) => query.title = value,
            ("unit", _) => query.unit = value,
            _ => {}
        }
    }
    if query.curves.is_empty() {
        let message = "give the name of a curve as tag, such as tag=train/loss_total";
        return Err(AppError::new(StatusCode::BAD_REQUEST, message));
    }
    Ok(query)
}

async fn points_csv(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(pairs): ApiQuery<Vec<(String, String)>>,
) -> Result<Response, AppError> {
    state.studio.run(&id)?;
    let tags: Vec<String> = chart_of(pairs)?.curves.into_iter().map(|c| c.tag).collect();
    let name = match &tags[..] {
        [tag] => tag.replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
        _ => "curves".into(),
    };
    let name = format!("{id}-{name}");
    let text = state.ask(move |studio| {
        let mut curves = Vec::with_capacity(tags.len());
        for tag in &tags {
            curves.push(studio.points(&id, tag)?);
        }
        Ok(match &curves[..] {
            [points] => one_curve(points),
            curves => several_curves(&tags, curves),
        })
    });
    Ok(csv(&name, text.await?))
}

fn one_curve(points: &[(u64, f64)]) -> String {
    let mut text = String::from("step,value\n");
    for (step, value) in points {
        // Writing to a String cannot fail.
        let _written = writeln!(text, "{step},{value}");
    }
    text
}

/// A line for each step that a curve has, a column for each curve.
fn several_curves(tags: &[String], curves: &[Vec<(u64, f64)>]) -> String {
    let mut rows: BTreeMap<u64, Vec<Option<f64>>> = BTreeMap::new();
    for (place, points) in curves.iter().enumerate() {
        for &(step, value) in points {
            rows.entry(step).or_insert_with(|| vec![None; tags.len()])[place] = Some(value);
        }
    }
    by_step(tags.iter().map(|tag| quoted(tag)), &rows, |value| {
        value.to_string()
    })
}

async fn figure(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(pairs): ApiQuery<Vec<(String, String)>>,
    Look(look): Look,
) -> Result<Response, AppError> {
    state.studio.run(&id)?;
    let query = chart_of(pairs)?;
    let figure = state.ask(move |studio| studio.chart_figure(&id, &query, look));
    Ok(drawn(figure.await?))
}
