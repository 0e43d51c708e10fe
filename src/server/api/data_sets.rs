//! Data sets: what they hold, and pictures of their samples.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use protoclip::config::DataConfig;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::picture;
use crate::studio::{DataSetId, DataSetView};

const PICTURE: u32 = 96;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post(
            "/api/datasets",
            "Open a data set and say what it holds; a large file takes a while",
            open,
        )
        .body("DataConfig")
        .failures(&[400, 409, 422]),
        Endpoint::get("/api/datasets/{id}", "What a data set holds", one).failures(&[404, 409]),
        Endpoint::get(
            "/api/datasets/{id}/samples/{n}/image",
            "The picture of a sample (PNG or JPEG)",
            image,
        )
        .query(&[
            ("size", "pixels of the longer side: 32, 64, 96, 128 or 256"),
            ("v", "version of the data set; makes the answer immutable"),
        ])
        .success(200, "image/png")
        .failures(&[400, 404, 409]),
    ]
}

async fn open(
    State(state): State<AppState>,
    body: Result<Json<DataConfig>, JsonRejection>,
) -> Result<Json<DataSetView>, AppError> {
    let Json(config) = body?;
    Ok(Json(
        state
            .ask(move |studio| studio.open_data_set(config))
            .await?,
    ))
}

async fn one(
    State(state): State<AppState>,
    Path(id): Path<DataSetId>,
) -> Result<Json<DataSetView>, AppError> {
    Ok(Json(state.ask(move |studio| studio.data_set(&id)).await?))
}

#[derive(Deserialize)]
struct ImageQuery {
    #[serde(default = "picture_size")]
    size: u32,
    v: Option<String>,
}

fn picture_size() -> u32 {
    PICTURE
}

async fn image(
    State(state): State<AppState>,
    Path((id, sample)): Path<(DataSetId, String)>,
    ApiQuery(query): ApiQuery<ImageQuery>,
) -> Result<impl IntoResponse, AppError> {
    let sample: u32 = sample.parse().map_err(|_| {
        let message = format!("samples have numbers, {sample:?} is none");
        AppError::new(StatusCode::NOT_FOUND, message)
    })?;
    let made = state.ask_picture(move |studio| studio.thumbnail(&id, sample, query.size));
    let versioned = query.v.is_some();
    let cache = if versioned {
        picture::IMMUTABLE
    } else {
        "no-cache"
    };
    Ok((
        [(header::CACHE_CONTROL, cache)],
        picture::answer(made.await?),
    ))
}
