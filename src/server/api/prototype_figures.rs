//! Charts of prototypes as figures: the river, the agreement of the spaces, and a soft target.

use axum::extract::{Path, State};
use axum::response::Response;
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::figures::{Look, drawn, figures, svg_and_png};
use super::prototypes::{SPACE, STEP, Step, number};
use crate::studio::RunId;

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = figures(
        svg_and_png!("/api/runs/{id}/prototypes/river"),
        "The river of prototype groups as a figure",
        &[SPACE, STEP],
        river,
    );
    endpoints.extend(figures(
        svg_and_png!("/api/runs/{id}/prototypes/agreement"),
        "How alike the spaces group, as a figure",
        &[SPACE],
        agreement,
    ));
    endpoints.extend(figures(
        svg_and_png!("/api/runs/{id}/prototypes/{k}/target"),
        "The largest entries of a prototype's target as a figure",
        &[SPACE, STEP],
        target,
    ));
    endpoints
}

#[derive(Deserialize)]
#[serde(default)]
struct PlaceQuery {
    space: Space,
    step: Step,
}

impl Default for PlaceQuery {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
        }
    }
}

async fn river(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
    Look(look): Look,
) -> Result<Response, AppError> {
    let (step, kind) = (asked.step.0, (asked.space, look));
    let figure = state.ask(move |studio| studio.prototype_river_figure(&id, step, kind));
    Ok(drawn(figure.await?))
}

async fn agreement(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
    Look(look): Look,
) -> Result<Response, AppError> {
    let kind = (asked.space, look);
    let figure = state.ask(move |studio| studio.agreement_figure(&id, kind));
    Ok(drawn(figure.await?))
}

async fn target(
    State(state): State<AppState>,
    Path((id, prototype)): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
    Look(look): Look,
) -> Result<Response, AppError> {
    let (step, place) = (asked.step.0, (asked.space, number(&prototype)?));
    let figure = state.ask(move |studio| studio.prototype_target_figure(&id, step, place, look));
    Ok(drawn(figure.await?))
}
