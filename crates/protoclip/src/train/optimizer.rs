//! AdamW with the reference's parameter groups, two learning rates and global-norm clipping.
//!
//! Port note: `src/training/main.py` of the reference. No weight decay for tensors of rank below 2
//! nor for names with `bn`, `ln`, `bias`, `logit_scale` or `projection_head`; the image rate for
//! `visual.*`. Burn's own norm clipping works tensor by tensor, PyTorch's over all of them at once,
//! hence [`clip_gradients`].

use std::path::Path;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, ModuleVisitor, Param, ParamGroup, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Tensor;

use super::{LearningRates, TrainError};
use crate::config::OptimizerConfig;
use crate::kernels::{FusedAdamW, gradient_square_sum, scale_gradient};
use crate::model::{Clip, decays, is_visual, parameter_names};

/// The optimizer of a run with its moments.
pub struct RunOptimizer {
    adamw: ModuleOptimizer,
    image: ParamGroup,
}

impl std::fmt::Debug for RunOptimizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunOptimizer").finish_non_exhaustive()
    }
}

impl RunOptimizer {
    /// Fresh moments for the parameters of `model`. They are saved by parameter id, which the model
    /// derives from names, so they fit the same model in another process.
    pub fn new(config: &OptimizerConfig, model: &Clip) -> Self {
        let names = parameter_names(model);
        let ids = |wanted: &dyn Fn(&str, usize) -> bool| -> Vec<ParamId> {
            names
                .iter()
                .filter(|p| wanted(&p.name, p.shape.len()))
                .map(|p| p.id)
                .collect()
        };
        let undecayed = ids(&|name, rank| !decays(name, rank));
        let image = ids(&|name, _| is_visual(name));
        let decayed = FusedAdamW {
            beta_1: config.beta1 as f32,
            beta_2: config.beta2 as f32,
            epsilon: config.epsilon as f32,
            weight_decay: config.weight_decay as f32,
        };
        let plain = FusedAdamW {
            weight_decay: 0.0,
            ..decayed
        };
        Self {
            adamw: ModuleOptimizer::from(decayed).with_group(
                ParamGroup::from_ids(undecayed),
                plain,
                None,
            ),
            image: ParamGroup::from_ids(image),
        }
    }

    /// One update of every parameter that has a gradient.
    pub fn step(&mut self, rates: LearningRates, model: Clip, gradients: GradientsParams) -> Clip {
        let rates = ModuleLrScheduler::new(rates.rest)
            .with_group(self.image.clone(), rates.image)
            .step();
        self.adamw.step(rates, model, gradients)
    }

    /// Writes the moments.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        self.adamw.save(path).map_err(|e| checkpoint(path, &e))
    }

    /// Replaces the moments by those of a file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn load(self, path: &Path) -> Result<Self, TrainError> {
        let adamw = self.adamw.load(path).map_err(|e| checkpoint(path, &e))?;
        Ok(Self { adamw, ..self })
    }
}

fn checkpoint(path: &Path, error: &dyn std::fmt::Debug) -> TrainError {
    TrainError::Checkpoint {
        path: path.display().to_string(),
        message: format!("{error:?}"),
    }
}

/// Scales all gradients together so that their joint norm is at most `limit`, as
/// `torch.nn.utils.clip_grad_norm_` does; returns the norm before.
pub fn clip_gradients(model: &Clip, gradients: &mut GradientsParams, limit: f64) -> f64 {
    let mut squares = SumOfSquares {
        gradients,
        sum: None,
    };
    model.visit(&mut squares);
    let norm = squares
        .sum
        .map_or(0.0, |sum| f64::from(sum.sqrt().into_scalar::<f32>()));
    if norm > limit {
        model.visit(&mut Scale {
            gradients,
            factor: (limit / (norm + 1e-6)) as f32,
        });
    }
    norm
}

struct SumOfSquares<'a> {
    gradients: &'a GradientsParams,
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let square = gradient_square_sum(gradient, &param.dims());
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f32,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(
                param.id,
                scale_gradient(gradient, &param.dims(), self.factor),
            );
        }
    }
}
