//! k-means against golden values and by its properties.

use std::cell::Cell;

use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::assign::{Assignment, Meter, Samples};
use super::iteration::Iteration;
use super::near::Neighbourhood;
use super::order::Order;
use super::pass::Pass;
use super::*;
use crate::golden::Golden;
use crate::kernels::distance::squared_distance;
use crate::prototypes::group_means::group_sizes;

const SILENT: KMeansProgress<'static> = &|_, _| true;

fn config(count: usize, iterations: usize, restarts: usize, seed: u64) -> KMeansConfig {
    KMeansConfig {
        count,
        iterations,
        restarts,
        seed,
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    let features = Golden::open("kmeans.safetensors").f32("features");
    let with_threads = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a pool")
            .install(|| kmeans(&features, 32, &config(40, 5, 2, 9), None, SILENT))
            .expect("clustered")
    };
    assert_eq!(with_threads(1), with_threads(3));
}

#[test]
fn progress_rises_to_the_total() {
    let features = Golden::open("kmeans.safetensors").f32("features");
    let last = Cell::new((0, 0));
    let watch = |done, total| {
        assert!(done >= last.get().0 && done <= total, "{done} of {total}");
        last.set((done, total));
        true
    };
    kmeans(&features, 32, &config(40, 20, 2, 0), None, &watch).expect("clustered");
    assert_eq!(last.get(), (126_000, 126_000));
}

#[test]
fn a_refusing_callback_cancels_at_once() {
    let features = Golden::open("kmeans.safetensors").f32("features");
    let calls = Cell::new(0);
    let refuse_third = |_, _| {
        calls.set(calls.get() + 1);
        calls.get() < 3
    };
    let result = kmeans(&features, 32, &config(40, 20, 3, 0), None, &refuse_third);
    assert_eq!(result, Err(KMeansError::Cancelled));
    assert_eq!(calls.get(), 3);
}

#[test]
fn a_stop_anywhere_ends_it_at_once_and_leaves_no_trace() {
    let features = clustered_rows(4000, 24, 3);
    let config = config(60, 25, 3, 4);
    let calls = Cell::new(0);
    let count = |_, _| {
        calls.set(calls.get() + 1);
        true
    };
    let straight = kmeans(&features, 24, &config, None, &count).expect("clustered");
    let all = calls.get();
    let mut random = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..20 {
        let last = random.random_range(1..=all.min(40));
        calls.set(0);
        let refuse = |_, _| {
            calls.set(calls.get() + 1);
            calls.get() < last
        };
        let stopped = kmeans(&features, 24, &config, None, &refuse);
        // The number of calls depends on the time that the work takes.
        if calls.get() == last {
            assert_eq!(stopped, Err(KMeansError::Cancelled), "at call {last}");
        }
    }
    assert_eq!(kmeans(&features, 24, &config, None, SILENT), Ok(straight));
}

#[test]
fn bad_input_is_named() {
    let error = |features: &[f32], count, initial: Option<&[f32]>| {
        kmeans(features, 2, &config(count, 1, 1, 0), initial, SILENT).expect_err("refused")
    };
    let rows = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
    let message = error(&rows, 4, None).to_string();
    assert!(
        message.contains("3 samples") && message.contains("prototypes.count"),
        "{message}"
    );
    assert_eq!(
        error(&rows, 0, None),
        KMeansError::Zero { setting: "count" }
    );
    let broken = [0.0, 1.0, 2.0, f32::NAN];
    let message = error(&broken, 1, None).to_string();
    assert!(message.contains("row 1"), "{message}");
    assert!(matches!(
        error(&rows[..5], 1, None),
        KMeansError::Shape { .. }
    ));
    let few = KMeansError::InitialCount { found: 1, count: 2 };
    assert_eq!(error(&rows, 2, Some(&rows[..2])), few);
    let infinite = [f32::INFINITY, 0.0];
    assert!(matches!(
        error(&rows, 1, Some(&infinite)),
        KMeansError::NotFinite { row: 0, .. }
    ));
}

#[test]
fn as_many_centroids_as_samples_are_copies() {
    let rows = [0.0, 0.1, 5.0, 5.0, -3.0, 0.7];
    let got = kmeans(&rows, 2, &config(3, 20, 3, 1), None, SILENT).expect("clustered");
    assert_eq!(got.centroids, rows);
    assert_eq!(got.assignments, [0, 1, 2]);
    assert_eq!(got.inertia, 0.0);
}

