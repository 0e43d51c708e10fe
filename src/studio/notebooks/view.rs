//! A notebook as pages and the API show it: its parts, where each cell stands, and its last outputs.

use serde::Serialize;

use super::super::Studio;
use super::cell::{Cell, CellClass, CellKind};
use super::control::Control;
use super::desk::{ActivityState, SessionView};
use super::document::{Document, Part};
use super::file::{NotebookFile, TaggedText};
use super::markdown::{Pictures, prose_html};
use super::output::CellOutput;
use super::output_store::{Effect, OutputStore, Outputs};
use super::plan::Plan;
use super::standing::{Overrides, Standing, standings};
use super::{CellText, Problem};

/// A notebook as shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotebookView {
    pub name: String,
    pub title: String,
    pub etag: String,
    /// Milliseconds since 1970.
    pub modified: u64,
    /// Cells are running.
    pub running: bool,
    /// What is wrong with the lines at the top.
    pub front_problem: Option<Problem>,
    /// Of all cells, by line.
    pub problems: Vec<Problem>,
    /// Why the last pass ended early, or the outputs cannot be read.
    pub problem: Option<String>,
    /// What cells did to runs, oldest first.
    pub effects: Vec<Effect>,
    pub parts: Vec<PartView>,
}

/// A piece of a notebook. The texts of all pieces, joined, are the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PartView {
    Front {
        text: String,
        line: usize,
    },
    Prose {
        text: String,
        /// Safe to put into a page.
        html: String,
        line: usize,
    },
    Cell(Box<CellView>),
}

/// A cell as shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellView {
    pub id: Option<String>,
    #[serde(rename = "type")]
    pub cell_kind: Option<CellKind>,
    pub class: Option<CellClass>,
    pub line: usize,
    pub open: String,
    pub body: String,
    pub close: String,
    pub problems: Vec<Problem>,
    pub status: CellStatus,
    pub control: Option<Control>,
    pub output: Option<CellOutput>,
}

/// Where a cell stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CellStatus {
    pub state: CellState,
    /// Of a running cell: what it does.
    pub phase: Option<String>,
    pub done: Option<u64>,
    /// 0 while unknown.
    pub total: Option<u64>,
    /// Since it began.
    pub seconds: Option<f64>,
    /// Why it is stale or has no result.
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CellState {
    #[default]
    Never,
    Fresh,
    Stale,
    Queued,
    Running,
    Failed,
    Cancelled,
}

impl CellState {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl NotebookView {
    pub(super) fn of(
        studio: &Studio,
        (name, file): (&str, &NotebookFile),
        read: &TaggedText,
        session: &SessionView,
    ) -> Self {
        let document = Document::read(&read.text);
        let plan = Plan::of(&document);
        let store = OutputStore::at(file.outputs());
        let (outputs, unreadable) = match store.read() {
            Ok(outputs) => (outputs, None),
            Err(error) => (Outputs::new(), Some(error.to_string())),
        };
        let all = standings(studio, &plan, &outputs, &Overrides::new());
        let front = document.front_matter();
        let look = Look {
            plan: &plan,
            outputs: &outputs,
            session,
            standings: &all,
        };
        let mut line = 1;
        let parts = document.parts().iter().map(|part| {
            let shown = look.part(part, line);
            line += part.to_string().matches('\n').count();
            shown
        });
        Self {
            name: name.to_owned(),
            parts: parts.collect(),
            title: title(&document, name),
            etag: read.etag.clone(),
            modified: read.modified,
            running: session.running,
            front_problem: front.err(),
            problems: plan.problems.clone(),
            problem: session.problem.clone().or(unreadable),
            effects: store.effects(),
        }
    }
}

/// The title of the front matter, else the first heading, else the name.
pub(super) fn title(document: &Document, name: &str) -> String {
    let front = document
        .front_matter()
        .map(|front| front.title)
        .unwrap_or_default();
    if !front.trim().is_empty() {
        return front;
    }
    let prose = document.parts().iter().filter_map(|part| match part {
        Part::Prose(text) => Some(text),
        Part::Front(_) | Part::Cell(_) => None,
    });
    let mut headings = prose.flat_map(|text| super::markdown::headings(text));
    headings
        .next()
        .map_or_else(|| name.to_owned(), |heading| heading.text)
}

struct Look<'a> {
    plan: &'a Plan,
    outputs: &'a Outputs,
    session: &'a SessionView,
    standings: &'a std::collections::BTreeMap<String, Standing>,
}

