//! Steering a run: pause, resume, stop, checkpoint, settings.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use protoclip::train::ControlChange;
use serde_json::json;

use super::super::endpoint::Endpoint;
use super::super::{AppError, AppState};
use super::JSON;
use crate::studio::{ForkRequest, RunId, RunView, Studio, StudioError};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/api/runs/{id}/pause", "Wait after the current step", pause)
            .success(202, JSON)
            .failures(&[404, 409]),
        Endpoint::post(
            "/api/runs/{id}/resume",
            "Go on after a pause, or queue again from the latest checkpoint",
            resume,
        )
        .success(202, JSON)
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/runs/{id}/stop",
            "End after the current step, with a checkpoint",
            stop,
        )
        .success(202, JSON)
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/runs/{id}/checkpoint",
            "Save after the current step",
            checkpoint,
        )
        .success(202, JSON)
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/runs/{id}/fork",
            "Create a run that goes on from a checkpoint of this one",
            fork,
        )
        .body("Fork")
        .success(201, JSON)
        .failures(&[400, 404, 409, 422]),
        Endpoint::patch(
            "/api/runs/{id}/controls",
            "Change settings while it trains; answers when they apply",
            controls,
        )
        .body("Controls")
        .success(202, JSON)
        .failures(&[400, 404, 409, 422]),
    ]
}

type Accepted = Result<(StatusCode, Json<RunView>), AppError>;

async fn pause(State(state): State<AppState>, Path(id): Path<RunId>) -> Accepted {
    accept(state, id, Studio::pause).await
}

async fn resume(State(state): State<AppState>, Path(id): Path<RunId>) -> Accepted {
    accept(state, id, Studio::resume).await
}

async fn stop(State(state): State<AppState>, Path(id): Path<RunId>) -> Accepted {
    accept(state, id, Studio::stop).await
}

async fn checkpoint(State(state): State<AppState>, Path(id): Path<RunId>) -> Accepted {
    accept(state, id, Studio::checkpoint).await
}

/// Asks for something that happens soon, and answers with the run as it is now.
async fn accept(
    state: AppState,
    id: RunId,
    request: fn(&Studio, &RunId) -> Result<(), StudioError>,
) -> Accepted {
    let view = state.ask(move |studio| {
        request(studio, &id)?;
        studio.run(&id)
    });
    Ok((StatusCode::ACCEPTED, Json(view.await?)))
}

async fn fork(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    body: Result<Json<ForkRequest>, JsonRejection>,
) -> Result<impl IntoResponse, AppError> {
    let Json(request) = body?;
    let forked = state.ask(move |studio| studio.fork(&id, request)).await?;
    let location = [(header::LOCATION, format!("/api/runs/{forked}"))];
    Ok((StatusCode::CREATED, location, Json(json!({"id": forked}))))
}

async fn controls(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    body: Result<Json<ControlChange>, JsonRejection>,
) -> Result<impl IntoResponse, AppError> {
    let Json(change) = body?;
    let applies_at = state.ask(move |studio| studio.steer(&id, &change)).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({"applies_at": applies_at})),
    ))
}
