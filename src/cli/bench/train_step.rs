//! `bench train-step`.

use anyhow::Context;
use protoclip::config::Precision;
use protoclip::kernels::{has_bf16_products, use_only_plain};
use protoclip::train::StepBench;
use rayon::ThreadPoolBuilder;
use serde_json::Value;

use super::{Clocks, Spent};
use crate::cli::UsageError;
use crate::settings::{BenchTrainStep, KernelsName, PrecisionName};

/// Steps before those that count: buffers grow to their size and caches fill.
const WARM_UP: u16 = 3;

/// Takes steps on one batch over and over; `cpu_seconds` and `wall_seconds` are medians of one step.
pub(super) fn bench_train_step(settings: &BenchTrainStep) -> anyhow::Result<Value> {
    use_only_plain(settings.kernels == KernelsName::Plain);
    let pool = ThreadPoolBuilder::new()
        .num_threads(settings.threads.map_or(0, usize::from))
        .build()
        .context("cannot start the threads")?;
    pool.install(|| measure(settings, pool.current_num_threads()))
}

fn measure(settings: &BenchTrainStep, threads: usize) -> anyhow::Result<Value> {
    let batch = usize::from(settings.batch);
    let mut bench = StepBench::open(
        &settings.model,
        batch,
        precision(settings.precision),
        settings.seed,
    )
    .map_err(|error| UsageError(error.to_string()))?;
    for _ in 0..WARM_UP {
        bench.step()?;
    }
    let (mut spent, mut loss) = (Vec::new(), f64::NAN);
    for _ in 0..settings.steps {
        let clocks = Clocks::start();
        loss = bench.step()?;
        spent.push(clocks.stop());
    }
    let wall = sorted(spent.iter().map(|s| s.wall_seconds).collect());
    let cpu: Option<Vec<f64>> = spent.iter().map(|s: &Spent| s.cpu_seconds).collect();
    Ok(serde_json::json!({
        "work": "train-step",
        "model": settings.model,
        "batch": batch,
        "steps": settings.steps,
        "threads": threads,
        "precision": settings.precision,
        "bf16_products": has_bf16_products(),
        "kernels": settings.kernels,
        "tokens_per_caption": bench.tokens_per_caption(),
        "cpu_seconds": cpu.map(|cpu| median(&sorted(cpu))),
        "wall_seconds": median(&wall),
        "wall_seconds_min": wall.first(),
        "wall_seconds_max": wall.last(),
        "samples_per_second": batch as f64 / median(&wall),
        "loss": loss,
    }))
}

fn precision(name: PrecisionName) -> Precision {
    match name {
        PrecisionName::F32 => Precision::F32,
        PrecisionName::Bf16 => Precision::Bf16,
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// The upper one of two middle values; there is at least one.
fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
