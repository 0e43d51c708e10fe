//! Laying given values over a preset.

use serde_json::{Map, Value};

use super::{ConfigErrors, Preset, RunConfig};

pub(super) fn from_toml(text: &str) -> Result<RunConfig, ConfigErrors> {
    let given: Value =
        toml::from_str(text).map_err(|e| ConfigErrors::one("config", e.to_string()))?;
    from_json(given)
}

pub(super) fn from_json(given: Value) -> Result<RunConfig, ConfigErrors> {
    let Value::Object(given) = given else {
        return Err(ConfigErrors::one(
            "config",
            "expected an object such as {\"preset\": \"protoclip\"}",
        ));
    };
    let preset = match given.get("preset") {
        None => RunConfig::default().preset,
        Some(name) => preset_named(name)?,
    };
    let base = serde_json::to_value(preset.config())
        .map_err(|e| ConfigErrors::one("config", e.to_string()))?;
    let Value::Object(mut merged) = base else {
        return Err(ConfigErrors::one("config", "a preset is not an object"));
    };
    overlay(&mut merged, given);
    serde_path_to_error::deserialize(Value::Object(merged)).map_err(|e| {
        let (field, message) = (e.path().to_string(), e.inner().to_string());
        ConfigErrors::one(if field == "." { "config".into() } else { field }, message)
    })
}

fn preset_named(name: &Value) -> Result<Preset, ConfigErrors> {
    serde_json::from_value(name.clone()).map_err(|_| {
        let known: Vec<&str> = Preset::ALL.iter().map(|p| p.name()).collect();
        ConfigErrors::one(
            "preset",
            format!("{name} is no preset; use one of {}", known.join(", ")),
        )
    })
}

/// Replaces leaves of `base` by those of `given`, descending into objects present in both.
fn overlay(base: &mut Map<String, Value>, given: Map<String, Value>) {
    for (key, value) in given {
        match (base.get_mut(&key), value) {
            (Some(Value::Object(below)), Value::Object(value)) => overlay(below, value),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn given_fields_replace_those_of_the_preset_and_nothing_else() {
        let config = from_json(json!({
            "preset": "protoclip", "prototypes": {"count": 64}, "seed": 3
        }))
        .expect("valid");
        let mut expected = Preset::Protoclip.config();
        expected.prototypes.count = 64;
        expected.seed = 3;
        assert_eq!(config, expected);
    }

    #[test]
    fn an_unknown_field_is_named_with_its_path() {
        let errors = from_json(json!({"prototypes": {"cuont": 3}})).expect_err("unknown field");
        assert_eq!(errors.errors[0].field, "prototypes.cuont");
        assert!(errors.errors[0].message.contains("expected one of"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_with_its_path() {
        let errors = from_json(json!({"loss": {"clip": "much"}})).expect_err("wrong type");
        assert_eq!(errors.errors[0].field, "loss.clip");
    }

    #[test]
    fn an_unknown_preset_lists_the_known_ones() {
        let errors = from_json(json!({"preset": "moco"})).expect_err("unknown preset");
        assert!(errors.errors[0].message.contains("protoclip-no-pbt"));
    }

    #[test]
    fn toml_written_by_us_reads_back_equal() {
        for preset in Preset::ALL {
            let config = preset.config();
            let text = config.to_toml().expect("writes");
            assert_eq!(from_toml(&text).expect("reads"), config, "{text}");
        }
    }
}
