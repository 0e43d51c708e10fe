//! Controls: a value that a person sets and other cells refer to.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{CellText, Document, Problem};

/// A control as a page shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Control {
    pub label: String,
    pub kind: ControlKind,
    pub value: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
    /// Of a choice; empty otherwise.
    pub choices: Vec<Choice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ControlKind {
    Slider,
    Choice,
    Text,
    Switch,
}

/// One of the values of a choice.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Choice {
    pub value: Value,
    pub label: String,
}

impl ControlKind {
    const ALL: [Self; 4] = [Self::Slider, Self::Choice, Self::Text, Self::Switch];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Slider => "slider",
            Self::Choice => "choice",
            Self::Text => "text",
            Self::Switch => "switch",
        }
    }
}

impl Control {
    /// Reads a control from its resolved values. `runs` are what `choices: runs` stands for.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub(super) fn read(
        id: &str,
        values: &Map<String, Value>,
        runs: impl FnOnce() -> Vec<Choice>,
    ) -> Result<Self, String> {
        let choices = match values.get("choices") {
            None => Vec::new(),
            Some(Value::String(word)) if word == "runs" => runs(),
            Some(Value::Array(listed)) => listed.iter().map(choice).collect::<Result<_, _>>()?,
            Some(other) => {
                return Err(format!("choices: {other} is no list and not the word runs"));
            }
        };
        let (min, max, step) = (
            number(values, "min")?,
            number(values, "max")?,
            number(values, "step")?,
        );
        let kind = match values.get("kind").and_then(Value::as_str) {
            Some(name) => ControlKind::ALL
                .into_iter()
                .find(|k| k.name() == name)
                .ok_or_else(|| {
                    format!("kind: {name} is not one of slider, choice, text and switch")
                })?,
            None if values.contains_key("choices") => ControlKind::Choice,
            None if min.is_some() && max.is_some() => ControlKind::Slider,
            None if matches!(values.get("value"), Some(Value::Bool(_))) => ControlKind::Switch,
            None => ControlKind::Text,
        };
        let control = Self {
            label: match values.get("label").and_then(Value::as_str) {
                Some(label) => label.to_owned(),
                None => id.to_owned(),
            },
            kind,
            value: first_value(kind, values, &choices, min),
            min,
            max,
            step,
            choices,
        };
        control.check(&control.value)?;
        Ok(control)
    }

    /// Whether the control can have this value.
    ///
    /// # Errors
    /// Says what it can have.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        match self.kind {
            ControlKind::Switch if value.is_boolean() => Ok(()),
            ControlKind::Switch => Err(format!("value: {value} is neither true nor false")),
            ControlKind::Text if value.is_string() || value.is_number() => Ok(()),
            ControlKind::Text => Err(format!("value: {value} is no text")),
            ControlKind::Choice if self.choices.iter().any(|c| c.value == *value) => Ok(()),
            ControlKind::Choice if self.choices.is_empty() => {
                Err("there is nothing to choose from yet".into())
            }
            ControlKind::Choice => {
                let listed: Vec<String> =
                    self.choices.iter().map(|c| c.value.to_string()).collect();
                Err(format!(
                    "value: {value} is not one of {}",
                    listed.join(", ")
                ))
            }
            ControlKind::Slider => self.check_slider(value),
        }
    }

    fn check_slider(&self, value: &Value) -> Result<(), String> {
        let (Some(min), Some(max)) = (self.min, self.max) else {
            return Err("a slider needs min and max".into());
        };
        if min >= max {
            return Err(format!("min: {min} is not below max: {max}"));
        }
        if self.step.is_some_and(|step| step <= 0.0) {
            return Err("step: must be above 0".into());
        }
        match value.as_f64() {
            Some(number) if (min..=max).contains(&number) => Ok(()),
            _ => Err(format!("value: {value} is no number from {min} to {max}")),
        }
    }
}

fn first_value(
    kind: ControlKind,
    values: &Map<String, Value>,
    choices: &[Choice],
    min: Option<f64>,
) -> Value {
    if let Some(value) = values.get("value") {
        return value.clone();
    }
    match kind {
        ControlKind::Switch => Value::Bool(false),
        ControlKind::Text => Value::String(String::new()),
        ControlKind::Slider => min.map_or(Value::Null, Value::from),
        ControlKind::Choice => choices.first().map_or(Value::Null, |c| c.value.clone()),
    }
}

fn choice(value: &Value) -> Result<Choice, String> {
    if let Value::Object(pair) = value {
        let part = |key: &str| pair.get(key).cloned();
        return match (part("value"), part("label")) {
            (Some(value), Some(Value::String(label))) => Ok(Choice { value, label }),
            _ => Err("choices: each has a value and a label, or is a value itself".into()),
        };
    }
    let label = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let value = value.clone();
    Ok(Choice { value, label })
}

fn number(values: &Map<String, Value>, key: &str) -> Result<Option<f64>, String> {
    match values.get(key) {
        None => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{key}: {value} is no number")),
        },
    }
}

