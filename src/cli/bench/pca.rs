//! `bench pca`.

use protoclip::analysis::Pca;
use serde_json::Value;

use super::Bench;
use crate::cli::UsageError;
use crate::settings::BenchPca;

/// Fits the components to all features and maps all features.
pub(super) fn bench_pca(settings: &BenchPca) -> anyhow::Result<Value> {
    let bench = Bench::open(&settings.input)?;
    let features = &bench.features;
    let (result, mut line) = bench.measure("pca", || {
        let pca = Pca::fit(&features.values, features.dim, settings.dim)?;
        let mapped = pca.transform(&features.values)?;
        Ok::<_, protoclip::analysis::AnalysisError>((pca, mapped))
    });
    let (pca, mapped) = result.map_err(|error| UsageError(error.to_string()))?;
    line["components"] = (mapped.len() / features.rows).into();
    let kept: f64 = pca.explained_variance_ratio().iter().sum();
    line["explained_variance"] = kept.into();
    Ok(line)
}
