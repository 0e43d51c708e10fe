//! `/notebooks/{name}`: a notebook to read, and with script to edit. The parts are also answered alone,
//! for their live update.

mod actions;
mod cell;
mod output;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::json;

use super::respond::{answer, page};
use super::shell::Shell;
use crate::server::AppState;
use crate::server::api::notebook_name;
use crate::studio::notebooks::{NotebookView, PartView, Problem};

pub(super) use actions::{cancel, delete, rename, run, set};
use cell::Cell;
use output::BlockView;

#[derive(Debug, Template)]
#[template(path = "pages/notebook.html")]
struct NotebookPage {
    shell: Shell,
    notebook: Notebook,
    /// Ids of the newest runs, separated by spaces.
    newest: String,
    keys: Vec<Key>,
}

#[derive(Debug, Template)]
#[template(path = "partials/notebook_parts.html")]
struct NotebookParts {
    shell: Shell,
    notebook: Notebook,
}

#[derive(Debug)]
struct Notebook {
    name: String,
    title: String,
    etag: String,
    running: bool,
    /// The words begin with the title, so the page needs none.
    has_heading: bool,
    /// Why the last pass ended early; empty otherwise.
    problem: String,
    effects: Vec<EffectLine>,
    parts: Vec<Part>,
}

/// What a cell did to a run.
#[derive(Debug)]
struct EffectLine {
    at: String,
    at_iso: String,
    cell: String,
    text: String,
}

#[derive(Debug)]
struct Part {
    kind: &'static str,
    /// What a person calls it.
    label: String,
    /// Its text as JSON: one piece, or the three of a cell.
    source: String,
    /// Of the front matter.
    text: String,
    /// Of prose; made safe by the studio.
    html: String,
    problems: Vec<Problem>,
    cell: Option<Cell>,
}

#[derive(Debug)]
struct Key {
    presses: &'static [&'static str],
    about: &'static str,
}

/// Runs that new cells can name.
const NEWEST: usize = 2;

pub(super) async fn one(
    State(state): State<AppState>,
    shell: Shell,
    Path(name): Path<String>,
) -> Response {
    let name = match notebook_name(&name) {
        Ok(name) => name,
        Err(error) => return answer(shell, Err(error)),
    };
    page(state, shell, move |studio, shell| {
        let newest: Vec<String> = studio
            .runs()
            .iter()
            .take(NEWEST)
            .map(|r| r.id.to_string())
            .collect();
        Ok(NotebookPage {
            shell: shell.in_section("notebooks"),
            notebook: Notebook::of(studio.notebook(&name)?),
            newest: newest.join(" "),
            keys: keys(),
        })
    })
    .await
}

/// The parts alone.
pub(super) async fn parts(
    State(state): State<AppState>,
    shell: Shell,
    Path(name): Path<String>,
) -> Response {
    let name = match notebook_name(&name) {
        Ok(name) => name,
        Err(error) => return answer(shell, Err(error)),
    };
    page(state, shell, move |studio, shell| {
        let notebook = Notebook::of(studio.notebook(&name)?);
        Ok(NotebookParts { shell, notebook })
    })
    .await
}

impl Notebook {
    fn of(view: NotebookView) -> Self {
        let NotebookView { name, .. } = view;
        let front_problem = view.front_problem;
        let parts: Vec<Part> = view
            .parts
            .into_iter()
            .enumerate()
            .map(|(at, part)| Part::of(&name, part, front_problem.as_ref().filter(|_| at == 0)))
            .collect();
        let first = parts.iter().find(|part| part.kind != "front");
        Self {
            has_heading: first.is_some_and(|part| part.html.trim_start().starts_with("<h1")),
            title: view.title,
            etag: view.etag,
            running: view.running,
            problem: view.problem.unwrap_or_default(),
            effects: view.effects.into_iter().rev().map(EffectLine::of).collect(),
            name,
            parts,
        }
    }
}

impl EffectLine {
    fn of(effect: crate::studio::notebooks::Effect) -> Self {
        Self {
            at: super::figures::date_time(effect.at),
            at_iso: effect.at.to_string(),
            cell: effect.cell,
            text: effect.text,
        }
    }
}

impl Part {
    /// `problem` is one of the whole file, told at its first part.
    fn of(notebook: &str, part: PartView, problem: Option<&Problem>) -> Self {
        let mut problems: Vec<Problem> = problem.cloned().into_iter().collect();
        let blank = |kind, label: String, source: String| Self {
            kind,
            label,
            source,
            text: String::new(),
            html: String::new(),
            problems: Vec::new(),
            cell: None,
        };
        match part {
            PartView::Front { text, .. } => {
                let label = "Title and settings of the file".into();
                Self {
                    problems,
                    text: text.clone(),
                    ..blank("front", label, json!([text]).to_string())
                }
            }
            PartView::Prose { text, html, .. } => Self {
                problems,
                html,
                ..blank("prose", prose_label(&text), json!([text]).to_string())
            },
            PartView::Cell(view) => {
                problems.extend(view.problems.iter().cloned());
                let source = json!([view.open, view.body, view.close]).to_string();
                let cell = Cell::of(notebook, *view);
                Self {
                    problems,
                    ..blank("cell", cell.label(), source)
                }
                .with(cell)
            }
        }
    }

    fn with(mut self, cell: Cell) -> Self {
        self.cell = Some(cell);
        self
    }
}

/// `Text`, with the first words of it.
fn prose_label(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let words: String = line
        .trim_start_matches('#')
        .trim()
        .chars()
        .take(60)
        .collect();
    if words.is_empty() {
        "Text".into()
    } else {
        format!("Text: {words}")
    }
}

/// The keys that `web/src/notebook/command_keys.ts` knows, for the help.
fn keys() -> Vec<Key> {
    let key = |presses, about| Key { presses, about };
    vec![
        key(&["Enter"], "Edit; in the editor Esc ends it"),
        key(&["Shift", "Enter"], "Run the cell, go to the next part"),
        key(&["Ctrl", "Enter"], "Run the cell"),
        key(&["Alt", "Enter"], "Run the cell, insert below"),
        key(&["a"], "Insert above"),
        key(&["b"], "Insert below"),
        key(&["d", "d"], "Delete the part"),
        key(&["z"], "Undo"),
        key(&["Shift", "Z"], "Redo"),
        key(&["j", "↓"], "Next part"),
        key(&["k", "↑"], "Previous part"),
        key(&["Shift", "J"], "Move the part down"),
        key(&["Shift", "K"], "Move the part up"),
        key(&["o"], "Show or hide the code of the cell"),
        key(&["Ctrl", "S"], "Save now"),
        key(&["h"], "This list"),
    ]
}
