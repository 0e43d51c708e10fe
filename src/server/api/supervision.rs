//! What prototypes teach: soft targets, a sample's way through back translation, and where students
//! disagree.

use std::fmt::Write;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::csv::csv;
use super::figures::{TableAnswer, csv_svg_and_png, figures};
use super::prototypes::{SPACE, STEP, Step, number};
use crate::studio::{
    DisagreementPage, DisagreementQuery, RunId, StudioError, TargetView, TranslationView,
};

/// Rows of one answer unless asked otherwise.
const ROWS: usize = 60;

const SAMPLE: (&str, &str) = (
    "sample",
    "a sample of the prototype; the one nearest to its centroid unless given",
);
const STUDENT: (&str, &str) = ("student", "image or text; image unless given");
const TEACHER: (&str, &str) = (
    "teacher",
    "image, text or teacher, another one than the student; text unless given",
);
const TEXT: (&str, &str) = ("q", "only samples with this text in their caption");

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get(
            "/api/runs/{id}/prototypes/{k}/target",
            "What a prototype's samples ask their students to predict, with its entropy",
            target,
        )
        .query(&[SPACE, STEP])
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/{k}/target.csv",
            "The same, one row per prototype",
            target_csv,
        )
        .query(&[SPACE, STEP])
        .success(200, "text/csv")
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/{k}/translation",
            "A sample's way through back translation, hop by hop",
            translation,
        )
        .query(&[SPACE, STEP, SAMPLE])
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/disagreements",
            "Samples whose student would choose another prototype than their teacher says",
            disagreements,
        )
        .query(&[
            STUDENT,
            TEACHER,
            STEP,
            TEXT,
            ("offset", "samples to pass over"),
            ("limit", "most samples, 60 unless given, at most 500"),
        ])
        .failures(&[400, 404, 409]),
    ];
    endpoints.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/prototypes/{k}/translation"),
        "The same, one row per hop",
        &[SPACE, STEP, SAMPLE],
        translation_table,
    ));
    endpoints.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/disagreements"),
        "The same, all of them, one row per sample",
        &[STUDENT, TEACHER, STEP, TEXT],
        disagreements_table,
    ));
    endpoints
}

#[derive(Deserialize)]
#[serde(default)]
struct PlaceQuery {
    space: Space,
    step: Step,
    sample: Option<u32>,
}

impl Default for PlaceQuery {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
            sample: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct BoardQuery {
    student: Space,
    teacher: Space,
    step: Step,
    q: String,
    offset: usize,
    limit: usize,
}

impl Default for BoardQuery {
    fn default() -> Self {
        Self {
            student: Space::Image,
            teacher: Space::Text,
            step: Step::default(),
            q: String::new(),
            offset: 0,
            limit: ROWS,
        }
    }
}

impl From<BoardQuery> for DisagreementQuery {
    fn from(asked: BoardQuery) -> Self {
        Self {
            step: asked.step.0,
            student: asked.student,
            teacher: asked.teacher,
            text: asked.q,
            offset: asked.offset,
            limit: asked.limit,
        }
    }
}

async fn found_target(
    state: AppState,
    (id, prototype): (RunId, String),
    asked: PlaceQuery,
) -> Result<TargetView, AppError> {
    let prototype = number(&prototype)?;
    let found = state.ask(move |studio| {
        let found = studio.prototype_target(&id, asked.step.0, asked.space, prototype)?;
        found.ok_or_else(|| {
            StudioError::NotFound("a prototype without a sample is nobody's target".into())
        })
    });
    found.await
}

async fn target(
    State(state): State<AppState>,
    Path(place): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Json<TargetView>, AppError> {
    Ok(Json(found_target(state, place, asked).await?))
}

async fn target_csv(
    State(state): State<AppState>,
    Path(place): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<impl IntoResponse, AppError> {
    let found = found_target(state, place, asked).await?;
    let mut text = String::from("prototype,probability,similarity,samples\n");
    for share in &found.shares {
        let (id, size) = (share.prototype, share.size);
        let _ = writeln!(
            text,
            "{id},{},{},{size}",
            share.probability, share.similarity
        );
    }
    let name = format!("target-{}-{}", found.space.name(), found.prototype);
    Ok(csv(&name, text))
}

async fn found_translation(
    state: AppState,
    (id, prototype): (RunId, String),
    asked: PlaceQuery,
) -> Result<TranslationView, AppError> {
    let place = (asked.space, number(&prototype)?);
    let found = state
        .ask(move |studio| studio.prototype_translation(&id, asked.step.0, place, asked.sample));
    found.await
}

async fn translation(
    State(state): State<AppState>,
    Path(place): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Json<TranslationView>, AppError> {
    Ok(Json(found_translation(state, place, asked).await?))
}

async fn translation_table(
    State(state): State<AppState>,
    Path(place): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let found = found_translation(state, place, asked).await?;
    let mut text = String::from("sample,student,teacher,hop,distance,cosine\n");
    for direction in &found.directions {
        let (student, teacher) = (direction.student.name(), direction.teacher.name());
        for hop in &direction.hops {
            let kind = serde_json::to_value(hop.kind).unwrap_or_default();
            let kind = kind.as_str().unwrap_or_default();
            let cosine = hop
                .cosine
                .map_or_else(String::new, |cosine| cosine.to_string());
            let distance = hop.distance;
            let _ = writeln!(
                text,
                "{},{student},{teacher},{kind},{distance},{cosine}",
                found.sample
            );
        }
    }
    table
        .of(
            &format!("translation-{}", found.sample),
            "Hops of the back translation",
            text,
        )
        .await
}

async fn disagreements(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<BoardQuery>,
) -> Result<Json<DisagreementPage>, AppError> {
    let query = DisagreementQuery::from(asked);
    let found = state.ask(move |studio| studio.disagreements(&id, &query));
    Ok(Json(found.await?))
}

async fn disagreements_table(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<BoardQuery>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let query = DisagreementQuery::from(asked);
    let text = state.ask(move |studio| {
        let mut text = String::from(
            "sample,teacher_prototype,teacher_probability,student_prototype,student_probability\n",
        );
        for (sample, teacher, choice) in studio.every_disagreement(&id, &query)? {
            let _ = writeln!(
                text,
                "{sample},{teacher},{},{},{}",
                choice.teacher_probability, choice.prototype, choice.probability
            );
        }
        Ok(text)
    });
    table
        .of(
            "disagreements",
            "Where student and teacher disagree",
            text.await?,
        )
        .await
}
