//! Charts of prototypes as figures: the river, the agreement of the spaces, and a soft target.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::prototypes::{SPACE, STEP, Step, number};
use crate::studio::{Figure, FigureFormat, RunId, Studio, StudioError};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let river = "The river of prototype groups as a figure";
    let agreement = "How alike the spaces group, as a figure";
    let target = "The largest entries of a prototype's target as a figure";
    vec![
        Endpoint::get("/api/runs/{id}/prototypes/river.svg", river, river_svg)
            .query(&[SPACE, STEP])
            .success(200, "image/svg+xml")
            .failures(&[400, 404, 409]),
        Endpoint::get("/api/runs/{id}/prototypes/river.png", river, river_png)
            .query(&[SPACE, STEP])
            .success(200, "image/png")
            .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/agreement.svg",
            agreement,
            agreement_svg,
        )
        .query(&[SPACE])
        .success(200, "image/svg+xml")
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/agreement.png",
            agreement,
            agreement_png,
        )
        .query(&[SPACE])
        .success(200, "image/png")
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/{k}/target.svg",
            target,
            target_svg,
        )
        .query(&[SPACE, STEP])
        .success(200, "image/svg+xml")
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/{k}/target.png",
            target,
            target_png,
        )
        .query(&[SPACE, STEP])
        .success(200, "image/png")
        .failures(&[400, 404, 409]),
    ]
}

#[derive(Deserialize)]
#[serde(default)]
struct PlaceQuery {
    space: Space,
    step: Step,
}

impl Default for PlaceQuery {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
        }
    }
}

type Place = Path<(RunId, String)>;

async fn drawn(
    state: AppState,
    draw: impl FnOnce(&Studio) -> Result<Figure, StudioError> + Send + 'static,
) -> Result<Response, AppError> {
    let figure = state.ask(draw).await?;
    Ok(([(header::CONTENT_TYPE, figure.content_type)], figure.bytes).into_response())
}

async fn river(
    state: AppState,
    id: RunId,
    asked: PlaceQuery,
    format: FigureFormat,
) -> Result<Response, AppError> {
    let (step, kind) = (asked.step.0, (asked.space, format));
    drawn(state, move |studio| {
        studio.prototype_river_figure(&id, step, kind)
    })
    .await
}

async fn river_svg(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Response, AppError> {
    river(state, id, asked, FigureFormat::Svg).await
}

async fn river_png(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Response, AppError> {
    river(state, id, asked, FigureFormat::Png).await
}

async fn agreement(
    state: AppState,
    id: RunId,
    asked: PlaceQuery,
    format: FigureFormat,
) -> Result<Response, AppError> {
    let kind = (asked.space, format);
    drawn(state, move |studio| studio.agreement_figure(&id, kind)).await
}

async fn agreement_svg(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Response, AppError> {
    agreement(state, id, asked, FigureFormat::Svg).await
}

async fn agreement_png(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Response, AppError> {
    agreement(state, id, asked, FigureFormat::Png).await
}

async fn target(
    state: AppState,
    (id, prototype): (RunId, String),
    asked: PlaceQuery,
    format: FigureFormat,
) -> Result<Response, AppError> {
    let (step, place) = (asked.step.0, (asked.space, number(&prototype)?));
    drawn(state, move |studio| {
        studio.prototype_target_figure(&id, step, place, format)
    })
    .await
}

async fn target_svg(
    State(state): State<AppState>,
    Path(place): Place,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Response, AppError> {
    target(state, place, asked, FigureFormat::Svg).await
}

async fn target_png(
    State(state): State<AppState>,
    Path(place): Place,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Response, AppError> {
    target(state, place, asked, FigureFormat::Png).await
}
