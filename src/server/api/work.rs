//! Background work: how far it is, and its end.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::super::endpoint::Endpoint;
use super::super::{AppError, AppState};
use super::JSON;
use crate::studio::WorkView;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/work", "Background work, the newest first", list),
        Endpoint::get("/api/work/{id}", "How far a piece of work is", one).failures(&[400, 404]),
        Endpoint::delete("/api/work/{id}", "Cancel a piece of work", cancel)
            .success(202, JSON)
            .failures(&[400, 404, 409]),
    ]
}

async fn list(State(state): State<AppState>) -> Result<Json<Vec<WorkView>>, AppError> {
    Ok(Json(state.ask(|studio| Ok(studio.work())).await?))
}

async fn one(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<WorkView>, AppError> {
    let id = number(&id)?;
    Ok(Json(state.ask(move |studio| studio.work_piece(id)).await?))
}

async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, AppError> {
    let id = number(&id)?;
    state.ask(move |studio| studio.cancel_work(id)).await?;
    Ok(StatusCode::ACCEPTED)
}

fn number(text: &str) -> Result<u64, AppError> {
    text.parse().map_err(|_| {
        let message = format!("background work has numbers, {text:?} is none");
        AppError::new(StatusCode::NOT_FOUND, message)
    })
}
