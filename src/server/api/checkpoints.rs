//! Checkpoints of all runs and imported models: look inside, pin, verify, measure, export, import.

use std::fs::File;
use std::io::Read;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};

use super::super::endpoint::Endpoint;
use super::super::{AppError, AppState};
use super::JSON;
use super::csv::quoted;
use super::exports::settings;
use super::figures::{TableAnswer, csv_svg_and_png, figures};
use crate::studio::{
    CheckpointDetail, CheckpointId, EvaluationRequest, ImportRequest, Shelf, Studio, StudioError,
    WorkView,
};

/// Bytes of a download that are in memory at a time.
const CHUNK: u64 = 256 * 1024;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get(
            "/api/checkpoints",
            "Checkpoints of all runs and imported models",
            list,
        ),
        Endpoint::post(
            "/api/checkpoints/import",
            "Start to import a weight file of this machine",
            import,
        )
        .body("Import")
        .success(202, JSON)
        .failures(&[400, 409, 422]),
        Endpoint::get(
            "/api/checkpoints/{id}",
            "What is inside a checkpoint, by its headers",
            one,
        )
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/checkpoints/{id}/pin",
            "Keep it from being pruned",
            pin,
        )
        .success(204, JSON)
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/checkpoints/{id}/unpin",
            "Let it be pruned again",
            unpin,
        )
        .success(204, JSON)
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/checkpoints/{id}/verify",
            "Start to read it in full: hashes and tensors",
            verify,
        )
        .success(202, JSON)
        .failures(&[404, 409]),
        Endpoint::get(
            "/api/checkpoints/{id}/verification",
            "What the last verification found",
            verification,
        )
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/checkpoints/{id}/evaluate",
            "Start to measure it on a data set",
            evaluate,
        )
        .body("Evaluation")
        .success(202, JSON)
        .failures(&[400, 404, 409, 422]),
        Endpoint::get(
            "/api/checkpoints/{id}/evaluation",
            "The report of its last evaluation",
            evaluation,
        )
        .failures(&[404, 409]),
        Endpoint::post(
            "/api/checkpoints/{id}/export",
            "Start to write it in OpenCLIP's form",
            export,
        )
        .success(202, JSON)
        .failures(&[404, 409]),
        Endpoint::get(
            "/api/checkpoints/{id}/export/{file}",
            "A file of its export",
            exported,
        )
        .heavy()
        .success(200, "application/octet-stream")
        .failures(&[404, 409]),
    ];
    endpoints.extend(figures(
        csv_svg_and_png!("/api/checkpoints/{id}/tensors"),
        "Its tensors; norms after a verification",
        &[],
        tensors_table,
    ));
    endpoints.extend(figures(
        csv_svg_and_png!("/api/checkpoints"),
        "The same as a table",
        &[],
        list_table,
    ));
    endpoints.extend(figures(
        csv_svg_and_png!("/api/checkpoints/{id}/files"),
        "The files of a checkpoint, and what a verification found of each",
        &[],
        files_table,
    ));
    endpoints.extend(figures(
        csv_svg_and_png!("/api/checkpoints/{id}/evaluation"),
        "The report of its last evaluation as measure,value",
        &[],
        evaluation_table,
    ));
    endpoints
}

/// The id in an address.
pub(in crate::server) fn id_of(text: &str) -> Result<CheckpointId, AppError> {
    CheckpointId::parse(text).ok_or_else(|| {
        let message = format!("{text:?} is no checkpoint; ids are RUN@STEP or @NAME");
        AppError::new(StatusCode::NOT_FOUND, message)
    })
}

async fn list(State(state): State<AppState>) -> Result<Json<Shelf>, AppError> {
    Ok(Json(state.ask(|studio| Ok(studio.shelf())).await?))
}

async fn list_table(
    State(state): State<AppState>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let shelf = state.ask(|studio| Ok(studio.shelf())).await?;
    let mut text = String::from("id,name,step,episode,bytes,mean_recall,pinned,hash\n");
    for entry in &shelf.checkpoints {
        let number = |value: Option<u64>| value.map_or_else(String::new, |v| v.to_string());
        text += &format!(
            "{},{},{},{},{},{},{},{}\n",
            entry.id,
            quoted(&entry.title),
            number(entry.step),
            number(entry.episode),
            entry.bytes,
            entry.score.map_or_else(String::new, |v| v.to_string()),
            entry.pinned,
            entry.hash
        );
    }
    table.of("checkpoints", "Checkpoints", text).await
}

