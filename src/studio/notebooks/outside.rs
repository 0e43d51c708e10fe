//! Notebook files wherever they lie, run on the calling thread, as the terminal does.

use super::super::{Studio, StudioError};
use super::cell::{Cell, CellClass, CellKind};
use super::document::Document;
use super::file::NotebookFile;
use super::output_store::{OutputStore, Outputs};
use super::pass::{Pass, PassObserver, RunCells};
use super::plan::Plan;
use super::standing::{Overrides, Standing, standings};

/// A cell, or a line without one, and why there is no fresh result of it.
pub type NotRun = (String, String);

impl Studio {
    /// Runs cells of a notebook file; those that have no fresh result then.
    ///
    /// # Errors
    /// When the notebook or its outputs cannot be read or written, or there is no such cell. A cell
    /// that fails is told to `observer` and is no error.
    pub fn run_notebook_file(
        &self,
        file: &NotebookFile,
        overrides: &Overrides,
        mut asked: RunCells,
        observer: &dyn PassObserver,
    ) -> Result<Vec<NotRun>, StudioError> {
        let plan = Plan::of(&Document::read(&file.read()?.text));
        asked.check(&plan)?;
        let pass = Pass {
            studio: self,
            file,
            overrides,
            observer,
        };
        pass.run(&mut asked)?;
        let outputs = OutputStore::at(file.outputs()).read()?;
        let all = standings(self, &plan, &outputs, overrides);
        let problems = plan
            .problems
            .iter()
            .map(|problem| (format!("line {}", problem.line), problem.message.clone()));
        let left = plan.cells.iter().filter_map(|cell| {
            let why = not_fresh(cell, all.get(&cell.id)?, &outputs)?;
            Some((cell.id.clone(), why))
        });
        Ok(problems.chain(left).collect())
    }
}

/// Why a cell that did not fail has no fresh result.
fn not_fresh(cell: &Cell, standing: &Standing, outputs: &Outputs) -> Option<String> {
    let has_failed = outputs
        .get(&cell.id)
        .is_some_and(|output| output.error.is_some());
    if standing.fresh || has_failed {
        return None;
    }
    Some(match (&standing.reason, cell.class()) {
        (Some(reason), _) => reason.clone(),
        (None, CellClass::Effect) => "it is an effect; run it with --effects".into(),
        (None, _) if cell.kind == CellKind::Control => "it has no value".into(),
        (None, _) => "a cell that it refers to is stale".into(),
    })
}
