//! Computes a notebook again and says what is not as it was.

use std::collections::BTreeMap;

use protoclip::train::{list_checkpoints, verify_checkpoint};
use serde::Serialize;
use serde_json::{Map, Value};

use super::super::{RunId, Studio, StudioError};
use super::cell::{Cell, CellClass, CellKind};
use super::cells::{self, CellFailure, Context, Values};
use super::document::Document;
use super::file::NotebookFile;
use super::output::{CellOutput, Provenance, short};
use super::output_store::OutputStore;
use super::pass::PassObserver;
use super::plan::Plan;
use super::standing::{Follower, Overrides};

/// What verification says of one cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CellVerdict {
    /// Id, or the line where a cell has none.
    pub cell: String,
    pub line: usize,
    pub verdict: Verdict,
    /// What is wrong; of a cell that is as it was, what was left out.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Computed again with the same result.
    Same,
    /// Another result, or another checkpoint.
    Drifted,
    /// There is nothing to compare, or it cannot be computed.
    Failed,
}

impl Verdict {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Drifted => "drifted",
            Self::Failed => "failed",
        }
    }
}

impl Studio {
    /// Checks the checkpoints that the outputs of a notebook name, computes every view and computation
    /// again, and compares. Effects are not done again: their runs must be as they were. Stores nothing.
    ///
    /// # Errors
    /// When the notebook or its outputs cannot be read.
    pub fn verify_notebook(
        &self,
        file: &NotebookFile,
        overrides: &Overrides,
        observer: &dyn PassObserver,
    ) -> Result<Vec<CellVerdict>, StudioError> {
        let document = Document::read(&file.read()?.text);
        let plan = Plan::of(&document);
        let outputs = OutputStore::at(file.outputs()).read()?;
        let mut verdicts: Vec<CellVerdict> = plan.problems.iter().map(wrong).collect();
        let mut follower = Follower::new(self, overrides);
        let mut verifier = Verifier {
            studio: self,
            observer,
            checkpoints: BTreeMap::new(),
        };
        for cell in &plan.cells {
            if observer.is_over() {
                break;
            }
            let standing = follower.look(cell, &outputs);
            follower.pass(cell, &standing, &outputs);
            let (verdict, message) = match (&standing.values, outputs.get(&cell.id)) {
                _ if cell.kind == CellKind::Control => match standing.reason {
                    None => continue,
                    Some(reason) => (Verdict::Failed, reason),
                },
                (None, _) => (Verdict::Failed, standing.reason.unwrap_or_default()),
                (_, None) => (Verdict::Failed, "it was never run".into()),
                (Some(values), Some(output)) => verifier.verdict(cell, values, output),
            };
            verdicts.push(CellVerdict {
                cell: cell.id.clone(),
                line: cell.line,
                verdict,
                message,
            });
        }
        verdicts.sort_by_key(|verdict| verdict.line);
        Ok(verdicts)
    }
}

fn wrong(problem: &super::Problem) -> CellVerdict {
    CellVerdict {
        cell: problem
            .cell
            .clone()
            .unwrap_or_else(|| format!("line {}", problem.line)),
        line: problem.line,
        verdict: Verdict::Failed,
        message: problem.message.clone(),
    }
}

struct Verifier<'a> {
    studio: &'a Studio,
    observer: &'a dyn PassObserver,
    /// What was found of each checkpoint, so that it is read once.
    checkpoints: BTreeMap<(RunId, u64), Found>,
}

/// A checkpoint on disk.
#[derive(Debug, Clone)]
enum Found {
    Intact { hash: String },
    Damaged(String),
    Gone,
}

