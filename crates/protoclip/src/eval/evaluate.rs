//! One model on one data set: features once, then every measure that the data allows.

use std::sync::Arc;
use std::time::Instant;

use rand::seq::SliceRandom;
use rustc_hash::FxHashSet;

use super::columns::{ColumnContext, column_report};
use super::features::{Encoder, PairFeatures};
use super::report::{
    EvaluatedData, EvaluatedModel, EvaluationReport, Part, RetrievalReport, SpaceScores,
};
use super::{PromptTemplates, RetrievalError, retrieval};
use crate::analysis::{AnalysisError, average_self_similarity, mean_feature_std, modality_gap};
use crate::config::Holdout;
use crate::data::{self, DataError, LabelColumn, PairSource, Purpose, SampleId, generator};

/// Most rows of a self-similarity, whose time grows with their square.
pub const SELF_SIMILARITY_LIMIT: usize = 10_000;
/// Most pictures that retrieval ranks; above, a sample is drawn with all its captions.
pub const RETRIEVAL_LIMIT: usize = 50_000;

/// What to measure, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EvaluationOptions {
    /// Seed of splits, k-means and samples.
    pub seed: u64,
    /// Label columns to use, by name; absent means all that the data set has.
    pub label_columns: Option<Vec<String>>,
    /// What the classes of the only label column are called, in the order of its classes; absent
    /// means by their labels.
    pub class_names: Option<Vec<String>>,
    pub templates: PromptTemplates,
    /// Also fit a linear probe per label column.
    pub linear_probe: bool,
    /// Measure the pairs that this rule holds out; the probe then trains on the others.
    pub holdout: Option<Holdout>,
}

/// What an evaluation is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EvaluationPhase {
    /// Pictures and captions go through the model.
    Extract,
    Spaces,
    Retrieval,
    ZeroShot,
    Grouping,
    LinearProbe,
}

/// Progress of a whole evaluation: `(phase, done, total)`; return `false` to cancel.
pub type EvaluationProgress<'a> = &'a dyn Fn(EvaluationPhase, u64, u64) -> bool;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(
        "the model has a vocabulary of {found} tokens, but the tokenizer has 49408; use a model trained with CLIP's tokenizer"
    )]
    Vocabulary { found: usize },
    #[error("there is no label column {name:?}; the data set has {known}")]
    NoColumn { name: String, known: String },
    #[error(
        "{names} class names for label column {column:?}, which has {classes} classes; give one per class"
    )]
    ClassNames {
        names: usize,
        column: String,
        classes: usize,
    },
    #[error("class names belong to one label column, but {columns} are evaluated; choose one")]
    SeveralColumns { columns: usize },
    #[error("features: {0}; the weights are damaged or the model is not the one they belong to")]
    Features(#[from] AnalysisError),
    #[error("reading features back from the device: {0}")]
    Device(String),
    #[error("the evaluation was cancelled")]
    Cancelled,
}

impl EvaluationPhase {
    /// What a person reads.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Extract => "extracting features",
            Self::Spaces => "spaces",
            Self::Retrieval => "retrieval",
            Self::ZeroShot => "zero-shot",
            Self::Grouping => "grouping",
            Self::LinearProbe => "linear probe",
        }
    }
}

