//! `bench kmeans`.

use protoclip::prototypes::{KMeansConfig, kmeans};
use serde_json::Value;

use super::Bench;
use crate::cli::UsageError;
use crate::settings::BenchKMeans;

/// Clusters all features. `objective` is that of the last iteration, before its update; `inertia`
/// belongs to the centroids that come out, which costs one more assignment.
pub(super) fn bench_kmeans(settings: &BenchKMeans) -> anyhow::Result<Value> {
    let bench = Bench::open(&settings.input)?;
    let config = KMeansConfig {
        count: settings.count,
        iterations: settings.iterations,
        restarts: settings.restarts,
        seed: settings.seed,
    };
    let features = &bench.features;
    let (result, mut line) = bench.measure("kmeans", || {
        kmeans(&features.values, features.dim, &config, None, &|_, _| true)
    });
    let result = result.map_err(|error| UsageError(error.to_string()))?;
    line["k"] = settings.count.into();
    line["iterations"] = settings.iterations.into();
    line["restarts"] = settings.restarts.into();
    line["seed"] = settings.seed.into();
    line["iterations_of_best"] = result.trace.len().into();
    line["objective"] = result.trace.last().copied().into();
    line["inertia"] = result.inertia.into();
    Ok(line)
}
