//! Prototypes as one figure, PNG or SVG.

use axum::extract::{Path, State};
use axum::response::Response;
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::figures::{Look, drawn, figures, svg_and_png};
use super::prototypes::{SPACE, STEP, Step};
use crate::studio::{Health, PrototypeQuery, PrototypeSort, RunId, SHEET_ROWS, SheetQuery};
use protoclip::config::ConfigErrors;

type Parameter = (&'static str, &'static str);

const PARAMETERS: &[Parameter] = &[
    SPACE,
    STEP,
    ("sort", "size, tightness, change or id"),
    ("q", "only prototypes with this text in a caption"),
    (
        "health",
        "only dead, overfull, single-caption or duplicate-images prototypes",
    ),
    ("offset", "prototypes to pass over"),
    (
        "ids",
        "these prototypes, such as 3,14,15, instead of the first ones",
    ),
    ("count", "rows, 8 unless given, at most 60"),
];

pub(super) fn endpoints() -> Vec<Endpoint> {
    let about = "Prototypes as one sheet: representative pictures and words, samples with captions";
    figures(
        svg_and_png!("/api/runs/{id}/prototypes/sheet"),
        about,
        PARAMETERS,
        sheet,
    )
}

#[derive(Deserialize)]
#[serde(default)]
struct Asked {
    space: Space,
    step: Step,
    sort: PrototypeSort,
    q: String,
    health: Option<Health>,
    offset: usize,
    ids: String,
    count: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            space: Space::Image,
            step: Step::default(),
            sort: PrototypeSort::default(),
            q: String::new(),
            health: None,
            offset: 0,
            ids: String::new(),
            count: SHEET_ROWS,
        }
    }
}

impl Asked {
    fn query(self) -> Result<SheetQuery, ConfigErrors> {
        let ids = self.ids.split(',').map(str::trim).filter(|t| !t.is_empty());
        let ids = ids.map(|text| {
            let message = || format!("{text:?} is no prototype; write numbers such as 3,14,15");
            text.parse()
                .map_err(|_| ConfigErrors::one("ids", message()))
        });
        Ok(SheetQuery {
            ids: ids.collect::<Result<_, _>>()?,
            prototypes: PrototypeQuery {
                space: self.space,
                step: self.step.0,
                sort: self.sort,
                text: self.q,
                health: self.health,
                offset: self.offset,
                limit: self.count,
            },
        })
    }
}

async fn sheet(
    State(state): State<AppState>,
    Path(id): Path<RunId>,
    ApiQuery(asked): ApiQuery<Asked>,
    Look(look): Look,
) -> Result<Response, AppError> {
    let figure = state.ask(move |studio| {
        let query = asked.query()?;
        studio.prototype_sheet(&id, &query, look)
    });
    Ok(drawn(figure.await?))
}
