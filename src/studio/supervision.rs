//! What the students of a run were taught with at a step: the settings, and what was steered since.

use protoclip::config::{Fidelity, RunConfig, TargetKind};
use protoclip::prototypes::Space;
use protoclip::train::{ControlValues, tag};
use serde::Serialize;

use super::run_log::{LineKind, LogLine};
use super::{RunId, Studio, StudioError};

/// The prototype loss at a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Supervision {
    /// Hard or soft targets of the image and text teachers.
    pub target: TargetKind,
    /// Hard or soft targets of the external teacher.
    pub teacher_target: TargetKind,
    /// τ_y, temperature of soft targets.
    pub target_temperature: f64,
    /// Exponential of `logit_scale_proto`: the newest one logged up to the step, or its initial value.
    pub scale: f64,
    /// Weight of the loss that image and text teach.
    pub proto_weight: f64,
    /// Weight of the loss that the external teacher teaches.
    pub external_weight: f64,
    /// Whether students are compared with centroids of their own space.
    pub back_translation: bool,
    /// Whether prototypes without a sample are left out of every softmax.
    pub masks_empty: bool,
    pub stage: SupervisedStage,
}

/// What the prototypes of an episode are used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SupervisedStage {
    /// They teach the students of this episode.
    Prototypes,
    /// This episode trains with InfoNCE alone; they are only looked at.
    InfonceOnly,
    /// They were made when training had ended.
    AfterTraining,
}

/// The scale that every run starts with (method, symbols).
const INITIAL_SCALE: f64 = 1.0 / 0.07;

impl Supervision {
    /// Kind of the targets that the prototypes of a space make.
    pub fn target_of(&self, teacher: Space) -> TargetKind {
        match teacher {
            Space::Teacher => self.teacher_target,
            Space::Image | Space::Text => self.target,
        }
    }

    /// Weight of the loss that the prototypes of a space teach.
    pub fn weight_of(&self, teacher: Space) -> f64 {
        match teacher {
            Space::Teacher => self.external_weight,
            Space::Image | Space::Text => self.proto_weight,
        }
    }
}

impl Studio {
    /// What supervised the episode that began at `step`.
    ///
    /// # Errors
    /// When there is no such run, or its database cannot be read.
    pub(super) fn supervision(
        &self,
        id: &RunId,
        (episode, step): (u64, u64),
    ) -> Result<Supervision, StudioError> {
        let config = self.config(id)?;
        let mut lines = self.whole_log(id)?;
        lines.retain(|line| line.step <= step);
        let controls = steered(ControlValues::of(&config), &lines);
        let temperature = self.points(id, tag::TEMPERATURE_PROTO)?;
        let logged = temperature.iter().rfind(|point| point.0 <= step);
        let scale = logged.map_or(INITIAL_SCALE, |&(_, temperature)| 1.0 / temperature);
        Ok(Supervision {
            target: config.prototypes.target,
            teacher_target: config.teacher.target,
            target_temperature: controls.target_temperature,
            scale: if scale.is_finite() {
                scale
            } else {
                INITIAL_SCALE
            },
            proto_weight: controls.proto_weight,
            external_weight: controls.external_weight,
            back_translation: config.prototypes.back_translation,
            masks_empty: config.fidelity == Fidelity::Corrected,
            stage: stage(&config, episode),
        })
    }
}

/// The controls after every change that took effect.
fn steered(mut controls: ControlValues, lines: &[LogLine]) -> ControlValues {
    let applied = lines.iter().filter(|l| l.kind == LineKind::ControlApplied);
    for line in applied {
        let Some(value) = line.data["to"].as_f64() else {
            continue;
        };
        match line.data["field"].as_str() {
            Some("target_temperature") => controls.target_temperature = value,
            Some("proto_weight") => controls.proto_weight = value,
            Some("external_weight") => controls.external_weight = value,
            _ => {}
        }
    }
    controls
}

fn stage(config: &RunConfig, episode: u64) -> SupervisedStage {
    let first = config.schedule.infonce_episodes as u64;
    let last = config.episodes.saturating_sub(config.schedule.lit_episodes) as u64;
    if episode >= config.episodes as u64 {
        SupervisedStage::AfterTraining
    } else if episode < first || episode >= last {
        SupervisedStage::InfonceOnly
    } else {
        SupervisedStage::Prototypes
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use protoclip::train::LogLevel;
    use serde_json::json;

    use super::*;

    fn applied(field: &str, to: f64) -> LogLine {
        LogLine {
            seq: 0,
            step: 4,
            time: Timestamp::UNIX_EPOCH,
            kind: LineKind::ControlApplied,
            level: LogLevel::Info,
            message: String::new(),
            data: json!({"field": field, "from": 0.0, "to": to}),
        }
    }

    #[test]
    fn the_last_change_that_took_effect_counts() {
        let mut config = RunConfig::default();
        config.prototypes.target_temperature = 0.01;
        let lines = [
            applied("target_temperature", 0.5),
            applied("proto_weight", 0.25),
            applied("target_temperature", 0.1),
            LogLine {
                kind: LineKind::ControlAccepted,
                ..applied("target_temperature", 9.0)
            },
        ];
        let controls = steered(ControlValues::of(&config), &lines);
        assert_eq!(controls.target_temperature, 0.1);
        assert_eq!(controls.proto_weight, 0.25);
    }

    #[test]
    fn first_and_last_episodes_may_train_with_infonce_alone() {
        let mut config = RunConfig {
            episodes: 5,
            ..RunConfig::default()
        };
        config.schedule.infonce_episodes = 1;
        config.schedule.lit_episodes = 1;
        let stages: Vec<SupervisedStage> = (0..6).map(|episode| stage(&config, episode)).collect();
        use SupervisedStage::{AfterTraining, InfonceOnly, Prototypes};
        let taught = [Prototypes; 3];
        assert_eq!(stages[..1], [InfonceOnly]);
        assert_eq!(stages[1..4], taught);
        assert_eq!(stages[4..], [InfonceOnly, AfterTraining]);
    }
}
