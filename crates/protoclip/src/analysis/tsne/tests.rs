//! t-SNE against direct sums over all pairs, and by its properties.

use std::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::quadtree::Field;
use super::*;
use crate::kernels::distance::squared_distance;

const SILENT: TsneObserver<'static> = &|_| true;
const CLUSTERS: usize = 6;

/// Rows around `CLUSTERS` centres, cluster by cluster in turn.
fn clusters(samples: usize, dim: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || (0..6).map(|_| random.random::<f32>() - 0.5).sum::<f32>();
    let centres: Vec<f32> = (0..CLUSTERS * dim).map(|_| 2.0 * normal()).collect();
    (0..samples)
        .flat_map(|sample| centres[sample % CLUSTERS * dim..][..dim].to_vec())
        .map(|centre| centre + 0.4 * normal())
        .collect()
}

fn quick(iterations: usize) -> TsneConfig {
    TsneConfig {
        perplexity: 15.0,
        iterations,
        exaggeration_iterations: iterations / 4,
        ..TsneConfig::default()
    }
}

fn affinities(features: &[f32], dim: usize, perplexity: f64) -> Affinities {
    let count = (NEIGHBOURS * perplexity) as usize;
    let watch = Watch::new(SILENT);
    let neighbours = Neighbours::find(features, dim, count, &watch).expect("found");
    Affinities::new(&neighbours, perplexity)
}

/// Σ q² (own − other) of every point and Σ q, over all pairs.
fn all_pairs(points: &[[f32; 2]]) -> (Vec<[f64; 2]>, f64) {
    let mut forces = vec![[0.0; 2]; points.len()];
    let mut weight = 0.0;
    for (i, a) in points.iter().enumerate() {
        for (j, b) in points.iter().enumerate() {
            if i != j {
                let [x, y] = [0, 1].map(|axis| f64::from(a[axis]) - f64::from(b[axis]));
                let q = 1.0 / (1.0 + x * x + y * y);
                forces[i][0] += q * q * x;
                forces[i][1] += q * q * y;
                weight += q;
            }
        }
    }
    (forces, weight)
}

/// Σ p ln(p / q) with q over all pairs.
fn exact_kl(affinities: &Affinities, points: &[[f32; 2]]) -> f64 {
    let (_, weight) = all_pairs(points);
    let mut kl = 0.0;
    for (i, a) in points.iter().enumerate() {
        let (others, weights) = affinities.row(i);
        for (&j, &p) in others.iter().zip(weights).filter(|&(_, &p)| p > 0.0) {
            let b = points[j as usize];
            let square = f64::from(a[0] - b[0]).powi(2) + f64::from(a[1] - b[1]).powi(2);
            kl += f64::from(p) * (f64::from(p) * (1.0 + square) * weight).ln();
        }
    }
    kl
}

/// Plain gradient descent with momentum over all pairs, exaggerated for its first quarter.
fn plain_descent(affinities: &Affinities, start: &[[f32; 2]], iterations: usize) -> Vec<[f32; 2]> {
    let mut points = start.to_vec();
    let mut steps = vec![[0.0f64; 2]; points.len()];
    for iteration in 0..iterations {
        let early = iteration < iterations / 4;
        let factor = if early { 12.0 } else { 1.0 };
        let (repulsion, weight) = all_pairs(&points);
        let before = points.clone();
        for (i, step) in steps.iter_mut().enumerate() {
            let mut gradient = repulsion[i].map(|force| -4.0 * force / weight);
            let (others, weights) = affinities.row(i);
            for (&j, &p) in others.iter().zip(weights) {
                let b = before[j as usize];
                let [x, y] = [0, 1].map(|axis| f64::from(before[i][axis]) - f64::from(b[axis]));
                let pull = 4.0 * factor * f64::from(p) / (1.0 + x * x + y * y);
                gradient[0] += pull * x;
                gradient[1] += pull * y;
            }
            for axis in 0..2 {
                let momentum = if early { 0.5 } else { 0.8 };
                let rate = before.len() as f64 / factor;
                step[axis] = momentum * step[axis] - rate * gradient[axis];
                points[i][axis] += step[axis] as f32;
            }
        }
    }
    points
}

#[test]
fn clusters_stay_together() {
    let features = clusters(600, 24, 1);
    let map = tsne(&features, 24, &quick(300), None, SILENT).expect("mapped");
    let points = map.points.as_chunks::<2>().0;
    let alike = points.iter().enumerate().filter(|&(i, a)| {
        let square = |b: &[f32; 2]| (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2);
        let others = points.iter().enumerate().filter(|&(j, _)| j != i);
        let nearest = others.min_by(|a, b| square(a.1).total_cmp(&square(b.1)));
        nearest.is_some_and(|(j, _)| j % CLUSTERS == i % CLUSTERS)
    });
    assert!(alike.count() >= 590);
}

