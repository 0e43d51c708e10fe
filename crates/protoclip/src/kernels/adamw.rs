//! AdamW in one pass over memory, or over the rows that a gradient names.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, Flex, backend_extension};
use burn::optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, LearningRate, Optimizer};
use burn::tensor::{Device, Tensor};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::elementary::fma;
use super::flex_tensor::{last_dim, usable, whole};
use super::multiversion::multiversion;
use super::row_gradient;

/// Elements per parallel piece.
const PIECE: usize = 1 << 15;

/// PyTorch's AdamW. On the CPU parameter and moments are updated in place; elsewhere Burn's AdamW
/// computes the same numbers. The saved state is Burn's [`AdamWState`] either way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FusedAdamW {
    pub beta_1: f32,
    pub beta_2: f32,
    pub epsilon: f32,
    /// Decoupled weight decay, multiplied by the learning rate.
    pub weight_decay: f32,
}

/// Factors of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factors {
    /// `1 − lr·weight_decay`
    keep: f32,
    beta_1: f32,
    beta_2: f32,
    /// `lr / (1 − β₁ᵗ)`
    rate: f32,
    /// `1 / √(1 − β₂ᵗ)`
    correction: f32,
    epsilon: f32,
}

impl FusedAdamW {
    fn plain(&self) -> burn::optim::AdamW {
        AdamWConfig::new()
            .with_beta_1(self.beta_1)
            .with_beta_2(self.beta_2)
            .with_epsilon(self.epsilon)
            .with_weight_decay(self.weight_decay)
            .build()
    }

    fn factors(&self, lr: LearningRate, time: usize) -> Factors {
        let correction = |beta: f32| 1.0 - f64::from(beta).powf(time as f64);
        Factors {
            keep: (1.0 - lr * f64::from(self.weight_decay)) as f32,
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            rate: (lr / correction(self.beta_1)) as f32,
            correction: (1.0 / correction(self.beta_2).sqrt()) as f32,
            epsilon: self.epsilon,
        }
    }
}

impl Optimizer for FusedAdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let plain_flex = usable(&tensor) && !tensor.device().is_autodiff();
        if !plain_flex || !usable(&grad) {
            return self.plain().step(lr, tensor, grad, state);
        }
        let momentum = state.map_or_else(
            || {
                let zeros = || Tensor::zeros(tensor.dims(), &tensor.device());
                AdaptiveMomentumState::new(0, zeros(), zeros())
            },
            |state| state.momentum,
        );
        let time = momentum.time + 1;
        let (parameter, first, second) = <Dispatch as InPlaceUpdate>::adamw_update(
            tensor.into_dispatch(),
            grad.into_dispatch(),
            momentum.moment_1.into_dispatch(),
            momentum.moment_2.into_dispatch(),
            self.factors(lr, time),
        );
        let [first, second] = [first, second].map(Tensor::from_dispatch);
        let momentum = AdaptiveMomentumState::new(time, first, second);
        (
            Tensor::from_dispatch(parameter),
            Some(AdamWState::new(momentum)),
        )
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        <burn::optim::AdamW as Optimizer>::to_device(state, device)
    }
}

