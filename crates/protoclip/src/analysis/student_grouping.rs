//! Does a student put samples where its teacher puts them? The prototype task as a measure.
//!
//! Each student feature is given to the prototype that it scores best, as the prototype loss does
//! (method, loss 4): the score is `scale · ĥ · C[k]`, with C the teacher's clusters translated back
//! into the student's space, or the teacher's own centroids where there is no back translation.
//! Prototypes without a sample take no part, as in corrected fidelity.

use rayon::prelude::*;
use serde::Serialize;

use super::error::{checked_aligned, checked_rows};
use super::{AnalysisError, adjusted_mutual_information, adjusted_rand_index};
use crate::kernels::distance::{Panels, Queries, for_each_tile};

/// Rows whose scores one task holds.
const BLOCK: usize = 48;
/// Exponents below this add nothing to an f32 sum of thousands.
const NEGLIGIBLE: f32 = -30.0;

/// Student features and what they are compared with.
#[derive(Debug, Clone, Copy)]
pub struct Student<'a> {
    /// `[n, dim]`, L2-normalised projected features.
    pub features: &'a [f32],
    pub dim: usize,
    /// `[k, dim]`: prototypes in the student's space.
    pub centroids: &'a [f32],
    /// `[k]`: whether a prototype has a sample.
    pub occupied: &'a [bool],
    /// `[n]`: the teacher's prototype of each sample, one that is occupied.
    pub teacher_assignments: &'a [u32],
    /// exp(logit_scale_proto), the inverse of the prototype temperature.
    pub scale: f64,
}

/// What the student is asked to predict.
#[derive(Debug, Clone, Copy)]
pub enum TeacherTarget<'a> {
    /// The sample's own prototype.
    Hard,
    /// `softmax_k(C[a]·C[k] / temperature)` over the teacher's own `centroids` `[k, dim]`.
    Soft {
        centroids: &'a [f32],
        dim: usize,
        temperature: f64,
    },
}

/// How well a student follows its teacher.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StudentGrouping {
    pub samples: usize,
    /// Percent of the samples whose best-scored prototype is their own.
    pub accuracy_percent: f64,
    /// Adjusted Rand index of the two assignments, × 100.
    pub ari: f64,
    /// Adjusted mutual information of the two assignments, × 100.
    pub ami: f64,
    /// Mean cross-entropy against the target, in nats. Not comparable across gaps (method, exact
    /// properties): look at the other three there.
    pub loss: f64,
}

/// Measures a student.
///
/// # Errors
/// When shapes do not fit, a number is not finite, or an assignment is no occupied prototype.
pub fn student_grouping(
    student: &Student<'_>,
    target: TeacherTarget<'_>,
) -> Result<StudentGrouping, AnalysisError> {
    let rows = checked_rows("student feature", student.features, student.dim)?;
    let count = checked_rows("prototype", student.centroids, student.dim)?;
    let assignments = student.teacher_assignments;
    checked_aligned(
        ("student_features", rows),
        ("teacher_assignments", assignments.len()),
    )?;
    checked_aligned(("centroids", count), ("occupied", student.occupied.len()))?;
    let absent = |a: &&u32| !student.occupied.get(**a as usize).is_some_and(|o| *o);
    if let Some(&label) = assignments.iter().find(absent) {
        return Err(AnalysisError::Label {
            label,
            classes: count,
        });
    }
    let teacher = Teacher::of(target, count)?;
    let origin = vec![0.0; student.dim];
    let panels = Panels::products(student.centroids, student.dim, &origin);
    let scored: Vec<(u32, f64)> = student
        .features
        .par_chunks(BLOCK * student.dim)
        .zip(assignments.par_chunks(BLOCK))
        .flat_map_iter(|(rows, labels)| {
            let mut scores = products(rows, student.dim, &panels, count);
            mask(&mut scores, student.occupied);
            let targets = teacher.logits(labels, student.occupied);
            let each = scores.chunks_exact(count).zip(labels).enumerate();
            let judged = each.map(|(row, (scores, &own))| {
                let target = targets.get(row * count..(row + 1) * count);
                judge(scores, own, target, student.scale as f32)
            });
            judged.collect::<Vec<_>>()
        })
        .collect();
    let predicted: Vec<u32> = scored.iter().map(|(best, _)| *best).collect();
    let right = predicted.iter().zip(assignments).filter(|(p, a)| p == a);
    Ok(StudentGrouping {
        samples: rows,
        accuracy_percent: 100.0 * right.count() as f64 / rows as f64,
        ari: 100.0 * adjusted_rand_index(&predicted, assignments)?,
        ami: 100.0 * adjusted_mutual_information(&predicted, assignments)?,
        loss: scored.iter().map(|(_, loss)| loss).sum::<f64>() / rows as f64,
    })
}

