//! Prototypes of real samples, written as training would, without training.

use std::path::Path;

use protoclip::prototypes::{FeaturePair, FeatureSnapshot, PrototypeSnapshot, SpaceClusters};

/// Groups 12 samples of the built-in data by `assignments` in image space, and by halves in text
/// space; the third image prototype is empty.
pub(crate) fn write_snapshot(run_directory: &Path, step: u64, assignments: [u32; 12]) {
    let clusters = |count: usize, assignments: Vec<u32>| SpaceClusters {
        count,
        dim: 2,
        centroids: (0..count * 2).map(|i| i as f32).collect(),
        distances: (0..assignments.len())
            .map(|i| 0.1 + i as f32 / 100.0)
            .collect(),
        assignments,
    };
    let snapshot = PrototypeSnapshot {
        episode: step / 4,
        step,
        samples: (0..12).map(|i| 100 + i).collect(),
        image: clusters(3, assignments.to_vec()),
        text: clusters(2, (0..12).map(|i| i / 6).collect()),
        teacher: None,
    };
    let folder = run_directory.join("artifacts").join("prototypes");
    std::fs::create_dir_all(&folder).expect("creates");
    snapshot
        .write(&folder.join(format!("{step:08}.safetensors")))
        .expect("writes");
}

/// Features of the samples of [`write_snapshot`]: pictures near the first axis, captions near the
/// second, each pair with a direction of its own, so that only the gap lies between them.
pub(crate) fn write_features(run_directory: &Path, step: u64) {
    let dim = 14;
    let rows = |axis: usize| -> Vec<f32> {
        let row = |sample: usize| {
            let mut row = vec![0.0; dim];
            row[axis] = 0.8;
            row[2 + sample] = 0.6;
            row
        };
        (0..12).flat_map(row).collect()
    };
    let snapshot = FeatureSnapshot {
        episode: step / 4,
        step,
        samples: (0..12).map(|i| 100 + i).collect(),
        tower: FeaturePair {
            dim,
            image: rows(0),
            text: rows(1),
        },
        projected: None,
    };
    let path = run_directory.join(protoclip::train::feature_file(step));
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
    snapshot.write(&path).expect("writes");
}
