//! `bench images`.

use std::sync::Arc;

use protoclip::config::{Augmentation, Fidelity};
use protoclip::data::{self, BatchMode, Batcher, BatcherConfig, PairSource};
use protoclip::tokenizer::Tokenizer;
use serde_json::Value;

use super::Clocks;
use crate::cli::UsageError;
use crate::cli::data_path::data_at;
use crate::settings::{AugmentationName, BenchImages};

/// Tokens per caption, those of vit-tiny-64; captions are a small part of the work.
const CONTEXT: usize = 32;

/// Prepares every whole batch of every pass, pictures and captions, in the order of the data.
/// `mean` and `deviation` are those of the normalised values of the last batch.
pub(super) fn bench_images(settings: &BenchImages) -> anyhow::Result<Value> {
    let source = data_at(&settings.data, None)?;
    let source = data::open_whole(&source, &|_, _| true).map_err(|e| UsageError(e.to_string()))?;
    let batch = usize::from(settings.batch);
    if source.len() < batch {
        let message = format!(
            "--data {} has {} usable pairs, fewer than a batch of {batch}; lower --batch",
            settings.data.display(),
            source.len()
        );
        return Err(UsageError(message).into());
    }
    let batcher = Batcher::new(
        Arc::clone(&source),
        Arc::new(Tokenizer::new()),
        batcher_config(settings),
    )?;
    let clocks = Clocks::start();
    let (images, last) = prepare(&batcher, &*source, settings)?;
    let spent = clocks.stop();
    let (mean, deviation) = moments(&last);
    Ok(serde_json::json!({
        "work": "images",
        "images": images,
        "image_size": settings.image_size,
        "batch": batch,
        "augmentation": augmentation(settings.augmentation),
        "passes": settings.passes,
        "cache_mib": settings.cache,
        "threads": threads(settings),
        "cpu_seconds": spent.cpu_seconds,
        "wall_seconds": spent.wall_seconds,
        "images_per_cpu_second": spent.cpu_seconds.map(|seconds| images as f64 / seconds),
        "broken": batcher.broken().len(),
        "mean": mean,
        "deviation": deviation,
    }))
}

fn threads(settings: &BenchImages) -> usize {
    let all = || std::thread::available_parallelism().map_or(1, usize::from);
    settings.threads.map_or_else(all, usize::from)
}

fn augmentation(name: AugmentationName) -> Augmentation {
    match name {
        AugmentationName::None => Augmentation::None,
        AugmentationName::Clip => Augmentation::Clip,
        AugmentationName::CropGray => Augmentation::CropGray,
        AugmentationName::ProtoclipLight => Augmentation::ProtoclipLight,
    }
}

fn batcher_config(settings: &BenchImages) -> BatcherConfig {
    BatcherConfig {
        image_size: settings.image_size,
        context: CONTEXT,
        batch_size: usize::from(settings.batch),
        seed: settings.seed,
        fidelity: Fidelity::Corrected,
        threads: threads(settings),
        cache_bytes: usize::from(settings.cache) << 20,
        max_broken_share: 1.0,
    }
}

/// The number of pictures prepared, and the values of the last batch.
fn prepare(
    batcher: &Batcher,
    source: &dyn PairSource,
    settings: &BenchImages,
) -> anyhow::Result<(usize, Vec<f32>)> {
    let (mut images, mut last) = (0, Vec::new());
    for pass in 0..u64::from(settings.passes) {
        let mode = BatchMode::Train {
            episode: pass,
            augmentation: augmentation(settings.augmentation),
        };
        let samples = (0..source.len() as u32).collect();
        for batch in batcher.batches(samples, mode)? {
            let batch = batch?;
            images += batch.samples.len();
            last = batch.images;
        }
    }
    Ok((images, last))
}

/// Mean and standard deviation.
fn moments(values: &[f32]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let square = |v: &f32| (f64::from(*v) - mean).powi(2);
    (
        mean,
        (values.iter().map(square).sum::<f64>() / count).sqrt(),
    )
}