#[test]
fn the_divergence_is_no_worse_than_plain_descent_reaches() {
    let features = clusters(240, 16, 2);
    let config = quick(400);
    let map = tsne(&features, 16, &config, None, SILENT).expect("mapped");
    let points = map.points.as_chunks::<2>().0;
    let affinities = affinities(&features, 16, config.perplexity);
    let exact = exact_kl(&affinities, points);
    assert!((map.kl - exact).abs() < 0.02 * exact, "{} {exact}", map.kl);
    let start = principal_start(&features, 16, 0).expect("start");
    let plain = exact_kl(&affinities, &plain_descent(&affinities, &start, 400));
    assert!(exact <= plain * 1.05, "{exact} against {plain}");
}

#[test]
fn affinities_are_probabilities_as_wide_as_asked_for() {
    let features = clusters(300, 10, 3);
    let affinities = affinities(&features, 10, 20.0);
    let sum: f64 = affinities.weights.iter().map(|&p| f64::from(p)).sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    for sample in 0..300 {
        let (others, weights) = affinities.row(sample);
        assert!(others.is_sorted_by(|a, b| a < b));
        for (&other, &p) in others.iter().zip(weights) {
            let (back, p_back) = affinities.row(other as usize);
            let place = back
                .binary_search(&(sample as u32))
                .expect("a pair both ways");
            assert!((p_back[place] - p).abs() <= 1e-6 * p);
        }
    }
    // A row of one-sided affinities has the entropy of the perplexity.
    let squares: Vec<f32> = (1..=60).map(|i| (i as f32).powi(2) / 9.0).collect();
    let mut weights = vec![0.0; 60];
    super::affinities::gaussian(&squares, 20.0f64.ln(), &mut weights);
    let entropy: f64 = weights
        .iter()
        .filter(|p| **p > 0.0)
        .map(|p| -p * p.ln())
        .sum();
    assert!((entropy.exp() - 20.0).abs() < 0.01, "{}", entropy.exp());
}

#[test]
fn a_warm_start_moves_little() {
    let features = clusters(400, 12, 4);
    let first = tsne(&features, 12, &quick(400), None, SILENT).expect("mapped");
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let moved: Vec<f32> = features
        .iter()
        .map(|v| v + 0.02 * (random.random::<f32>() - 0.5))
        .collect();
    let go_on = |initial| tsne(&moved, 12, &quick(100), initial, SILENT).expect("mapped");
    let radius = |map: &[f32]| map.iter().map(|v| v * v).sum::<f32>().sqrt() / 20.0;
    let movement = |map: &TsneMap| {
        let pairs = map.points.as_chunks::<2>().0.iter();
        let mut lengths: Vec<f32> = pairs
            .zip(first.points.as_chunks::<2>().0)
            .map(|(a, b)| squared_distance(a, b).sqrt())
            .collect();
        lengths.sort_by(f32::total_cmp);
        lengths[lengths.len() / 2]
    };
    let warm = go_on(Some(&first.points));
    assert!(
        movement(&warm) < 0.1 * radius(&first.points),
        "{} of {}",
        movement(&warm),
        radius(&first.points)
    );
    assert!(warm.kl < first.kl + 0.1, "{} {}", warm.kl, first.kl);
}

#[test]
fn threads_do_not_change_a_bit_and_seeds_do() {
    let features = clusters(500, 8, 5);
    let with = |threads, seed| {
        let config = TsneConfig { seed, ..quick(60) };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.expect("a pool")
            .install(|| tsne(&features, 8, &config, None, SILENT))
            .expect("mapped")
    };
    assert_eq!(with(1, 0), with(3, 0));
    assert_ne!(with(1, 0), with(1, 1));
}

#[test]
fn the_observer_sees_maps_and_stops_the_work_at_once() {
    let features = clusters(200, 6, 6);
    let config = TsneConfig {
        report_every: 10,
        ..quick(40)
    };
    let maps = RefCell::new(Vec::new());
    let watch = |progress: &TsneProgress<'_>| {
        if let Some(map) = progress.map {
            assert_eq!(map.points.len(), 400);
            maps.borrow_mut()
                .push((progress.phase, progress.done, map.kl));
        }
        true
    };
    let map = tsne(&features, 6, &config, None, &watch).expect("mapped");
    let maps = maps.into_inner();
    let seen: Vec<_> = maps.iter().map(|&(phase, done, _)| (phase, done)).collect();
    use TsnePhase::{Exaggeration, Refinement};
    assert_eq!(
        seen,
        [
            (Exaggeration, 10),
            (Refinement, 20),
            (Refinement, 30),
            (Refinement, 40)
        ]
    );
    assert_eq!(maps[3].2, map.kl);
    for stopped_in in [TsnePhase::Neighbours, Exaggeration, Refinement] {
        let calls = Cell::new(0);
        let refuse = |progress: &TsneProgress<'_>| {
            calls.set(calls.get() + usize::from(progress.phase == stopped_in));
            progress.phase != stopped_in
        };
        let result = tsne(&features, 6, &config, None, &refuse);
        assert_eq!(result, Err(TsneError::Cancelled));
        assert_eq!(calls.get(), 1);
    }
}

