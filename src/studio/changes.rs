//! The changes of settings that took effect in a run: listed, undone, left out of a fork.
//!
//! A change is one setting at one step. Before it took effect the trainer saved a checkpoint; a
//! fork without the change goes on from there with the setting as it was.

use jiff::Timestamp;
use protoclip::train::{AppliesAt, BeforeChange, ControlChange, ControlValues};
use serde::{Deserialize, Serialize};

use super::desk::Wish;
use super::run_directory::OmittedChange;
use super::run_log::{LineKind, LogLine};
use super::run_state::Request;
use super::{ForkRequest, RunId, Studio, StudioError};

/// One setting, at one step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeId {
    /// Step at which it took effect.
    pub step: u64,
    /// A field of [`ControlValues`].
    pub field: String,
}

impl ChangeId {
    /// A change by the two parts of its address.
    ///
    /// # Errors
    /// When `step` is no number.
    pub fn named(step: &str, field: String) -> Result<Self, StudioError> {
        let step = step.parse().map_err(|_| {
            StudioError::NotFound(format!(
                "a change is named by the number of its step, not {step:?}"
            ))
        })?;
        Ok(Self { step, field })
    }
}

/// A change that took effect.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChangeView {
    #[serde(flatten)]
    pub id: ChangeId,
    /// Episode at that step, from 0.
    pub episode: u64,
    pub from: f64,
    pub to: f64,
    pub time: Timestamp,
    /// Whether the run can be steered and has the setting not as it was before.
    pub can_undo: bool,
    /// Step of the checkpoint from before it, while that is kept.
    pub checkpoint_step: Option<u64>,
    /// Runs that go on from there without it.
    pub forks: Vec<RunId>,
    #[serde(skip)]
    before: Option<BeforeChange>,
}

/// What a line about an applied change holds.
#[derive(Debug, Deserialize)]
struct AppliedData {
    episode: u64,
    field: String,
    from: f64,
    to: f64,
    #[serde(default)]
    before: Option<BeforeChange>,
}

/// Log lines read at most.
const MOST_READ: usize = 1_000_000;

impl ChangeView {
    /// Whether a line of the log is about this change.
    pub fn is_of(&self, line: &LogLine) -> bool {
        line.kind == LineKind::ControlApplied
            && line.step == self.id.step
            && line.data["field"] == *self.id.field
    }
}

impl Studio {
    /// The changes that took effect in a run, oldest first.
    ///
    /// # Errors
    /// When there is no such run or its log cannot be read.
    pub fn changes(&self, id: &RunId) -> Result<Vec<ChangeView>, StudioError> {
        let record = self.readable(id)?;
        let steerable = !record.external && record.snapshot.state.decide(Request::Steer).is_ok();
        let kept: Vec<u64> = self
            .runner
            .checkpoints(self.data_dir.run(id).path())
            .iter()
            .map(|checkpoint| checkpoint.step)
            .collect();
        let forks = self.forks_without(id);
        let lines = self.log(id, 0, MOST_READ)?;
        let views = lines.iter().filter_map(applied).map(|(time, step, data)| {
            let id = ChangeId {
                step,
                field: data.field,
            };
            let now = value_of(&record.snapshot.controls, &id.field);
            let saved = data.before.map(|before| before.checkpoint_step);
            let forks = forks.iter().filter(|(_, omitted)| *omitted == id);
            ChangeView {
                episode: data.episode,
                from: data.from,
                to: data.to,
                time,
                can_undo: steerable && now != Some(data.from),
                checkpoint_step: saved.filter(|step| kept.contains(step)),
                forks: forks.map(|(fork, _)| fork.clone()).collect(),
                before: data.before,
                id,
            }
        });
        Ok(views.collect())
    }

