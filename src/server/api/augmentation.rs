//! What the augmentation of a run would make of a picture.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use protoclip::config::Augmentation;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::picture;
use crate::studio::{AugmentationQuery, DataSetId, LARGEST_PREVIEW};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(
            "/api/datasets/{id}/samples/{n}/augmented",
            "The picture of a sample as evaluation takes it, then as six episodes of a run would train on it, side by side (PNG)",
            strip,
        )
        .query(&[
            ("augmentation", "as a run has it; protoclip-light unless given"),
            ("size", "pixels a side that the model takes, 32 unless given, at most 512"),
            ("seed", "of the run, 7 unless given"),
            ("draw", "which six episodes: 0 for the first ones, 1 for those after them"),
            ("v", "version of the data set; makes the answer immutable"),
        ])
        .success(200, "image/png")
        .failures(&[400, 404, 409]),
    ]
}

/// As texts, so that an unknown data set is one whatever they say.
#[derive(Deserialize)]
#[serde(default)]
struct StripQuery {
    augmentation: String,
    size: String,
    seed: String,
    draw: String,
    v: Option<String>,
}

impl Default for StripQuery {
    fn default() -> Self {
        Self {
            augmentation: "protoclip-light".into(),
            size: "32".into(),
            seed: "7".into(),
            draw: "0".into(),
            v: None,
        }
    }
}

impl StripQuery {
    fn read(&self) -> Result<AugmentationQuery, AppError> {
        let wrong = |message: String| AppError::new(StatusCode::BAD_REQUEST, message);
        let number = |name: &str, text: &str| {
            let read = text.parse::<u64>();
            read.map_err(|_| wrong(format!("{name} is {text:?}; give a whole number")))
        };
        let named = serde_json::from_value(self.augmentation.as_str().into());
        let augmentation: Augmentation = named.map_err(|e| wrong(format!("augmentation: {e}")))?;
        let size = number("size", &self.size)?;
        if !(1..=u64::from(LARGEST_PREVIEW)).contains(&size) {
            let message = format!("size is {size}; give 1 to {LARGEST_PREVIEW}");
            return Err(wrong(message));
        }
        Ok(AugmentationQuery {
            augmentation,
            size: size as u32,
            seed: number("seed", &self.seed)?,
            draw: number("draw", &self.draw)?,
        })
    }
}

async fn strip(
    State(state): State<AppState>,
    Path((id, sample)): Path<(DataSetId, String)>,
    ApiQuery(query): ApiQuery<StripQuery>,
) -> Result<Response, AppError> {
    let known = id.clone();
    state
        .ask(move |studio| studio.known_data_set(&known))
        .await?;
    let sample: u32 = sample.parse().map_err(|_| {
        let message = format!("samples have numbers, {sample:?} is none");
        AppError::new(StatusCode::NOT_FOUND, message)
    })?;
    let wanted = query.read()?;
    let made = state.ask_picture(move |studio| studio.augmented(&id, sample, &wanted));
    let cache = match query.v {
        Some(_) => picture::IMMUTABLE,
        None => "no-cache",
    };
    let described = [(header::CACHE_CONTROL, cache)];
    Ok((described, picture::answer(made.await?)).into_response())
}
