//! `bench index`.

use std::collections::BTreeSet;

use protoclip::config::{DataConfig, Fidelity};
use protoclip::data::{self, DataError, EpisodeSampler};
use serde_json::Value;

use super::Clocks;
use crate::cli::UsageError;
use crate::cli::data_path::data_at;
use crate::settings::BenchIndex;

/// Captions and pictures that are read back after the episode was drawn.
const READ: usize = 1000;

/// Opens a data set, draws an episode and reads some of its pairs.
pub(super) fn bench_index(settings: &BenchIndex) -> anyhow::Result<Value> {
    let config = DataConfig {
        label_columns: settings.label_columns.clone(),
        ..data_at(&settings.data, None)?
    };
    let clocks = Clocks::start();
    let source = data::open_whole(&config, &|_, _| true).map_err(|e| UsageError(e.to_string()))?;
    let spent = clocks.stop();
    let clocks = Clocks::start();
    let fidelity = Fidelity::Corrected;
    let sampler = EpisodeSampler::new(
        source.len(),
        source.balance_groups(),
        settings.seed,
        fidelity,
    );
    let episode = sampler.episode(0, settings.episode.min(sampler.units()));
    let drawn = clocks.stop();
    let clocks = Clocks::start();
    let mut broken = BTreeSet::new();
    let some = &episode[..episode.len().min(READ)];
    source.fetch(some)?;
    for &sample in some {
        source.caption(sample)?;
        match source.image(sample) {
            Err(error @ DataError::Object { .. }) => return Err(error.into()),
            Err(_) => {
                broken.insert(sample);
            }
            Ok(_) => {}
        }
    }
    let read = clocks.stop();
    Ok(serde_json::json!({
        "work": "index",
        "pairs": source.len(),
        "skipped": source.skipped().skipped,
        "fingerprint": source.fingerprint(),
        "cpu_seconds": spent.cpu_seconds,
        "wall_seconds": spent.wall_seconds,
        "episode": episode.len(),
        "episode_seconds": drawn.wall_seconds,
        "read": some.len(),
        "read_seconds": read.wall_seconds,
        "broken": broken.len(),
        "peak_mib": peak_mib(),
    }))
}

/// The most memory that the program had so far, where the system tells.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