/// The teacher's centroids, ready to be compared with each other.
enum Teacher<'a> {
    Hard,
    Soft {
        centroids: &'a [f32],
        dim: usize,
        panels: Panels,
        temperature: f32,
    },
}

impl<'a> Teacher<'a> {
    fn of(target: TeacherTarget<'a>, count: usize) -> Result<Self, AnalysisError> {
        let TeacherTarget::Soft {
            centroids,
            dim,
            temperature,
        } = target
        else {
            return Ok(Self::Hard);
        };
        let found = checked_rows("teacher prototype", centroids, dim)?;
        checked_aligned(("centroids", count), ("teacher_centroids", found))?;
        Ok(Self::Soft {
            centroids,
            dim,
            panels: Panels::products(centroids, dim, &vec![0.0; dim]),
            temperature: temperature as f32,
        })
    }

    /// `C[a]·C[k] / temperature` of each label, `[labels, k]`; nothing for hard targets.
    fn logits(&self, labels: &[u32], occupied: &[bool]) -> Vec<f32> {
        let Self::Soft {
            centroids,
            dim,
            panels,
            temperature,
        } = self
        else {
            return Vec::new();
        };
        let own = |&label: &u32| centroids[label as usize * dim..][..*dim].iter().copied();
        let rows: Vec<f32> = labels.iter().flat_map(own).collect();
        let mut logits = products(&rows, *dim, panels, occupied.len());
        logits.iter_mut().for_each(|v| *v /= temperature);
        mask(&mut logits, occupied);
        logits
    }
}

/// Inner products of rows `[n, dim]` with `count` candidates, `[n, count]`.
fn products(rows: &[f32], dim: usize, panels: &Panels, count: usize) -> Vec<f32> {
    let mut all = vec![0.0; rows.len() / dim * count];
    let queries = Queries::pack(rows, dim, &vec![0.0; dim]);
    for_each_tile(&queries, panels, |row, first, products| {
        let lanes = products.len().min(count - first);
        all[row * count + first..][..lanes].copy_from_slice(&products[..lanes]);
    });
    all
}

/// Rows `[n, k]`: −∞ where a prototype has no sample.
fn mask(rows: &mut [f32], occupied: &[bool]) {
    if occupied.contains(&false) {
        for row in rows.chunks_exact_mut(occupied.len()) {
            for (value, _) in row.iter_mut().zip(occupied).filter(|(_, o)| !**o) {
                *value = f32::NEG_INFINITY;
            }
        }
    }
}

/// The best-scored prototype, of equal ones the first, and the cross-entropy.
fn judge(scores: &[f32], own: u32, target: Option<&[f32]>, scale: f32) -> (u32, f64) {
    let mut best = (0, f32::NEG_INFINITY);
    for (prototype, &score) in scores.iter().enumerate() {
        if score > best.1 {
            best = (prototype, score);
        }
    }
    let normaliser: f32 = scores
        .iter()
        .map(|score| (score - best.1) * scale)
        .filter(|&x| x > NEGLIGIBLE)
        .map(f32::exp)
        .sum();
    let normaliser = normaliser.ln() + best.1 * scale;
    let expected = match target {
        None => scores[own as usize],
        Some(logits) => expected_score(scores, logits),
    };
    (best.0 as u32, f64::from(normaliser - expected * scale))
}

