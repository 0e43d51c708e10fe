//! The event log of a run: what a person reads, and what charts mark.

use jiff::Timestamp;
use protoclip::train::{LogLevel, TrainEvent};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A line before it has its number.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLine {
    pub step: u64,
    pub time: Timestamp,
    pub kind: LineKind,
    pub level: LogLevel,
    pub message: String,
    /// Machine-readable details; an object or null.
    pub data: Value,
}

/// A line of the log as stored and sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// Number within its run, ascending.
    pub seq: i64,
    pub step: u64,
    pub time: Timestamp,
    pub kind: LineKind,
    pub level: LogLevel,
    pub message: String,
    pub data: Value,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// Data and model are ready.
    Started,
    EpisodeStarted,
    Prototypes,
    /// A person asked for a change of settings; `data` has the values and when they apply.
    ControlAccepted,
    /// A change took effect; `data` has `field`, `from`, `to`, `episode`, and `before`, what a
    /// run without the change goes on from.
    ControlApplied,
    Checkpoint,
    Paused,
    Resumed,
    /// The run entered another state; `data.state` names it.
    State,
    /// A message of the trainer.
    Message,
}

impl From<LogLine> for NewLine {
    fn from(line: LogLine) -> Self {
        Self {
            step: line.step,
            time: line.time,
            kind: line.kind,
            level: line.level,
            message: line.message,
            data: line.data,
        }
    }
}

impl LineKind {
    /// The word used in files and the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::EpisodeStarted => "episode_started",
            Self::Prototypes => "prototypes",
            Self::ControlAccepted => "control_accepted",
            Self::ControlApplied => "control_applied",
            Self::Checkpoint => "checkpoint",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::State => "state",
            Self::Message => "message",
        }
    }
}

impl NewLine {
    /// A line of the studio itself.
    pub fn new(step: u64, kind: LineKind, message: impl Into<String>, data: Value) -> Self {
        Self {
            step,
            time: Timestamp::now(),
            kind,
            level: LogLevel::Info,
            message: message.into(),
            data,
        }
    }

    /// The line for a trainer's event; points and progress have none. `step` is where the run is.
    pub fn of_event(event: &TrainEvent, step: u64) -> Option<Self> {
        let (step, kind, message, data) = match event {
            TrainEvent::Points { .. } | TrainEvent::Progress { .. } => return None,
            TrainEvent::Log { level, message } => {
                let line = Self::new(step, LineKind::Message, message, Value::Null);
                return Some(Self {
                    level: *level,
                    ..line
                });
            }
            TrainEvent::ControlApplied { .. } => return control_applied(event),
            TrainEvent::Started { .. } => return started(event),
            TrainEvent::EpisodeStarted { episode, step } => (
                *step,
                LineKind::EpisodeStarted,
                format!("episode {episode} begins"),
                json!({"episode": episode}),
            ),
            TrainEvent::Prototypes {
                episode,
                step,
                count,
                ..
            } => (
                *step,
                LineKind::Prototypes,
                format!("{count} prototypes of episode {episode}"),
                json!({"episode": episode, "count": count}),
            ),
            TrainEvent::Checkpoint { step, path } => (
                *step,
                LineKind::Checkpoint,
                format!("checkpoint at step {step}"),
                json!({"path": path}),
            ),
            TrainEvent::Paused { step } => {
                (*step, LineKind::Paused, "paused".to_owned(), Value::Null)
            }
            TrainEvent::Resumed { step } => {
                (*step, LineKind::Resumed, "resumed".to_owned(), Value::Null)
            }
        };
        Some(Self::new(step, kind, message, data))
    }
}

fn control_applied(event: &TrainEvent) -> Option<NewLine> {
    let TrainEvent::ControlApplied {
        episode,
        step,
        field,
        from,
        to,
        before,
    } = event
    else {
        return None;
    };
    Some(NewLine::new(
        *step,
        LineKind::ControlApplied,
        format!("{field} changed from {from} to {to}"),
        json!({"episode": episode, "field": field, "from": from, "to": to, "before": before}),
    ))
}

fn started(event: &TrainEvent) -> Option<NewLine> {
    let TrainEvent::Started {
        step,
        samples,
        parameters,
        device,
        ..
    } = event
    else {
        return None;
    };
    Some(NewLine::new(
        *step,
        LineKind::Started,
        format!("training on {device}: {samples} pairs, {parameters} parameters"),
        serde_json::to_value(event).unwrap_or(Value::Null),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_settings_keeps_its_values_for_the_charts() {
        let event = TrainEvent::ControlApplied {
            episode: 3,
            step: 41,
            field: "prototype_count".into(),
            from: 128.0,
            to: 256.0,
            before: None,
        };
        let line = NewLine::of_event(&event, 40).expect("logged");
        assert_eq!((line.step, line.kind), (41, LineKind::ControlApplied));
        assert_eq!(line.message, "prototype_count changed from 128 to 256");
        assert_eq!(
            line.data,
            json!({"episode": 3, "field": "prototype_count", "from": 128.0, "to": 256.0, "before": null})
        );
    }

    #[test]
    fn a_message_keeps_its_level_and_stands_where_the_run_is() {
        let event = TrainEvent::Log {
            level: LogLevel::Warning,
            message: "3 broken images".into(),
        };
        let line = NewLine::of_event(&event, 7).expect("logged");
        assert_eq!((line.step, line.level), (7, LogLevel::Warning));
    }

    #[test]
    fn kinds_are_written_as_they_are_named() {
        for kind in [
            LineKind::ControlApplied,
            LineKind::State,
            LineKind::EpisodeStarted,
        ] {
            assert_eq!(serde_json::to_value(kind).expect("writes"), kind.name());
        }
    }
}
