//! Steering a run from outside its thread: stop, pause, checkpoint, change settings.
//!
//! [`Control`] is shared between the trainer, which polls it between steps and inside long phases,
//! and whoever steers. No call blocks for longer than a short lock.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{ConfigErrors, FieldError, Preset, RunConfig};

/// The settings that can change while a run trains.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlValues {
    /// K, from the next episode on.
    pub prototype_count: usize,
    /// Weight of the external teacher's loss, from the next step on.
    pub external_weight: f64,
    /// Weight of the prototype loss, from the next step on.
    pub proto_weight: f64,
    /// τ_y of the soft targets, from the next step on.
    pub target_temperature: f64,
    /// Factor on both learning rates, from the next step on.
    pub learning_rate_factor: f64,
}

/// A wish to change some of [`ControlValues`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ControlChange {
    pub prototype_count: Option<usize>,
    pub external_weight: Option<f64>,
    pub proto_weight: Option<f64>,
    pub target_temperature: Option<f64>,
    pub learning_rate_factor: Option<f64>,
}

/// Where a run stands, as the trainer last said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Number, from 1, of the step that is being computed or was computed last; 0 before the first.
    pub step: u64,
    /// Current episode, from 0.
    pub episode: u64,
    /// Samples of one episode; 0 until the data is open.
    pub samples_per_episode: usize,
}

/// Why a run was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StopReason {
    /// A person pressed stop.
    User,
    /// The process is ending; the run can be resumed.
    Shutdown,
}

/// What the trainer must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    Run,
    Pause,
    Stop(StopReason),
}

/// When an accepted change takes effect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AppliesAt {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub episode: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
}

/// The shared steering state of one run.
#[derive(Debug)]
pub struct Control {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    command: Command,
    /// Values in force or accepted; the trainer compares them with its own.
    wanted: ControlValues,
    position: Position,
    /// Whether an episode has begun; before that a change of K applies to the very first one.
    begun: bool,
    /// Whether somebody decided on values of this control.
    changed: bool,
    checkpoint_wanted: bool,
    plain_clip: bool,
    has_teacher: bool,
}

impl ControlValues {
    /// The values that a configuration starts with.
    pub fn of(config: &RunConfig) -> Self {
        Self {
            prototype_count: config.prototypes.count,
            external_weight: config.loss.external,
            proto_weight: config.loss.proto,
            target_temperature: config.prototypes.target_temperature,
            learning_rate_factor: 1.0,
        }
    }

    fn with(mut self, change: &ControlChange) -> Self {
        self.prototype_count = change.prototype_count.unwrap_or(self.prototype_count);
        self.external_weight = change.external_weight.unwrap_or(self.external_weight);
        self.proto_weight = change.proto_weight.unwrap_or(self.proto_weight);
        self.target_temperature = change.target_temperature.unwrap_or(self.target_temperature);
        self.learning_rate_factor = change
            .learning_rate_factor
            .unwrap_or(self.learning_rate_factor);
        self
    }
}

