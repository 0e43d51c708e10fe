//! Runs: create, list, look, rename, delete.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use protoclip::config::RunConfig;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::JSON;
use crate::studio::{CheckpointView, CurveRequest, LogLine, RunEdit, RunId, RunView, StudioFacts};

/// Log lines of one answer, unless asked otherwise, and at most.
const LINES: usize = 1000;
const MOST_LINES: usize = 10_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/studio", "The machine and the data directory", studio),
        Endpoint::get("/api/runs", "All runs, newest first", list),
        Endpoint::post("/api/runs", "Create a run and queue it", create)
            .body("RunConfig")
            .success(201, JSON)
            .failures(&[400, 422]),
        Endpoint::post(
            "/api/runs/import",
            "Start to import the curves of TensorBoard event files of this machine as finished runs",
            import,
        )
        .body("CurveImport")
        .success(202, JSON)
        .failures(&[400, 409, 422]),
        Endpoint::get("/api/runs/{id}", "One run", one).failures(&[404]),
        Endpoint::patch("/api/runs/{id}", "Change name or tags", edit)
            .body("RunEdit")
            .failures(&[400, 404, 409, 422]),
        Endpoint::delete("/api/runs/{id}", "Move a run to the trash", delete)
            .success(204, JSON)
            .failures(&[404, 409]),
        Endpoint::post(
            "/api/runs/{id}/restore",
            "Take a run out of the trash",
            restore,
        )
        .failures(&[404, 409]),
        Endpoint::get("/api/runs/{id}/config", "The settings of a run", config)
            .failures(&[404, 409]),
        Endpoint::get("/api/runs/{id}/log", "The event log, oldest first", log)
            .query(&[
                ("after", "only lines numbered above this"),
                ("limit", "most lines, 1000 unless given"),
            ])
            .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/checkpoints",
            "Usable checkpoints, oldest first",
            checkpoints,
        )
        .failures(&[404]),
    ]
}

async fn studio(State(state): State<AppState>) -> Result<Json<StudioFacts>, AppError> {
    Ok(Json(state.ask(|studio| Ok(studio.facts())).await?))
}

async fn list(State(state): State<AppState>) -> Json<Vec<RunView>> {
    Json(state.studio.runs())
}

async fn create(
    State(state): State<AppState>,
    body: Result<Json<Value>, JsonRejection>,
) -> Result<impl IntoResponse, AppError> {
    let config = RunConfig::from_json(body?.0)?;
    let id = state.ask(move |studio| studio.create(config)).await?;
    let location = [(header::LOCATION, format!("/api/runs/{id}"))];
    Ok((StatusCode::CREATED, location, Json(json!({"id": id}))))
}

async fn import(
    State(state): State<AppState>,
    body: Result<Json<CurveRequest>, JsonRejection>,
) -> Result<impl IntoResponse, AppError> {
    let Json(request) = body?;
    let work = state.ask(move |studio| studio.import_curves(&request));
    Ok((StatusCode::ACCEPTED, Json(work.await?)))
}

async fn one(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<Json<RunView>, AppError> {
    Ok(Json(state.studio.run(&id)?))
}

async fn edit(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    body: Result<Json<RunEdit>, JsonRejection>,
) -> Result<Json<RunView>, AppError> {
    let Json(edit) = body?;
    Ok(Json(state.ask(move |studio| studio.edit(&id, edit)).await?))
}

async fn delete(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<StatusCode, AppError> {
    state.ask(move |studio| studio.delete(&id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn restore(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<Json<RunView>, AppError> {
    Ok(Json(state.ask(move |studio| studio.restore(&id)).await?))
}

async fn config(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<Json<RunConfig>, AppError> {
    Ok(Json(state.studio.config(&id)?.as_ref().clone()))
}

#[derive(Deserialize)]
#[serde(default)]
struct LogQuery {
    after: i64,
    limit: usize,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self {
            after: 0,
            limit: LINES,
        }
    }
}

async fn log(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(query): ApiQuery<LogQuery>,
) -> Result<Json<Vec<LogLine>>, AppError> {
    let limit = query.limit.min(MOST_LINES);
    let lines = state.ask(move |studio| studio.log(&id, query.after, limit));
    Ok(Json(lines.await?))
}

async fn checkpoints(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
) -> Result<Json<Vec<CheckpointView>>, AppError> {
    Ok(Json(
        state.ask(move |studio| studio.checkpoints(&id)).await?,
    ))
}
