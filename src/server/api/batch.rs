//! The X-ray of a training batch: all similarities, and where InfoNCE pushes.

use std::fmt::Write;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::csv::csv;
use super::figures::{Look, drawn, figures, svg_and_png};
use super::prototypes::Step;
use crate::studio::{BatchCells, BatchQuery, BatchView, RunId};

const QUERY: &[(&str, &str)] = &[
    ("step", "step whose features were kept, or latest"),
    ("batch", "batch of its episode, from 0"),
    (
        "space",
        "whose prototypes order the batch: image, text or teacher; image unless given",
    ),
    ("cells", "what a figure draws: cosine or repulsion"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let failures = &[400, 404, 409];
    let mut endpoints = vec![
        Endpoint::get(
            "/api/runs/{id}/batch",
            "A batch ordered by prototype, with the similarities and pushes of all pairs",
            batch,
        )
        .query(QUERY)
        .failures(failures),
        Endpoint::get(
            "/api/runs/{id}/batch.csv",
            "The same as a table of image, text, cosine and repulsion",
            cells_csv,
        )
        .query(QUERY)
        .success(200, "text/csv")
        .failures(failures),
    ];
    endpoints.extend(figures(
        svg_and_png!("/api/runs/{id}/batch"),
        "Its matrix as a figure",
        QUERY,
        figure,
    ));
    endpoints
}

#[derive(Deserialize)]
#[serde(default)]
struct Asked {
    step: Step,
    batch: usize,
    space: Space,
    cells: BatchCells,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            step: Step::default(),
            batch: 0,
            space: Space::Image,
            cells: BatchCells::default(),
        }
    }
}

impl Asked {
    fn query(&self) -> BatchQuery {
        BatchQuery {
            step: self.step.0,
            batch: self.batch,
            space: self.space,
        }
    }
}

async fn batch(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> Result<Json<BatchView>, AppError> {
    let view = state.ask(move |studio| studio.batch(&id, &asked.query()));
    Ok(Json(view.await?))
}

async fn cells_csv(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
) -> Result<Response, AppError> {
    let name = format!("{id}-batch");
    let view = state.ask(move |studio| studio.batch(&id, &asked.query()));
    Ok(csv(&name, table(&view.await?)))
}

fn table(view: &BatchView) -> String {
    let mut text =
        String::from("image,text,prototype_of_image,prototype_of_text,cosine,repulsion\n");
    let size = view.pairs.len();
    let cells = view.cosines.iter().zip(&view.repulsion).enumerate();
    for (cell, (cosine, repulsion)) in cells {
        let (row, column) = (&view.pairs[cell / size], &view.pairs[cell % size]);
        // Writing to a String cannot fail.
        let _written = writeln!(
            text,
            "{},{},{},{},{cosine},{repulsion}",
            row.sample, column.sample, row.prototype, column.prototype
        );
    }
    text
}

async fn figure(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
    Look(look): Look,
) -> Result<Response, AppError> {
    let figure =
        state.ask(move |studio| studio.batch_figure(&id, &asked.query(), (asked.cells, look)));
    Ok(drawn(figure.await?))
}
