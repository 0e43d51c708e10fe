//! What is measured between episodes while a run trains.
//!
//! Figures describe the samples of the episode, trained on or about to be, and show where a run is
//! going; or, with `evaluation.on = "holdout"`, the pairs that the run never trains on. Nothing here
//! draws from the run's generators: evaluating more or less often changes no weight.

use std::sync::Arc;

use super::extract::EpisodeFeatures;
use super::{Tag, TrainError, tag};
use crate::data::{LabelColumn, PairSource, SampleId};
use crate::eval::{
    Encoder, EvalProgress, EvaluateError, GroupingError, Labelled, PairFeatures, ProbeError,
    ProbeSplit, PromptTemplates, RetrievalError, classify, grouping, linear_probe, retrieval,
    separation, space_scores, spoken_class,
};
use crate::prototypes::KMeansError;

/// Pictures among which retrieval is measured, the first ones: it takes quadratic time, and recall
/// depends on the number of candidates.
const RETRIEVAL_PICTURES: usize = 5_000;
/// Prompts of one evaluation; a label column with more classes gets one sentence each.
const MOST_PROMPTS: usize = 8_192;

/// One evaluation of the model as it is now.
pub(super) struct Evaluation<'a> {
    pub(super) encoder: &'a Encoder,
    /// The source of the measured pairs.
    pub(super) data: &'a Arc<dyn PairSource>,
    pub(super) seed: u64,
    pub(super) linear_probe: bool,
    pub(super) progress: EvalProgress<'a>,
}

type Points = Vec<(Tag, f64)>;

/// The end of an evaluation before its time.
enum Ended {
    Cancelled,
    Failed(TrainError),
}

