//! Exact properties of the method: what back translation keeps, and what is lost without it.
//!
//! Teacher and student see the same samples near the same cluster centres. The teacher's features are
//! clustered, the clusters translated, and the student scored with the real prototype loss. The
//! figures: `cargo test --workspace --test golden properties -- --nocapture`.

use burn::tensor::{Device, Int, Tensor, TensorData};
use protoclip::loss::proto::{ProtoTarget, ProtoTermInput, proto_term};
use protoclip::prototypes::{KMeansConfig, KMeansResult, back_translate, kmeans};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const DIM: usize = 16;
const CLUSTERS: usize = 20;
const SAMPLES: usize = 600;
const SOFT: ProtoTarget = ProtoTarget::Soft { temperature: 0.05 };

/// A student's features and a teacher's of the same samples, `[SAMPLES, DIM]`.
struct Episode {
    student: Vec<f32>,
    teacher: Vec<f32>,
}

/// How well a student finds its prototypes.
#[derive(Debug, Clone, Copy)]
struct Fit {
    loss: f64,
    accuracy_percent: f64,
    target_entropy: f64,
}

impl Episode {
    fn new(seed: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let centres: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| unit(normal(&mut random))).collect();
        let mut modality = || -> Vec<f32> {
            (0..SAMPLES)
                .flat_map(|i| {
                    let noise = normal(&mut random);
                    let near = centres[i % CLUSTERS].iter().zip(noise);
                    unit(near.map(|(c, n)| c + 0.08 * n).collect())
                })
                .collect()
        };
        let (student, teacher) = (modality(), modality());
        Self { student, teacher }
    }

    fn with_translation(&self, target: ProtoTarget) -> Fit {
        let clusters = clusters(&self.teacher);
        let translated =
            back_translate(&self.student, &clusters.assignments, CLUSTERS).expect("translated");
        fit(&self.student, &translated.centroids, &clusters, target)
    }

    fn without_translation(&self, target: ProtoTarget) -> Fit {
        let clusters = clusters(&self.teacher);
        fit(&self.student, &clusters.centroids, &clusters, target)
    }
}

fn clusters(teacher: &[f32]) -> KMeansResult {
    let config = KMeansConfig {
        count: CLUSTERS,
        iterations: 20,
        restarts: 3,
        seed: 0,
    };
    kmeans(teacher, DIM, &config, None, &|_, _| true).expect("clustered")
}

fn fit(student: &[f32], prototypes: &[f32], teacher: &KMeansResult, target: ProtoTarget) -> Fit {
    let device = Device::flex();
    let rows = |values: &[f32]| {
        let shape = [values.len() / DIM, DIM];
        Tensor::<2>::from_data(TensorData::new(values.to_vec(), shape), &device)
    };
    let labels: Vec<i32> = teacher.assignments.iter().map(|&a| a as i32).collect();
    let labels = TensorData::new(labels, [SAMPLES]);
    let input = ProtoTermInput {
        student_features: rows(student),
        student_centroids: rows(prototypes),
        teacher_centroids: rows(&teacher.centroids),
        labels: Tensor::<1, Int>::from_data(labels, &device),
        occupied: None,
    };
    let scale = Tensor::<1>::from_floats([1.0f32 / 0.07], &device);
    let term = proto_term(input, target, scale);
    let value = |tensor: Tensor<1>| f64::from(tensor.into_scalar::<f32>());
    Fit {
        loss: value(term.loss),
        accuracy_percent: value(term.accuracy_percent),
        target_entropy: value(term.target_entropy),
    }
}

/// Sums of twelve uniform numbers: near enough to a normal distribution.
fn normal(random: &mut ChaCha8Rng) -> Vec<f32> {
    (0..DIM)
        .map(|_| (0..12).map(|_| random.random::<f32>()).sum::<f32>() - 6.0)
        .collect()
}

fn unit(row: Vec<f32>) -> Vec<f32> {
    let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
    row.into_iter().map(|v| v / norm).collect()
}