impl Look<'_> {
    fn part(&self, part: &Part, line: usize) -> PartView {
        match part {
            Part::Front(text) => PartView::Front {
                text: text.clone(),
                line,
            },
            Part::Prose(text) => PartView::Prose {
                html: prose_html(text, Pictures::OfTheServer),
                text: text.clone(),
                line,
            },
            Part::Cell(text) => PartView::Cell(Box::new(self.cell(text))),
        }
    }

    fn cell(&self, text: &CellText) -> CellView {
        let read = Cell::read(text);
        let id = match &read {
            Ok(cell) => Some(cell.id.clone()),
            Err(problems) => problems.iter().find_map(|problem| problem.cell.clone()),
        };
        let end = text.line + text.body.matches('\n').count() + 1;
        let own = |problem: &&Problem| (text.line..=end).contains(&problem.line);
        let problems: Vec<Problem> = self.plan.problems.iter().filter(own).cloned().collect();
        let cell = read.ok();
        // A second cell of the same name has no output of its own.
        let planned = cell.as_ref().filter(|cell| {
            self.plan
                .cells
                .iter()
                .any(|p| p.id == cell.id && p.line == cell.line)
        });
        let standing = planned.and_then(|cell| self.standings.get(&cell.id));
        let output = planned.and_then(|cell| self.outputs.get(&cell.id));
        CellView {
            status: self.status(planned, standing, output),
            cell_kind: cell.as_ref().map(|cell| cell.kind),
            class: cell.as_ref().map(Cell::class),
            control: standing.and_then(|standing| standing.control.clone()),
            output: output.cloned(),
            id,
            line: text.line,
            open: text.open.clone(),
            body: text.body.clone(),
            close: text.close.clone(),
            problems,
        }
    }

    fn status(
        &self,
        cell: Option<&Cell>,
        standing: Option<&Standing>,
        output: Option<&CellOutput>,
    ) -> CellStatus {
        let (Some(cell), Some(standing)) = (cell, standing) else {
            return CellStatus {
                state: CellState::Failed,
                reason: Some("the cell cannot be run; see its problems".into()),
                ..CellStatus::default()
            };
        };
        let activity = self.session.cells.get(&cell.id);
        if let Some(activity) = activity {
            let state = match activity.state {
                ActivityState::Queued => CellState::Queued,
                ActivityState::Running => CellState::Running,
                ActivityState::Cancelled => CellState::Cancelled,
            };
            let running = state == CellState::Running;
            return CellStatus {
                state,
                phase: running.then(|| activity.phase.clone()),
                done: running.then_some(activity.done),
                total: running.then_some(activity.total),
                seconds: running.then(|| activity.seconds()),
                reason: None,
            };
        }
        let (state, reason) = match output {
            _ if standing.control.is_some() => (CellState::Fresh, None),
            None if cell.kind == CellKind::Control => (CellState::Failed, standing.reason.clone()),
            None => (CellState::Never, standing.reason.clone()),
            Some(output) if output.error.is_some() && (standing.fresh || output.key.is_empty()) => {
                (CellState::Failed, output.error.clone())
            }
            Some(_) if standing.fresh => (CellState::Fresh, None),
            Some(_) => (CellState::Stale, standing.reason.clone()),
        };
        CellStatus {
            state,
            reason,
            ..CellStatus::default()
        }
    }
}
