//! Linear probe: how well a linear classifier on frozen image features does.
//!
//! Multinomial logistic regression on L2-normalised image features, each dimension brought to mean 0
//! and standard deviation 1 over the samples that are not tested, so that one range of strengths
//! fits every model. The strength of the L2 penalty is picked on a held-out validation split; the
//! classifier is then fitted again on training and validation samples together and the test samples
//! are looked at once.
//!
//! Port note: the reference reports the best accuracy on the TEST samples and does not shuffle
//! (oddity 9 of the method); here validation picks, test is reported once, and the splits are drawn.

mod lbfgs;
mod regression;
mod split;

use serde::{Deserialize, Serialize};

use self::regression::{Fit, Regression};
pub use self::split::ProbeSplit;
use super::EvalProgress;
use super::zero_shot::mean_per_class_recall;
use crate::analysis::AnalysisError;
use crate::analysis::error::{checked_aligned, checked_rows};

/// Strengths λ that validation chooses among, weakest last: the penalty is λ/2·‖W‖² beside the MEAN
/// cross-entropy (scikit-learn's C is 1/(λ·n)).
const STRENGTHS: [f64; 7] = [1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6];

/// What the probe reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeScores {
    /// Percent of the test samples classified right.
    pub top1: f64,
    /// Mean over the classes that have a test sample of the percent classified right.
    pub mean_per_class_recall: f64,
    /// Strength of the penalty that validation picked.
    pub strength: f64,
    /// Every strength that was tried, strongest first, with its validation accuracy in percent.
    pub validation: Vec<StrengthScore>,
    pub classes: usize,
    pub train_samples: usize,
    pub validation_samples: usize,
    pub test_samples: usize,
}

/// Validation accuracy of one strength.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StrengthScore {
    pub strength: f64,
    /// Percent of the validation samples classified right.
    pub top1: f64,
    /// Their mean cross-entropy, in nats; decides between strengths of equal accuracy.
    pub loss: f64,
}

/// Why there is no probe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Features(#[from] AnalysisError),
    #[error(
        "a probe needs training, validation and test samples; the split has {train}, {validation} and {test}; give more labelled samples"
    )]
    Split {
        train: usize,
        validation: usize,
        test: usize,
    },
    #[error("all training samples have the same label; a probe needs at least two classes")]
    OneClass,
    #[error("the linear probe was cancelled")]
    Cancelled,
}

/// Fits and tests a probe on L2-normalised `image_features` `[n, dim]` with `labels` `[n]`; label
/// values carry no order. Equal input gives equal results on any number of threads.
///
/// # Errors
/// When shapes do not fit, a feature is not finite, a part of the split is empty, there is only one
/// class, or `progress` cancelled.
pub fn linear_probe(
    image_features: &[f32],
    dim: usize,
    labels: &[u32],
    split: &ProbeSplit,
    progress: EvalProgress<'_>,
) -> Result<ProbeScores, ProbeError> {
    let samples = checked_rows("image feature", image_features, dim)?;
    checked_aligned(("image_features", samples), ("labels", labels.len()))?;
    split.check()?;
    let (labels, classes) = renumbered(labels);
    let first = labels[split.train[0]];
    if split.train.iter().all(|&sample| labels[sample] == first) {
        return Err(ProbeError::OneClass);
    }
    let data = Regression::new(image_features, dim, &labels, classes, &split.not_tested());
    let fits = STRENGTHS.len() as u64 + 1;
    let report =
        |fit: u64| move |share: f64| progress(((fit as f64 + share) * 1000.0) as u64, fits * 1000);
    let mut validation = Vec::with_capacity(STRENGTHS.len());
    let mut start = None;
    for (number, strength) in (0..).zip(STRENGTHS) {
        let fit = data
            .fit(&split.train, strength, start.take(), &report(number))
            .ok_or(ProbeError::Cancelled)?;
        let top1 = accuracy(
            &data.predict(&fit, &split.validation),
            &labels,
            &split.validation,
        );
        let loss = data.loss(&fit, &split.validation);
        validation.push(StrengthScore {
            strength,
            top1,
            loss,
        });
        start = Some(fit);
    }
    let best = best_strength(&validation);
    let fit = data
        .fit(&split.not_tested(), best, start, &report(fits - 1))
        .ok_or(ProbeError::Cancelled)?;
    Ok(scores(&data, &fit, &labels, split, (best, validation)))
}

fn scores(
    data: &Regression<'_>,
    fit: &Fit,
    labels: &[u32],
    split: &ProbeSplit,
    (strength, validation): (f64, Vec<StrengthScore>),
) -> ProbeScores {
    let predicted = data.predict(fit, &split.test);
    let truth: Vec<u32> = split.test.iter().map(|&sample| labels[sample]).collect();
    ProbeScores {
        top1: accuracy(&predicted, labels, &split.test),
        mean_per_class_recall: mean_per_class_recall(&truth, &predicted, data.classes()),
        strength,
        validation,
        classes: data.classes(),
        train_samples: split.train.len(),
        validation_samples: split.validation.len(),
        test_samples: split.test.len(),
    }
}

/// The strength with the best validation accuracy, of equal ones that with the lowest loss.
fn best_strength(scores: &[StrengthScore]) -> f64 {
    let better = |a: &&StrengthScore, b: &&StrengthScore| {
        let by_loss = b.loss.total_cmp(&a.loss);
        a.top1.total_cmp(&b.top1).then(by_loss)
    };
    let best = scores.iter().max_by(better);
    best.map_or(STRENGTHS[0], |score| score.strength)
}

/// Percent of `samples` whose prediction is their label.
fn accuracy(predicted: &[u32], labels: &[u32], samples: &[usize]) -> f64 {
    let right = predicted
        .iter()
        .zip(samples)
        .filter(|&(&predicted, &sample)| predicted == labels[sample])
        .count();
    100.0 * right as f64 / samples.len() as f64
}

/// Labels as 0..classes without gaps, and the number of classes.
fn renumbered(labels: &[u32]) -> (Vec<u32>, usize) {
    let mut present = labels.to_vec();
    present.sort_unstable();
    present.dedup();
    let number = |label: &u32| present.partition_point(|p| p < label) as u32;
    (labels.iter().map(number).collect(), present.len())
}

#[cfg(test)]
mod tests;
