//! How a session obeys its [`super::Control`]: between steps it pauses, saves and stops; changes of
//! settings take effect at the next episode (K) or step (the rest).
//!
//! Before the first change of a step or episode takes effect a checkpoint is written at exactly that
//! place and pinned, so that a run without the change can go on from it bit by bit.

use std::time::{Duration, Instant};

use super::event::BeforeChange;
use super::session::{Flow, Session};
use super::{Command, ControlValues, TrainError, TrainEvent};

/// Longest sleep while paused before the control is looked at again.
const PAUSE_POLL: Duration = Duration::from_secs(1);
/// Why the checkpoints written here are kept.
pub const BEFORE_CHANGE: &str = "before change";

/// Where a setting is among the others.
type Place = fn(&mut ControlValues) -> &mut f64;

/// The settings that apply from the next step on, by name.
const AT_STEPS: [(&str, Place); 4] = [
    ("external_weight", |values| &mut values.external_weight),
    ("proto_weight", |values| &mut values.proto_weight),
    ("target_temperature", |values| {
        &mut values.target_temperature
    }),
    ("learning_rate_factor", |values| {
        &mut values.learning_rate_factor
    }),
];

impl Session<'_> {
    /// Obeys pause, checkpoint and stop; called between steps.
    pub(super) fn obey(&mut self) -> Result<Flow, TrainError> {
        let mut paused = false;
        loop {
            if self.control.take_checkpoint_request() {
                self.save_checkpoint()?;
            }
            let step = self.place.step;
            match self.control.command() {
                Command::Stop(reason) => return Ok(Flow::Stop(reason)),
                Command::Run => {
                    if paused {
                        self.meter.start(Instant::now());
                        self.emit(TrainEvent::Resumed { step })?;
                    }
                    return Ok(Flow::GoOn);
                }
                Command::Pause => {
                    if !paused {
                        paused = true;
                        self.emit(TrainEvent::Paused { step })?;
                    }
                    self.control.wait_while_paused(PAUSE_POLL);
                }
            }
        }
    }

    /// Takes K for the episode that begins.
    pub(super) fn apply_count(&mut self, wanted: usize) -> Result<(), TrainError> {
        let from = self.place.prototype_count;
        if from == wanted {
            return Ok(());
        }
        self.save_pinned(Some(BEFORE_CHANGE))?;
        let (episode, step) = (self.place.episode, self.place.step);
        self.place.prototype_count = wanted;
        self.place.controls.prototype_count = wanted;
        self.count_before = Some(from);
        let without = ControlValues {
            prototype_count: from,
            ..self.control.values()
        };
        self.emit(TrainEvent::ControlApplied {
            episode,
            step,
            field: "prototype_count".into(),
            from: from as f64,
            to: wanted as f64,
            before: Some(BeforeChange {
                checkpoint_step: step,
                without,
            }),
        })
    }

    /// Goes back to before a new K whose first step was not taken: the checkpoint at this step was
    /// kept for that place, and a resume takes the new K again.
    pub(super) fn take_back_count(&mut self) {
        if let Some(from) = self.count_before.take() {
            self.place.prototype_count = from;
            self.place.controls.prototype_count = from;
            self.place.announced = false;
            self.prototypes = None;
        }
    }

    /// Takes the wishes that are in force for this step and reports those that are new.
    pub(super) fn apply_controls(&mut self, step: u64) -> Result<ControlValues, TrainError> {
        self.count_before = None;
        let mut before = self.place.controls;
        let wanted = self.control.begin_step(step);
        let mut now = ControlValues {
            prototype_count: before.prototype_count,
            ..wanted
        };
        if now == before {
            return Ok(now);
        }
        let checkpoint_step = self.place.step;
        self.save_pinned(Some(BEFORE_CHANGE))?;
        self.place.controls = now;
        let episode = self.place.episode;
        for (field, value) in AT_STEPS {
            let (from, to) = (*value(&mut before), *value(&mut now));
            if from == to {
                continue;
            }
            let mut without = wanted;
            *value(&mut without) = from;
            self.emit(TrainEvent::ControlApplied {
                episode,
                step,
                field: field.into(),
                from,
                to,
                before: Some(BeforeChange {
                    checkpoint_step,
                    without,
                }),
            })?;
        }
        Ok(now)
    }
}
