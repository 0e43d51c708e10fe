//! What the forms of a notebook do where no script runs: change something, then redirect (303).

use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::Value;

use super::super::respond::answer;
use super::super::shell::Shell;
use crate::server::api::notebook_name;
use crate::server::{AppError, AppState};
use crate::studio::notebooks::{
    CellClass, ControlKind, NotebookName, NotebookView, PartView, RunCells, Which,
};
use crate::studio::{Studio, StudioError};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct RunForm {
    cells: String,
    which: Which,
    /// The box that says what an effect does was ticked.
    effects: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in super::super) struct CancelForm {
    cell: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(in super::super) struct NewName {
    #[serde(rename = "json:name")]
    name: String,
}

/// Runs one cell, or all of a kind.
pub(in super::super) async fn run(
    State(state): State<AppState>,
    shell: Shell,
    Path(name): Path<String>,
    Form(form): Form<RunForm>,
) -> Response {
    let anchor = form.cells.clone();
    let done = change(state, &name, move |studio, name| {
        let view = studio.notebook(name)?;
        if !form.effects && is_effect(&view, &form.cells) {
            let message = "this cell changes something outside the notebook; tick the box beside its button first";
            return Err(StudioError::Conflict(message.into()));
        }
        let cells = RunCells {
            cells: Some(form.cells)
                .filter(|id| !id.is_empty())
                .into_iter()
                .collect(),
            which: form.which,
            effects: false,
        };
        studio.run_notebook(name, &cells)
    });
    back(shell, done.await, &anchor)
}

/// Cancels one cell, or all.
pub(in super::super) async fn cancel(
    State(state): State<AppState>,
    shell: Shell,
    Path(name): Path<String>,
    Form(form): Form<CancelForm>,
) -> Response {
    let anchor = form.cell.clone().unwrap_or_default();
    let done = change(state, &name, move |studio, name| {
        studio.cancel_notebook(name, form.cell.as_deref())
    });
    back(shell, done.await, &anchor)
}

/// Sets a control.
pub(in super::super) async fn set(
    State(state): State<AppState>,
    shell: Shell,
    Path((name, cell)): Path<(String, String)>,
    Form(typed): Form<Vec<(String, String)>>,
) -> Response {
    let anchor = cell.clone();
    let done = change(state, &name, move |studio, name| {
        let value = value_of(&studio.notebook(name)?, &cell, &typed);
        studio.set_control(name, &cell, &value)
    });
    back(shell, done.await, &anchor)
}

pub(in super::super) async fn rename(
    State(state): State<AppState>,
    shell: Shell,
    Path(name): Path<String>,
    Form(to): Form<NewName>,
) -> Response {
    let done = change(state, &name, move |studio, name| {
        studio.rename_notebook(name, to.name.trim())
    });
    back(shell, done.await, "")
}

pub(in super::super) async fn delete(
    State(state): State<AppState>,
    shell: Shell,
    Path(name): Path<String>,
) -> Response {
    let name = match notebook_name(&name) {
        Ok(name) => name,
        Err(error) => return answer(shell, Err(error)),
    };
    let done = state.ask(move |studio| studio.trash_notebook(&name)).await;
    let to_list = |_| Redirect::to("/notebooks").into_response();
    answer(shell, done.map(to_list))
}

async fn change(
    state: AppState,
    name: &str,
    work: impl FnOnce(&Studio, &NotebookName) -> Result<NotebookView, StudioError> + Send + 'static,
) -> Result<NotebookView, AppError> {
    let name = notebook_name(name)?;
    state.ask(move |studio| work(studio, &name)).await
}

/// To the notebook, at the cell that the form was in.
fn back(shell: Shell, done: Result<NotebookView, AppError>, cell: &str) -> Response {
    answer(
        shell,
        done.map(|view| {
            let plain = cell
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            let at = if cell.is_empty() || !plain {
                String::new()
            } else {
                format!("#cell-{cell}")
            };
            let to = Redirect::to(&format!("/notebooks/{}{at}", view.name));
            (StatusCode::SEE_OTHER, to).into_response()
        }),
    )
}

fn cell_of<'a>(view: &'a NotebookView, id: &str) -> Option<&'a crate::studio::notebooks::CellView> {
    view.parts.iter().find_map(|part| match part {
        PartView::Cell(cell) if cell.id.as_deref() == Some(id) => Some(cell.as_ref()),
        _ => None,
    })
}

fn is_effect(view: &NotebookView, id: &str) -> bool {
    cell_of(view, id).is_some_and(|cell| cell.class == Some(CellClass::Effect))
}

/// What was typed, as a value of the control's kind; a switch sends its hidden value before its own.
fn value_of(view: &NotebookView, cell: &str, typed: &[(String, String)]) -> Value {
    let last = typed.iter().rev().find(|(key, _)| key == "value");
    let text = last.map_or("", |(_, value)| value.as_str());
    let kind = cell_of(view, cell)
        .and_then(|cell| cell.control.as_ref())
        .map(|c| c.kind);
    match kind {
        Some(ControlKind::Text) => Value::String(text.to_owned()),
        // Numbers, choices and switches are sent as JSON; what is none is refused as the text it is.
        _ => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
    }
}
