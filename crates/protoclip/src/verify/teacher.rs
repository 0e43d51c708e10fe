//! `teacher_*.json` with `teacher_*.safetensors`: captions to embeddings of a BERT-like encoder.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;

use super::golden_file::read_json;
use super::{GoldenError, GoldenFile, Measure, Report, beside, worst};
use crate::teacher::SentenceEncoder;

const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Captions {
    texts: Vec<String>,
    token_ids: Vec<Vec<u32>>,
}

/// Compares with the encoder in the folder `model`.
pub(super) fn check(
    path: &Path,
    model: &Path,
    device: &Device,
    report: &mut Report<'_>,
) -> Result<(), GoldenError> {
    let wanted: Captions = read_json(path)?;
    let file = GoldenFile::open(&beside(path, ".json", ".safetensors"))?;
    let failed = |e| GoldenError::compute("teacher", e);
    let encoder = SentenceEncoder::open(model, device).map_err(failed)?;
    let mut differing = 0;
    for (text, ids) in wanted.texts.iter().zip(&wanted.token_ids) {
        differing += usize::from(encoder.token_ids(text).map_err(failed)? != *ids);
    }
    let case = format!("token ids of {} captions", wanted.texts.len());
    report.add(case, Measure::CountDiffering, differing as f64, 0.0);
    let texts: Vec<&str> = wanted.texts.iter().map(String::as_str).collect();
    let found = encoder.encode(&texts, &|_, _| true).map_err(failed)?;
    let embeddings = file.f32("embeddings")?;
    if embeddings.len() != found.len() {
        return Err(file.wrong("embeddings", format!("ours has {} values", found.len())));
    }
    report.add(
        "embeddings",
        Measure::Absolute,
        worst(&found, &embeddings),
        TOLERANCE,
    );
    Ok(())
}
