//! The prototypes of a snapshot gathered into groups.

use std::fmt::Write;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::figures::{TableAnswer, csv_svg_and_png, figures};
use super::prototypes::{SPACE, STEP, Step};
use crate::studio::{PrototypeCut, RunId};

const CUT: (&str, &str) = (
    "cut",
    "number of groups, 12 unless given, at most one for each prototype with samples",
);

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get(
            "/api/runs/{id}/prototypes/groups",
            "Prototypes gathered into groups by Ward's method",
            groups,
        )
        .query(&[SPACE, STEP, CUT])
        .failures(&[400, 404, 409]),
    ];
    endpoints.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/prototypes/groups"),
        "The group of every prototype",
        &[SPACE, STEP, CUT],
        groups_table,
    ));
    endpoints
}

#[derive(Deserialize)]
#[serde(default)]
struct CutQuery {
    space: Space,
    step: Step,
    cut: Option<usize>,
}

impl Default for CutQuery {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
            cut: None,
        }
    }
}

async fn found(state: AppState, id: RunId, asked: CutQuery) -> Result<PrototypeCut, AppError> {
    let cut =
        state.ask(move |studio| studio.prototype_cut(&id, asked.step.0, asked.space, asked.cut));
    cut.await
}

async fn groups(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<CutQuery>,
) -> Result<Json<PrototypeCut>, AppError> {
    Ok(Json(found(state, id, asked).await?))
}

async fn groups_table(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<CutQuery>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let cut = found(state, id, asked).await?;
    let mut text = String::from("prototype,group\n");
    for (prototype, group) in cut.of_prototype.iter().enumerate() {
        let _ = writeln!(text, "{prototype},{group}");
    }
    let name = format!("groups-{}-{}", cut.space.name(), cut.cut);
    table.of(&name, "Groups of prototypes", text).await
}
