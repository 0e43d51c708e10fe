//! What each type of cell computes, from its resolved values and the studio's views.
//!
//! Called on the thread that runs a notebook. Long work reports how far it is and ends when it is
//! cancelled.

mod compare;
mod evaluate;
mod gap;
mod plot;
mod prototypes;
mod provenance;
mod query;
mod run;
mod space;
mod values;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

use super::super::{Studio, StudioError};
use super::cell::{Cell, CellKind};
use super::control::Choice;
use super::output::{CellOutput, Made, MadeBlock};

pub(super) use provenance::of_run as provenance;
pub(super) use values::Values;

/// What a cell may use while it computes.
pub(super) struct Context<'a> {
    pub(super) studio: &'a Studio,
    pub(super) values: Values<'a>,
    /// What the cell came to before.
    pub(super) previous: Option<&'a CellOutput>,
    /// Notes phase, done and total (0 while unknown).
    pub(super) progress: &'a (dyn Fn(&str, u64, u64) + Sync),
    /// Set when nobody wants the result any more.
    pub(super) cancelled: Arc<AtomicBool>,
    /// Stores a result that is not final, so that a crash does not lose it.
    pub(super) early: &'a dyn Fn(&Made) -> Result<(), StudioError>,
    /// Notes what was done to runs.
    pub(super) log: &'a dyn Fn(String) -> Result<(), StudioError>,
}

/// Why a cell has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CellFailure {
    Cancelled,
    Failed(String),
}

impl From<StudioError> for CellFailure {
    fn from(error: StudioError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<String> for CellFailure {
    fn from(message: String) -> Self {
        Self::Failed(message)
    }
}

impl fmt::Display for CellFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("cancelled"),
            Self::Failed(message) => f.write_str(message),
        }
    }
}

impl Context<'_> {
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Notes progress.
    ///
    /// # Errors
    /// When the cell was cancelled.
    pub(super) fn report(&self, phase: &str, done: u64, total: u64) -> Result<(), CellFailure> {
        (self.progress)(phase, done, total);
        match self.is_cancelled() {
            false => Ok(()),
            true => Err(CellFailure::Cancelled),
        }
    }
}

/// What a cell's result depends on besides its values: the state of the runs it looks at. Cheap.
///
/// # Errors
/// When a value is wrong or there is no such run.
pub(super) fn inputs(
    studio: &Studio,
    cell: &Cell,
    values: &Map<String, Value>,
) -> Result<Value, CellFailure> {
    let values = Values(values);
    Ok(match cell.kind {
        CellKind::Control => Value::Null,
        CellKind::Run => run::inputs(studio, values)?,
        CellKind::Plot => plot::inputs(studio, values)?,
        CellKind::Prototypes => prototypes::inputs(studio, values)?,
        CellKind::Space => space::inputs(studio, values)?,
        CellKind::Gap => gap::inputs(studio, values)?,
        CellKind::Compare => compare::inputs(studio, values)?,
        CellKind::Evaluate => evaluate::inputs(studio, values)?,
        CellKind::Query => query::inputs(studio, values)?,
    })
}

/// Computes a cell. Controls have no result of their own.
///
/// # Errors
/// When it was cancelled, or says what is wrong and how to mend it.
pub(super) fn make(cell: &Cell, context: &Context<'_>) -> Result<Made, CellFailure> {
    let mut made = make_untitled(cell, context)?;
    let first = made.blocks.iter_mut().find_map(|block| match block {
        MadeBlock::Table(table) => Some(table),
        MadeBlock::Figure { .. } | MadeBlock::Text(_) => None,
    });
    if let (Some(table), Some(title)) = (first, context.values.text("title")?)
        && table.title.is_empty()
    {
        title.clone_into(&mut table.title);
    }
    Ok(made)
}

fn make_untitled(cell: &Cell, context: &Context<'_>) -> Result<Made, CellFailure> {
    match cell.kind {
        CellKind::Control => Ok(Made::default()),
        CellKind::Run => run::make(context),
        CellKind::Plot => plot::make(context),
        CellKind::Prototypes => prototypes::make(context),
        CellKind::Space => space::make(context),
        CellKind::Gap => gap::make(context),
        CellKind::Compare => compare::make(context),
        CellKind::Evaluate => evaluate::make(context),
        CellKind::Query => query::make(context),
    }
}

/// Whether an effect has come to its end; one that was cut off goes on when it is run again.
pub(super) fn is_complete(cell: &Cell, output: &CellOutput) -> bool {
    cell.kind != CellKind::Run
        || output.fields.get("complete").and_then(Value::as_bool) != Some(false)
}

/// All runs as choices, newest first.
pub(super) fn run_choices(studio: &Studio) -> Vec<Choice> {
    let runs = studio.runs().into_iter().filter(|run| !run.broken);
    runs.map(|run| Choice {
        label: format!("{} ({})", run.name, run.id),
        value: json!(run.id),
    })
    .collect()
}