/// `features` under a random orthogonal map, found by Gram–Schmidt.
fn rotated(features: &[f32], random: &mut ChaCha8Rng) -> Vec<f32> {
    let mut axes: Vec<Vec<f32>> = Vec::new();
    while axes.len() < DIM {
        let mut axis = normal(random);
        for _ in 0..2 {
            for other in &axes {
                let along: f32 = axis.iter().zip(other).map(|(a, b)| a * b).sum();
                axis.iter_mut()
                    .zip(other)
                    .for_each(|(v, o)| *v -= along * o);
            }
        }
        axes.push(unit(axis));
    }
    let along = |row: &[f32], axis: &[f32]| axis.iter().zip(row).map(|(a, b)| a * b).sum();
    features
        .chunks_exact(DIM)
        .flat_map(|row| {
            axes.iter()
                .map(|axis| along(row, axis))
                .collect::<Vec<f32>>()
        })
        .collect()
}

/// `features` moved by one vector and normalised again.
fn shifted(features: &[f32], by: &[f32]) -> Vec<f32> {
    features
        .chunks_exact(DIM)
        .flat_map(|row| unit(row.iter().zip(by).map(|(v, s)| v + s).collect()))
        .collect()
}

#[test]
fn rotating_one_modality_changes_nothing_with_translation_and_ruins_it_without() {
    let episode = Episode::new(1);
    for target in [ProtoTarget::Hard, SOFT] {
        let before = episode.with_translation(target);
        let plain = episode.without_translation(target);
        assert!(before.accuracy_percent > 90.0, "{before:?}");
        assert!(plain.accuracy_percent > 90.0, "{plain:?}");
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let mut accuracy_without = 0.0;
        for _ in 0..8 {
            let episode = Episode {
                student: rotated(&episode.student, &mut random),
                teacher: episode.teacher.clone(),
            };
            let with = episode.with_translation(target);
            assert!(
                (with.loss - before.loss).abs() < 1e-4,
                "{with:?} {before:?}"
            );
            assert!((with.accuracy_percent - before.accuracy_percent).abs() < 0.5);
            let without = episode.without_translation(target);
            assert!(without.loss > (CLUSTERS as f64).ln(), "{without:?}");
            accuracy_without += without.accuracy_percent / 8.0;
        }
        let chance = 100.0 / CLUSTERS as f64;
        println!(
            "rotation, {target:?}: translated {:.1} % and loss {:.4}; untranslated {:.1} % before, \
             {accuracy_without:.1} % after (chance {chance:.1} %, ln K {:.3})",
            before.accuracy_percent,
            before.loss,
            plain.accuracy_percent,
            (CLUSTERS as f64).ln()
        );
        assert!(accuracy_without < 3.0 * chance, "{accuracy_without}");
    }
}

#[test]
fn a_common_shift_keeps_accuracy_though_the_loss_rises() {
    let episode = Episode::new(3);
    let before = episode.with_translation(ProtoTarget::Hard);
    let by = unit(normal(&mut ChaCha8Rng::seed_from_u64(4)));
    let moved = Episode {
        student: shifted(&episode.student, &by),
        teacher: episode.teacher,
    };
    let after = moved.with_translation(ProtoTarget::Hard);
    println!(
        "shift by a unit vector: accuracy {:.1} % to {:.1} %, loss {:.3} to {:.3}",
        before.accuracy_percent, after.accuracy_percent, before.loss, after.loss
    );
    assert!(
        after.accuracy_percent > before.accuracy_percent - 5.0,
        "{after:?} {before:?}"
    );
    assert!(after.loss > 1.2 * before.loss, "{after:?} {before:?}");
}

#[test]
fn soft_targets_flatten_when_the_teacher_shares_an_offset() {
    let episode = Episode::new(5);
    let before = episode.with_translation(SOFT);
    let mut last = before.target_entropy;
    let direction = unit(normal(&mut ChaCha8Rng::seed_from_u64(6)));
    for length in [1.0f32, 3.0, 9.0] {
        let by: Vec<f32> = direction.iter().map(|v| v * length).collect();
        let moved = Episode {
            student: episode.student.clone(),
            teacher: shifted(&episode.teacher, &by),
        };
        let entropy = moved.with_translation(SOFT).target_entropy;
        println!("teacher offset {length}: target entropy {last:.3} to {entropy:.3} nats");
        assert!(entropy > last, "{entropy} after {last} at {length}");
        last = entropy;
    }
    let flat = (CLUSTERS as f64).ln();
    assert!(
        last > 0.9 * flat && before.target_entropy < 0.5 * flat,
        "{before:?} {last}"
    );
}