/// Writes a new value into the body of a control; every other byte of the notebook stays.
///
/// # Errors
/// When there is no such cell, or more than one.
pub(super) fn set_value(document: &mut Document, id: &str, value: &Value) -> Result<(), Problem> {
    let is_asked = |cell: &CellText| {
        let mut words = cell.info().split_ascii_whitespace().skip(2);
        words.any(|word| word.strip_prefix("id=") == Some(id))
    };
    let found: Vec<usize> = document
        .cells()
        .enumerate()
        .filter_map(|(at, cell)| is_asked(cell).then_some(at))
        .collect();
    let [at] = found[..] else {
        return Err(Problem {
            line: 1,
            cell: Some(id.to_owned()),
            message: format!("{} cells are called {id}; one is needed", found.len()),
        });
    };
    let body = document.cells().nth(at).map(|cell| cell.body.clone());
    document.set_body(at, &with_value(&body.unwrap_or_default(), value))
}

/// The body with its `value:` replaced, or one added at the end.
fn with_value(body: &str, value: &Value) -> String {
    // JSON is YAML, on one line.
    let line = format!("value: {value}");
    let lines: Vec<&str> = body.split_inclusive('\n').collect();
    let end = if body.contains("\r\n") { "\r\n" } else { "\n" };
    let Some(at) = lines.iter().position(|line| line.starts_with("value:")) else {
        let mut body = body.to_owned();
        if !body.is_empty() && !body.ends_with('\n') {
            body.push_str(end);
        }
        return format!("{body}{line}{end}");
    };
    // A value that goes on over lines is indented.
    let continued = lines[at + 1..]
        .iter()
        .take_while(|line| line.starts_with([' ', '\t']))
        .count();
    let old_end = if lines[at].ends_with('\n') { end } else { "" };
    let mut written = lines[..at].concat();
    written.push_str(&line);
    if let Some(comment) = comment_of(lines[at]).filter(|_| continued == 0) {
        written.push(' ');
        written.push_str(comment);
    }
    written.push_str(old_end);
    written.push_str(&lines[at + 1 + continued..].concat());
    written
}

/// The comment behind a value, when the line has no quotes that could hold a `#`.
fn comment_of(line: &str) -> Option<&str> {
    let line = line.trim_end_matches(['\n', '\r']);
    let at = line.find(" #")?;
    (!line[..at].contains(['"', '\''])).then(|| line[at..].trim_start())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(values: Value) -> Result<Control, String> {
        let values = values.as_object().cloned().expect("an object");
        let runs = || {
            vec![Choice {
                value: json!("r1"),
                label: "first".into(),
            }]
        };
        Control::read("k", &values, runs)
    }

    #[test]
    fn the_kind_follows_from_the_keys() {
        let kind = |values| read(values).expect("reads").kind;
        assert_eq!(kind(json!({"min": 0, "max": 2})), ControlKind::Slider);
        assert_eq!(kind(json!({"choices": ["a", "b"]})), ControlKind::Choice);
        assert_eq!(kind(json!({"choices": "runs"})), ControlKind::Choice);
        assert_eq!(kind(json!({"value": true})), ControlKind::Switch);
        assert_eq!(kind(json!({})), ControlKind::Text);
        let labelled = json!({"choices": [{"value": 1, "label": "one"}]});
        let control = read(labelled).expect("reads");
        assert_eq!(
            (control.value, control.choices[0].label.as_str()),
            (json!(1), "one")
        );
    }

    #[test]
    fn values_that_the_control_cannot_have_are_refused() {
        for (values, part) in [
            (
                json!({"min": 0, "max": 2, "value": 3}),
                "no number from 0 to 2",
            ),
            (json!({"min": 2, "max": 2}), "is not below"),
            (json!({"kind": "slider"}), "needs min and max"),
            (json!({"choices": ["a"], "value": "b"}), "not one of \"a\""),
            (json!({"choices": 3}), "is no list"),
            (json!({"kind": "dial"}), "not one of slider"),
            (json!({"min": "x"}), "min: \"x\" is no number"),
            (
                json!({"kind": "switch", "value": 1}),
                "neither true nor false",
            ),
        ] {
            let error = read(values.clone()).expect_err("wrong");
            assert!(error.contains(part), "{values}: {error}");
        }
    }

    #[test]
    fn setting_a_value_changes_its_line_and_nothing_else() {
        let text =
            "# t\n```yaml protoclip id=k type=control\nmin: 0\nvalue: 1 # now\nmax: 2\n```\nend";
        let mut document = Document::read(text);
        set_value(&mut document, "k", &json!(1.5)).expect("sets");
        assert_eq!(
            document.to_string(),
            text.replace("value: 1 #", "value: 1.5 #")
        );
        set_value(&mut document, "k", &json!("a \"b\"")).expect("sets");
        assert!(
            document
                .to_string()
                .contains("value: \"a \\\"b\\\"\" # now\n")
        );
        assert!(set_value(&mut document, "other", &json!(1)).is_err());
    }

    #[test]
    fn a_value_over_several_lines_is_replaced_whole_and_an_absent_one_added() {
        assert_eq!(
            with_value("value: >\n  a\n  b\nmax: 1\n", &json!("c")),
            "value: \"c\"\nmax: 1\n"
        );
        assert_eq!(with_value("min: 0", &json!(2)), "min: 0\nvalue: 2\n");
        assert_eq!(with_value("", &json!(2)), "value: 2\n");
        assert_eq!(
            with_value("a: 1\r\nvalue: 3\r\n", &json!(2)),
            "a: 1\r\nvalue: 2\r\n"
        );
    }
}
