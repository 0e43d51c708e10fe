//! Values of a cell, read by type; errors name the key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::super::{RunId, RunView, Studio};

/// The resolved values of a cell.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Values<'a>(pub(in super::super) &'a Map<String, Value>);

impl<'a> Values<'a> {
    pub(super) fn get(self, key: &str) -> Option<&'a Value> {
        self.0.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn text(self, key: &str) -> Result<Option<&'a str>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{key}: {other} is no text")),
        }
    }

    /// A step or a count. A slider gives 3.0 for 3.
    pub(super) fn whole(self, key: &str) -> Result<Option<u64>, String> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let whole = value.as_u64().or_else(|| {
            let number = value.as_f64()?;
            let fits = number >= 0.0 && number.fract() == 0.0 && number < 9e15;
            fits.then_some(number as u64)
        });
        whole
            .map(Some)
            .ok_or_else(|| format!("{key}: {value} is no whole number from 0 on"))
    }

    pub(super) fn number(self, key: &str) -> Result<Option<f64>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(format!("{key}: {value} is no number")),
            },
        }
    }

    pub(super) fn numbers(self, key: &str) -> Result<Vec<f64>, String> {
        let Some(value) = self.get(key) else {
            return Ok(Vec::new());
        };
        let listed = value
            .as_array()
            .ok_or_else(|| format!("{key}: {value} is no list"))?;
        let number = |value: &Value| {
            value
                .as_f64()
                .ok_or_else(|| format!("{key}: {value} is no number"))
        };
        listed.iter().map(number).collect()
    }

    pub(super) fn flag(self, key: &str) -> Result<Option<bool>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(format!("{key}: {other} is neither true nor false")),
        }
    }

    /// One text or a list of them.
    pub(super) fn texts(self, key: &str) -> Result<Vec<String>, String> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text.clone()]),
            Some(Value::Array(listed)) => listed
                .iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text.clone()),
                    other => Err(format!("{key}: {other} is no text")),
                })
                .collect(),
            Some(other) => Err(format!("{key}: {other} is no text and no list of texts")),
        }
    }

    /// One of the words of a type that is written as a word.
    pub(super) fn word<T: DeserializeOwned>(self, key: &str) -> Result<Option<T>, String> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => serde_json::from_value(value.clone())
                .map(Some)
                .map_err(|error| format!("{key}: {error}")),
        }
    }

    /// The run that `run` names.
    pub(super) fn run(self, studio: &Studio) -> Result<RunView, String> {
        match self.text("run")? {
            Some(id) => known(studio, "run", id),
            None => Err("run: is missing; give the id of a run, or ${cell} of a run cell".into()),
        }
    }

    /// The runs that `runs` and `run` name, each once.
    pub(super) fn runs(self, studio: &Studio) -> Result<Vec<RunView>, String> {
        let mut found: Vec<RunView> = Vec::new();
        for key in ["run", "runs"] {
            for id in self.texts(key)? {
                let run = known(studio, key, &id)?;
                if found.iter().all(|other| other.id != run.id) {
                    found.push(run);
                }
            }
        }
        Ok(found)
    }
}

/// The run with an id; `latest` is the newest one.
fn known(studio: &Studio, key: &str, id: &str) -> Result<RunView, String> {
    if id == "latest" {
        let newest = studio.runs().into_iter().find(|run| !run.broken);
        return newest.ok_or_else(|| format!("{key}: there are no runs yet"));
    }
    let missing = |_| {
        let newest: Vec<String> = studio
            .runs()
            .iter()
            .take(3)
            .map(|run| run.id.to_string())
            .collect();
        let hint = match newest.is_empty() {
            true => "there are none yet".to_owned(),
            false => format!("the newest are {}", newest.join(", ")),
        };
        format!("{key}: there is no run {id}; {hint}")
    };
    let run = studio.run(&RunId::from(id)).map_err(missing)?;
    match run.broken {
        false => Ok(run),
        true => Err(format!(
            "{key}: run {id} cannot be read: {}",
            run.reason.unwrap_or_default()
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_by_type_and_errors_name_the_key() {
        let map = json!({"a": 3.0, "b": -1, "c": "x", "d": ["x", 1], "e": null});
        let map = map.as_object().cloned().expect("an object");
        let values = Values(&map);
        assert_eq!(values.whole("a"), Ok(Some(3)));
        assert_eq!(values.whole("e"), Ok(None));
        assert_eq!(values.texts("c"), Ok(vec!["x".to_owned()]));
        for error in [
            values.whole("b").map(drop),
            values.number("c").map(drop),
            values.texts("d").map(drop),
            values.flag("a").map(drop),
            values.numbers("d").map(drop),
        ] {
            let error = error.expect_err("wrong");
            assert!(error.contains(": "), "{error}");
        }
    }
}
