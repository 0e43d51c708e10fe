//! `tokenizer.json`: captions to token ids, exactly.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::golden_file::read_json;
use super::{GoldenError, Measure, Report};
use crate::config::Fidelity;
use crate::tokenizer::Tokenizer;

#[derive(Deserialize)]
struct Caption {
    text: String,
    ids: Vec<i32>,
}

pub(super) fn check(path: &Path, _: &Device, report: &mut Report<'_>) -> Result<(), GoldenError> {
    let file: Map<String, Value> = read_json(path)?;
    let tokenizer = Tokenizer::new();
    for (key, captions) in &file {
        let Some(context) = key.strip_prefix("context_length_") else {
            continue;
        };
        let wrong = |message: String| GoldenError::format(path, format!("{key}: {message}"));
        let context: usize = context.parse().map_err(|e| wrong(format!("{e}")))?;
        let captions = Vec::<Caption>::deserialize(captions).map_err(|e| wrong(e.to_string()))?;
        let differing: Vec<&Caption> = captions
            .iter()
            .filter(|c| tokenizer.encode(&c.text, context, Fidelity::Reference) != c.ids)
            .collect();
        let note = differing
            .first()
            .map_or_else(String::new, |c| format!("first: {:?}", c.text));
        let case = format!("{} captions, context {context}", captions.len());
        let count = differing.len() as f64;
        report.add_noted(case, Measure::CountDiffering, count, 0.0, note);
    }
    Ok(())
}
