//! `kmeans.safetensors` and `kmeans_free_init.json`: Lloyd's iterations beside faiss.

use std::path::Path;

use burn::tensor::Device;
use serde::Deserialize;

use super::golden_file::read_json;
use super::{GoldenError, GoldenFile, Measure, Report, worst_relative};
use crate::prototypes::{KMeansConfig, KMeansResult, kmeans};

const INERTIA: f64 = 1e-3;
const LABELS_PERCENT: f64 = 1.0;
const CENTROIDS: f64 = 1e-3;
/// How much the median may exceed theirs: rounding, not quality.
const MEDIAN: f64 = 1e-6;

/// From given centroids, after each number of iterations in the file.
pub(super) fn check_given_start(
    path: &Path,
    _: &Device,
    report: &mut Report<'_>,
) -> Result<(), GoldenError> {
    let file = GoldenFile::open(path)?;
    let names = file.names()?;
    let counts = names.iter().filter_map(|name| {
        name.strip_prefix("iter_")?
            .strip_suffix("/labels")?
            .parse::<usize>()
            .ok()
    });
    for iterations in counts {
        given_start(&file, iterations, report)?;
    }
    Ok(())
}

fn given_start(
    file: &GoldenFile,
    iterations: usize,
    report: &mut Report<'_>,
) -> Result<(), GoldenError> {
    let name = |part: &str| format!("iter_{iterations}/{part}");
    let [_, dim] = file.matrix_shape("features")?;
    let [count, _] = file.matrix_shape("initial_centroids")?;
    let config = KMeansConfig {
        count,
        iterations,
        restarts: 1,
        seed: 0,
    };
    let initial = file.f32("initial_centroids")?;
    let found = kmeans(
        &file.f32("features")?,
        dim,
        &config,
        Some(&initial),
        &|_, _| true,
    )
    .map_err(|e| GoldenError::compute(&name("centroids"), e))?;
    let inertia = name("final_inertia");
    let wanted = *file
        .f64(&inertia)?
        .first()
        .ok_or_else(|| file.wrong(&inertia, "is empty"))?;
    report.relative(inertia, found.inertia, wanted, INERTIA);
    let trace = file.f64(&name("objective_trace"))?;
    let error = match found.trace.len() < trace.len() {
        true => f64::INFINITY,
        false => found
            .trace
            .iter()
            .zip(&trace)
            .fold(0.0, |worst: f64, (ours, theirs)| {
                worst.max((ours - theirs).abs() / theirs.abs())
            }),
    };
    report.add(name("objective_trace"), Measure::Relative, error, INERTIA);
    let labels = file.labels(&name("labels"))?;
    let differing = found
        .assignments
        .iter()
        .zip(&labels)
        .filter(|(a, b)| a != b)
        .count();
    let percent = 100.0 * differing as f64 / labels.len().max(1) as f64;
    report.add(
        name("labels"),
        Measure::PercentDiffering,
        percent,
        LABELS_PERCENT,
    );
    let error = worst_relative(&found.centroids, &file.f32(&name("centroids"))?);
    report.add(name("centroids"), Measure::Relative, error, CENTROIDS);
    Ok(())
}

#[derive(Deserialize)]
struct FreeStarts {
    niter: usize,
    nredo: usize,
    final_inertia_over_5_seeds: Vec<f64>,
}

/// From our own draws: the median over as many seeds must not exceed theirs.
pub(super) fn check_free_start(
    path: &Path,
    _: &Device,
    report: &mut Report<'_>,
) -> Result<(), GoldenError> {
    let wanted: FreeStarts = read_json(path)?;
    let file = GoldenFile::open(&path.with_file_name("kmeans.safetensors"))?;
    let [_, dim] = file.matrix_shape("features")?;
    let [count, _] = file.matrix_shape("initial_centroids")?;
    let features = file.f32("features")?;
    let seeds = wanted.final_inertia_over_5_seeds.len() as u64;
    let ours = (0..seeds)
        .map(|seed| {
            let config = KMeansConfig {
                count,
                iterations: wanted.niter,
                restarts: wanted.nredo,
                seed,
            };
            let found = kmeans(&features, dim, &config, None, &|_, _| true);
            found.map(|result: KMeansResult| result.inertia)
        })
        .collect::<Result<Vec<f64>, _>>()
        .map_err(|e| GoldenError::compute("free starts", e))?;
    let (Some(ours), Some(theirs)) = (median(ours), median(wanted.final_inertia_over_5_seeds))
    else {
        return Err(GoldenError::format(path, "holds no inertia"));
    };
    let excess = ((ours - theirs) / theirs).max(0.0);
    let note = format!("ours {ours:.2}, theirs {theirs:.2}");
    let case = format!("median inertia over {seeds} seeds, excess");
    report.add_noted(case, Measure::Relative, excess, MEDIAN, note);
    Ok(())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
