//! What a person typed into the form of a new run, and its way to a [`RunConfig`].

use std::collections::BTreeMap;

use protoclip::config::{ConfigErrors, FieldError, Preset, RunConfig, ValidRunConfig};
use serde_json::{Map, Value};

use super::field_spec::{FieldSpec, all_fields, as_json};

/// Typed values by dotted path; an absent or blank one takes its preset's value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FormValues(BTreeMap<String, String>);

impl FormValues {
    pub(super) fn of(pairs: Vec<(String, String)>) -> Self {
        let pairs = pairs.into_iter();
        Self(
            pairs
                .map(|(key, value)| (key, value.trim().to_owned()))
                .collect(),
        )
    }

    /// The values of an existing run that differ from its preset.
    pub(super) fn of_config(config: &RunConfig) -> Self {
        let (own, preset) = (as_json(config), as_json(&config.preset.config()));
        let changed = all_fields().filter_map(|field| {
            let value = field.value_in(&own)?;
            let differs = Some(&value) != field.value_in(&preset).as_ref();
            (differs && field.name != "name").then(|| (field.name.to_owned(), value))
        });
        let mut values: BTreeMap<String, String> = changed.collect();
        values.insert("preset".into(), config.preset.name().into());
        Self(values)
    }

    /// Takes over every field that `asked` has a value for.
    pub(super) fn take(&mut self, asked: &Self) {
        let names = all_fields()
            .map(|field| field.name)
            .chain(["preset", "draw"]);
        for name in names.filter(|name| !asked.get(name).is_empty()) {
            self.0.insert(name.to_owned(), asked.get(name).to_owned());
        }
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The chosen preset; the default one while nothing sensible was chosen.
    pub(super) fn preset(&self) -> Preset {
        let chosen = self.get("preset");
        let known = Preset::ALL.into_iter().find(|p| p.name() == chosen);
        known.unwrap_or(RunConfig::default().preset)
    }

    /// Reads and checks everything.
    ///
    /// # Errors
    /// All fields that cannot be read; else all settings that cannot be used.
    pub(super) fn to_config(&self) -> Result<ValidRunConfig, ConfigErrors> {
        self.part(|_| true)?.validate()
    }

    /// Reads the fields that are wanted, over the preset; nothing but their types is checked.
    ///
    /// # Errors
    /// All of them that cannot be read.
    pub(super) fn part(&self, wanted: impl Fn(&str) -> bool) -> Result<RunConfig, ConfigErrors> {
        let mut given = Map::new();
        let mut errors = Vec::new();
        if !self.get("preset").is_empty() {
            given.insert("preset".into(), self.get("preset").into());
        }
        for field in all_fields().filter(|field| wanted(field.name)) {
            match self.read(field) {
                Ok(None) => {}
                Ok(Some(value)) => insert(&mut given, field.name, value),
                Err(message) => errors.push(FieldError {
                    field: field.name.into(),
                    message,
                }),
            }
        }
        if !errors.is_empty() {
            return Err(ConfigErrors { errors });
        }
        RunConfig::from_json(Value::Object(given))
    }

    fn read(&self, field: &FieldSpec) -> Result<Option<Value>, String> {
        let text = self.get(field.name);
        if text.is_empty() || !field.is_for(self.get("data.source")) {
            return Ok(None);
        }
        field.read(text)
    }
}

fn insert(given: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            given.insert(path.into(), value);
        }
        Some((head, rest)) => {
            let below = given
                .entry(head)
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(below) = below {
                insert(below, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> FormValues {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        FormValues::of(pairs.collect())
    }

    #[test]
    fn blank_fields_take_the_values_of_the_preset() {
        let values = form(&[
            ("preset", "protoclip"),
            ("episodes", "  "),
            ("loss.proto", "0.5"),
        ]);
        let mut expected = Preset::Protoclip.config();
        expected.loss.proto = 0.5;
        assert_eq!(*values.to_config().expect("valid"), expected);
    }

    #[test]
    fn every_kind_of_field_arrives_with_its_type() {
        let values = form(&[
            ("preset", "protoclip-no-pbt"),
            ("data.source", "csv"),
            ("data.path", "/tmp/pairs.tsv"),
            ("data.separator", "\\t"),
            ("data.label_columns", "kind, colour"),
            ("prototypes.back_translation", "true"),
            ("optimizer.epsilon", "1e-8"),
            ("episode_size", "500"),
        ]);
        let config = values.to_config().expect("valid");
        assert_eq!(config.data.separator, Some('\t'));
        assert_eq!(config.data.label_columns, ["kind", "colour"]);
        assert!(config.prototypes.back_translation);
        assert_eq!(config.optimizer.epsilon, 1e-8);
        assert_eq!(config.episode_size, Some(500));
    }

    #[test]
    fn a_part_is_read_whatever_the_rest_says() {
        let values = form(&[("episodes", "many"), ("seed", "7"), ("preset", "clip")]);
        let part = values.part(|name| name == "seed").expect("a number");
        assert_eq!((part.seed, part.preset), (7, Preset::Clip));
        assert!(values.part(|_| true).is_err());
    }

    #[test]
    fn fields_of_an_address_go_over_those_of_a_run() {
        let mut values = form(&[("preset", "clip"), ("seed", "7"), ("model", "RN50")]);
        values.take(&form(&[
            ("seed", "8"),
            ("model", ""),
            ("from", "x"),
            ("odd", "1"),
        ]));
        assert_eq!(
            values,
            form(&[("preset", "clip"), ("seed", "8"), ("model", "RN50")])
        );
    }

    #[test]
    fn all_unreadable_numbers_are_named_at_once() {
        let errors = form(&[("episodes", "many"), ("seed", "-")])
            .to_config()
            .expect_err("no numbers");
        let fields: Vec<&str> = errors.errors.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["episodes", "seed"]);
    }

    #[test]
    fn csv_fields_are_left_out_for_the_built_in_data() {
        let values = form(&[("data.source", "builtin"), ("data.path", "/left/over.csv")]);
        assert_eq!(values.to_config().expect("valid").data.path, None);
    }

    #[test]
    fn the_form_of_an_existing_run_gives_the_same_run() {
        let mut config = Preset::ProtoclipTeacher.config();
        config.prototypes.count = 64;
        config.optimizer.learning_rate = 1e-3;
        config.episode_size = Some(900);
        let values = FormValues::of_config(&config);
        assert_eq!(*values.to_config().expect("valid"), config);
    }
}