impl Control {
    /// Steering for a run that starts with the values of `config`, or with `values` when resumed.
    pub fn new(config: &RunConfig, values: Option<ControlValues>) -> Self {
        Self {
            state: Mutex::new(State {
                command: Command::Run,
                wanted: values.unwrap_or_else(|| ControlValues::of(config)),
                position: Position::default(),
                begun: false,
                changed: false,
                checkpoint_wanted: false,
                plain_clip: config.preset == Preset::Clip,
                has_teacher: config.teacher.kind != crate::config::TeacherKind::None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Asks the run to end after the current step, with a checkpoint. A stop is final, except that
    /// a shutdown never replaces a stop asked for by a person.
    pub fn stop(&self, reason: StopReason) {
        let mut state = self.lock();
        if state.command != Command::Stop(StopReason::User) {
            state.command = Command::Stop(reason);
        }
        self.changed.notify_all();
    }

    /// Asks the run to wait after the current step.
    pub fn pause(&self) {
        let mut state = self.lock();
        if state.command == Command::Run {
            state.command = Command::Pause;
        }
        self.changed.notify_all();
    }

    /// Lets a paused run go on.
    pub fn resume(&self) {
        let mut state = self.lock();
        if state.command == Command::Pause {
            state.command = Command::Run;
        }
        self.changed.notify_all();
    }

    /// Asks for a checkpoint after the current step.
    pub fn request_checkpoint(&self) {
        self.lock().checkpoint_wanted = true;
        self.changed.notify_all();
    }

    /// Accepts a change of settings.
    ///
    /// # Errors
    /// Names each field that is out of range, or that this run cannot use.
    pub fn change(&self, change: &ControlChange) -> Result<AppliesAt, ConfigErrors> {
        let mut state = self.lock();
        let errors = state.problems(change);
        if !errors.is_empty() {
            return Err(ConfigErrors { errors });
        }
        let before = state.wanted;
        state.wanted = before.with(change);
        state.changed = true;
        let after = state.wanted;
        let weights_changed = ControlValues {
            prototype_count: before.prototype_count,
            ..after
        } != before;
        let position = state.position;
        let next_episode = position.episode + u64::from(state.begun);
        self.changed.notify_all();
        Ok(AppliesAt {
            episode: (after.prototype_count != before.prototype_count).then_some(next_episode),
            step: weights_changed.then_some(position.step + 1),
        })
    }

    /// The values in force or accepted.
    pub fn values(&self) -> ControlValues {
        self.lock().wanted
    }

    /// Where the run stands.
    pub fn position(&self) -> Position {
        self.lock().position
    }

    /// What the trainer must do now.
    pub fn command(&self) -> Command {
        self.lock().command
    }

    /// Trainer: says where the run stands before its first episode.
    pub fn set_position(&self, position: Position) {
        self.lock().position = position;
    }

    /// Trainer: takes over the values of a checkpoint, unless somebody has steered meanwhile.
    pub fn adopt(&self, values: ControlValues) {
        let mut state = self.lock();
        if !state.changed {
            state.wanted = values;
        }
    }

    /// Starts from these values instead of a checkpoint's, unless somebody has steered meanwhile.
    pub fn start_with(&self, values: ControlValues) {
        self.adopt(values);
        self.lock().changed = true;
    }

    /// Trainer: begins an episode and takes the K that is in force for it. One lock, so that every
    /// change is either in this episode or announced for the next.
    pub fn begin_episode(&self, episode: u64) -> usize {
        let mut state = self.lock();
        state.begun = true;
        state.position.episode = episode;
        state.wanted.prototype_count
    }

    /// Trainer: begins the step with this number, from 1, and takes the values in force for it.
    pub fn begin_step(&self, step: u64) -> ControlValues {
        let mut state = self.lock();
        state.position.step = step;
        state.wanted
    }

    /// Trainer: takes a pending checkpoint request.
    pub fn take_checkpoint_request(&self) -> bool {
        std::mem::take(&mut self.lock().checkpoint_wanted)
    }

    /// Trainer: waits until the command is no longer [`Command::Pause`] or a checkpoint is wanted,
    /// at most `limit`.
    pub fn wait_while_paused(&self, limit: Duration) {
        let state = self.lock();
        let _unused = self
            .changed
            .wait_timeout_while(state, limit, |s| {
                s.command == Command::Pause && !s.checkpoint_wanted
            })
            .unwrap_or_else(PoisonError::into_inner);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn problems(&self, change: &ControlChange) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut refuse = |field: &str, message: String| {
            errors.push(FieldError {
                field: field.into(),
                message,
            });
        };
        if let Some(count) = change.prototype_count {
            let most = self.position.samples_per_episode;
            if count < 2 || (most > 0 && count > most) {
                let upper = if most > 0 {
                    most.to_string()
                } else {
                    "the samples of an episode".into()
                };
                refuse(
                    "prototype_count",
                    format!("must lie in 2..={upper}, got {count}"),
                );
            }
        }
        for (field, value, least_open) in [
            ("external_weight", change.external_weight, false),
            ("proto_weight", change.proto_weight, false),
            ("target_temperature", change.target_temperature, true),
            ("learning_rate_factor", change.learning_rate_factor, true),
        ] {
            let Some(value) = value else { continue };
            let low = if least_open {
                value > 0.0
            } else {
                value >= 0.0
            };
            if !low || value.is_nan() || value > 1000.0 {
                let from = if least_open { "above 0" } else { "at least 0" };
                refuse(
                    field,
                    format!("must be {from} and at most 1000, got {value}"),
                );
            }
        }
        if self.plain_clip && change.proto_weight.is_some_and(|w| w > 0.0) {
            refuse("proto_weight", "a run of the clip preset has no trained projection heads; start one with protoclip".into());
        }
        if !self.has_teacher && change.external_weight.is_some_and(|w| w > 0.0) {
            refuse(
                "external_weight",
                "this run has no external teacher; start one with protoclip-teacher".into(),
            );
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control() -> Control {
        let control = Control::new(&Preset::ProtoclipTeacher.config(), None);
        control.set_position(Position {
            step: 0,
            episode: 0,
            samples_per_episode: 1000,
        });
        control.begin_episode(2);
        control.begin_step(41);
        control
    }

    #[test]
    fn k_applies_at_the_next_episode_and_weights_at_the_next_step() {
        let control = control();
        let at = control
            .change(&ControlChange {
                prototype_count: Some(256),
                external_weight: Some(0.25),
                ..Default::default()
            })
            .expect("accepted");
        assert_eq!((at.episode, at.step), (Some(3), Some(42)));
        assert_eq!(control.values().prototype_count, 256);
        assert_eq!(control.values().external_weight, 0.25);
    }

    #[test]
    fn before_the_first_episode_k_applies_to_it() {
        let control = Control::new(&Preset::Protoclip.config(), None);
        let change = ControlChange {
            prototype_count: Some(64),
            ..Default::default()
        };
        assert_eq!(control.change(&change).expect("accepted").episode, Some(0));
        assert_eq!(control.begin_episode(0), 64);
    }

    #[test]
    fn a_change_out_of_range_is_refused_whole() {
        let control = control();
        let before = control.values();
        let errors = control
            .change(&ControlChange {
                prototype_count: Some(2000),
                proto_weight: Some(f64::NAN),
                target_temperature: Some(0.1),
                ..Default::default()
            })
            .expect_err("refused");
        let fields: Vec<&str> = errors.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["prototype_count", "proto_weight"]);
        assert_eq!(control.values(), before);
    }

    #[test]
    fn a_run_without_teacher_refuses_a_teacher_weight() {
        let control = Control::new(&Preset::Clip.config(), None);
        let change = ControlChange {
            external_weight: Some(0.5),
            proto_weight: Some(0.5),
            ..Default::default()
        };
        assert_eq!(
            control.change(&change).expect_err("refused").errors.len(),
            2
        );
    }

    #[test]
    fn a_stop_is_final_and_shutdown_does_not_hide_it() {
        let control = control();
        control.stop(StopReason::User);
        control.stop(StopReason::Shutdown);
        control.resume();
        control.pause();
        assert_eq!(control.command(), Command::Stop(StopReason::User));
    }
}
