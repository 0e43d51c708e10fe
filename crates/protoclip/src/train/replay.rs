//! Steps over given batches with given prototypes, as golden values record them.

use burn::tensor::Device;

use super::episode::EpisodePrototypes;
use super::step::{BatchAssignments, PrototypeTensors, StepPlan, take_step};
use super::{ControlValues, LearningRates, RunOptimizer, Tag, TrainError};
use crate::config::ValidRunConfig;
use crate::data::Batch;
use crate::model::Clip;
use crate::prototypes::SpaceClusters;

/// A model in training, outside of any run: the same step as a run takes, and nothing around it.
pub(crate) struct Replay<'a> {
    /// Absent after a failed step.
    model: Option<Clip>,
    optimizer: RunOptimizer,
    config: &'a ValidRunConfig,
    prototypes: &'a EpisodePrototypes,
    tensors: PrototypeTensors,
    device: &'a Device,
    steps: u64,
}

/// What one step is given.
pub(crate) struct ReplayStep {
    pub(crate) batch: Batch,
    pub(crate) rates: LearningRates,
}

impl<'a> Replay<'a> {
    /// `device` is the model's autodiff device.
    pub(crate) fn new(
        model: Clip,
        config: &'a ValidRunConfig,
        prototypes: &'a EpisodePrototypes,
        device: &'a Device,
    ) -> Self {
        let plain = device.clone().inner();
        Self {
            optimizer: RunOptimizer::new(&config.optimizer, &model),
            tensors: PrototypeTensors::of(prototypes, config.fidelity, &plain),
            model: Some(model),
            config,
            prototypes,
            device,
            steps: 0,
        }
    }

    /// Takes one step; its figures by tag.
    ///
    /// # Errors
    /// When the loss is not finite, or an earlier step failed.
    pub(crate) fn step(&mut self, step: &ReplayStep) -> Result<Vec<(Tag, f64)>, TrainError> {
        let gone = || TrainError::Other("an earlier step failed".into());
        let model = self.model.take().ok_or_else(gone)?;
        self.steps += 1;
        let plan = StepPlan {
            config: self.config,
            controls: ControlValues::of(self.config),
            rates: step.rates,
            prototypes: Some(&self.tensors),
            assignments: self.assignments(&step.batch.samples),
            step: self.steps,
            device: self.device,
        };
        let (model, points) = take_step(model, &mut self.optimizer, &step.batch, &plan)?;
        self.model = Some(model);
        Ok(points)
    }

    /// The model as it is now.
    ///
    /// # Errors
    /// When a step failed.
    pub(crate) fn model(&self) -> Result<&Clip, TrainError> {
        let gone = || TrainError::Other("a step failed".into());
        self.model.as_ref().ok_or_else(gone)
    }

    /// The log-scales of InfoNCE and of the prototype terms.
    ///
    /// # Errors
    /// When a step failed.
    pub(crate) fn log_scales(&self) -> Result<[f64; 2], TrainError> {
        let model = self.model()?;
        let scales = [&model.logit_scale, &model.logit_scale_proto];
        Ok(scales.map(|scale| f64::from(scale.val().into_scalar::<f32>())))
    }

    fn assignments(&self, samples: &[u32]) -> BatchAssignments {
        let of = |clusters: &SpaceClusters| -> Vec<u32> {
            let labels = samples.iter().map(|&s| clusters.assignments[s as usize]);
            labels.collect()
        };
        let snapshot = &self.prototypes.snapshot;
        BatchAssignments {
            image: of(&snapshot.image),
            text: of(&snapshot.text),
            teacher: snapshot.teacher.as_ref().map(of).unwrap_or_default(),
        }
    }
}
