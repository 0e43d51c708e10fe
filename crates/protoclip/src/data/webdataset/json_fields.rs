//! What is taken from the `.json` member of a pair.

use serde_json::{Map, Value};

use crate::config::DataConfig;
use crate::data::LabelColumn;

/// The fields that a configuration asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonFields {
    /// The field with the caption.
    caption: String,
    /// Whether the caption is that field rather than the `.txt` member.
    prefers_json: bool,
    labels: Vec<String>,
}

/// The caption's field where the configuration names none and there is no `.txt`.
const CAPTION: &str = "caption";

impl JsonFields {
    pub(super) fn of(config: &DataConfig) -> Self {
        Self {
            caption: config
                .caption_column
                .clone()
                .unwrap_or_else(|| CAPTION.into()),
            prefers_json: config.caption_column.is_some(),
            labels: config.label_columns.clone(),
        }
    }

    pub(super) fn prefers_json(&self) -> bool {
        self.prefers_json
    }

    pub(super) fn labels(&self) -> &[String] {
        &self.labels
    }

    /// All that decides which pairs are usable and how they are labelled.
    pub(super) fn settings(&self) -> Vec<&str> {
        let mut all = vec![self.caption.as_str()];
        all.push(if self.prefers_json { "json" } else { "txt" });
        all.extend(self.labels.iter().map(String::as_str));
        all
    }

    /// The caption in the text of a `.json` member.
    ///
    /// # Errors
    /// When it is no JSON object, or has no such field with text.
    pub(super) fn caption_in(&self, bytes: &[u8]) -> Result<String, String> {
        self.caption_of(&object(bytes)?)
    }

    /// The caption in a parsed `.json` member.
    ///
    /// # Errors
    /// When it has no such field with text.
    pub(super) fn caption_of(&self, object: &Map<String, Value>) -> Result<String, String> {
        let text = object.get(&self.caption).and_then(Value::as_str);
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        text.map(str::to_owned)
            .ok_or_else(|| format!("no text in its field {:?}", self.caption))
    }

    /// Why the label columns cannot be had, when a field is in no pair at all.
    pub(super) fn absent_from(&self, columns: &[LabelColumn]) -> Option<String> {
        let empty = columns
            .iter()
            .find(|column| column.classes.iter().all(|c| c == LabelColumn::UNLABELLED))?;
        Some(format!(
            "no .json member has a field {:?}; set data.label_columns to fields that are there",
            empty.name
        ))
    }
}

/// The text of a `.json` member as an object.
///
/// # Errors
/// What the parser says.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(bytes).map_err(|e| e.to_string())
}

/// The class that a field names; empty for what is no single value.
pub(super) fn class(object: &Map<String, Value>, field: &str) -> String {
    match object.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}