/// Measures the model of `encoder` on `data`. A part that the data does not allow says why in the
/// report. Equal input gives an equal report but for the seconds.
///
/// # Errors
/// When the data cannot be read, an option does not fit it, a feature is not finite, or `progress`
/// cancelled.
pub fn evaluate(
    encoder: &Encoder,
    data: &Arc<dyn PairSource>,
    options: &EvaluationOptions,
    progress: EvaluationProgress<'_>,
) -> Result<EvaluationReport, EvaluateError> {
    let columns = chosen_columns(&**data, options)?;
    let held_out = match &options.holdout {
        Some(holdout) => Some(data::held_out(&**data, holdout)?),
        None => None,
    };
    let started = Instant::now();
    let all = extract(encoder, data, progress)?;
    let seconds_extract = started.elapsed().as_secs_f64();
    let measured = match &held_out {
        Some(held_out) => all.chosen(|sample| held_out[sample as usize]),
        None => all.clone(),
    };
    let context = ColumnContext {
        encoder,
        all: &all,
        measured: &measured,
        held_out: held_out.as_deref(),
        options,
        progress,
    };
    Ok(EvaluationReport {
        spaces: spaces(&measured, options.seed, progress)?,
        retrieval: retrieval_part(&**data, &measured, options.seed, progress)?,
        no_columns: columns
            .is_empty()
            .then(|| "the data set has no label column".to_owned()),
        columns: columns
            .into_iter()
            .map(|column| column_report(column, &context))
            .collect::<Result<_, _>>()?,
        data: evaluated_data(&**data, options, &all, &measured),
        model: EvaluatedModel {
            embed_dim: encoder.dim(),
            image_size: encoder.model().image_size(),
            parameters: encoder.model().num_parameters(),
        },
        seed: options.seed,
        templates: options.templates.count(),
        seconds_extract,
    })
}

fn chosen_columns<'a>(
    data: &'a dyn PairSource,
    options: &EvaluationOptions,
) -> Result<Vec<&'a LabelColumn>, EvaluateError> {
    let all = data.labels();
    let columns: Vec<&LabelColumn> = match &options.label_columns {
        Some(names) => names
            .iter()
            .map(|name| {
                let found = all.iter().find(|column| column.name == *name);
                found.ok_or_else(|| no_column(name, all))
            })
            .collect::<Result<_, _>>()?,
        None => {
            let splits = |column: &LabelColumn| match &options.holdout {
                Some(Holdout::Column { name, .. }) => column.name == *name,
                _ => false,
            };
            all.iter().filter(|column| !splits(column)).collect()
        }
    };
    if let Some(names) = &options.class_names {
        let [column] = columns[..] else {
            return Err(EvaluateError::SeveralColumns {
                columns: columns.len(),
            });
        };
        if names.len() != column.classes.len() {
            return Err(EvaluateError::ClassNames {
                names: names.len(),
                column: column.name.clone(),
                classes: column.classes.len(),
            });
        }
    }
    Ok(columns)
}

fn no_column(name: &str, all: &[LabelColumn]) -> EvaluateError {
    let known: Vec<&str> = all.iter().map(|column| column.name.as_str()).collect();
    EvaluateError::NoColumn {
        name: name.to_owned(),
        known: match known.is_empty() {
            true => "none".to_owned(),
            false => known.join(", "),
        },
    }
}

fn extract(
    encoder: &Encoder,
    data: &Arc<dyn PairSource>,
    progress: EvaluationProgress<'_>,
) -> Result<PairFeatures, EvaluateError> {
    let samples: Vec<SampleId> = (0..data.len() as SampleId).collect();
    let total = 2 * samples.len() as u64;
    encoder.pairs(data, &samples, &mut |done| {
        progress(EvaluationPhase::Extract, done, total)
    })
}

fn evaluated_data(
    data: &dyn PairSource,
    options: &EvaluationOptions,
    all: &PairFeatures,
    measured: &PairFeatures,
) -> EvaluatedData {
    EvaluatedData {
        name: data.name().to_owned(),
        fingerprint: data.fingerprint().to_owned(),
        pairs: data.len(),
        skipped_rows: data.skipped().skipped,
        broken_pictures: all.broken,
        holdout: options.holdout.as_ref().map(ToString::to_string),
        measured_pictures: measured.image_samples.len(),
        measured_captions: measured.text_samples.len(),
        pictures: all.image_samples.len(),
    }
}

/// Runs one measure; its failure becomes the reason of its absence.
pub(super) fn timed<T, E: std::fmt::Display>(measure: impl FnOnce() -> Result<T, E>) -> Part<T> {
    let started = Instant::now();
    match measure() {
        Ok(value) => Part::Measured {
            seconds: started.elapsed().as_secs_f64(),
            value,
        },
        Err(error) => Part::absent(error.to_string()),
    }
}

