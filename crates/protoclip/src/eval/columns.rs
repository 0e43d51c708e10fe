//! The measures that need labels, for one label column.

use super::evaluate::{
    EvaluateError, EvaluationOptions, EvaluationPhase, EvaluationProgress, picked, timed,
};
use super::features::{Encoder, PairFeatures};
use super::report::{ColumnReport, Part, SeparationScores};
use super::{
    GroupingError, GroupingScores, ProbeError, ProbeScores, ProbeSplit, PromptTemplates,
    ZeroShotScores, class_embeddings, grouping, linear_probe, spoken_class, zero_shot,
};
use crate::analysis::{AnalysisError, LabelledFeatures, SILHOUETTE_LIMIT};
use crate::data::LabelColumn;
use crate::prototypes::KMeansError;

/// What all columns of an evaluation share.
pub(super) struct ColumnContext<'a> {
    pub(super) encoder: &'a Encoder,
    pub(super) all: &'a PairFeatures,
    pub(super) measured: &'a PairFeatures,
    /// For every sample of the data set, whether it is held out.
    pub(super) held_out: Option<&'a [bool]>,
    pub(super) options: &'a EvaluationOptions,
    pub(super) progress: EvaluationProgress<'a>,
}

/// Image features of the pictures that have a label.
pub(crate) struct Labelled {
    pub(crate) dim: usize,
    /// `[pictures, dim]`.
    pub(crate) images: Vec<f32>,
    /// `[pictures]`.
    pub(crate) labels: Vec<u32>,
    /// Row of each picture among all of the features.
    rows: Vec<usize>,
}

impl Labelled {
    pub(crate) fn of(features: &PairFeatures, column: &LabelColumn) -> Self {
        let unlabelled = column
            .classes
            .iter()
            .position(|class| class == LabelColumn::UNLABELLED);
        let label = |row: &usize| column.of_sample[features.image_samples[*row] as usize];
        let rows: Vec<usize> = (0..features.image_samples.len())
            .filter(|row| Some(label(row) as usize) != unlabelled)
            .collect();
        Self {
            dim: features.dim,
            images: picked(&features.images, features.dim, &rows),
            labels: rows.iter().map(label).collect(),
            rows,
        }
    }
}

pub(super) fn column_report(
    column: &LabelColumn,
    context: &ColumnContext<'_>,
) -> Result<ColumnReport, EvaluateError> {
    let names = match &context.options.class_names {
        Some(names) => names.clone(),
        None => column.classes.iter().map(|c| spoken_class(c)).collect(),
    };
    let measured = Labelled::of(context.measured, column);
    let all = Labelled::of(context.all, column);
    Ok(ColumnReport {
        column: column.name.clone(),
        classes: column.classes.clone(),
        labelled_pictures: all.labels.len(),
        zero_shot: zero_shot_part(&measured, &names, context)?,
        grouping: grouping_part(&all, context)?,
        separation: timed(|| separation(&all, context.options.seed)),
        linear_probe: probe_part(&all, context)?,
        class_names: names,
    })
}

/// Class embeddings from prompts about `names`, and how well they classify.
pub(crate) fn classify(
    encoder: &Encoder,
    pictures: &Labelled,
    names: &[String],
    templates: &PromptTemplates,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<ZeroShotScores, EvaluateError> {
    let prompts: Vec<String> = names.iter().flat_map(|n| templates.about(n)).collect();
    let prompts = encoder.texts(&prompts, go_on)?;
    let embeddings = class_embeddings(&prompts, pictures.dim, templates.count())?;
    Ok(zero_shot(
        &pictures.images,
        pictures.dim,
        &pictures.labels,
        &embeddings,
    )?)
}

fn zero_shot_part(
    pictures: &Labelled,
    names: &[String],
    context: &ColumnContext<'_>,
) -> Result<Part<ZeroShotScores>, EvaluateError> {
    let templates = &context.options.templates;
    let total = (names.len() * templates.count()) as u64;
    let mut go_on = |done| (context.progress)(EvaluationPhase::ZeroShot, done, total);
    let started = std::time::Instant::now();
    match classify(context.encoder, pictures, names, templates, &mut go_on) {
        Ok(value) => Ok(Part::Measured {
            seconds: started.elapsed().as_secs_f64(),
            value,
        }),
        Err(EvaluateError::Features(error)) => Ok(Part::absent(error.to_string())),
        Err(error) => Err(error),
    }
}

fn grouping_part(
    pictures: &Labelled,
    context: &ColumnContext<'_>,
) -> Result<Part<GroupingScores>, EvaluateError> {
    let report = |done, total| (context.progress)(EvaluationPhase::Grouping, done, total);
    let seed = context.options.seed;
    let mut cancelled = false;
    let part = timed(|| {
        let scores = grouping(
            &pictures.images,
            pictures.dim,
            &pictures.labels,
            seed,
            &report,
        );
        cancelled = matches!(scores, Err(GroupingError::Cluster(KMeansError::Cancelled)));
        scores
    });
    match cancelled {
        true => Err(EvaluateError::Cancelled),
        false => Ok(part),
    }
}

/// Silhouette and the two other indices of the classes.
pub(crate) fn separation(
    pictures: &Labelled,
    seed: u64,
) -> Result<SeparationScores, AnalysisError> {
    let labelled = LabelledFeatures::new(&pictures.images, pictures.dim, &pictures.labels)?;
    Ok(SeparationScores {
        silhouette: labelled.silhouette(seed)?,
        silhouette_pictures: pictures.labels.len().min(SILHOUETTE_LIMIT),
        davies_bouldin: labelled.davies_bouldin(),
        calinski_harabasz: labelled.calinski_harabasz(),
    })
}

fn probe_part(
    pictures: &Labelled,
    context: &ColumnContext<'_>,
) -> Result<Part<ProbeScores>, EvaluateError> {
    if !context.options.linear_probe {
        return Ok(Part::absent("not asked for"));
    }
    let seed = context.options.seed;
    let split = match context.held_out {
        None => ProbeSplit::drawn(pictures.labels.len(), seed),
        Some(held_out) => {
            let sample = |&row: &usize| context.all.image_samples[row];
            let tests: Vec<bool> = pictures
                .rows
                .iter()
                .map(|row| held_out[sample(row) as usize])
                .collect();
            ProbeSplit::testing(&tests, seed)
        }
    };
    let report = |done, total| (context.progress)(EvaluationPhase::LinearProbe, done, total);
    let mut cancelled = false;
    let part = timed(|| {
        let scores = linear_probe(
            &pictures.images,
            pictures.dim,
            &pictures.labels,
            &split,
            &report,
        );
        cancelled = scores == Err(ProbeError::Cancelled);
        scores
    });
    match cancelled {
        true => Err(EvaluateError::Cancelled),
        false => Ok(part),
    }
}
