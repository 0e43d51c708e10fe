//! The changes of settings of a run, in the dock and in the log: undo, fork without, difference.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use super::compare::compare_address;
use super::figures::{figure, grouped};
use super::respond::{answer, page};
use super::run_live::lever_label;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{ChangeId, ChangeView, Compared, ComparisonAxis, RunId, Studio, StudioError};

/// The list in the dock; also answered alone, for its live update.
#[derive(Debug, Template)]
#[template(path = "partials/changes.html")]
pub(super) struct ChangeList {
    run: String,
    /// Newest first.
    changes: Vec<ChangeRow>,
}

/// The buttons of one change, in the dock and in its row of the log.
#[derive(Debug, Template)]
#[template(path = "partials/change_actions.html")]
pub(super) struct ChangeActions {
    shell: Shell,
    /// Where the buttons are, so that their ids differ.
    place: &'static str,
    run: String,
    change: ChangeId,
    /// What it changed, in words.
    name: String,
    /// The value before, as shown.
    from: String,
    can_undo: bool,
    can_fork: bool,
}

#[derive(Debug)]
struct ChangeRow {
    label: &'static str,
    from: String,
    to: String,
    step: String,
    actions: ChangeActions,
    forks: Vec<ForkRow>,
}

#[derive(Debug)]
struct ForkRow {
    name: String,
    href: String,
    difference: String,
}

/// The list alone.
pub(super) async fn changes(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    page(state, shell, move |studio, shell| {
        ChangeList::read(studio, &shell, &RunId::from(id.as_str()))
    })
    .await
}

/// Undoes a change, or forks the run without it, where no script runs.
pub(super) async fn act(
    State(state): State<AppState>,
    shell: Shell,
    Path((id, step, field, action)): Path<(String, String, String, String)>,
    Form(_nothing): Form<Vec<(String, String)>>,
) -> Response {
    let id = RunId::from(id.as_str());
    let done = state.ask(move |studio| {
        let change = ChangeId::named(&step, field)?;
        match action.as_str() {
            "undo" => studio.undo(&id, &change).map(|_| id),
            "fork" => studio.fork_without(&id, &change),
            other => Err(StudioError::NotFound(format!(
                "a change has no action {other}"
            ))),
        }
    });
    let to_run = |id: RunId| Redirect::to(&format!("/runs/{id}")).into_response();
    answer(shell, done.await.map(to_run))
}

impl ChangeList {
    /// The changes of a run; one that cannot be read has none.
    pub(super) fn read(studio: &Studio, shell: &Shell, id: &RunId) -> Result<Self, StudioError> {
        let broken = studio.run(id)?.broken;
        let views = if broken {
            Vec::new()
        } else {
            studio.changes(id)?
        };
        let rows = views.iter().rev();
        Ok(Self {
            changes: rows
                .map(|view| ChangeRow::new(studio, shell, id, view))
                .collect(),
            run: id.to_string(),
        })
    }
}

impl ChangeActions {
    pub(super) fn new(shell: &Shell, place: &'static str, run: &RunId, view: &ChangeView) -> Self {
        let label = lever_label(&view.id.field);
        Self {
            shell: shell.clone(),
            place,
            run: run.to_string(),
            change: view.id.clone(),
            name: format!("{label} {} → {}", figure(view.from), figure(view.to)),
            from: figure(view.from),
            can_undo: view.can_undo,
            can_fork: view.checkpoint_step.is_some(),
        }
    }
}

impl ChangeRow {
    fn new(studio: &Studio, shell: &Shell, run: &RunId, view: &ChangeView) -> Self {
        let fork = |fork: &RunId| ForkRow {
            name: studio
                .run(fork)
                .map_or_else(|_| fork.to_string(), |run| run.name),
            href: format!("/runs/{fork}"),
            difference: difference_address(fork, run),
        };
        Self {
            label: lever_label(&view.id.field),
            from: figure(view.from),
            to: figure(view.to),
            step: grouped(view.id.step),
            actions: ChangeActions::new(shell, "dock", run, view),
            forks: view.forks.iter().map(fork).collect(),
        }
    }
}

/// What a change did: the run with it minus its fork without it.
pub(super) fn difference_address(fork: &RunId, run: &RunId) -> String {
    let runs = [fork.clone(), run.clone()];
    compare_address(&runs, ComparisonAxis::default(), Compared::Difference)
}