    /// Sets a setting back to what it was before a change; itself a change that is logged, marked
    /// and can be undone.
    ///
    /// # Errors
    /// When there is no such change, it is undone already, or the run cannot be steered.
    pub fn undo(&self, id: &RunId, change: &ChangeId) -> Result<AppliesAt, StudioError> {
        let done = self.change(id, change)?;
        if !done.can_undo {
            // Says why a run that does not train cannot be steered.
            self.readable(id)?.snapshot.state.decide(Request::Steer)?;
            return Err(StudioError::Conflict(format!(
                "{} is {} as before step {}; there is nothing to undo",
                change.field, done.from, change.step
            )));
        }
        let back = back_to(&change.field, done.from).ok_or_else(|| no_change(id, change))?;
        let wish = Wish {
            change: back,
            undoes: Some(change.clone()),
        };
        self.steer_as(id, &wish)
    }

    /// Creates a run that goes on from just before a change, without it, and queues it.
    ///
    /// # Errors
    /// When there is no such change, or its checkpoint is not kept.
    pub fn fork_without(&self, id: &RunId, change: &ChangeId) -> Result<RunId, StudioError> {
        let done = self.change(id, change)?;
        let (Some(step), Some(before)) = (done.checkpoint_step, done.before) else {
            return Err(StudioError::Conflict(format!(
                "no checkpoint from before the change of {} at step {} is kept",
                change.field, change.step
            )));
        };
        let name = self.readable(id)?.meta.name;
        let request = ForkRequest {
            step: Some(step),
            name: Some(format!(
                "{name} without {} {}",
                change.field.replace('_', " "),
                done.to
            )),
            ..ForkRequest::default()
        };
        let omitted = OmittedChange {
            change: change.clone(),
            from: done.from,
            to: done.to,
            controls: before.without,
        };
        self.fork_omitting(id, request, Some(omitted))
    }

    fn change(&self, id: &RunId, change: &ChangeId) -> Result<ChangeView, StudioError> {
        let all = self.changes(id)?.into_iter();
        let mut found = all.filter(|view| view.id == *change);
        found.next_back().ok_or_else(|| no_change(id, change))
    }

    /// Forks of a run that leave a change out.
    fn forks_without(&self, id: &RunId) -> Vec<(RunId, ChangeId)> {
        let mut forks = Vec::new();
        self.live.each(|record| {
            let origin = record.meta.forked_from.as_ref();
            let here = origin.filter(|origin| origin.run == *id);
            if let Some(omitted) = here.and_then(|origin| origin.without.as_ref()) {
                forks.push((record.meta.id.clone(), omitted.change.clone()));
            }
        });
        forks
    }
}

fn applied(line: &LogLine) -> Option<(Timestamp, u64, AppliedData)> {
    if line.kind != LineKind::ControlApplied {
        return None;
    }
    let data = serde_json::from_value(line.data.clone()).ok()?;
    Some((line.time, line.step, data))
}

fn value_of(controls: &ControlValues, field: &str) -> Option<f64> {
    serde_json::to_value(controls).ok()?.get(field)?.as_f64()
}

/// The wish for one setting; none where no setting has this name.
fn back_to(field: &str, value: f64) -> Option<ControlChange> {
    let mut change = ControlChange::default();
    match field {
        "prototype_count" => change.prototype_count = Some(value as usize),
        "external_weight" => change.external_weight = Some(value),
        "proto_weight" => change.proto_weight = Some(value),
        "target_temperature" => change.target_temperature = Some(value),
        "learning_rate_factor" => change.learning_rate_factor = Some(value),
        _ => return None,
    }
    Some(change)
}

fn no_change(id: &RunId, change: &ChangeId) -> StudioError {
    StudioError::NotFound(format!(
        "run {id} has no change of {} at step {}; see /api/runs/{id}/changes",
        change.field, change.step
    ))
}

#[cfg(test)]
mod tests {
    use protoclip::config::RunConfig;

    use super::*;

    #[test]
    fn every_setting_can_be_set_back() {
        let controls = ControlValues::of(&RunConfig::default());
        let fields = serde_json::to_value(controls).expect("writes");
        for field in fields.as_object().expect("an object").keys() {
            let change = back_to(field, 2.0).expect(field);
            let asked = serde_json::to_value(change).expect("writes");
            assert_eq!(asked[field].as_f64(), Some(2.0));
            let expected = fields[field].as_f64();
            assert_eq!(value_of(&controls, field), expected, "{field}");
        }
        assert_eq!(back_to("seed", 1.0), None);
    }
}
