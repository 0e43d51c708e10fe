//! The settings that a fork may change: as fields, and as they come back from the form.

use protoclip::config::{ConfigErrors, FieldError, RunConfig};
use serde_json::Value;

use super::super::new_run::{FieldSpec, Kind, all_fields, as_json, number};
use crate::studio::{ForkRequest, LEARNING_RATE_FACTOR, StudioError, can_change_in_fork};

/// A setting with the value that it has without a change.
#[derive(Debug)]
pub(super) struct ForkField {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) help: &'static str,
    pub(super) now: String,
    /// Value and word; empty for a field to type in.
    pub(super) choices: Vec<(&'static str, &'static str)>,
}

/// The fields of a fork of a run with these settings.
pub(super) fn fork_fields(config: &RunConfig) -> Vec<ForkField> {
    let json = as_json(config);
    let mut fields: Vec<ForkField> = forkable().map(|spec| ForkField::of(spec, &json)).collect();
    fields.push(ForkField {
        name: LEARNING_RATE_FACTOR,
        label: "Learning rate ×",
        help: "Factor on the scheduled learning rates; can be steered.",
        now: "as at the checkpoint".into(),
        choices: Vec::new(),
    });
    fields
}

fn forkable() -> impl Iterator<Item = &'static FieldSpec> {
    all_fields().filter(|field| can_change_in_fork(field.name))
}

impl ForkField {
    fn of(spec: &'static FieldSpec, config: &Value) -> Self {
        Self {
            name: spec.name,
            label: spec.label,
            help: spec.help,
            now: spec.shown_in(config),
            choices: match spec.kind {
                Kind::Choice(all) => all.to_vec(),
                Kind::Flag => vec![("true", "on"), ("false", "off")],
                Kind::Number | Kind::Text | Kind::List => Vec::new(),
            },
        }
    }
}

/// What the form asks for; blank fields stay as they are.
pub(super) fn fork_request(
    step: u64,
    typed: &[(String, String)],
) -> Result<ForkRequest, StudioError> {
    let mut request = ForkRequest {
        step: Some(step),
        ..ForkRequest::default()
    };
    let mut errors = Vec::new();
    for (name, text) in typed {
        let text = text.trim();
        let read = match name.as_str() {
            _ if text.is_empty() => Ok(()),
            "name" => {
                request.name = Some(text.to_owned());
                Ok(())
            }
            "episodes" => episodes(text).map(|episodes| request.episodes = Some(episodes)),
            LEARNING_RATE_FACTOR => {
                number(text).map(|value| drop(request.settings.insert(name.clone(), value)))
            }
            other => match forkable().find(|spec| spec.name == other) {
                None => Ok(()),
                Some(spec) => spec.read(text).map(|value| {
                    request
                        .settings
                        .extend(value.map(|value| (name.clone(), value)));
                }),
            },
        };
        if let Err(message) = read {
            errors.push(FieldError {
                field: name.clone(),
                message,
            });
        }
    }
    match errors.is_empty() {
        true => Ok(request),
        false => Err(ConfigErrors { errors }.into()),
    }
}

fn episodes(text: &str) -> Result<usize, String> {
    let whole = text.parse();
    whole.map_err(|_| format!("{text:?} is no whole number; type one such as 20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let pairs = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        pairs.collect()
    }

    #[test]
    fn blank_fields_stay_and_others_are_settings() {
        let request = fork_request(
            7,
            &typed(&[
                ("name", " second "),
                ("episodes", ""),
                ("prototypes.count", "64"),
                ("optimizer.learning_rate", "1e-4"),
                ("learning_rate_factor", "0.5"),
                ("seed", " "),
                ("batch_size", "7"),
            ]),
        );
        let request = request.expect("reads");
        assert_eq!(
            (request.step, request.name.as_deref()),
            (Some(7), Some("second"))
        );
        assert_eq!(request.episodes, None);
        let names: Vec<&String> = request.settings.keys().collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(request.settings["prototypes.count"], 64);
    }

    #[test]
    fn every_field_that_is_no_number_is_named() {
        let wrong = [
            ("episodes", "many"),
            ("loss.proto", "much"),
            ("learning_rate_factor", "x"),
        ];
        let error = fork_request(1, &typed(&wrong))
            .expect_err("wrong")
            .to_string();
        assert!(error.contains("many") && error.contains("much"), "{error}");
    }

    #[test]
    fn each_field_shows_what_it_is_now() {
        let fields = fork_fields(&RunConfig::default());
        assert!(fields.len() > 15);
        assert!(fields.iter().all(|field| !field.now.is_empty()));
    }
}