/// Gap, self-similarity and spread.
pub(crate) fn space_scores(
    features: &PairFeatures,
    seed: u64,
) -> Result<SpaceScores, AnalysisError> {
    let PairFeatures {
        dim, images, texts, ..
    } = features;
    let rows = drawn(features.image_samples.len(), SELF_SIMILARITY_LIMIT, seed);
    let text_rows = drawn(features.text_samples.len(), SELF_SIMILARITY_LIMIT, seed);
    Ok(SpaceScores {
        modality_gap: modality_gap(images, texts, *dim)?,
        self_similarity_image: average_self_similarity(&picked(images, *dim, &rows), *dim)?,
        self_similarity_text: average_self_similarity(&picked(texts, *dim, &text_rows), *dim)?,
        self_similarity_rows: rows.len(),
        feature_std_image: mean_feature_std(images, *dim)?,
        feature_std_text: mean_feature_std(texts, *dim)?,
    })
}

fn spaces(
    features: &PairFeatures,
    seed: u64,
    progress: EvaluationProgress<'_>,
) -> Result<Part<SpaceScores>, EvaluateError> {
    if !progress(EvaluationPhase::Spaces, 0, 1) {
        return Err(EvaluateError::Cancelled);
    }
    Ok(timed(|| space_scores(features, seed)))
}

/// Of this many captions, at least half must be different for retrieval to mean anything.
const CAPTIONS_COMPARED: usize = 10_000;

/// Why retrieval would measure nothing: captions that are class names cannot tell pictures apart.
fn repeated_captions(
    data: &dyn PairSource,
    features: &PairFeatures,
) -> Result<Option<String>, EvaluateError> {
    let mut different = FxHashSet::default();
    let compared = features.text_samples.iter().take(CAPTIONS_COMPARED);
    let count = compared.len();
    for &sample in compared {
        different.insert(data.caption(sample)?);
    }
    let different = different.len();
    Ok((2 * different < count).then(|| {
        format!(
            "only {different} of {count} captions are different; they cannot tell pictures apart"
        )
    }))
}

fn retrieval_part(
    data: &dyn PairSource,
    features: &PairFeatures,
    seed: u64,
    progress: EvaluationProgress<'_>,
) -> Result<Part<RetrievalReport>, EvaluateError> {
    if let Some(reason) = repeated_captions(data, features)? {
        return Ok(Part::absent(reason));
    }
    let pictures = features.image_samples.len();
    let sampled = pictures > RETRIEVAL_LIMIT;
    let sample;
    let ranked = if sampled {
        let mut keep = vec![false; pictures];
        for row in drawn(pictures, RETRIEVAL_LIMIT, seed) {
            keep[row] = true;
        }
        sample = features.of_pictures(&keep);
        &sample
    } else {
        features
    };
    let report = |done, total| progress(EvaluationPhase::Retrieval, done, total);
    let run = || {
        retrieval(
            &ranked.images,
            &ranked.texts,
            ranked.dim,
            &ranked.image_of_text,
            &report,
        )
    };
    let started = Instant::now();
    match run() {
        Ok(scores) => Ok(Part::Measured {
            seconds: started.elapsed().as_secs_f64(),
            value: RetrievalReport {
                scores,
                mean_recall: scores.mean(),
                pictures: ranked.image_samples.len(),
                captions: ranked.text_samples.len(),
                sampled,
            },
        }),
        Err(RetrievalError::Cancelled) => Err(EvaluateError::Cancelled),
        Err(error) => Ok(Part::absent(error.to_string())),
    }
}

/// `limit` different rows of `rows` in ascending order, or all of them.
pub(super) fn drawn(rows: usize, limit: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    if rows > limit {
        order.shuffle(&mut generator(seed, Purpose::Evaluation, rows as u64, 0));
        order.truncate(limit);
        order.sort_unstable();
    }
    order
}

/// Some rows of `[n, dim]`.
pub(super) fn picked(values: &[f32], dim: usize, rows: &[usize]) -> Vec<f32> {
    rows.iter()
        .flat_map(|&row| &values[row * dim..(row + 1) * dim])
        .copied()
        .collect()
}

#[cfg(test)]
mod tests;
