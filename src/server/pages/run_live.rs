//! `/runs/{id}`: progress, live curves, steering, latest events.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use protoclip::train::ControlValues;

use super::chart_catalogue::{Chart, charts, recorded_charts};
use super::figures::{figure, typed};
use super::respond::page;
use super::run_card::RunCard;
use super::run_changes::ChangeList;
use super::run_log::LogTable;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{RunId, RunView, Studio};

#[derive(Debug, Template)]
#[template(path = "pages/run_live.html")]
struct LivePage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    waiting: &'static str,
    charts: Vec<Chart>,
    dock: Dock,
    /// Its data set, when that is gone.
    moved: Option<Moved>,
    changes: ChangeList,
    log: LogTable,
}

#[derive(Debug, Template)]
#[template(path = "partials/run_head.html")]
struct RunHead {
    shell: Shell,
    run: RunCard,
}

/// A data set that is not where it was.
#[derive(Debug)]
struct Moved {
    data_set: String,
    message: String,
}

/// The steering dock.
#[derive(Debug)]
struct Dock {
    steerable: bool,
    /// An imported run has nothing to steer, now or later.
    imported: bool,
    /// Samples of an episode, for N/K; 0 while unknown.
    samples: usize,
    levers: Vec<Lever>,
}

#[derive(Debug)]
struct Lever {
    field: &'static str,
    label: &'static str,
    help: &'static str,
    /// The value in full, for comparison.
    current: String,
    shown: String,
}

/// Events shown under the charts.
const EVENTS: usize = 30;

pub(super) async fn live(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        let log = LogTable::newest(studio, &shell, &view, EVENTS, "")?;
        let changes = ChangeList::read(studio, &shell, &id)?;
        let run = RunCard::new(&view);
        Ok(LivePage {
            shell,
            tab: "live",
            waiting: if view.state.is_active() {
                "Waiting for the first point"
            } else {
                "This run has no such points"
            },
            charts: match view.imported {
                None => charts(&view),
                Some(_) => recorded_charts(&view, &studio.tags(&id)?),
            },
            dock: Dock::new(&view, run.can_steer),
            moved: moved(studio, &view),
            changes,
            run,
            log,
        })
    })
    .await
}

/// The data set of a run that does not train, when its files are gone.
fn moved(studio: &Studio, view: &RunView) -> Option<Moved> {
    let id = view.data_set.as_ref().filter(|_| !view.state.is_active())?;
    Some(Moved {
        data_set: id.to_string(),
        message: studio.missing_data(id)?,
    })
}

/// The head alone, for its live update when the state changes.
pub(super) async fn head(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let view = studio.run(&RunId::from(id.as_str()))?;
        let run = RunCard::new(&view);
        Ok(RunHead { shell, run })
    })
    .await
}

impl Dock {
    fn new(view: &RunView, steerable: bool) -> Self {
        Self {
            steerable,
            imported: view.imported.is_some(),
            samples: view.samples,
            levers: levers(&view.controls, view.has_teacher),
        }
    }
}

fn levers(values: &ControlValues, has_teacher: bool) -> Vec<Lever> {
    let lever = |field, value: f64, help| Lever {
        field,
        label: lever_label(field),
        help,
        current: typed(value),
        shown: figure(value),
    };
    let mut levers = vec![lever(
        "prototype_count",
        values.prototype_count as f64,
        "Clusters of each space, from the next episode",
    )];
    if has_teacher {
        levers.push(lever(
            "external_weight",
            values.external_weight,
            "Factor of the external teacher's loss",
        ));
    }
    levers.push(lever(
        "proto_weight",
        values.proto_weight,
        "Factor of the prototype loss",
    ));
    levers.push(lever(
        "target_temperature",
        values.target_temperature,
        "Softmax temperature of the soft targets",
    ));
    levers.push(lever(
        "learning_rate_factor",
        values.learning_rate_factor,
        "Factor on the scheduled learning rates",
    ));
    levers
}

/// What people call a setting that can be steered.
pub(super) fn lever_label(field: &str) -> &'static str {
    match field {
        "prototype_count" => "Prototypes K",
        "external_weight" => "Teacher weight",
        "proto_weight" => "Prototype weight",
        "target_temperature" => "Target temperature",
        "learning_rate_factor" => "Learning rate ×",
        _ => "Setting",
    }
}
