//! One pass over a notebook: runs the cells that were asked for and those that this makes stale.
//!
//! Called on the thread of a notebook in the server, and by `notebook run` in a terminal. The outputs
//! are stored after every cell, so that a crash loses the one that was running and nothing else.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::super::{ConfigErrors, Studio, StudioError};
use super::cell::{Cell, CellClass, CellKind};
use super::cells::{self, CellFailure, Context, Values};
use super::document::Document;
use super::file::NotebookFile;
use super::output::{CellOutput, Made};
use super::output_store::{Effect, OutputStore, Outputs};
use super::plan::Plan;
use super::standing::{Follower, Overrides, Standing};

/// Which cells to run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunCells {
    /// These, whether they are stale or not; and what they need, if that is stale and no effect.
    pub cells: Vec<String>,
    /// These besides.
    pub which: Which,
    /// Also effects that have not come to their end, or whose values changed.
    pub effects: bool,
}

/// A set of cells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// Stale views.
    #[default]
    Views,
    /// Stale views and computations, and those that failed.
    Stale,
    /// All views and computations.
    All,
}

/// How a cell came through a pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Failed(String),
    Cancelled,
}

/// Hears of a pass.
pub trait PassObserver: Sync {
    /// A cell begins; setting the flag that is returned cancels it.
    fn begins(&self, cell: &str) -> Arc<AtomicBool>;
    /// How far it is; `total` is 0 while unknown.
    fn progress(&self, cell: &str, phase: &str, done: u64, total: u64);
    fn ends(&self, cell: &str, outcome: &Outcome);
    /// Looked at between cells: whether the pass should end.
    fn is_over(&self) -> bool;
}

/// A notebook that is run.
pub(super) struct Pass<'a> {
    pub(super) studio: &'a Studio,
    pub(super) file: &'a NotebookFile,
    pub(super) overrides: &'a Overrides,
    pub(super) observer: &'a dyn PassObserver,
}

impl RunCells {
    /// Whether the cells that it names can be run.
    ///
    /// # Errors
    /// Names the first that cannot.
    pub(super) fn check(&self, plan: &Plan) -> Result<(), ConfigErrors> {
        let is_known = |id: &String| plan.cells.iter().any(|cell| cell.id == *id);
        match self.cells.iter().find(|id| !is_known(id)) {
            None => Ok(()),
            Some(unknown) => {
                let message = format!(
                    "there is no cell {unknown} that can be run; see the problems of the notebook"
                );
                Err(ConfigErrors::one("cells", message))
            }
        }
    }

    /// Takes up what another request asks for.
    pub(super) fn merge(&mut self, other: Self) {
        for cell in other.cells {
            if !self.cells.contains(&cell) {
                self.cells.push(cell);
            }
        }
        self.which = self.which.max(other.which);
        self.effects |= other.effects;
    }
}