impl Verifier<'_> {
    fn verdict(
        &mut self,
        cell: &Cell,
        values: &Map<String, Value>,
        output: &CellOutput,
    ) -> (Verdict, String) {
        if let Some(error) = &output.error {
            return (
                Verdict::Failed,
                format!("it failed when it was run: {error}"),
            );
        }
        let mut gone = Vec::new();
        for origin in &output.provenance {
            match self.origin(origin) {
                Ok(None) => (),
                Ok(Some(remark)) => gone.push(remark),
                Err(found) => return found,
            }
        }
        let (verdict, message) = match cell.class() {
            CellClass::Effect => self.effect(output),
            CellClass::View | CellClass::Compute => self.again(cell, values, output),
        };
        let remarks = std::iter::once(message)
            .filter(|m| !m.is_empty())
            .chain(gone);
        (verdict, remarks.collect::<Vec<_>>().join("; "))
    }

    /// Whether a run and its checkpoint are what they were; a remark when that cannot be said.
    fn origin(&mut self, origin: &Provenance) -> Result<Option<String>, (Verdict, String)> {
        let Ok(run) = self.studio.run(&origin.run) else {
            return Err((
                Verdict::Failed,
                format!("run {} does not exist any more", origin.run),
            ));
        };
        let Some(mark) = &origin.checkpoint else {
            return Ok(None);
        };
        let key = (run.id.clone(), mark.step);
        let found = self
            .checkpoints
            .entry(key)
            .or_insert_with(|| find_checkpoint(self.studio, &origin.run, mark.step));
        let named = format!("the checkpoint of step {} of run {}", mark.step, run.id);
        match found {
            Found::Intact { hash } if *hash == mark.hash => Ok(None),
            Found::Intact { hash } => {
                let message = format!(
                    "{named} is another one: {} was {}",
                    short(hash),
                    short(&mark.hash)
                );
                Err((Verdict::Drifted, message))
            }
            Found::Damaged(message) => {
                Err((Verdict::Failed, format!("{named} is damaged: {message}")))
            }
            Found::Gone => Ok(Some(format!(
                "{named} is not kept any more and was not checked"
            ))),
        }
    }

    fn effect(&self, output: &CellOutput) -> (Verdict, String) {
        let text = |key: &str| output.fields.get(key).and_then(Value::as_str);
        let Some(id) = text("id") else {
            return (Verdict::Same, String::new());
        };
        match self.studio.run(&RunId::from(id)) {
            Err(_) => (Verdict::Failed, format!("run {id} does not exist any more")),
            Ok(run) => {
                let step = output.fields.get("step").and_then(Value::as_u64);
                let now = run.state.name();
                if text("state") == Some(now) && step == Some(run.step) {
                    return (Verdict::Same, String::new());
                }
                let was = text("state").unwrap_or_default();
                let message = format!(
                    "run {id} was {was} at step {}, now it is {now} at step {}",
                    step.unwrap_or(0),
                    run.step
                );
                (Verdict::Drifted, message)
            }
        }
    }

    fn again(
        &self,
        cell: &Cell,
        values: &Map<String, Value>,
        output: &CellOutput,
    ) -> (Verdict, String) {
        let cancelled = self.observer.begins(&cell.id);
        let context = Context {
            studio: self.studio,
            values: Values(values),
            previous: None,
            progress: &|phase, done, total| self.observer.progress(&cell.id, phase, done, total),
            cancelled,
            early: &|_| Ok(()),
            log: &|_| Ok(()),
        };
        match cells::make(cell, &context) {
            Ok(made) if made.hash() == output.hash => (Verdict::Same, String::new()),
            Ok(made) => {
                let message = match made.summary == output.summary {
                    true => "its figures or tables are others".to_owned(),
                    false => format!("it was: {} It is: {}", output.summary, made.summary),
                };
                (Verdict::Drifted, message)
            }
            Err(CellFailure::Cancelled) => (Verdict::Failed, "cancelled".into()),
            Err(CellFailure::Failed(message)) => (Verdict::Failed, message),
        }
    }
}

fn find_checkpoint(studio: &Studio, run: &RunId, step: u64) -> Found {
    let (good, broken) = list_checkpoints(studio.run_path(run).as_path());
    if let Some(info) = good.into_iter().find(|info| info.step == step) {
        return match verify_checkpoint(&info.path) {
            Ok(()) => Found::Intact { hash: info.hash },
            Err(message) => Found::Damaged(message),
        };
    }
    let name = format!("{step:08}");
    let is_asked = |path: &std::path::Path| path.file_name().is_some_and(|n| *n == *name);
    match broken.into_iter().find(|broken| is_asked(&broken.path)) {
        Some(broken) => Found::Damaged(broken.message),
        None => Found::Gone,
    }
}