impl Evaluation<'_> {
    /// Measures an episode's features; `None` when cancelled.
    ///
    /// # Errors
    /// When a feature is not finite.
    pub(super) fn of_episode(
        &self,
        features: &mut EpisodeFeatures,
    ) -> Result<Option<Points>, TrainError> {
        // Nothing is copied: the values go over and come back, unless pictures occur repeatedly.
        let lent = self.data.picture_groups().is_none();
        let rows = match lent {
            true => (
                std::mem::take(&mut features.image.values),
                std::mem::take(&mut features.text.values),
            ),
            false => (features.image.values.clone(), features.text.values.clone()),
        };
        let dim = features.image.dim;
        let pairs = PairFeatures::of_pairs(&**self.data, &features.samples, rows, dim);
        let points = self.points(&pairs);
        if lent {
            features.image.values = pairs.images;
            features.text.values = pairs.texts;
        }
        finished(points)
    }

    /// Extracts and measures all pairs of the source; `None` when cancelled.
    ///
    /// # Errors
    /// When a picture's row can no longer be read, or a feature is not finite.
    pub(super) fn of_source(&self) -> Result<Option<Points>, TrainError> {
        let samples: Vec<SampleId> = (0..self.data.len() as SampleId).collect();
        let total = 2 * samples.len() as u64;
        let mut report = |done| (self.progress)(done, total);
        let pairs = self.encoder.pairs(self.data, &samples, &mut report);
        finished(pairs.map_err(Ended::from).and_then(|p| self.points(&p)))
    }

    fn points(&self, features: &PairFeatures) -> Result<Points, Ended> {
        let mut points = self.spaces(features)?;
        points.extend(self.retrieval(features)?);
        if let Some(column) = self.data.labels().first() {
            points.extend(self.labels(features, column)?);
        }
        Ok(points)
    }

    fn spaces(&self, features: &PairFeatures) -> Result<Points, Ended> {
        let scores = space_scores(features, self.seed).map_err(failed)?;
        Ok(vec![
            (tag::EVAL_MODALITY_GAP.into(), scores.modality_gap),
            (
                tag::EVAL_SELF_SIMILARITY_IMAGE.into(),
                scores.self_similarity_image,
            ),
            (
                tag::EVAL_SELF_SIMILARITY_TEXT.into(),
                scores.self_similarity_text,
            ),
            (tag::EVAL_FEATURE_STD_IMAGE.into(), scores.feature_std_image),
            (tag::EVAL_FEATURE_STD_TEXT.into(), scores.feature_std_text),
        ])
    }

    fn retrieval(&self, features: &PairFeatures) -> Result<Points, Ended> {
        let pictures = features.image_samples.len();
        let first;
        let ranked = if pictures > RETRIEVAL_PICTURES {
            let keep: Vec<bool> = (0..pictures).map(|row| row < RETRIEVAL_PICTURES).collect();
            first = features.of_pictures(&keep);
            &first
        } else {
            features
        };
        let PairFeatures { images, texts, .. } = ranked;
        let scores = retrieval(
            images,
            texts,
            ranked.dim,
            &ranked.image_of_text,
            self.progress,
        )
        .map_err(|error| match error {
            RetrievalError::Cancelled => Ended::Cancelled,
            other => failed(other),
        })?;
        let (to_text, to_image) = (scores.image_to_text, scores.text_to_image);
        Ok(vec![
            (tag::EVAL_RECALL_MEAN.into(), scores.mean()),
            (tag::EVAL_RECALL_IMAGE_TO_TEXT_1.into(), to_text.at_1),
            (tag::EVAL_RECALL_IMAGE_TO_TEXT_5.into(), to_text.at_5),
            (tag::EVAL_RECALL_IMAGE_TO_TEXT_10.into(), to_text.at_10),
            (tag::EVAL_RECALL_TEXT_TO_IMAGE_1.into(), to_image.at_1),
            (tag::EVAL_RECALL_TEXT_TO_IMAGE_5.into(), to_image.at_5),
            (tag::EVAL_RECALL_TEXT_TO_IMAGE_10.into(), to_image.at_10),
        ])
    }

    fn labels(&self, features: &PairFeatures, column: &LabelColumn) -> Result<Points, Ended> {
        let pictures = Labelled::of(features, column);
        if pictures.labels.is_empty() {
            return Ok(Vec::new());
        }
        let mut points = self.grouping(&pictures)?;
        // Undefined for a single class, or as many classes as pictures.
        if let Ok(scores) = separation(&pictures, self.seed) {
            points.extend([
                (tag::EVAL_SILHOUETTE.into(), scores.silhouette),
                (tag::EVAL_DAVIES_BOULDIN.into(), scores.davies_bouldin),
                (tag::EVAL_CALINSKI_HARABASZ.into(), scores.calinski_harabasz),
            ]);
        }
        let names: Vec<String> = column.classes.iter().map(|c| spoken_class(c)).collect();
        let templates = templates_for(names.len());
        let total = (names.len() * templates.count()) as u64;
        let mut go_on = |done| (self.progress)(done, total);
        let scores = classify(self.encoder, &pictures, &names, &templates, &mut go_on)?;
        points.push((tag::EVAL_ZERO_SHOT_TOP1.into(), scores.top1));
        points.push((tag::EVAL_ZERO_SHOT_TOP5.into(), scores.top5));
        if self.linear_probe {
            points.extend(self.probe(&pictures)?);
        }
        Ok(points)
    }

    fn grouping(&self, pictures: &Labelled) -> Result<Points, Ended> {
        let Labelled {
            images,
            dim,
            labels,
            ..
        } = pictures;
        match grouping(images, *dim, labels, self.seed, self.progress) {
            Ok(scores) => Ok(vec![
                (tag::EVAL_ARI.into(), scores.ari),
                (tag::EVAL_AMI.into(), scores.ami),
            ]),
            Err(GroupingError::Cluster(KMeansError::Cancelled)) => Err(Ended::Cancelled),
            Err(error) => Err(failed(error)),
        }
    }

    /// Nothing where too few samples have labels.
    fn probe(&self, pictures: &Labelled) -> Result<Points, Ended> {
        let split = ProbeSplit::drawn(pictures.labels.len(), self.seed);
        let Labelled {
            images,
            dim,
            labels,
            ..
        } = pictures;
        match linear_probe(images, *dim, labels, &split, self.progress) {
            Ok(scores) => Ok(vec![(tag::EVAL_LINEAR_PROBE_TOP1.into(), scores.top1)]),
            Err(ProbeError::Cancelled) => Err(Ended::Cancelled),
            Err(ProbeError::Split { .. } | ProbeError::OneClass) => Ok(Vec::new()),
            Err(error) => Err(failed(error)),
        }
    }
}

fn templates_for(classes: usize) -> PromptTemplates {
    let templates = PromptTemplates::default();
    match classes * templates.count() <= MOST_PROMPTS {
        true => templates,
        false => PromptTemplates::single(),
    }
}

fn finished(points: Result<Points, Ended>) -> Result<Option<Points>, TrainError> {
    match points {
        Ok(points) => Ok(Some(points)),
        Err(Ended::Cancelled) => Ok(None),
        Err(Ended::Failed(error)) => Err(error),
    }
}

fn failed(error: impl std::fmt::Display) -> Ended {
    Ended::Failed(TrainError::Other(format!("evaluation: {error}")))
}

impl From<EvaluateError> for Ended {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Cancelled => Self::Cancelled,
            other => failed(other),
        }
    }
}