impl Pass<'_> {
    /// Runs what was asked for. Cells that are done are taken out of `asked.cells`. `true` when the
    /// end was reached.
    ///
    /// # Errors
    /// When the notebook or its outputs cannot be read or written. A cell that fails is no error.
    pub(super) fn run(&self, asked: &mut RunCells) -> Result<bool, StudioError> {
        let document = Document::read(&self.file.read()?.text);
        let plan = Plan::of(&document);
        let store = OutputStore::at(self.file.outputs());
        let mut outputs = store.read()?;
        let needed = needed(&plan, &asked.cells);
        let mut follower = Follower::new(self.studio, self.overrides);
        for cell in &plan.cells {
            if self.observer.is_over() {
                return Ok(false);
            }
            let mut standing = follower.look(cell, &outputs);
            if cell.kind != CellKind::Control
                && is_wanted(cell, &standing, outputs.get(&cell.id), asked, &needed)
            {
                self.run_cell(cell, &standing, &store, &mut outputs)?;
                asked.cells.retain(|id| *id != cell.id);
                standing = follower.look(cell, &outputs);
            }
            follower.pass(cell, &standing, &outputs);
        }
        Ok(true)
    }

    fn run_cell(
        &self,
        cell: &Cell,
        standing: &Standing,
        store: &OutputStore,
        outputs: &mut Outputs,
    ) -> Result<(), StudioError> {
        let cancelled = self.observer.begins(&cell.id);
        let began = Instant::now();
        let previous = outputs.get(&cell.id).cloned();
        let made = self.make(cell, standing, previous.as_ref(), store, &cancelled);
        let seconds = began.elapsed().as_secs_f64();
        // Runs may have moved while the cell worked; the result is of what they were at its end.
        let key = standing.key.clone().unwrap_or_default();
        let outcome = match made {
            Ok(made) => {
                let output = stored(store, made, key, seconds)?;
                outputs.insert(cell.id.clone(), output);
                store.write(outputs)?;
                Outcome::Done
            }
            Err(CellFailure::Cancelled) => {
                // What an effect stored early stays.
                *outputs = store.read()?;
                Outcome::Cancelled
            }
            Err(CellFailure::Failed(message)) => {
                *outputs = store.read()?;
                let mut output = failed(key, &message, seconds);
                if let Some(early) = outputs.get(&cell.id).filter(|_| cell.kind == CellKind::Run) {
                    output.fields = early.fields.clone();
                    output.provenance = early.provenance.clone();
                }
                outputs.insert(cell.id.clone(), output);
                store.write(outputs)?;
                Outcome::Failed(message)
            }
        };
        self.observer.ends(&cell.id, &outcome);
        Ok(())
    }

    fn make(
        &self,
        cell: &Cell,
        standing: &Standing,
        previous: Option<&CellOutput>,
        store: &OutputStore,
        cancelled: &Arc<AtomicBool>,
    ) -> Result<Made, CellFailure> {
        let (Some(values), Some(key)) = (&standing.values, &standing.key) else {
            let reason = standing.reason.clone().unwrap_or_default();
            return Err(CellFailure::Failed(reason));
        };
        let key = key.clone();
        let previous = previous.filter(|previous| previous.key == key);
        let context = Context {
            studio: self.studio,
            values: Values(values),
            previous,
            progress: &|phase, done, total| {
                self.observer.progress(&cell.id, phase, done, total);
            },
            cancelled: Arc::clone(cancelled),
            early: &|made| {
                let mut outputs = store.read()?;
                let output = stored(store, made.clone(), key.clone(), 0.0)?;
                outputs.insert(cell.id.clone(), output);
                store.write(&outputs)
            },
            log: &|text| {
                store.log_effect(&Effect {
                    at: Timestamp::now(),
                    cell: cell.id.clone(),
                    text,
                })
            },
        };
        cells::make(cell, &context)
    }
}

/// The cells that some of them refer to, directly or not, and themselves.
fn needed(plan: &Plan, wanted: &[String]) -> BTreeSet<String> {
    let mut needed: BTreeSet<String> = wanted.iter().cloned().collect();
    for cell in plan.cells.iter().rev() {
        if needed.contains(&cell.id) {
            needed.extend(
                cell.references()
                    .into_iter()
                    .map(|reference| reference.cell),
            );
        }
    }
    needed
}

fn is_wanted(
    cell: &Cell,
    standing: &Standing,
    output: Option<&CellOutput>,
    asked: &RunCells,
    needed: &BTreeSet<String>,
) -> bool {
    if asked.cells.contains(&cell.id) {
        return true;
    }
    // A cell waits for those that it refers to.
    if standing.values.is_none() {
        return false;
    }
    let has_failed = output.is_some_and(|output| output.error.is_some());
    // Without a key a value is wrong, which is tried only when a person asks.
    let is_stale = !standing.fresh && (standing.key.is_some() || asked.which >= Which::Stale);
    match cell.class() {
        CellClass::Effect => asked.effects && (is_stale || has_failed),
        _ if asked.which == Which::All => true,
        CellClass::View => is_stale || (has_failed && asked.which == Which::Stale),
        CellClass::Compute => {
            let asked_for = asked.which == Which::Stale || needed.contains(&cell.id);
            asked_for && (is_stale || has_failed)
        }
    }
}

fn stored(
    store: &OutputStore,
    made: Made,
    key: String,
    seconds: f64,
) -> Result<CellOutput, StudioError> {
    let (summary, fields) = (made.summary.clone(), made.fields.clone());
    let (links, provenance) = (made.links.clone(), made.provenance.clone());
    let kept = store.keep(made)?;
    Ok(CellOutput {
        key,
        hash: kept.hash,
        computed: now(),
        seconds,
        summary,
        error: None,
        blocks: kept.blocks,
        fields,
        links,
        provenance,
    })
}

fn failed(key: String, message: &str, seconds: f64) -> CellOutput {
    CellOutput {
        key,
        hash: String::new(),
        computed: now(),
        seconds,
        summary: String::new(),
        error: Some(message.to_owned()),
        blocks: Vec::new(),
        fields: Map::new(),
        links: Vec::new(),
        provenance: Vec::new(),
    }
}

fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}
