//! The settings that a fork may change, since a run can go on with them from any of its checkpoints.
//!
//! What decides sizes, data or the method would make the files of a checkpoint those of another run:
//! such a change is a new run that starts from the weights.

use protoclip::config::{ConfigErrors, FieldError, RunConfig};
use protoclip::device::DeviceChoice;
use protoclip::train::{CheckpointPlace, Control, ControlChange, ControlValues};
use serde_json::{Map, Value};

/// The factor on the learning rates, which is no setting of a new run.
pub const LEARNING_RATE_FACTOR: &str = "learning_rate_factor";

/// Settings that can also be steered, and what steering calls them.
const STEERED: [(&str, &str); 5] = [
    ("prototypes.count", "prototype_count"),
    ("loss.external", "external_weight"),
    ("loss.proto", "proto_weight"),
    ("prototypes.target_temperature", "target_temperature"),
    (LEARNING_RATE_FACTOR, "learning_rate_factor"),
];

/// Settings that are read anew at every step, episode or evaluation.
const OTHERS: [&str; 18] = [
    "seed",
    "device",
    "precision",
    "augmentation",
    "prototypes.iterations",
    "prototypes.restarts",
    "loss.clip",
    "optimizer.learning_rate",
    "optimizer.visual_learning_rate",
    "optimizer.weight_decay",
    "optimizer.beta1",
    "optimizer.beta2",
    "optimizer.epsilon",
    "optimizer.grad_clip_norm",
    "schedule.warmup_steps",
    "checkpoints.every_episodes",
    "checkpoints.keep_last",
    "evaluation.every_episodes",
];

/// Whether a fork may change a setting.
pub fn can_change_in_fork(name: &str) -> bool {
    OTHERS.contains(&name) || STEERED.iter().any(|(setting, _)| *setting == name)
}

/// The settings of a fork, and the values that it is steered with from its first step on, where they
/// are not those of the checkpoint. `place` is unknown for a checkpoint without such a file.
pub(super) fn changed(
    config: &RunConfig,
    place: Option<CheckpointPlace>,
    settings: &Map<String, Value>,
) -> Result<(RunConfig, Option<ControlValues>), ConfigErrors> {
    let mut json =
        serde_json::to_value(config).map_err(|e| ConfigErrors::one("config", e.to_string()))?;
    let mut steered = Map::new();
    let mut errors = Vec::new();
    for (name, value) in settings {
        if let Some(message) = problem(name, value, config, place) {
            errors.push(FieldError {
                field: name.clone(),
                message,
            });
        }
        if let Some((_, control)) = STEERED.iter().find(|(setting, _)| setting == name) {
            steered.insert((*control).to_owned(), value.clone());
        }
        if let Some(slot) = json.pointer_mut(&format!("/{}", name.replace('.', "/"))) {
            *slot = value.clone();
        }
    }
    if !errors.is_empty() {
        return Err(ConfigErrors { errors });
    }
    let changed = RunConfig::from_json(json)?.validate()?.into_inner();
    let base = place.map_or_else(|| ControlValues::of(config), |place| place.controls);
    let controls = (!steered.is_empty()).then(|| steered_values(config, base, steered));
    Ok((changed, controls.transpose()?))
}

/// Why a setting cannot have a value here.
fn problem(
    name: &str,
    value: &Value,
    config: &RunConfig,
    place: Option<CheckpointPlace>,
) -> Option<String> {
    if !can_change_in_fork(name) {
        return Some(
            "a fork goes on with this setting as it is; start a new run from these weights to change it"
                .into(),
        );
    }
    let inside = place.is_none_or(|place| !place.between_episodes);
    if name == "seed" && inside && value.as_u64() != Some(config.seed) {
        return Some(
            "this checkpoint lies inside an episode, whose samples the old seed drew; choose a checkpoint at the end of an episode"
                .into(),
        );
    }
    let device = value.as_str().filter(|_| name == "device")?;
    let opened = DeviceChoice::parse(device).and_then(DeviceChoice::open);
    opened.err().map(|error| error.to_string())
}

/// The steered values, checked as if somebody steered the run.
fn steered_values(
    config: &RunConfig,
    base: ControlValues,
    steered: Map<String, Value>,
) -> Result<ControlValues, ConfigErrors> {
    let change: ControlChange = serde_json::from_value(Value::Object(steered))
        .map_err(|e| ConfigErrors::one("settings", e.to_string()))?;
    let control = Control::new(config, Some(base));
    control.change(&change).map_err(|mut found| {
        for error in &mut found.errors {
            if let Some((setting, _)) = STEERED.iter().find(|(_, c)| *c == error.field) {
                error.field = (*setting).to_owned();
            }
        }
        found
    })?;
    Ok(control.values())
}

#[cfg(test)]
mod tests {
    use protoclip::config::Preset;
    use serde_json::json;

    use super::*;

    fn place(between_episodes: bool) -> Option<CheckpointPlace> {
        let mut controls = ControlValues::of(&Preset::Protoclip.config());
        controls.prototype_count = 77;
        Some(CheckpointPlace {
            controls,
            between_episodes,
        })
    }

    fn fork(settings: Value, between: bool) -> Result<(RunConfig, Option<ControlValues>), String> {
        let Value::Object(settings) = settings else {
            panic!("an object");
        };
        changed(&Preset::Protoclip.config(), place(between), &settings).map_err(|e| {
            let texts = e
                .errors
                .iter()
                .map(|e| format!("{}: {}", e.field, e.message));
            texts.collect::<Vec<_>>().join("; ")
        })
    }

    #[test]
    fn what_a_run_can_go_on_with_is_changed() {
        let asked = json!({
            "optimizer.learning_rate": 0.0001, "loss.proto": 0.25, "learning_rate_factor": 0.5,
        });
        let (config, controls) = fork(asked, false).expect("can be");
        assert_eq!(config.optimizer.learning_rate, 0.0001);
        assert_eq!(config.loss.proto, 0.25);
        let controls = controls.expect("steered");
        assert_eq!(
            (controls.proto_weight, controls.learning_rate_factor),
            (0.25, 0.5)
        );
        assert_eq!(controls.prototype_count, 77, "the rest is the checkpoint's");
        let (_, controls) = fork(json!({"seed": 9}), true).expect("between episodes");
        assert_eq!(controls, None);
    }

    #[test]
    fn what_would_make_it_another_run_is_refused_by_name() {
        for (asked, field, word) in [
            (json!({"batch_size": 7}), "batch_size", "new run"),
            (json!({"no.such": 7}), "no.such", "new run"),
            (json!({"seed": 9}), "seed", "inside an episode"),
            (json!({"loss.proto": -1.0}), "loss.proto", "-1"),
            (json!({"prototypes.count": 1}), "prototypes.count", "2"),
            (
                json!({"optimizer.learning_rate": "x"}),
                "optimizer.learning_rate",
                "x",
            ),
            (json!({"device": "abacus"}), "device", "abacus"),
            (json!({"loss.external": 1.0}), "loss.external", "teacher"),
        ] {
            let error = fork(asked, false).expect_err("refused");
            assert!(error.contains(field) && error.contains(word), "{error}");
        }
    }

    #[test]
    fn every_setting_of_the_list_is_one() {
        let json = serde_json::to_value(RunConfig::default()).expect("JSON");
        for name in OTHERS {
            let path = format!("/{}", name.replace('.', "/"));
            assert!(json.pointer(&path).is_some(), "{name}");
        }
    }
}
