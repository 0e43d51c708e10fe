//! Prototypes from snapshot to snapshot.

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
use crate::studio::{PrototypeLineage, PrototypesOverTime, River, RunId};

pub(super) fn endpoints() -> Vec<Endpoint> {
    let mut endpoints = vec![
        Endpoint::get(
            "/api/runs/{id}/prototypes/over-time",
            "Agreement of the spaces and changes of the prototypes at every snapshot",
            over_time,
        )
        .query(&[SPACE])
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/agreement.csv",
            "How alike the spaces group, one row per snapshot and pair of spaces",
            agreement_csv,
        )
        .query(&[SPACE])
        .success(200, "text/csv")
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/river",
            "Groups of prototypes of up to eight snapshots and the samples that flow between",
            river,
        )
        .query(&[SPACE, STEP])
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/river.csv",
            "The flows, one row each",
            river_csv,
        )
        .query(&[SPACE, STEP])
        .success(200, "text/csv")
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/runs/{id}/prototypes/{k}/lineage",
            "Where a prototype comes from and what becomes of it",
            lineage,
        )
        .query(&[SPACE, STEP])
        .failures(&[400, 404, 409]),
    ];
    endpoints.extend(figures(
        csv_svg_and_png!("/api/runs/{id}/prototypes/changes"),
        "What became of the prototypes, one row per snapshot",
        &[SPACE],
        changes_table,
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

async fn found(
    state: AppState,
    id: RunId,
    asked: PlaceQuery,
) -> Result<PrototypesOverTime, AppError> {
    state
        .ask(move |studio| studio.prototypes_over_time(&id, asked.space))
        .await
}

async fn over_time(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Json<PrototypesOverTime>, AppError> {
    Ok(Json(found(state, id, asked).await?))
}

async fn agreement_csv(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<impl IntoResponse, AppError> {
    let found = found(state, id, asked).await?;
    let mut text = String::from("step,first,second,ami,ari\n");
    for of in &found.agreement {
        for pair in &of.pairs {
            let (first, second) = (pair.spaces.0.name(), pair.spaces.1.name());
            let _ = writeln!(
                text,
                "{},{first},{second},{},{}",
                of.step, pair.ami, pair.ari
            );
        }
    }
    Ok(csv("agreement", text))
}

async fn changes_table(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
    table: TableAnswer,
) -> Result<Response, AppError> {
    let found = found(state, id, asked).await?;
    let mut text = String::from("from,step,common,continued,births,deaths,splits,merges,churn\n");
    for of in &found.changes {
        let churn = of.churn.map_or_else(String::new, |churn| churn.to_string());
        let _ = writeln!(
            text,
            "{},{},{},{},{},{},{},{},{churn}",
            of.from, of.step, of.common, of.continued, of.births, of.deaths, of.splits, of.merges
        );
    }
    table
        .of(
            &format!("changes-{}", found.space.name()),
            "What became of the prototypes",
            text,
        )
        .await
}

async fn found_river(state: AppState, id: RunId, asked: PlaceQuery) -> Result<River, AppError> {
    state
        .ask(move |studio| studio.prototype_river(&id, asked.step.0, asked.space))
        .await
}

async fn river(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Json<River>, AppError> {
    Ok(Json(found_river(state, id, asked).await?))
}

async fn river_csv(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<impl IntoResponse, AppError> {
    let river = found_river(state, id, asked).await?;
    let mut text = String::from("step,next_step,from_group,to_group,samples\n");
    for flow in &river.flows {
        let (step, next) = (
            river.columns[flow.column].step,
            river.columns[flow.column + 1].step,
        );
        let _ = writeln!(
            text,
            "{step},{next},{},{},{}",
            flow.from, flow.to, flow.samples
        );
    }
    Ok(csv(&format!("river-{}", river.space.name()), text))
}

async fn lineage(
    State(state): State<AppState>,
    Path((id, prototype)): Path<(RunId, String)>,
    ApiQuery(asked): ApiQuery<PlaceQuery>,
) -> Result<Json<PrototypeLineage>, AppError> {
    let prototype = number(&prototype)?;
    let found = state
        .ask(move |studio| studio.prototype_lineage(&id, asked.step.0, asked.space, prototype));
    Ok(Json(found.await?))
}
