//! BatchNorm with PyTorch's running statistics.

use burn::module::{Flag, Module, Param};
use burn::tensor::Tensor;

use super::RunningStatistic;
use super::parameter_init::ParameterInit;
use crate::kernels;

/// Normalises the last dimension over all others.
///
/// Training (an autodiff input and `training` enabled) uses the batch's mean and biased variance and
/// blends mean and *unbiased* variance into the running statistics with momentum 0.1; otherwise
/// the running statistics are used. Burn's own BatchNorm blends the biased variance.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// `[channels]`
    pub weight: Param<Tensor<1>>,
    /// `[channels]`
    pub bias: Param<Tensor<1>>,
    /// `[channels]`
    pub running_mean: RunningStatistic,
    /// `[channels]`
    pub running_var: RunningStatistic,
    /// Cleared by `Module::freeze`, which turns the layer into a fixed affine map.
    pub training: Param<Flag>,
}

impl BatchNorm {
    const EPSILON: f64 = 1e-5;
    const MOMENTUM: f64 = 0.1;

    /// `gain` is the initial weight: 1, or 0 for the last norm of a bottleneck.
    pub(super) fn init(channels: usize, gain: f32, init: &ParameterInit<'_>) -> Self {
        Self {
            weight: init.constant("weight", [channels], gain),
            bias: init.constant("bias", [channels], 0.0),
            running_mean: init.statistic("running_mean", channels, 0.0),
            running_var: init.statistic("running_var", channels, 1.0),
            training: Param::from_bool(true),
        }
    }

    /// `[.., channels]` → the same shape.
    pub fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.normalise(x, None, false)
    }

    /// `relu(forward(x))`
    pub fn forward_relu<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        self.normalise(x, None, true)
    }

    /// `relu(forward(x) + residual)`, the end of a residual block.
    pub fn forward_residual<const D: usize>(&self, x: Tensor<D>, residual: Tensor<D>) -> Tensor<D> {
        self.normalise(x, Some(residual), true)
    }

    fn normalise<const D: usize>(
        &self,
        x: Tensor<D>,
        residual: Option<Tensor<D>>,
        relu: bool,
    ) -> Tensor<D> {
        let (weight, bias) = (self.weight.val(), self.bias.val());
        if !(x.is_autodiff() && self.training.is_enabled()) {
            let statistics = [self.running_mean.value(), self.running_var.value()];
            let parameters = [weight, bias];
            return kernels::batch_norm_fixed(
                x,
                parameters,
                statistics,
                residual,
                relu,
                Self::EPSILON,
            );
        }
        let dims = x.dims();
        let count = dims.iter().product::<usize>() / dims[D - 1].max(1);
        let result = kernels::batch_norm(x, weight, bias, residual, relu, Self::EPSILON);
        let unbiased = count as f64 / count.saturating_sub(1).max(1) as f64;
        self.running_mean.blend(result.mean, Self::MOMENTUM);
        self.running_var
            .blend(result.variance.mul_scalar(unbiased), Self::MOMENTUM);
        result.output
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    fn vec(x: Tensor<1>) -> Vec<f32> {
        x.into_data().try_to_vec().expect("f32")
    }

    #[test]
    fn running_variance_is_unbiased_and_eval_uses_it() {
        let device = Device::flex().autodiff();
        let norm = BatchNorm::init(1, 1.0, &ParameterInit::new(0, &device));
        let x = Tensor::<2>::from_floats([[1.0], [2.0], [6.0]], &device);
        let y = norm.forward(x.clone());
        // Mean 3, biased variance 14/3, unbiased 7.
        let first: f32 = y.into_data().try_to_vec().expect("f32")[0];
        assert!(
            (first + 2.0 / (14.0f32 / 3.0).sqrt()).abs() < 1e-5,
            "{first}"
        );
        assert!((vec(norm.running_mean.value())[0] - 0.3).abs() < 1e-6);
        assert!((vec(norm.running_var.value())[0] - (0.9 + 0.7)).abs() < 1e-6);
        let eval = norm.valid().forward(x.clone().inner());
        let first: f32 = eval.into_data().try_to_vec().expect("f32")[0];
        assert!((first - 0.7 / 1.6f32.sqrt()).abs() < 1e-4, "{first}");
    }

    #[test]
    fn a_frozen_norm_neither_uses_nor_moves_batch_statistics() {
        let device = Device::flex().autodiff();
        let norm = BatchNorm::init(1, 1.0, &ParameterInit::new(0, &device)).freeze();
        let y = norm.forward(Tensor::<2>::from_floats([[1.0], [3.0]], &device));
        let first: f32 = y.into_data().try_to_vec().expect("f32")[0];
        assert!((first - 1.0).abs() < 1e-4, "{first}");
        assert_eq!(vec(norm.running_mean.value()), [0.0]);
    }
}
