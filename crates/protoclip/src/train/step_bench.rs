//! Training steps by themselves, for benchmarks: no run directory, no prototypes, one batch.

use std::sync::Arc;

use burn::tensor::Device;

use super::step::{BatchAssignments, StepPlan, take_step};
use super::{ControlValues, LearningRates, RunOptimizer, TrainError, tag};
use crate::config::{Augmentation, Precision, RunConfig, ValidRunConfig};
use crate::data::{Batch, BatchMode, Batcher, BatcherConfig, BuiltinSource, PairSource, SampleId};
use crate::model::{Clip, ClipConfig};
use crate::tokenizer::Tokenizer;

/// A model that takes InfoNCE steps, with clipping and AdamW as in a run, on one batch of the
/// built-in data over and over. Computes on the CPU, on the current rayon pool.
#[derive(Debug)]
pub struct StepBench {
    /// Absent after a failed step.
    model: Option<Clip>,
    optimizer: RunOptimizer,
    config: ValidRunConfig,
    device: Device,
    batch: Batch,
    step: u64,
}

impl StepBench {
    /// `model` is a built-in name or an OpenCLIP-style JSON file; `batch_size` pairs are drawn evenly
    /// from the data set.
    ///
    /// # Errors
    /// When there is no such model, or the batch is empty or larger than the data set.
    pub fn open(
        model: &str,
        batch_size: usize,
        precision: Precision,
        seed: u64,
    ) -> Result<Self, TrainError> {
        let config = RunConfig {
            model: model.into(),
            batch_size,
            precision,
            seed,
            ..RunConfig::default()
        };
        let config = config.validate()?;
        let device = Device::flex().autodiff();
        let model = ClipConfig::load(model)?.init(seed, config.fidelity, &device);
        Ok(Self {
            optimizer: RunOptimizer::new(&config.optimizer, &model),
            batch: built_in_batch(&config, &model)?,
            model: Some(model),
            config,
            device,
            step: 0,
        })
    }

    /// Takes one step; its loss.
    ///
    /// # Errors
    /// When the loss is not finite, or an earlier step failed.
    pub fn step(&mut self) -> Result<f64, TrainError> {
        let gone = || TrainError::Other("an earlier step failed".into());
        let model = self.model.take().ok_or_else(gone)?;
        self.step += 1;
        let rate = self.config.optimizer.learning_rate;
        let plan = StepPlan {
            config: &self.config,
            controls: ControlValues::of(&self.config),
            rates: LearningRates {
                image: rate,
                rest: rate,
            },
            prototypes: None,
            assignments: BatchAssignments::default(),
            step: self.step,
            device: &self.device,
        };
        let (model, points) = take_step(model, &mut self.optimizer, &self.batch, &plan)?;
        self.model = Some(model);
        let loss = points.iter().find(|(name, _)| name == tag::LOSS_TOTAL);
        Ok(loss.map_or(f64::NAN, |(_, value)| *value))
    }

    /// Mean number of tokens of a caption up to its end token.
    pub fn tokens_per_caption(&self) -> f64 {
        let context = self.batch.tokens.len() / self.batch.samples.len().max(1);
        let lengths = self.batch.tokens.chunks_exact(context).map(|caption| {
            let end = caption
                .iter()
                .zip(1usize..)
                .max_by_key(|&(&id, at)| (id, std::cmp::Reverse(at)));
            end.map_or(0, |(_, length)| length)
        });
        lengths.sum::<usize>() as f64 / self.batch.samples.len().max(1) as f64
    }
}

/// Pairs at even distances through the built-in data, augmented as in episode 0.
fn built_in_batch(config: &ValidRunConfig, model: &Clip) -> Result<Batch, TrainError> {
    let data = BuiltinSource::new();
    let size = config.batch_size;
    if size > data.len() {
        let message = format!(
            "{size} pairs are more than the {} of the built-in data",
            data.len()
        );
        return Err(TrainError::Other(message));
    }
    let samples = (0..size)
        .map(|i| (i * data.len() / size) as SampleId)
        .collect();
    let batcher = Batcher::new(
        Arc::new(data),
        Arc::new(Tokenizer::new()),
        BatcherConfig {
            image_size: model.image_size() as u32,
            context: model.context_length(),
            batch_size: size,
            seed: config.seed,
            fidelity: config.fidelity,
            threads: 1,
            cache_bytes: 0,
            max_broken_share: 0.0,
        },
    )?;
    let mode = BatchMode::Train {
        episode: 0,
        augmentation: Augmentation::ProtoclipLight,
    };
    let mut batches = batcher.batches(samples, mode)?;
    let nothing = || TrainError::Other("the built-in data gave no batch".into());
    Ok(batches.next().ok_or_else(nothing)??)
}
