//! Changes of settings of a run: listed, undone, left out of a fork.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;

use super::super::endpoint::Endpoint;
use super::super::{AppError, AppState};
use super::JSON;
use crate::studio::{ChangeId, ChangeView, RunId};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(
            "/api/runs/{id}/changes",
            "Changes of settings that took effect, oldest first",
            changes,
        )
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/runs/{id}/changes/{step}/{field}/undo",
            "Set a setting back to what it was before a change; answers when that applies",
            undo,
        )
        .success(202, JSON)
        .failures(&[400, 404, 409, 422]),
        Endpoint::post(
            "/api/runs/{id}/changes/{step}/{field}/fork",
            "Create a run that goes on from just before a change, without it",
            fork,
        )
        .success(201, JSON)
        .failures(&[400, 404, 409]),
    ]
}

async fn changes(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<Json<Vec<ChangeView>>, AppError> {
    let changes = state.ask(move |studio| studio.changes(&id)).await?;
    Ok(Json(changes))
}

async fn undo(
    State(state): State<AppState>,
    Path((id, step, field)): Path<(RunId, String, String)>,
) -> Result<impl IntoResponse, AppError> {
    let change = ChangeId::named(&step, field)?;
    let applies_at = state.ask(move |studio| studio.undo(&id, &change)).await?;
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({"applies_at": applies_at})),
    ))
}

async fn fork(
    State(state): State<AppState>,
    Path((id, step, field)): Path<(RunId, String, String)>,
) -> Result<impl IntoResponse, AppError> {
    let change = ChangeId::named(&step, field)?;
    let forked = state.ask(move |studio| studio.fork_without(&id, &change));
    let forked = forked.await?;
    let location = [(header::LOCATION, format!("/api/runs/{forked}"))];
    Ok((StatusCode::CREATED, location, Json(json!({"id": forked}))))
}
