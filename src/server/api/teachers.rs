//! Features of external teachers, made of the captions of a data set.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::super::endpoint::Endpoint;
use super::super::{AppError, AppState};
use super::JSON;
use super::csv::quoted;
use super::figures::{TableAnswer, csv_svg_and_png, figures};
use crate::studio::{DataSetId, TeacherRequest, TeacherView};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::post(
            "/api/datasets/{id}/teachers",
            "Start to make features of its captions by a text encoder; the same request goes on where it was cancelled",
            make,
        )
        .body("Teacher")
        .success(202, JSON)
        .failures(&[400, 404, 409, 422]),
        Endpoint::get(
            "/api/datasets/{id}/teachers",
            "Features of its captions, finished ones and those on the way",
            list,
        )
        .failures(&[404, 409]),
    ];
    endpoints.extend(figures(
        csv_svg_and_png!("/api/datasets/{id}/teachers"),
        "The same as a table",
        &[],
        list_table,
    ));
    endpoints
}

async fn make(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
    body: Result<Json<TeacherRequest>, JsonRejection>,
) -> Result<Response, AppError> {
    // An unknown data set is one whatever the body says.
    let known = id.clone();
    state
        .ask(move |studio| studio.known_data_set(&known))
        .await?;
    let Json(request) = body?;
    let begun = state.ask(move |studio| studio.make_teacher(&id, &request));
    Ok((StatusCode::ACCEPTED, Json(begun.await?)).into_response())
}

async fn list(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
) -> Result<Json<Vec<TeacherView>>, AppError> {
    Ok(Json(state.ask(move |studio| studio.teachers(&id)).await?))
}

async fn list_table(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let found = state.ask(move |studio| studio.teachers(&id)).await?;
    let mut text = String::from(
        "path,encoder,dim,encoder_dim,rows,rows_done,explained_variance,seconds,written\n",
    );
    for view in &found {
        let finished = view.finished.as_ref();
        text += &format!(
            "{},{},{},{},{},{},{},{},{}\n",
            quoted(&view.path.display().to_string()),
            quoted(&view.encoder()),
            view.dim,
            view.encoder_dim,
            view.rows,
            view.rows_done,
            finished.map_or_else(String::new, |made| made.explained_variance.to_string()),
            finished.map_or_else(String::new, |made| format!("{:.1}", made.seconds)),
            finished.map_or_else(String::new, |made| made.written.to_string()),
        );
    }
    table.of("teachers", "Features of captions", text).await
}
