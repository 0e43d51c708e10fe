//! `/runs/{id}`: progress, live curves, steering, latest events.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use protoclip::train::ControlValues;

use super::chart_catalogue::{Chart, charts};
use super::figures::{figure, typed};
use super::respond::page;
use super::run_card::RunCard;
use super::run_log::LogTable;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{RunId, RunView};

#[derive(Debug, Template)]
#[template(path = "pages/run_live.html")]
struct LivePage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    waiting: &'static str,
    charts: Vec<Chart>,
    dock: Dock,
    log: LogTable,
}

#[derive(Debug, Template)]
#[template(path = "partials/run_head.html")]
struct RunHead {
    shell: Shell,
    run: RunCard,
}

/// The steering dock.
#[derive(Debug)]
struct Dock {
    steerable: bool,
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
        let log = LogTable::newest(studio, &view, EVENTS, "")?;
        let run = RunCard::new(&view);
        Ok(LivePage {
            shell: shell.in_section("runs"),
            tab: "live",
            waiting: if view.state.is_active() {
                "Waiting for the first point"
            } else {
                "This run has no such points"
            },
            charts: charts(&view),
            dock: Dock::new(&view, run.can_steer),
            run,
            log,
        })
    })
    .await
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
            samples: view.samples,
            levers: levers(&view.controls, view.has_teacher),
        }
    }
}

fn levers(values: &ControlValues, has_teacher: bool) -> Vec<Lever> {
    let lever = |field, label, value: f64, help| Lever {
        field,
        label,
        help,
        current: typed(value),
        shown: figure(value),
    };
    let mut levers = vec![lever(
        "prototype_count",
        "Prototypes K",
        values.prototype_count as f64,
        "Clusters of each space, from the next episode",
    )];
    if has_teacher {
        levers.push(lever(
            "external_weight",
            "Teacher weight",
            values.external_weight,
            "Factor of the external teacher's loss",
        ));
    }
    levers.push(lever(
        "proto_weight",
        "Prototype weight",
        values.proto_weight,
        "Factor of the prototype loss",
    ));
    levers.push(lever(
        "target_temperature",
        "Target temperature",
        values.target_temperature,
        "Softmax temperature of the soft targets",
    ));
    levers.push(lever(
        "learning_rate_factor",
        "Learning rate ×",
        values.learning_rate_factor,
        "Factor on the scheduled learning rates",
    ));
    levers
}