/// Updates that overwrite their inputs; on burn-flex only, outside autodiff.
#[backend_extension(Flex)]
pub(super) trait InPlaceUpdate: Backend {
    /// Returns parameter, first and second moment. A gradient of another shape than the parameter's
    /// names rows; the others have a gradient of zero.
    fn adamw_update(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        factors: Factors,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

impl InPlaceUpdate for Flex {
    fn adamw_update(
        parameter: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        factors: Factors,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [mut parameter, mut first, mut second] = [parameter, first, second].map(whole);
        let gradient = whole(gradient);
        let names_rows = gradient.layout().shape() != parameter.layout().shape();
        let width = last_dim(&parameter);
        let values = [&mut parameter, &mut first, &mut second].map(FlexTensor::storage_mut::<f32>);
        match names_rows {
            true => update_rows(values, gradient.storage::<f32>(), width, factors),
            false => update(values, gradient.storage::<f32>(), factors),
        }
        (parameter, first, second)
    }
}

/// `values` are parameter, first and second moment.
fn update(values: [&mut [f32]; 3], gradient: &[f32], factors: Factors) {
    let [parameter, first, second] = values;
    parameter
        .par_chunks_mut(PIECE)
        .zip(first.par_chunks_mut(PIECE))
        .zip(second.par_chunks_mut(PIECE))
        .zip(gradient.par_chunks(PIECE))
        .for_each(|(((parameter, first), second), gradient)| {
            update_piece(parameter, first, second, gradient, factors);
        });
}

/// `packed` names rows of `width` numbers and their gradients.
///
/// Rows that no gradient has reached yet have moments of zero: only weight decay moves them, which
/// saves most of the memory traffic for the tokens that a data set never uses.
fn update_rows(values: [&mut [f32]; 3], packed: &[f32], width: usize, factors: Factors) {
    let [parameter, first, second] = values;
    let mut gradients: Vec<Option<&[f32]>> = vec![None; parameter.len() / width];
    for (row, gradient) in row_gradient::rows(packed, width) {
        gradients[row] = Some(gradient);
    }
    let none = vec![0.0; width];
    let rows = (PIECE / width).max(1);
    parameter
        .par_chunks_mut(rows * width)
        .zip(first.par_chunks_mut(rows * width))
        .zip(second.par_chunks_mut(rows * width))
        .zip(gradients.par_chunks(rows))
        .for_each(|(((parameter, first), second), gradients)| {
            let moments = first
                .chunks_exact_mut(width)
                .zip(second.chunks_exact_mut(width));
            let rows = parameter
                .chunks_exact_mut(width)
                .zip(moments)
                .zip(gradients);
            for ((parameter, (first, second)), gradient) in rows {
                let reached = gradient.is_some() || any_set(second);
                match reached {
                    true => {
                        update_piece(parameter, first, second, gradient.unwrap_or(&none), factors)
                    }
                    false => parameter.iter_mut().for_each(|p| *p *= factors.keep),
                }
            }
        });
}

/// Whether any number of a row is not +0; all are read, since nearly all rows are of zeros.
fn any_set(row: &[f32]) -> bool {
    row.iter().fold(0, |bits, number| bits | number.to_bits()) != 0
}

multiversion! {
    fn update_piece(
        parameter: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32],
        factors: Factors,
    ) = update_loop;
}

#[inline(always)]
fn update_loop<const FMA: bool>(
    parameter: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[f32],
    factors: Factors,
) {
    let (new_1, new_2) = (1.0 - factors.beta_1, 1.0 - factors.beta_2);
    let moments = first.iter_mut().zip(second.iter_mut());
    for ((p, (m, v)), &g) in parameter.iter_mut().zip(moments).zip(gradient) {
        *m = fma::<FMA>(factors.beta_1, *m, new_1 * g);
        *v = fma::<FMA>(factors.beta_2, *v, new_2 * g * g);
        let deviation = fma::<FMA>(v.sqrt(), factors.correction, factors.epsilon);
        *p = fma::<FMA>(*p, factors.keep, -(factors.rate * *m / deviation));
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    const OPTIMIZER: FusedAdamW = FusedAdamW {
        beta_1: 0.9,
        beta_2: 0.98,
        epsilon: 1e-6,
        weight_decay: 0.5,
    };

    fn random(seed: u64, device: &Device) -> Tensor<2> {
        crate::kernels::fused::tests::random([19, 23], seed)
            .inner()
            .to_device(device)
    }

    fn largest(x: Tensor<2>) -> f32 {
        x.abs().max().into_scalar()
    }

    #[test]
    fn ten_steps_agree_with_burns_adamw() {
        let device = Device::flex();
        let (mut ours, mut wanted) = (random(1, &device), random(1, &device));
        let (mut state, mut wanted_state) = (None, None);
        for step in 0..10 {
            let gradient = random(100 + step, &device);
            (ours, state) = OPTIMIZER.step(1e-2, ours, gradient.clone(), state);
            (wanted, wanted_state) = OPTIMIZER.plain().step(1e-2, wanted, gradient, wanted_state);
            let error = largest(ours.clone() - wanted.clone());
            assert!(error < 1e-6, "step {step}: {error:e}");
        }
        let moments = |state: Option<AdamWState<2>>| state.expect("kept").momentum;
        let (ours, wanted) = (moments(state), moments(wanted_state));
        assert_eq!(ours.time, wanted.time);
        assert!(largest(ours.moment_1 - wanted.moment_1) < 1e-6);
        assert!(largest(ours.moment_2 - wanted.moment_2) < 1e-6);
    }

    /// The same three steps with gradients of all rows and of the two rows that are not zero.
    #[test]
    fn naming_rows_changes_nothing() {
        let device = Device::flex();
        let (mut whole, mut by_rows) = (random(1, &device), random(1, &device));
        let (mut whole_state, mut row_state) = (None, None);
        for (step, named) in [[2u32, 7], [7, 18], [0, 2]].into_iter().enumerate() {
            let values: Vec<f32> = (0..46).map(|i| ((i * 7 + step) % 5) as f32 - 2.0).collect();
            let mut gradient = vec![0.0; 19 * 23];
            for (row, values) in named.iter().zip(values.chunks_exact(23)) {
                gradient[*row as usize * 23..][..23].copy_from_slice(values);
            }
            let packed = row_gradient::pack(&named, &values, 23);
            let matrix = |values, shape| {
                Tensor::<2>::from_data(TensorData::new::<f32, _>(values, shape), &device)
            };
            let (gradient, packed) = (matrix(gradient, [19, 23]), matrix(packed, [2, 24]));
            (whole, whole_state) = OPTIMIZER.step(1e-2, whole, gradient, whole_state);
            (by_rows, row_state) = OPTIMIZER.step(1e-2, by_rows, packed, row_state);
            assert_eq!(largest(whole.clone() - by_rows.clone()), 0.0, "step {step}");
        }
        let second = |state: Option<AdamWState<2>>| state.expect("kept").momentum.moment_2;
        assert_eq!(largest(second(whole_state) - second(row_state)), 0.0);
    }

    /// One step of PyTorch's formula by hand, in f64.
    #[test]
    fn the_first_step_is_decay_and_a_signed_unit_step() {
        let device = Device::flex();
        let parameter = Tensor::<1>::from_floats([2.0, -1.0], &device);
        let gradient = Tensor::<1>::from_floats([0.5, -4.0], &device);
        let (updated, _) = OPTIMIZER.step(0.1, parameter, gradient, None);
        let updated: Vec<f32> = updated.into_data().try_to_vec().expect("f32");
        for (ours, (p, g)) in updated.iter().zip([(2.0, 0.5), (-1.0, -4.0f64)]) {
            let wanted = p * (1.0 - 0.1 * 0.5) - 0.1 * g / (g.abs() + 1e-6);
            assert!((f64::from(*ours) - wanted).abs() < 1e-6, "{ours} {wanted}");
        }
    }

    #[test]
    fn views_and_shared_tensors_are_not_overwritten() {
        let device = Device::flex();
        let original = random(1, &device);
        let view = original.clone().transpose();
        let gradient = Tensor::ones(view.dims(), &device);
        let (updated, _) = OPTIMIZER.step(0.1, view.clone(), gradient, None);
        assert_eq!(largest(original - random(1, &device)), 0.0);
        assert!(largest(updated - view) > 0.05);
    }
}
