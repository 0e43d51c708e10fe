//! Where requests meet the trainer: the queue, the run that trains, and what a person may ask.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use protoclip::train::{AppliesAt, Control, ControlChange, StopReason};
use serde_json::json;

use super::changes::ChangeId;
use super::queue::Queue;
use super::recorder::{Change, state_line};
use super::run_log::{LineKind, NewLine};
use super::run_state::{Action, Request};
use super::run_store::{Batch, RunStore};
use super::session::{self, SharedRecorder};
use super::view::RunRecord;
use super::{RunId, RunState, Studio, StudioError};

/// Who waits and who trains. Changed only under its lock.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) queue: Queue,
    pub(super) active: Option<Active>,
}

/// The run that holds the trainer.
#[derive(Debug, Clone)]
pub(super) struct Active {
    pub(super) id: RunId,
    pub(super) control: Arc<Control>,
    /// Absent for the moment between taking its turn and opening its store.
    pub(super) recorder: Option<SharedRecorder>,
}

/// A change of settings that a person asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wish {
    pub(super) change: ControlChange,
    /// The earlier change that it takes back.
    pub(super) undoes: Option<ChangeId>,
}

/// Closing the files of a run that ended takes milliseconds.
const TURN_END_LIMIT: Duration = Duration::from_secs(5);

impl Studio {
    /// Lets a run wait after its current step.
    ///
    /// # Errors
    /// When its state does not allow it.
    pub fn pause(&self, id: &RunId) -> Result<(), StudioError> {
        self.ask(id, Request::Pause)
    }

    /// Lets a paused run go on, or queues one that ended early from its latest checkpoint.
    ///
    /// # Errors
    /// When its state does not allow it.
    pub fn resume(&self, id: &RunId) -> Result<(), StudioError> {
        self.ask(id, Request::Resume)
    }

    /// Ends a run after its current step, with a checkpoint; takes a waiting one out of the queue.
    ///
    /// # Errors
    /// When its state does not allow it.
    pub fn stop(&self, id: &RunId) -> Result<(), StudioError> {
        self.ask(id, Request::Stop)
    }

    /// Asks for a checkpoint after the current step.
    ///
    /// # Errors
    /// When its state does not allow it.
    pub fn checkpoint(&self, id: &RunId) -> Result<(), StudioError> {
        self.ask(id, Request::Checkpoint)
    }

    /// Changes settings of a run that trains; says when they apply.
    ///
    /// # Errors
    /// When the run does not train, or names each value that is out of range.
    pub fn steer(&self, id: &RunId, change: &ControlChange) -> Result<AppliesAt, StudioError> {
        let wish = Wish {
            change: *change,
            undoes: None,
        };
        self.steer_as(id, &wish)
    }

    pub(super) fn steer_as(&self, id: &RunId, wish: &Wish) -> Result<AppliesAt, StudioError> {
        let active = self.active(id, Request::Steer)?;
        let applies_at = active.control.change(&wish.change)?;
        if let Some(recorder) = &active.recorder {
            let mut recorder = session::lock(recorder);
            let line = accepted_line(recorder.snapshot().step, wish, applies_at);
            let stored = recorder.accept(active.control.values(), line)?;
            let controls = recorder.snapshot().controls;
            self.live
                .update(id, &stored, |record| record.snapshot.controls = controls);
        }
        Ok(applies_at)
    }

    fn ask(&self, id: &RunId, request: Request) -> Result<(), StudioError> {
        let record = self.trained_here(id)?;
        let state = self.state_now(id, &record);
        match (state.decide(request)?, request) {
            (Action::Signal, _) => self.signal(id, request),
            (Action::Dequeue, _) => self.dequeue(id),
            (Action::Requeue, _) => {
                self.not_external(&record)?;
                self.wait_for_turn_to_end(id);
                self.enter(id, RunState::Queued, None)?;
                self.enqueue(id)
            }
            (Action::Files, _) => Ok(()),
        }
    }

    /// The state for requests: a run that just took its turn is no longer queued.
    fn state_now(&self, id: &RunId, record: &RunRecord) -> RunState {
        let has_turn = self.desk().active.as_ref().is_some_and(|a| a.id == *id);
        match record.snapshot.state {
            RunState::Queued if has_turn => RunState::Running,
            state => state,
        }
    }

