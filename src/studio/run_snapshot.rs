//! What is known now about a run: a value that each event moves on. Pure; no clock, no files.

use std::collections::BTreeMap;

use jiff::Timestamp;
use protoclip::config::RunConfig;
use protoclip::train::{ControlValues, Phase, TrainEvent, tag};
use serde::{Deserialize, Serialize};

use super::RunState;

/// Progress of a run. Stored as JSON in its database with every batch of points, so that it never
/// disagrees with them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSnapshot {
    pub state: RunState,
    /// Why it is in that state, where that is not obvious.
    pub reason: Option<String>,
    /// Optimizer steps taken.
    pub step: u64,
    /// Planned steps; 0 until the data was opened.
    pub total_steps: u64,
    /// Current episode, from 0.
    pub episode: u64,
    pub total_episodes: u64,
    pub steps_per_episode: u64,
    pub batch_size: usize,
    /// Usable pairs of the data set; 0 until it was opened.
    pub samples: usize,
    /// Trained numbers of the model; 0 until it was built.
    pub parameters: usize,
    /// Name of the device it computes on, empty until known.
    pub device: String,
    /// The long phase it is in.
    pub phase: Option<PhaseProgress>,
    /// Settings that are in force or accepted.
    pub controls: ControlValues,
    /// The newest finite value of every curve.
    pub latest: BTreeMap<String, f64>,
    /// Step of the newest prototypes.
    pub prototypes_step: Option<u64>,
    /// Step of the newest checkpoint.
    pub checkpoint_step: Option<u64>,
    /// Seconds it has held the trainer, over all its sessions, without pauses.
    pub trained_seconds: f64,
    pub updated: Option<Timestamp>,
}

/// `done` of `total` units of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhaseProgress {
    pub phase: Phase,
    pub done: u64,
    pub total: u64,
}

impl RunSnapshot {
    /// A run that was just created.
    pub fn queued(config: &RunConfig) -> Self {
        Self {
            state: RunState::Queued,
            reason: None,
            step: 0,
            total_steps: 0,
            episode: 0,
            total_episodes: config.episodes as u64,
            steps_per_episode: 0,
            batch_size: config.batch_size,
            samples: 0,
            parameters: 0,
            device: String::new(),
            phase: None,
            controls: ControlValues::of(config),
            latest: BTreeMap::new(),
            prototypes_step: None,
            checkpoint_step: None,
            trained_seconds: 0.0,
            updated: None,
        }
    }

    /// Moves to another state.
    pub fn enter(&mut self, state: RunState, reason: Option<String>) {
        self.state = state;
        self.reason = reason;
        if !state.is_training() {
            self.phase = None;
        }
    }

    /// Takes in one event of the trainer.
    pub fn apply(&mut self, event: &TrainEvent) {
        match event {
            TrainEvent::Started { .. } => self.start(event),
            TrainEvent::Progress { phase, done, total } => {
                self.phase = Some(PhaseProgress {
                    phase: *phase,
                    done: *done,
                    total: *total,
                });
            }
            TrainEvent::EpisodeStarted { episode, step } => {
                self.episode = *episode;
                self.step = *step;
            }
            TrainEvent::Points { step, points } => {
                self.step = self.step.max(*step);
                for (tag, value) in points.iter().filter(|p| p.1.is_finite()) {
                    self.latest.insert(tag.to_string(), *value);
                }
                if points.iter().any(|(tag, _)| tag.starts_with("train/")) {
                    self.phase = Some(self.training_pass());
                }
            }
            TrainEvent::Prototypes { step, .. } => self.prototypes_step = Some(*step),
            TrainEvent::Checkpoint { step, .. } => self.checkpoint_step = Some(*step),
            TrainEvent::Paused { .. } => self.enter(RunState::Paused, None),
            TrainEvent::Resumed { .. } => self.enter(RunState::Running, None),
            TrainEvent::ControlApplied { field, to, .. } => self.apply_control(field, *to),
            TrainEvent::Log { .. } => {}
        }
    }

    /// A setting is in force now. After a resume this brings in what the checkpoint had accepted.
    fn apply_control(&mut self, field: &str, value: f64) {
        let controls = &mut self.controls;
        match field {
            "prototype_count" => controls.prototype_count = value as usize,
            "external_weight" => controls.external_weight = value,
            "proto_weight" => controls.proto_weight = value,
            "target_temperature" => controls.target_temperature = value,
            "learning_rate_factor" => controls.learning_rate_factor = value,
            other => tracing::warn!(field = other, "the trainer changed a setting unknown here"),
        }
    }

