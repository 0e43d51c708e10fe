//! Room on the disk, by what takes it.

use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::super::endpoint::Endpoint;
use super::super::{AppError, AppState};
use super::csv::quoted;
use super::figures::{TableAnswer, csv_svg_and_png, figures};
use crate::studio::Storage;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![Endpoint::get(
        "/api/storage",
        "Bytes of the data directory by what they are for",
        storage,
    )];
    endpoints.extend(figures(
        csv_svg_and_png!("/api/storage"),
        "The same as a table, one row per run, then what no run has",
        &[],
        table,
    ));
    endpoints
}

async fn storage(State(state): State<AppState>) -> Result<Json<Storage>, AppError> {
    Ok(Json(state.ask(|studio| Ok(studio.storage())).await?))
}

async fn table(State(state): State<AppState>, table: TableAnswer) -> Result<Response, AppError> {
    let found = state.ask(|studio| Ok(studio.storage())).await?;
    let mut text = String::from("what,name,checkpoints,artifacts,database,bytes\n");
    for run in &found.runs {
        text += &format!(
            "{},{},{},{},{},{}\n",
            run.run,
            quoted(&run.name),
            run.checkpoints,
            run.artifacts,
            run.database,
            run.bytes()
        );
    }
    let others = [
        ("imported", found.imported),
        ("exports", found.exports),
        ("trash", found.trash),
    ];
    for (what, bytes) in others {
        text += &format!("{what},,,,,{bytes}\n");
    }
    table.of("storage", "Bytes on the disk", text).await
}