    fn signal(&self, id: &RunId, request: Request) -> Result<(), StudioError> {
        let active = self.active(id, request)?;
        match request {
            Request::Pause => active.control.pause(),
            Request::Resume => active.control.resume(),
            Request::Stop => active.control.stop(StopReason::User),
            Request::Checkpoint => active.control.request_checkpoint(),
            Request::Steer | Request::Delete => {}
        }
        Ok(())
    }

    fn active(&self, id: &RunId, request: Request) -> Result<Active, StudioError> {
        let record = self.trained_here(id)?;
        self.not_external(&record)?;
        self.state_now(id, &record).decide(request)?;
        let active = self.desk().active.clone();
        active.filter(|active| active.id == *id).ok_or_else(|| {
            StudioError::Conflict("the run is just ending; look at its state again".into())
        })
    }

    fn not_external(&self, record: &RunRecord) -> Result<(), StudioError> {
        if record.external {
            return Err(StudioError::Conflict(
                "another process trains this run; stop or steer it there".into(),
            ));
        }
        Ok(())
    }

    pub(super) fn enqueue(&self, id: &RunId) -> Result<(), StudioError> {
        let mut desk = self.desk();
        if desk.queue.is_closed() {
            return Err(StudioError::Conflict(
                "the program is ending; start it again, then resume this run".into(),
            ));
        }
        desk.queue.push(id.clone());
        self.show_places(&desk);
        drop(desk);
        self.desk_changed.notify_all();
        Ok(())
    }

    /// A run that just ended holds its turn for a moment longer; queued again in that moment it
    /// would be taken for the one that ended.
    fn wait_for_turn_to_end(&self, id: &RunId) {
        let has_turn = |desk: &mut Desk| desk.active.as_ref().is_some_and(|a| a.id == *id);
        let _desk = self
            .desk_changed
            .wait_timeout_while(self.desk(), TURN_END_LIMIT, has_turn)
            .unwrap_or_else(PoisonError::into_inner);
    }

    fn dequeue(&self, id: &RunId) -> Result<(), StudioError> {
        let mut desk = self.desk();
        if !desk.queue.remove(id) {
            return Err(StudioError::Conflict(
                "the run is just starting; stop it again in a moment".into(),
            ));
        }
        self.show_places(&desk);
        drop(desk);
        self.enter(
            id,
            RunState::Stopped,
            Some("stopped before it started".into()),
        )
    }

    /// Writes the state of a run that does not train, and tells everybody.
    pub(super) fn enter(
        &self,
        id: &RunId,
        state: RunState,
        reason: Option<String>,
    ) -> Result<(), StudioError> {
        let mut snapshot = self.record(id)?.snapshot;
        let line = state_line(snapshot.step, state, reason.as_deref());
        snapshot.enter(state, reason);
        let batch = Batch {
            points: Vec::new(),
            lines: vec![line],
        };
        let mut store = RunStore::open(&self.data_dir.run(id).database())?;
        let lines = store.commit(&batch, &snapshot)?;
        let change = Change {
            lines,
            ..Change::default()
        };
        self.live.update(id, &change, |record| {
            record.snapshot = snapshot;
            record.eta_seconds = None;
        });
        Ok(())
    }

    /// Brings the places in the queue into the records.
    pub(super) fn show_places(&self, desk: &Desk) {
        self.live
            .edit_all(|record| record.queue_place = desk.queue.place(&record.meta.id));
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accepted_line(step: u64, wish: &Wish, applies_at: AppliesAt) -> NewLine {
    let asked = serde_json::to_value(wish.change).unwrap_or_default();
    let changes: Vec<String> = asked
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(field, value)| format!("{field} to {value}"))
        .collect();
    let when = match (applies_at.episode, applies_at.step) {
        (Some(episode), Some(step)) => format!("from episode {episode}, the rest from step {step}"),
        (Some(episode), None) => format!("from episode {episode}"),
        (None, Some(step)) => format!("from step {step}"),
        (None, None) => "as they are already".into(),
    };
    let why = match &wish.undoes {
        Some(undone) => format!("; undoes step {}", undone.step),
        None => String::new(),
    };
    NewLine::new(
        step,
        LineKind::ControlAccepted,
        format!("asked for {} {when}{why}", changes.join(", ")),
        json!({"change": asked, "applies_at": applies_at, "undoes": wish.undoes}),
    )
}