    /// Place in the training pass of the current episode. Each of its steps reports points, so the
    /// trainer sends no progress of its own for it.
    fn training_pass(&self) -> PhaseProgress {
        let before = self.episode * self.steps_per_episode;
        PhaseProgress {
            phase: Phase::Train,
            done: self.step.saturating_sub(before),
            total: self.steps_per_episode,
        }
    }

    fn start(&mut self, event: &TrainEvent) {
        let TrainEvent::Started {
            step,
            total_steps,
            episode,
            total_episodes,
            steps_per_episode,
            batch_size,
            samples,
            parameters,
            device,
            controls,
        } = event
        else {
            return;
        };
        self.step = *step;
        self.total_steps = *total_steps;
        self.episode = *episode;
        self.total_episodes = *total_episodes;
        self.steps_per_episode = *steps_per_episode;
        self.batch_size = *batch_size;
        self.samples = *samples;
        self.parameters = *parameters;
        self.device.clone_from(device);
        self.controls = *controls;
    }

    /// Pairs per second as the trainer last measured it.
    pub fn samples_per_second(&self) -> Option<f64> {
        let measured = self.latest.get(tag::SAMPLES_PER_SECOND).copied();
        measured.filter(|rate| self.state.is_training() && rate.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn started(step: u64) -> TrainEvent {
        TrainEvent::Started {
            step,
            total_steps: 100,
            episode: step / 10,
            total_episodes: 10,
            steps_per_episode: 10,
            batch_size: 8,
            samples: 80,
            parameters: 1234,
            device: "cpu".into(),
            controls: ControlValues::of(&RunConfig::default()),
        }
    }

    #[test]
    fn events_move_the_snapshot() {
        let mut snapshot = RunSnapshot::queued(&RunConfig::default());
        snapshot.enter(RunState::Running, None);
        for event in [
            started(0),
            TrainEvent::Progress {
                phase: Phase::Train,
                done: 3,
                total: 10,
            },
            TrainEvent::EpisodeStarted {
                episode: 2,
                step: 20,
            },
            TrainEvent::Points {
                step: 21,
                points: vec![
                    (Cow::Borrowed(tag::LOSS_TOTAL), 3.5),
                    (Cow::Borrowed(tag::SAMPLES_PER_SECOND), 50.0),
                ],
            },
            TrainEvent::Prototypes {
                episode: 2,
                step: 20,
                count: 4,
                file: "p".into(),
            },
            TrainEvent::Checkpoint {
                step: 21,
                path: "c".into(),
            },
        ] {
            snapshot.apply(&event);
        }
        assert_eq!((snapshot.step, snapshot.episode), (21, 2));
        let phase = snapshot.phase.expect("a phase");
        assert_eq!(
            (phase.phase, phase.done, phase.total),
            (Phase::Train, 1, 10)
        );
        assert_eq!((snapshot.total_steps, snapshot.samples), (100, 80));
        assert_eq!(snapshot.latest[tag::LOSS_TOTAL], 3.5);
        assert_eq!(snapshot.samples_per_second(), Some(50.0));
        assert_eq!(
            (snapshot.prototypes_step, snapshot.checkpoint_step),
            (Some(20), Some(21))
        );
        snapshot.apply(&TrainEvent::Paused { step: 21 });
        assert_eq!(snapshot.state, RunState::Paused);
        snapshot.apply(&TrainEvent::Resumed { step: 21 });
        assert_eq!(snapshot.state, RunState::Running);
    }

    #[test]
    fn controls_are_those_of_the_start_until_a_change_is_in_force() {
        let mut snapshot = RunSnapshot::queued(&RunConfig::default());
        snapshot.controls.prototype_count = 999;
        snapshot.apply(&started(0));
        assert_eq!(snapshot.controls, ControlValues::of(&RunConfig::default()));
        for (field, to) in [("prototype_count", 256.0), ("external_weight", 0.25)] {
            snapshot.apply(&TrainEvent::ControlApplied {
                episode: 1,
                step: 3,
                field: field.into(),
                from: 0.0,
                to,
                before: None,
            });
        }
        let controls = snapshot.controls;
        assert_eq!(
            (controls.prototype_count, controls.external_weight),
            (256, 0.25)
        );
    }

    #[test]
    fn a_run_that_ended_has_no_phase_and_no_pace() {
        let mut snapshot = RunSnapshot::queued(&RunConfig::default());
        snapshot.enter(RunState::Running, None);
        snapshot.apply(&TrainEvent::Progress {
            phase: Phase::Train,
            done: 3,
            total: 10,
        });
        snapshot.latest.insert(tag::SAMPLES_PER_SECOND.into(), 9.0);
        snapshot.enter(RunState::Failed, Some("why".into()));
        assert_eq!(
            (snapshot.phase, snapshot.samples_per_second()),
            (None, None)
        );
    }
}
