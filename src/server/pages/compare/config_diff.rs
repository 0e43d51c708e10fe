//! The settings that are not the same in all runs.

use std::sync::Arc;

use protoclip::config::RunConfig;
use serde_json::Value;

use super::super::new_run::{FieldSpec, all_fields, as_json};
use crate::studio::{RunView, Studio, StudioError};

/// Only what differs, in the order of the Config tab.
#[derive(Debug)]
pub(super) struct ConfigDiff {
    pub(super) rows: Vec<DiffRow>,
    /// Settings that are the same everywhere.
    pub(super) same: usize,
    /// Runs without settings, since they were imported; then none are compared.
    pub(super) without: Vec<String>,
}

#[derive(Debug)]
pub(super) struct DiffRow {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) help: &'static str,
    pub(super) values: Vec<DiffValue>,
}

#[derive(Debug)]
pub(super) struct DiffValue {
    pub(super) text: String,
    /// Whether it is what the run's preset sets.
    pub(super) preset: bool,
}

impl ConfigDiff {
    pub(super) fn read(studio: &Studio, views: &[RunView]) -> Result<Self, StudioError> {
        let imported = views.iter().filter(|view| view.imported.is_some());
        let without: Vec<String> = imported.map(|view| view.name.clone()).collect();
        if !without.is_empty() {
            return Ok(Self {
                rows: Vec::new(),
                same: 0,
                without,
            });
        }
        let configs: Vec<Arc<RunConfig>> = views
            .iter()
            .map(|view| studio.config(&view.id))
            .collect::<Result<_, _>>()?;
        Ok(Self::of(&configs))
    }

    fn of(configs: &[Arc<RunConfig>]) -> Self {
        let sides: Vec<(Value, Value)> = configs
            .iter()
            .map(|config| (as_json(config), as_json(&config.preset.config())))
            .collect();
        let mut rows = vec![preset_row(configs)];
        rows.extend(
            all_fields()
                .filter(|field| field.name != "name")
                .map(|field| DiffRow::of(field, &sides)),
        );
        let all = rows.len();
        rows.retain(DiffRow::differs);
        Self {
            same: all - rows.len(),
            rows,
            without: Vec::new(),
        }
    }
}

fn preset_row(configs: &[Arc<RunConfig>]) -> DiffRow {
    let value = |config: &Arc<RunConfig>| DiffValue {
        text: config.preset.title().to_owned(),
        preset: true,
    };
    DiffRow {
        name: "preset",
        label: "Preset",
        help: "The method, which sets every other default",
        values: configs.iter().map(value).collect(),
    }
}

impl DiffRow {
    fn of(field: &FieldSpec, sides: &[(Value, Value)]) -> Self {
        let value = |(own, preset): &(Value, Value)| {
            let text = field.shown_in(own);
            DiffValue {
                preset: text == field.shown_in(preset),
                text,
            }
        };
        Self {
            name: field.name,
            label: field.label,
            help: field.help,
            values: sides.iter().map(value).collect(),
        }
    }

    fn differs(&self) -> bool {
        self.values
            .windows(2)
            .any(|pair| pair[0].text != pair[1].text)
    }
}

#[cfg(test)]
mod tests {
    use protoclip::config::Preset;

    use super::*;

    #[test]
    fn only_what_differs_is_listed_with_defaults_marked() {
        let plain = Preset::Protoclip.config();
        let mut changed = plain.clone();
        changed.prototypes.count = 7;
        changed.name = "names are no settings".into();
        let diff = ConfigDiff::of(&[Arc::new(plain), Arc::new(changed)]);
        let [row] = &diff.rows[..] else {
            panic!("{:?}", diff.rows);
        };
        assert_eq!(row.name, "prototypes.count");
        let marks: Vec<bool> = row.values.iter().map(|value| value.preset).collect();
        assert_eq!(marks, [true, false]);
        assert_eq!(row.values[1].text, "7");
    }
}
