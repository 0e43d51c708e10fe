//! Prototypes of a run: a list, one in full, and a sheet of its nearest pictures.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use protoclip::prototypes::Space;
use serde::{Deserialize, Deserializer};

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::picture;
use crate::studio::{Health, PrototypeDetail, PrototypePage, PrototypeQuery, PrototypeSort, RunId};

/// Prototypes of one answer unless asked otherwise.
const PROTOTYPES: usize = 60;
/// Squares across and down a sheet of pictures.
const ACROSS: u32 = 2;
const MOST_ACROSS: u32 = 8;
const SQUARE: u32 = 64;

pub(super) const SPACE: (&str, &str) = ("space", "image, text or teacher; image unless given");
pub(super) const STEP: (&str, &str) = ("step", "step of the snapshot, or latest");

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/api/runs/{id}/prototypes", "A page of prototypes", list)
            .query(&[
                SPACE,
                STEP,
                ("sort", "size, tightness, change or id"),
                ("q", "only prototypes with this text in a caption"),
                (
                    "health",
                    "only dead, overfull, single-caption or duplicate-images prototypes",
                ),
                ("offset", "prototypes to pass over"),
                ("limit", "most prototypes, 60 unless given, at most 500"),
            ])
            .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/{k}",
            "One prototype with all samples",
            one,
        )
        .query(&[SPACE, STEP])
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/{k}/montage.png",
            "Pictures nearest to the centroid on one sheet (PNG or JPEG)",
            montage,
        )
        .query(&[
            SPACE,
            STEP,
            (
                "across",
                "pictures across and down, 2 unless given, at most 8",
            ),
            ("size", "pixels of one picture, 64 unless given"),
        ])
        .success(200, "image/png")
        .failures(&[400, 404, 409]),
    ]
}

/// `latest`, nothing, or a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Step(pub(super) Option<u64>);

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "" | "latest" => Ok(Self(None)),
            number => number.parse().map(|step| Self(Some(step))).map_err(|_| {
                serde::de::Error::custom(format!("step is {number:?}, wanted a number or latest"))
            }),
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct ListQuery {
    space: Space,
    step: Step,
    sort: PrototypeSort,
    q: String,
    health: Option<Health>,
    offset: usize,
    limit: usize,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
            sort: PrototypeSort::default(),
            q: String::new(),
            health: None,
            offset: 0,
            limit: PROTOTYPES,
        }
    }
}

async fn list(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<ListQuery>,
) -> Result<Json<PrototypePage>, AppError> {
    let query = PrototypeQuery {
        space: asked.space,
        step: asked.step.0,
        sort: asked.sort,
        text: asked.q,
        health: asked.health,
        offset: asked.offset,
        limit: asked.limit,
    };
    let page = state.ask(move |studio| studio.prototypes(&id, &query));
    Ok(Json(page.await?))
}

#[derive(Deserialize)]
#[serde(default)]
struct OneQuery {
    space: Space,
    step: Step,
    across: u32,
    size: u32,
}

impl Default for OneQuery {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
            across: ACROSS,
            size: SQUARE,
        }
    }
}

async fn one(
    State(state): State<AppState>,
    Path((id, prototype)): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<OneQuery>,
) -> Result<Json<PrototypeDetail>, AppError> {
    let prototype = number(&prototype)?;
    let detail =
        state.ask(move |studio| studio.prototype(&id, asked.step.0, asked.space, prototype));
    Ok(Json(detail.await?))
}

async fn montage(
    State(state): State<AppState>,
    Path((id, prototype)): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<OneQuery>,
) -> Result<impl IntoResponse, AppError> {
    let prototype = number(&prototype)?;
    let across = asked.across.clamp(1, MOST_ACROSS);
    let (space, step, size) = (asked.space, asked.step.0, asked.size);
    let sheet = state.ask_picture(move |studio| {
        let wanted = (prototype, (across * across) as usize);
        let (data_set, samples) = studio.nearest_samples(&id, step, space, wanted)?;
        studio.montage(&data_set, &samples, (across, size))
    });
    // What is newest changes with the next episode.
    let cache = if step.is_some() {
        picture::IMMUTABLE
    } else {
        "no-cache"
    };
    Ok((
        [(header::CACHE_CONTROL, cache)],
        picture::answer(sheet.await?),
    ))
}

pub(super) fn number(text: &str) -> Result<usize, AppError> {
    text.parse().map_err(|_| {
        AppError::new(
            axum::http::StatusCode::NOT_FOUND,
            format!("prototypes have numbers, {text:?} is none"),
        )
    })
}
