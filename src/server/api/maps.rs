//! Maps of the image and text spaces: made on demand, served as packed points.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protoclip::analysis::MapMethod;
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::csv::csv;
use super::figures::{Look, drawn, figures, svg_and_png};
use super::prototypes::Step;
use crate::studio::{
    MapFeatures, MapKey, MapSample, MapSpace, MapStatus, RunId, Studio, StudioError,
};

const BYTES: &str = "application/octet-stream";
const CSV: &str = "text/csv; charset=utf-8";

const STEP: (&str, &str) = (
    "step",
    "step at which features were kept; the newest unless given",
);
const SPACE: (&str, &str) = ("space", "image, text or joint; image unless given");
const METHOD: (&str, &str) = (
    "method",
    "tsne, pca, diffusion or random; tsne unless given",
);
const FEATURES: (&str, &str) = (
    "features",
    "clustered (what prototypes are made of) or tower; clustered unless given",
);
const WHICH: &[(&str, &str)] = &[STEP, SPACE, METHOD, FEATURES];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get(
            "/api/runs/{id}/maps",
            "Every map of a run, finished or on its way",
            list,
        )
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/runs/{id}/map",
            "Ask for a map; asking again changes nothing",
            start,
        )
        .body("MapKey")
        .success(202, "application/json")
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/map",
            "The points of a map, finished or not: PMAP, header length, JSON header, then x and y as little-endian 16-bit integers",
            points,
        )
        .query(WHICH)
        .success(200, BYTES)
        .failures(&[400, 404, 409]),
        Endpoint::delete(
            "/api/runs/{id}/map",
            "Cancel a map that waits or is being made",
            cancel,
        )
        .query(WHICH)
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/map/columns",
            "What is known of each point: prototypes, labels, distances; packed as a map, with whole columns",
            columns,
        )
        .query(&[STEP, FEATURES])
        .success(200, BYTES)
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/map/groups",
            "The prototypes of a space in a few groups, with words",
            groups,
        )
        .query(&[STEP, ("space", "image, text or teacher; image unless given")])
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/map/samples",
            "Captions and pictures of samples",
            samples,
        )
        .query(&[("samples", "numbers of samples, separated by commas; at most 400")])
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/map.csv",
            "The points of a finished map as a table: sample, x, y, prototypes and labels",
            table,
        )
        .query(WHICH)
        .success(200, CSV)
        .failures(&[400, 404, 409]),
    ];
    endpoints.extend(figures(
        svg_and_png!("/api/runs/{id}/map"),
        "A finished map as a figure, coloured by groups of prototypes",
        WHICH,
        figure,
    ));
    endpoints
}

/// Which map is meant.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Which {
    step: Step,
    space: MapSpace,
    method: MapMethod,
    features: MapFeatures,
}

impl Which {
    fn key(self, studio: &Studio, id: &RunId) -> Result<MapKey, StudioError> {
        Ok(MapKey {
            step: step_of(studio, id, self.step)?,
            space: self.space,
            method: self.method,
            features: self.features,
        })
    }
}

fn step_of(studio: &Studio, id: &RunId, step: Step) -> Result<u64, StudioError> {
    match step.0 {
        Some(step) => Ok(step),
        None => Ok(studio.features(id, None)?.step),
    }
}

async fn list(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<Json<Vec<MapStatus>>, AppError> {
    Ok(Json(state.ask(move |studio| studio.maps(&id)).await?))
}

/// As [`Which`], as the body of a request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    step: Option<u64>,
    #[serde(default)]
    space: MapSpace,
    #[serde(default)]
    method: MapMethod,
    #[serde(default)]
    features: MapFeatures,
}

async fn start(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Result<(StatusCode, Json<MapStatus>), AppError> {
    let Json(wanted) = body?;
    let status = state.ask(move |studio| {
        let which = Which {
            step: Step(wanted.step),
            space: wanted.space,
            method: wanted.method,
            features: wanted.features,
        };
        studio.start_map(&id, which.key(studio, &id)?)
    });
    Ok((StatusCode::ACCEPTED, Json(status.await?)))
}

async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(which): ApiQuery<Which>,
) -> Result<Json<MapStatus>, AppError> {
    let status = state.ask(move |studio| studio.cancel_map(&id, which.key(studio, &id)?));
    Ok(Json(status.await?))
}

async fn points(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(which): ApiQuery<Which>,
) -> Result<Response, AppError> {
    let map = state.ask(move |studio| studio.map(&id, which.key(studio, &id)?));
    Ok(bytes(map.await?.bytes))
}

#[derive(Debug, Deserialize)]
#[serde(default)]
#[derive(Default)]
struct ColumnsQuery {
    step: Step,
    features: MapFeatures,
}

async fn columns(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(query): ApiQuery<ColumnsQuery>,
) -> Result<Response, AppError> {
    let packed = state.ask(move |studio| {
        let step = step_of(studio, &id, query.step)?;
        studio.map_columns(&id, step, query.features)
    });
    Ok(bytes(packed.await?))
}

#[derive(Debug, Deserialize)]
struct GroupsQuery {
    #[serde(default)]
    step: Step,
    #[serde(default)]
    space: Space,
}

async fn groups(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(query): ApiQuery<GroupsQuery>,
) -> Result<Response, AppError> {
    let groups = state.ask(move |studio| studio.map_groups(&id, query.step.0, query.space));
    Ok(Json(groups.await?.as_ref()).into_response())
}

#[derive(Debug, Deserialize)]
struct SamplesQuery {
    #[serde(default)]
    samples: String,
}

async fn samples(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(query): ApiQuery<SamplesQuery>,
) -> Result<Json<Vec<MapSample>>, AppError> {
    let run = id.clone();
    state.ask(move |studio| studio.run(&run)).await?;
    let mut wanted = Vec::new();
    for text in query.samples.split(',').filter(|text| !text.is_empty()) {
        wanted.push(text.parse().map_err(|_| {
            let message = format!("samples has {text:?}, wanted numbers separated by commas");
            AppError::new(StatusCode::BAD_REQUEST, message)
        })?);
    }
    let found = state.ask(move |studio| studio.map_samples(&id, &wanted));
    Ok(Json(found.await?))
}

async fn figure(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(which): ApiQuery<Which>,
    Look(look): Look,
) -> Result<Response, AppError> {
    let figure =
        state.ask_picture(move |studio| studio.map_figure(&id, which.key(studio, &id)?, look));
    Ok(drawn(figure.await?))
}

async fn table(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(which): ApiQuery<Which>,
) -> Result<Response, AppError> {
    let table = state.ask(move |studio| studio.map_table(&id, which.key(studio, &id)?));
    Ok(csv("map", table.await?))
}

/// Small for a demo, tens of megabytes for millions of points; always asked for anew, because a
/// resumed run writes the same step again.
fn bytes(packed: Vec<u8>) -> Response {
    let described = [
        (header::CONTENT_TYPE, BYTES),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (described, Body::from(packed)).into_response()
}