async fn one(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<CheckpointDetail>, AppError> {
    let id = id_of(&id)?;
    Ok(Json(state.ask(move |studio| studio.shelved(&id)).await?))
}

/// A line for each file: its size, its hash in the manifest, and what is wrong with it.
async fn files_table(
    State(state): State<AppState>,
    Path(id): Path<String>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let title = format!("Files of {id}");
    let id = id_of(&id)?;
    let found = state.ask(move |studio| Ok((studio.shelved(&id)?, studio.verification(&id)?)));
    let (detail, verified) = found.await?;
    let mut text = String::from("file,bytes,blake3,verified\n");
    for file in &detail.files {
        let checked = verified
            .as_ref()
            .and_then(|v| v.files.iter().find(|c| c.name == file.name));
        let state = checked.map_or("", |c| c.problem.as_deref().unwrap_or("unchanged"));
        text += &format!(
            "{},{},{},{}\n",
            quoted(&file.name),
            file.bytes,
            file.blake3.as_deref().unwrap_or_default(),
            quoted(state)
        );
    }
    table.of("files", &title, text).await
}

async fn evaluation_table(
    State(state): State<AppState>,
    Path(id): Path<String>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let title = format!("Evaluation of {id}");
    let id = id_of(&id)?;
    let report = state.ask(move |studio| studio.evaluation(&id)).await?;
    let report = report.ok_or_else(not_evaluated)?;
    let value = serde_json::to_value(&report).map_err(AppError::internal)?;
    let mut text = String::from("measure,value\n");
    settings(&mut text, String::new(), &value);
    table.of("evaluation", &title, text).await
}

async fn tensors_table(
    State(state): State<AppState>,
    Path(id): Path<String>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let id = id_of(&id)?;
    let text = state.ask(move |studio| {
        let detail = studio.shelved(&id)?;
        let verified = studio.verification(&id)?;
        let mut text =
            String::from("tensor,shape,type,numbers,bytes,norm,mean,min,max,not_finite\n");
        for tensor in &detail.tensors {
            let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
            let known = verified
                .as_ref()
                .and_then(|v| v.tensors.iter().find(|(name, _)| *name == tensor.name));
            let measured = known.map_or_else(
                || ",,,,".into(),
                |(_, n)| format!("{},{},{},{},{}", n.norm, n.mean, n.min, n.max, n.not_finite),
            );
            text += &format!(
                "{},{},{},{},{},{measured}\n",
                quoted(&tensor.name),
                shape.join("x"),
                tensor.number_type,
                tensor.numbers,
                tensor.bytes
            );
        }
        Ok(text)
    });
    table.of("tensors", "Tensors", text.await?).await
}

async fn pin(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, AppError> {
    set_pin(state, &id, true).await
}

async fn unpin(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, AppError> {
    set_pin(state, &id, false).await
}

async fn set_pin(state: AppState, id: &str, pinned: bool) -> Result<StatusCode, AppError> {
    let id = id_of(id)?;
    state.ask(move |studio| studio.pin(&id, pinned)).await?;
    Ok(StatusCode::NO_CONTENT)
}

type Begun = Result<(StatusCode, Json<WorkView>), AppError>;

async fn begin(
    state: AppState,
    id: &str,
    work: impl FnOnce(&Studio, &CheckpointId) -> Result<WorkView, StudioError> + Send + 'static,
) -> Begun {
    let id = id_of(id)?;
    let view = state.ask(move |studio| work(studio, &id)).await?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

async fn verify(State(state): State<AppState>, Path(id): Path<String>) -> Begun {
    begin(state, &id, Studio::verify).await
}

async fn export(State(state): State<AppState>, Path(id): Path<String>) -> Begun {
    begin(state, &id, Studio::export).await
}

async fn evaluate(
    State(state): State<AppState>,
    Path(id): Path<String>,
    body: Result<Json<EvaluationRequest>, JsonRejection>,
) -> Begun {
    let Json(request) = body?;
    begin(state, &id, move |studio, id| studio.evaluate(id, &request)).await
}

async fn import(
    State(state): State<AppState>,
    body: Result<Json<ImportRequest>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), AppError> {
    let Json(request) = body?;
    let (id, work) = state
        .ask(move |studio| studio.import_model(request))
        .await?;
    Ok((StatusCode::ACCEPTED, Json(json!({"id": id, "work": work}))))
}

async fn verification(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let id = id_of(&id)?;
    let found = state.ask(move |studio| studio.verification(&id)).await?;
    let none = || {
        AppError::new(
            StatusCode::NOT_FOUND,
            "this checkpoint was not verified yet",
        )
    };
    Ok(Json(found.ok_or_else(none)?.as_ref()).into_response())
}

async fn evaluation(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, AppError> {
    let id = id_of(&id)?;
    let found = state.ask(move |studio| studio.evaluation(&id)).await?;
    Ok(Json(found.ok_or_else(not_evaluated)?).into_response())
}

fn not_evaluated() -> AppError {
    let message = "this checkpoint was not measured yet";
    AppError::new(StatusCode::NOT_FOUND, message)
}

async fn exported(
    State(state): State<AppState>,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, AppError> {
    let id = id_of(&id)?;
    let wanted = name.clone();
    let path = state
        .ask(move |studio| studio.exported_file(&id, &wanted))
        .await?;
    let file = File::open(&path).map_err(AppError::internal)?;
    let length = file.metadata().map_err(AppError::internal)?.len();
    let parts = stream::try_unfold(file, async |file| {
        tokio::task::spawn_blocking(move || next_part(file)).await?
    });
    let described = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}\""),
        ),
    ];
    Ok((described, Body::from_stream(parts)).into_response())
}

/// The next part of a file with what is left of it; `None` at its end.
fn next_part(mut file: File) -> std::io::Result<Option<(Vec<u8>, File)>> {
    let mut part = Vec::new();
    (&mut file).take(CHUNK).read_to_end(&mut part)?;
    Ok((!part.is_empty()).then_some((part, file)))
}
