//! `bench tsne`.

use anyhow::Context;
use protoclip::analysis::{TsneConfig, tsne};
use protoclip::npy::NpyMatrix;
use serde_json::Value;

use super::Bench;
use crate::cli::UsageError;
use crate::settings::BenchTsne;

/// Maps all features; the map is written after the clocks stopped.
pub(super) fn bench_tsne(settings: &BenchTsne) -> anyhow::Result<Value> {
    let bench = Bench::open(&settings.input)?;
    let usage = |error: &dyn std::fmt::Display| UsageError(error.to_string());
    let initial = settings.initial.as_deref().map(NpyMatrix::read);
    let initial = initial.transpose().map_err(|error| usage(&error))?;
    let config = TsneConfig {
        perplexity: settings.perplexity,
        iterations: settings.iterations,
        exaggeration_iterations: settings.iterations / 4,
        report_every: 0,
        seed: settings.seed,
        ..TsneConfig::default()
    };
    let features = &bench.features;
    let (result, mut line) = bench.measure("tsne", || {
        let initial = initial.as_ref().map(|map| &map.values[..]);
        tsne(&features.values, features.dim, &config, initial, &|_| true)
    });
    let map = result.map_err(|error| usage(&error))?;
    line["perplexity"] = settings.perplexity.into();
    line["iterations"] = settings.iterations.into();
    line["seed"] = settings.seed.into();
    line["kl"] = map.kl.into();
    if let Some(path) = &settings.out {
        let written = NpyMatrix {
            rows: features.rows,
            dim: 2,
            values: map.points,
        };
        written.write(path).context("the map cannot be kept")?;
    }
    Ok(line)
}