#[test]
fn a_centroid_that_attracts_nothing_splits_a_large_cluster() {
    let rows: Vec<f32> = (0..100)
        .flat_map(|i| [1.0 + (i % 10) as f32 * 0.01, (i / 10) as f32])
        .collect();
    let initial = [1.0, 4.5, 900.0, 900.0];
    let got = kmeans(&rows, 2, &config(2, 20, 1, 0), Some(&initial), SILENT).expect("clustered");
    let sizes = group_sizes(&got.assignments, 2);
    assert!(sizes.iter().all(|&size| size >= 30), "{sizes:?}");
}

#[test]
fn more_centroids_than_distinct_samples_stay_finite() {
    let rows: Vec<f32> = (0..60).flat_map(|i| [(i % 3) as f32, 1.0]).collect();
    let got = kmeans(&rows, 2, &config(8, 20, 2, 5), None, SILENT).expect("clustered");
    assert!(got.centroids.iter().all(|v| v.is_finite()));
    assert!(got.inertia < 1e-3, "{}", got.inertia);
}

/// Rows on a coarse grid, so that exact copies and ties are frequent.
fn grid_rows(dim: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(
        (-4i8..=4).prop_map(|v| f32::from(v) / 4.0),
        dim * 12..dim * 300,
    )
    .prop_map(move |mut values| {
        values.truncate(values.len() / dim * dim);
        values
    })
}

/// The nearest centroid by all distances, the lowest index at a tie.
fn nearest_of_all(row: &[f32], centroids: &[f32]) -> (u32, f32) {
    let mut best = (0, f32::INFINITY);
    for (id, centroid) in (0..).zip(centroids.chunks_exact(row.len())) {
        let square = squared_distance(row, centroid);
        if square < best.1 {
            best = (id, square);
        }
    }
    best
}

/// Iterates, and after every assignment compares it with all distances.
fn assert_exact(rows: &[f32], dim: usize, count: usize, seed: u64) {
    let samples = Samples::new(rows, dim);
    let count = count.min(samples.count());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut centroids = rows[..count * dim].to_vec();
    let mut iteration = Iteration::new(&samples);
    let mut meter = Meter::new(1, SILENT);
    for step in 0..6 {
        iteration.assign(&centroids, &mut meter).expect("assigned");
        for (sample, got) in iteration.assignment.nearest().enumerate() {
            let want = nearest_of_all(samples.row(sample), &centroids);
            assert_eq!(got, want, "sample {sample} in step {step}");
        }
        if count < samples.count() {
            iteration.update(&mut centroids, &mut random);
        }
    }
}

/// Unit vectors in clusters, some of them copies.
fn clustered_rows(samples: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || (0..6).map(|_| random.random::<f32>() - 0.5).sum::<f32>();
    let centres: Vec<f32> = (0..12 * dim).map(|_| normal()).collect();
    let mut rows = Vec::with_capacity(samples * dim);
    for sample in 0..samples {
        let centre = &centres[sample * 7 % 12 * dim..][..dim];
        let row: Vec<f32> = match sample % 10 {
            9 => rows[(sample - 9) * dim..][..dim].to_vec(),
            _ => centre.iter().map(|c| c + 0.5 * normal()).collect(),
        };
        let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-6);
        rows.extend(row.iter().map(|v| v / norm));
    }
    rows
}

#[test]
fn many_centroids_are_assigned_exactly() {
    assert_exact(&clustered_rows(3000, 48, 1), 48, 700, 1);
    assert_exact(&clustered_rows(1500, 130, 2), 130, 90, 2);
}

/// Rows side by side on a line, far from the origin: what rounding to bytes takes away is more than what
/// lies between them.
fn crowded_rows(samples: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut rows = vec![3.0; samples * dim];
    for row in rows.chunks_exact_mut(dim) {
        let at = random.random::<f32>();
        row.iter_mut()
            .for_each(|value| *value += at + 1e-4 * random.random::<f32>());
    }
    rows
}

