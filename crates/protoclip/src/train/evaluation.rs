//! What is measured of an episode's features while a run trains.
//!
//! Figures describe the samples of the episode, trained on or about to be: they show where a run is
//! going. Runs are compared on held-out data instead.

use super::extract::EpisodeFeatures;
use super::{Tag, TrainError, tag};
use crate::analysis::{average_self_similarity, modality_gap};
use crate::data::PairSource;
use crate::eval::{EvalProgress, GroupingError, RetrievalError, grouping, retrieval};
use crate::prototypes::KMeansError;

/// Pairs among which retrieval and self-similarity are measured, the first ones of the episode: both
/// take quadratic time, and recall depends on the number of candidates.
const QUADRATIC_PAIRS: usize = 5_000;

/// Grouping by the first label column, retrieval, gap and self-similarity; `None` when cancelled.
///
/// # Errors
/// When a feature is not finite.
pub(super) fn evaluate(
    features: &EpisodeFeatures,
    data: &dyn PairSource,
    seed: u64,
    progress: EvalProgress<'_>,
) -> Result<Option<Vec<(Tag, f64)>>, TrainError> {
    let (image, text) = (&features.image, &features.text);
    let mut points: Vec<(Tag, f64)> = Vec::new();
    let mut add = |name: &'static str, value: f64| points.push((name.into(), value));
    let failed = |e: &dyn std::fmt::Display| TrainError::Other(format!("evaluation: {e}"));

    let gap = modality_gap(&image.values, &text.values, image.dim).map_err(|e| failed(&e))?;
    add(tag::EVAL_MODALITY_GAP, gap);
    if let Some(labels) = data.labels().first() {
        let labels: Vec<u32> = features
            .samples
            .iter()
            .map(|&sample| labels.of_sample[sample as usize])
            .collect();
        match grouping(&image.values, image.dim, &labels, seed, progress) {
            Ok(scores) => {
                add(tag::EVAL_ARI, scores.ari);
                add(tag::EVAL_AMI, scores.ami);
            }
            Err(GroupingError::Cluster(KMeansError::Cancelled)) => return Ok(None),
            Err(error) => return Err(failed(&error)),
        }
    }
    let pairs = features.samples.len().min(QUADRATIC_PAIRS);
    let image_rows = &image.values[..pairs * image.dim];
    let text_rows = &text.values[..pairs * text.dim];
    let own: Vec<u32> = (0..pairs as u32).collect();
    match retrieval(image_rows, text_rows, image.dim, &own, progress) {
        Ok(scores) => {
            add(tag::EVAL_RECALL_MEAN, scores.mean());
            add(tag::EVAL_RECALL_IMAGE_TO_TEXT_1, scores.image_to_text.at_1);
            add(tag::EVAL_RECALL_TEXT_TO_IMAGE_1, scores.text_to_image.at_1);
        }
        Err(RetrievalError::Cancelled) => return Ok(None),
        Err(error) => return Err(failed(&error)),
    }
    for (name, rows, dim) in [
        (tag::EVAL_SELF_SIMILARITY_IMAGE, image_rows, image.dim),
        (tag::EVAL_SELF_SIMILARITY_TEXT, text_rows, text.dim),
    ] {
        add(
            name,
            average_self_similarity(rows, dim).map_err(|e| failed(&e))?,
        );
    }
    Ok(Some(points))
}