/// `Σ softmax(logits)[k] · scores[k]`.
fn expected_score(scores: &[f32], logits: &[f32]) -> f32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weight) = (0.0, 0.0);
    for (score, logit) in scores.iter().zip(logits) {
        let exponent = logit - most;
        if exponent > NEGLIGIBLE {
            let share = exponent.exp();
            weight += share;
            sum += share * score;
        }
    }
    sum / weight
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::loss::proto::{ProtoTarget, ProtoTermInput, proto_term};

    struct Case {
        features: Vec<f32>,
        centroids: Vec<f32>,
        occupied: Vec<bool>,
        labels: Vec<u32>,
    }

    const DIM: usize = 5;
    const COUNT: usize = 19;

    fn case() -> Case {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let mut values = |n: usize| -> Vec<f32> {
            (0..n * DIM)
                .map(|_| random.random_range(-1.0..1.0))
                .collect()
        };
        let (features, centroids) = (values(100), values(COUNT));
        Case {
            features,
            centroids,
            occupied: (0..COUNT).map(|k| k != 4).collect(),
            labels: (0..100).map(|i| [0, 1, 7, 18, 3][i % 5]).collect(),
        }
    }

    impl Case {
        fn student(&self) -> Student<'_> {
            Student {
                features: &self.features,
                dim: DIM,
                centroids: &self.centroids,
                occupied: &self.occupied,
                teacher_assignments: &self.labels,
                scale: 9.0,
            }
        }

        /// Loss and accuracy as the trainer computes them.
        fn trained(&self, target: ProtoTarget) -> (f64, f64) {
            let device = Device::flex();
            let matrix = |values: &[f32]| -> Tensor<2> {
                let rows = values.len() / DIM;
                Tensor::from_data(TensorData::new(values.to_vec(), [rows, DIM]), &device)
            };
            let labels: Vec<i64> = self.labels.iter().map(|&l| i64::from(l)).collect();
            let labels: Tensor<1, Int> = Tensor::from_data(TensorData::new(labels, [100]), &device);
            let occupied: Tensor<1, Bool> =
                Tensor::from_data(TensorData::new(self.occupied.clone(), [COUNT]), &device);
            let input = ProtoTermInput {
                student_features: matrix(&self.features),
                student_centroids: matrix(&self.centroids),
                teacher_centroids: matrix(&self.centroids),
                labels,
                occupied: Some(occupied),
            };
            let term = proto_term(input, target, Tensor::from_floats([9.0], &device));
            let one = |x: Tensor<1>| f64::from(x.into_scalar::<f32>());
            (one(term.loss), one(term.accuracy_percent))
        }
    }

    #[test]
    fn loss_and_accuracy_are_those_of_training() {
        let case = case();
        for temperature in [None, Some(0.3), Some(0.01)] {
            let (ours, theirs) = match temperature {
                None => (TeacherTarget::Hard, ProtoTarget::Hard),
                Some(temperature) => (
                    TeacherTarget::Soft {
                        centroids: &case.centroids,
                        dim: DIM,
                        temperature,
                    },
                    ProtoTarget::Soft { temperature },
                ),
            };
            let got = student_grouping(&case.student(), ours).expect("measured");
            let (loss, accuracy) = case.trained(theirs);
            assert!((got.loss - loss).abs() < 1e-3, "{} {loss}", got.loss);
            assert!((got.accuracy_percent - accuracy).abs() < 1e-4);
        }
    }

    #[test]
    fn a_student_at_its_prototypes_agrees_in_full() {
        let case = case();
        let mut student = case.student();
        let own = |&l: &u32| case.centroids[l as usize * DIM..][..DIM].iter().copied();
        let unit = |row: Vec<f32>| {
            let length = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.into_iter().map(move |v| v / length).collect::<Vec<_>>()
        };
        let centroids: Vec<f32> = (0..COUNT as u32)
            .flat_map(|k| unit(own(&k).collect()))
            .collect();
        let features: Vec<f32> = case
            .labels
            .iter()
            .flat_map(|&l| centroids[l as usize * DIM..][..DIM].to_vec())
            .collect();
        student.features = &features;
        student.centroids = &centroids;
        let got = student_grouping(&student, TeacherTarget::Hard).expect("measured");
        assert_eq!(
            (got.accuracy_percent, got.ari, got.ami),
            (100.0, 100.0, 100.0)
        );
        assert_eq!(got.samples, 100);
    }

    #[test]
    fn a_sample_of_an_empty_prototype_is_refused() {
        let mut case = case();
        case.labels[3] = 4;
        let refused = student_grouping(&case.student(), TeacherTarget::Hard);
        assert!(matches!(
            refused,
            Err(AnalysisError::Label { label: 4, .. })
        ));
    }
}