#[test]
fn crowded_rows_are_assigned_exactly_and_by_products() {
    let (rows, dim, count) = (crowded_rows(6000, 16, 6), 16, 2000);
    assert_exact(&rows, dim, count, 6);
    let samples = Samples::new(&rows, dim);
    let centroids = &rows[..count * dim];
    let order = Order::new(centroids, dim);
    let bytes = samples.bytes.scale.centroids(centroids, order.ids.clone());
    let pass = Pass::new(&samples, centroids, &order, &bytes);
    let mut near = vec![Neighbourhood::unknown(); samples.count()];
    let every: Vec<u32> = (0..samples.count() as u32).collect();
    let mut meter = Meter::new(1, SILENT);
    pass.look_at_all(&mut near, &every, 1.02, &mut meter)
        .expect("assigned");
    assert!(pass.crowd.is_dense());
    let settled = near.iter().filter(|row| pass.is_settled(row)).count();
    assert!(settled > samples.count() / 2, "{settled}");
}

#[test]
fn any_scale_and_offset_is_assigned_exactly() {
    let rows = clustered_rows(400, 20, 3);
    for (scale, offset) in [
        (1e-3, 0.0),
        (1.0, 1e4),
        (1e-18, 0.0),
        (1e12, 3.0),
        (1e18, 0.0),
        (0.0, 2.0),
    ] {
        let moved: Vec<f32> = rows.iter().map(|v| v * scale + offset).collect();
        assert_exact(&moved, 20, 50, 4);
    }
    let mut uneven = rows;
    for row in uneven.chunks_exact_mut(20).step_by(9) {
        row.iter_mut().for_each(|v| *v *= 300.0);
    }
    uneven[..20].fill(0.0);
    assert_exact(&uneven, 20, 50, 5);
    let mut uneven = crowded_rows(3000, 8, 7);
    uneven[..8].fill(1e17);
    uneven[16..24].fill(-40.0);
    assert_exact(&uneven, 8, 900, 7);
}

proptest! {
    /// Bounds decide which distances are computed, never which centroid is nearest.
    #[test]
    fn assignments_are_exact(rows in grid_rows(5), count in 1usize..80, seed in 0u64..1000) {
        assert_exact(&rows, 5, count, seed);
    }

    /// Between repairs of empty centroids, the objective never rises.
    #[test]
    fn the_objective_never_rises(rows in grid_rows(3), count in 1usize..12, seed in 0u64..1000) {
        let samples = Samples::new(&rows, 3);
        let config = config(count, 15, 1, seed);
        let (restart, _) = Lloyd::new(&samples, &config, SILENT).restart(0, None).expect("clustered");
        for (step, pair) in restart.trace.windows(2).enumerate() {
            prop_assert!(restart.splits[step] > 0 || pair[1] <= pair[0] * (1.0 + 1e-6), "{pair:?}");
        }
    }

    /// Every sample has the nearest centroid, copies have the same one, and distances are theirs.
    #[test]
    fn samples_are_at_their_nearest_centroid(rows in grid_rows(3), count in 1usize..12, seed in 0u64..1000) {
        let got = kmeans(&rows, 3, &config(count, 10, 1, seed), None, SILENT).expect("clustered");
        let mut inertia = 0.0;
        for (i, row) in rows.chunks_exact(3).enumerate() {
            let own = got.assignments[i] as usize;
            let all: Vec<f32> = got.centroids.chunks_exact(3).map(|c| squared_distance(row, c)).collect();
            prop_assert!(all.iter().all(|&d| all[own] <= d + 1e-5), "{own} {all:?}");
            prop_assert!((got.distances[i].powi(2) - all[own]).abs() < 1e-5);
            inertia += f64::from(all[own]);
            for (j, other) in rows.chunks_exact(3).enumerate().skip(i) {
                prop_assert!(row != other || got.assignments[j] as usize == own);
            }
        }
        prop_assert!((got.inertia - inertia).abs() < 1e-4 * (1.0 + inertia));
    }

    /// Of equal centroids the first takes all.
    #[test]
    fn ties_go_to_the_lowest_index(rows in grid_rows(3), copies in 2usize..40) {
        let one = [0.5f32, -0.25, 1.0];
        let centroids = one.repeat(copies);
        let samples = Samples::new(&rows, 3);
        let mut meter = Meter::new(1, SILENT);
        let mut assignment = Assignment::new(&samples);
        assignment.assign(&centroids, &mut meter).expect("assigned");
        prop_assert!(assignment.nearest().all(|(c, _)| c == 0));
    }
}