#[test]
fn a_stop_at_any_iteration_ends_it_there_and_the_map_is_made_anew_alike() {
    let features = clusters(150, 6, 2);
    let config = quick(60);
    let straight = tsne(&features, 6, &config, None, SILENT).expect("mapped");
    let mut random = ChaCha8Rng::seed_from_u64(9);
    for _ in 0..20 {
        let last = random.random_range(1..=60_usize);
        let seen = Cell::new(0);
        let refuse = |progress: &TsneProgress<'_>| {
            if progress.phase == TsnePhase::Neighbours {
                return true;
            }
            seen.set(progress.done);
            progress.done < last
        };
        let stopped = tsne(&features, 6, &config, None, &refuse);
        assert_eq!(stopped, Err(TsneError::Cancelled));
        assert_eq!(seen.get(), last, "not one iteration more");
    }
    let again = tsne(&features, 6, &config, None, SILENT).expect("mapped");
    assert_eq!(again, straight);
}

#[test]
fn what_cannot_be_mapped_is_refused_with_the_largest_that_works() {
    let features = clusters(31, 4, 7);
    let refused = |features: &[f32], config: &TsneConfig, initial: Option<&[f32]>| {
        tsne(features, 4, config, initial, SILENT)
            .expect_err("refused")
            .to_string()
    };
    let message = refused(&features, &TsneConfig::default(), None);
    assert!(
        message.contains("perplexity 30") && message.contains("10.0"),
        "{message}"
    );
    let fits = TsneConfig {
        perplexity: 10.0,
        ..quick(5)
    };
    assert!(tsne(&features, 4, &fits, None, SILENT).is_ok());
    let mut broken = features.clone();
    broken[9] = f32::NAN;
    assert!(refused(&broken, &fits, None).contains("row 2"));
    assert!(refused(&features[..12], &fits, None).contains("3 samples"));
    let flat = TsneConfig { theta: 0.0, ..fits };
    assert!(refused(&features, &flat, None).contains("theta"));
    assert!(refused(&features, &fits, Some(&[0.0; 7])).contains("62"));
    let mut start = [0.0; 62];
    start[5] = f32::INFINITY;
    assert!(refused(&features, &fits, Some(&start)).contains("row 2"));
}

#[test]
fn copies_get_finite_places() {
    let config = TsneConfig {
        perplexity: 5.0,
        ..quick(60)
    };
    for features in [vec![0.5; 40 * 3], clusters(6, 3, 8).repeat(10)] {
        let map = tsne(&features, 3, &config, None, SILENT).expect("mapped");
        assert!(map.points.iter().all(|v| v.is_finite()) && map.kl.is_finite());
    }
}

proptest! {
    /// With small cells the tree's sums are those over all pairs.
    #[test]
    fn repulsion_is_the_sum_over_all_pairs(
        values in prop::collection::vec(-30.0f32..30.0, 2..400),
        scale in prop::sample::select(vec![1e-4f32, 1.0, 30.0]),
    ) {
        let values: Vec<f32> = values.iter().map(|v| v * scale).collect();
        let points = values.as_chunks::<2>().0;
        let mut field = Field::default();
        let (forces, weight) = all_pairs(points);
        for (theta, tolerance) in [(1e-3, 1e-4), (0.5, 0.02)] {
            field.compute(points, theta);
            prop_assert!((field.weight - weight).abs() <= tolerance * (1.0 + weight));
            let largest = forces.iter().flatten().fold(1e-6f64, |m, v| m.max(v.abs()));
            for (got, want) in field.forces.iter().zip(&forces) {
                for axis in 0..2 {
                    let error = (f64::from(got[axis]) - want[axis]).abs();
                    prop_assert!(error <= 5.0 * tolerance * largest, "{got:?} {want:?} theta {theta}");
                }
            }
        }
    }

    /// Neighbours are those of all distances.
    #[test]
    fn neighbours_are_the_nearest(
        values in prop::collection::vec(-3i8..=3, 20..600),
        count in 1usize..6,
    ) {
        let rows: Vec<f32> = values.iter().map(|&v| f32::from(v) / 2.0).collect();
        let rows = &rows[..rows.len() / 2 * 2];
        let found = Neighbours::find(rows, 2, count, &Watch::new(SILENT)).expect("found");
        for (i, a) in rows.chunks_exact(2).enumerate() {
            let others = rows.chunks_exact(2).enumerate().filter(|&(j, _)| j != i);
            let mut squares: Vec<f32> = others.map(|(_, b)| squared_distance(a, b)).collect();
            squares.sort_by(f32::total_cmp);
            prop_assert_eq!(&found.squares[i * count..][..count], &squares[..count]);
            prop_assert!(!found.ids[i * count..][..count].contains(&(i as u32)));
        }
    }
}
