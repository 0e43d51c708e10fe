//! Properties of the method that hold with back translation and fail without it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::{KMeansConfig, kmeans};
use super::back_translate;

const DIM: usize = 16;
const CLUSTERS: usize = 20;
const PER_CLUSTER: usize = 30;
/// exp of the initial log scale, 1/0.07.
const SCALE: f64 = 1.0 / 0.07;

/// An episode: a student's and a teacher's features of the same samples, and the teacher's clusters.
struct Episode {
    student: Vec<f32>,
    teacher_centroids: Vec<f32>,
    teacher_assignments: Vec<u32>,
}

/// How well student features find their prototypes.
struct Fit {
    loss: f64,
    accuracy: f64,
}

impl Episode {
    /// Both modalities lie near the same cluster centres, each with its own noise.
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let centres: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| unit(normal(&mut random))).collect();
        let mut modality = || -> Vec<f32> {
            (0..CLUSTERS * PER_CLUSTER)
                .flat_map(|i| {
                    let noise = normal(&mut random);
                    let near = centres[i % CLUSTERS].iter().zip(noise);
                    unit(near.map(|(c, n)| c + 0.08 * n).collect())
                })
                .collect()
        };
        let (student, teacher) = (modality(), modality());
        let config = KMeansConfig {
            count: CLUSTERS,
            iterations: 20,
            restarts: 3,
            seed,
        };
        let clusters = kmeans(&teacher, DIM, &config, None, &|_, _| true).expect("clustered");
        Self {
            student,
            teacher_centroids: clusters.centroids,
            teacher_assignments: clusters.assignments,
        }
    }

    /// Cross-entropy and accuracy of `student` against back-translated prototypes.
    fn fit_translated(&self, student: &[f32]) -> Fit {
        let translated =
            back_translate(student, &self.teacher_assignments, CLUSTERS).expect("translated");
        self.fit(student, &translated.centroids)
    }

    fn fit(&self, student: &[f32], prototypes: &[f32]) -> Fit {
        let (mut loss, mut hits) = (0.0, 0);
        for (row, &own) in student.chunks_exact(DIM).zip(&self.teacher_assignments) {
            let scores: Vec<f64> = prototypes
                .chunks_exact(DIM)
                .map(|c| {
                    SCALE
                        * row
                            .iter()
                            .zip(c)
                            .map(|(&a, &b)| f64::from(a * b))
                            .sum::<f64>()
                })
                .collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|s| (s - most).exp()).sum();
            loss += most + total.ln() - scores[own as usize];
            hits += usize::from(scores[own as usize] == most);
        }
        let samples = self.teacher_assignments.len() as f64;
        Fit {
            loss: loss / samples,
            accuracy: hits as f64 / samples,
        }
    }
}

fn normal(random: &mut ChaCha8Rng) -> Vec<f32> {
    (0..DIM)
        .map(|_| (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0)
        .collect()
}

fn unit(row: Vec<f32>) -> Vec<f32> {
    let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
    row.into_iter().map(|v| v / norm).collect()
}

/// Random orthonormal rows by Gram–Schmidt.
fn rotation(random: &mut ChaCha8Rng) -> Vec<Vec<f32>> {
    let mut basis: Vec<Vec<f32>> = Vec::new();
    while basis.len() < DIM {
        let mut row = normal(random);
        for _ in 0..2 {
            for other in &basis {
                let along: f32 = row.iter().zip(other).map(|(a, b)| a * b).sum();
                row.iter_mut().zip(other).for_each(|(v, o)| *v -= along * o);
            }
        }
        basis.push(unit(row));
    }
    basis
}

fn rotated(features: &[f32], rotation: &[Vec<f32>]) -> Vec<f32> {
    features
        .chunks_exact(DIM)
        .flat_map(|row| {
            rotation
                .iter()
                .map(|axis| axis.iter().zip(row).map(|(a, b)| a * b).sum())
                .collect::<Vec<f32>>()
        })
        .collect()
}

#[test]
fn rotating_one_modality_changes_nothing_with_translation_and_ruins_it_without() {
    let episode = Episode::new(1);
    let before = episode.fit_translated(&episode.student);
    let untranslated = episode.fit(&episode.student, &episode.teacher_centroids);
    assert!(before.accuracy > 0.9, "{}", before.accuracy);
    assert!(untranslated.accuracy > 0.9, "{}", untranslated.accuracy);

    let mut random = ChaCha8Rng::seed_from_u64(2);
    let mut accuracy_without = 0.0;
    for _ in 0..8 {
        let student = rotated(&episode.student, &rotation(&mut random));
        let with = episode.fit_translated(&student);
        assert!((with.loss - before.loss).abs() < 1e-5 * before.loss.max(1.0));
        assert!((with.accuracy - before.accuracy).abs() < 0.005);
        let without = episode.fit(&student, &episode.teacher_centroids);
        let chance = (CLUSTERS as f64).ln();
        assert!(without.loss > chance, "{} {chance}", without.loss);
        accuracy_without += without.accuracy / 8.0;
    }
    assert!(
        accuracy_without < 3.0 / CLUSTERS as f64,
        "{accuracy_without}"
    );
}

#[test]
fn a_common_shift_keeps_accuracy_though_the_loss_rises() {
    let episode = Episode::new(3);
    let before = episode.fit_translated(&episode.student);
    let shift = unit(normal(&mut ChaCha8Rng::seed_from_u64(4)));
    let student: Vec<f32> = episode
        .student
        .chunks_exact(DIM)
        .flat_map(|row| unit(row.iter().zip(&shift).map(|(v, s)| v + s).collect()))
        .collect();
    let after = episode.fit_translated(&student);
    assert!(
        after.accuracy > before.accuracy - 0.05,
        "{}",
        after.accuracy
    );
    assert!(
        after.loss > before.loss * 1.2,
        "{} {}",
        before.loss,
        after.loss
    );
}
