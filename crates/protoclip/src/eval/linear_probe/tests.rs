//! Tests of [`linear_probe`](super::linear_probe) on features made by rule.

use proptest::prelude::*;

use super::*;
use crate::data::{Purpose, generator};
use rand::RngExt;

/// `classes` groups around corners of a cube, `each` samples of them, with noise of width `noise`.
fn groups(classes: u32, each: u32, noise: f32) -> (Vec<f32>, Vec<u32>) {
    let mut random = generator(5, Purpose::Augment, 0, 0);
    let labels: Vec<u32> = (0..classes * each).map(|i| i % classes).collect();
    let features = labels
        .iter()
        .flat_map(|label| (0..4).map(move |axis| (label >> axis & 1) as f32))
        .map(|corner| corner + noise * random.random_range(-1.0f32..1.0))
        .collect();
    (features, labels)
}

fn probe(features: &[f32], labels: &[u32], seed: u64) -> ProbeScores {
    let split = ProbeSplit::drawn(labels.len(), seed);
    linear_probe(features, 4, labels, &split, &|_, _| true).expect("probed")
}

#[test]
fn separate_classes_are_all_told_apart() {
    let (features, labels) = groups(5, 40, 0.2);
    let scores = probe(&features, &labels, 0);
    assert_eq!((scores.top1, scores.mean_per_class_recall), (100.0, 100.0));
    assert_eq!((scores.classes, scores.test_samples), (5, 40));
}

#[test]
fn labels_without_relation_are_near_chance() {
    let (features, labels) = groups(8, 150, 0.3);
    let mut random = generator(9, Purpose::Augment, 0, 0);
    let unrelated: Vec<u32> = labels.iter().map(|_| random.random_range(0..8)).collect();
    let scores = probe(&features, &unrelated, 0);
    // 240 test samples at 1/8: 12.5 ± 2.1 %.
    assert!((4.0..21.0).contains(&scores.top1), "{}", scores.top1);
}

/// Validation samples whose labels are wrong cannot lower what the test reports, and test labels
/// cannot change which strength is picked.
#[test]
fn validation_picks_and_the_test_is_only_reported() {
    let (features, labels) = groups(4, 60, 0.8);
    let split = ProbeSplit::drawn(labels.len(), 2);
    let run =
        |labels: &[u32]| linear_probe(&features, 4, labels, &split, &|_, _| true).expect("probed");
    let scores = run(&labels);
    let mut wrong = labels.clone();
    for &sample in &split.test {
        wrong[sample] = (wrong[sample] + 1) % 4;
    }
    let changed = run(&wrong);
    assert_eq!(scores.validation, changed.validation);
    assert_eq!(scores.strength, changed.strength);
    assert!(changed.top1 < scores.top1);
    let best = scores.validation.iter().map(|s| s.top1).fold(0.0, f64::max);
    let picked = scores
        .validation
        .iter()
        .find(|s| s.strength == scores.strength);
    assert_eq!(picked.map(|s| s.top1), Some(best));
}

#[test]
fn the_seed_decides_and_nothing_else() {
    let (features, labels) = groups(4, 50, 0.9);
    assert_eq!(probe(&features, &labels, 7), probe(&features, &labels, 7));
}

#[test]
fn what_cannot_be_probed_says_why() {
    let (features, labels) = groups(2, 2, 0.0);
    let error = |labels: &[u32], split: &ProbeSplit, go| {
        linear_probe(&features, 4, labels, split, &|_, _| go).expect_err("refused")
    };
    let empty = error(&labels, &ProbeSplit::drawn(4, 0), true).to_string();
    assert!(empty.contains("4, 0 and 0"), "{empty}");
    let split = ProbeSplit {
        train: vec![0, 1],
        validation: vec![2],
        test: vec![3],
    };
    assert_eq!(error(&[1, 1, 1, 1], &split, true), ProbeError::OneClass);
    assert_eq!(error(&labels, &split, false), ProbeError::Cancelled);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    /// Names of classes carry no meaning.
    #[test]
    fn renaming_classes_changes_no_score(offset in 1u32..1000, seed in 0u64..50) {
        let (features, labels) = groups(3, 20, 0.9);
        let renamed: Vec<u32> = labels.iter().map(|l| l * 7 + offset).collect();
        prop_assert_eq!(probe(&features, &labels, seed), probe(&features, &renamed, seed));
    }
}
