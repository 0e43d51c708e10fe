//! `bench`: times one piece of work and prints one JSON line, to be put beside other programs.
//!
//! Files are read before the clocks start. `cpu_seconds` is the processor time of all threads, null
//! where the system does not tell; other processes do not disturb it as they disturb
//! `wall_seconds`.

mod episode;
mod images;
mod index;
mod kmeans;
mod pca;
mod train_step;
mod tsne;

use std::time::Instant;

use anyhow::Context;
use protoclip::kernels::process_cpu_seconds;
use protoclip::npy::NpyMatrix;
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde_json::Value;

use super::UsageError;
use crate::settings::{BenchInput, BenchSettings, BenchWork};

pub(super) fn bench(settings: &BenchSettings) -> anyhow::Result<()> {
    let line = match &settings.work {
        BenchWork::Kmeans(settings) => kmeans::bench_kmeans(settings),
        BenchWork::Tsne(settings) => tsne::bench_tsne(settings),
        BenchWork::Pca(settings) => pca::bench_pca(settings),
        BenchWork::TrainStep(settings) => train_step::bench_train_step(settings),
        BenchWork::Images(settings) => images::bench_images(settings),
        BenchWork::Index(settings) => index::bench_index(settings),
        BenchWork::Episode(settings) => episode::bench_episode(settings),
    }?;
    say!("{line}");
    Ok(())
}

/// Features in memory and the threads to work with.
struct Bench {
    features: NpyMatrix,
    pool: ThreadPool,
}

impl Bench {
    fn open(input: &BenchInput) -> anyhow::Result<Self> {
        let features =
            NpyMatrix::read(&input.features).map_err(|error| UsageError(error.to_string()))?;
        // 0 leaves the number to the pool.
        let threads = usize::from(input.threads.unwrap_or(0));
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .context("cannot start the threads")?;
        Ok(Self { features, pool })
    }

    /// Does the work in the pool; its result and the line so far.
    fn measure<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> (T, Value) {
        let clocks = Clocks::start();
        let result = self.pool.install(work);
        let spent = clocks.stop();
        let line = serde_json::json!({
            "work": name,
            "samples": self.features.rows,
            "dim": self.features.dim,
            "threads": self.pool.current_num_threads(),
            "cpu_seconds": spent.cpu_seconds,
            "wall_seconds": spent.wall_seconds,
        });
        (result, line)
    }
}

/// The two clocks of a measurement.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    wall: Instant,
    cpu: Option<f64>,
}

/// What a piece of work took.
#[derive(Debug, Clone, Copy)]
struct Spent {
    /// Processor time of all threads.
    cpu_seconds: Option<f64>,
    wall_seconds: f64,
}

impl Clocks {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            cpu: process_cpu_seconds(),
        }
    }

    fn stop(self) -> Spent {
        let cpu = process_cpu_seconds().zip(self.cpu);
        Spent {
            cpu_seconds: cpu.map(|(end, start)| end - start),
            wall_seconds: self.wall.elapsed().as_secs_f64(),
        }
    }
}
