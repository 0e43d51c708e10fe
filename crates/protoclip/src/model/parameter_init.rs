//! Initial values, drawn from (seed, parameter name) only.
//!
//! The generator is ChaCha8 on the CPU whatever the device, so a seed gives the same model
//! everywhere, and adding a layer does not change the values of the others.

use std::f64::consts::TAU;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::RunningStatistic;

/// A scope of parameter names in which modules create their parameters.
#[derive(Debug, Clone)]
pub(super) struct ParameterInit<'a> {
    seed: u64,
    device: &'a Device,
    /// Name prefix, empty or ending in a dot.
    prefix: String,
    /// Prefix under which values are drawn; differs from `prefix` only for copies.
    drawn_as: String,
}

impl<'a> ParameterInit<'a> {
    pub(super) fn new(seed: u64, device: &'a Device) -> Self {
        Self {
            seed,
            device,
            prefix: String::new(),
            drawn_as: String::new(),
        }
    }

    /// The names below `name`.
    pub(super) fn scope(&self, name: &str) -> Self {
        Self {
            prefix: format!("{}{name}.", self.prefix),
            drawn_as: format!("{}{name}.", self.drawn_as),
            ..self.clone()
        }
    }

    /// The names below `name` with the values that `other` draws.
    pub(super) fn copy_of(&self, name: &str, other: &str) -> Self {
        Self {
            drawn_as: self.scope(other).drawn_as,
            ..self.scope(name)
        }
    }

    pub(super) fn constant<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        value: f32,
    ) -> Param<Tensor<D>> {
        self.param(name, Tensor::full(shape, value, self.device))
    }

    /// Normal values of mean 0 and the given standard deviation.
    pub(super) fn normal<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        std: f64,
    ) -> Param<Tensor<D>> {
        let mut rng = self.rng(name);
        let count: usize = shape.iter().product();
        let mut values = Vec::with_capacity(count + 1);
        while values.len() < count {
            let (first, second) = normal_pair(&mut rng);
            values.extend([(first * std) as f32, (second * std) as f32]);
        }
        values.truncate(count);
        self.param_of(name, shape, values)
    }

    /// Uniform values in `[-bound, bound)`.
    pub(super) fn uniform<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        bound: f64,
    ) -> Param<Tensor<D>> {
        let mut rng = self.rng(name);
        let values = (0..shape.iter().product())
            .map(|_| ((2.0 * unit(&mut rng) - 1.0) * bound) as f32)
            .collect();
        self.param_of(name, shape, values)
    }

    /// A buffer that training updates and no optimizer touches.
    pub(super) fn statistic(&self, name: &str, size: usize, value: f32) -> RunningStatistic {
        let value = Tensor::full([size], value, self.device);
        RunningStatistic::new(parameter_id(&format!("{}{name}", self.prefix)), value)
    }

    fn param_of<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        values: Vec<f32>,
    ) -> Param<Tensor<D>> {
        let data = TensorData::new(values, shape);
        self.param(name, Tensor::from_data(data, self.device))
    }

    fn param<const D: usize>(&self, name: &str, value: Tensor<D>) -> Param<Tensor<D>> {
        let id = parameter_id(&format!("{}{name}", self.prefix));
        let mut param = Param::from_tensor(value);
        param.id = id;
        param
    }

    fn rng(&self, name: &str) -> ChaCha8Rng {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(self.drawn_as.as_bytes());
        hasher.update(name.as_bytes());
        ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
    }
}

/// The identity of a parameter in every process: a hash of its name.
pub(super) fn parameter_id(name: &str) -> ParamId {
    let hash = blake3::hash(name.as_bytes());
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hash.as_bytes()[..8]);
    ParamId::from(u64::from_le_bytes(bytes))
}

/// Uniform in [0, 1) with 53 random bits.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Two independent standard normal values by the Box–Muller transform.
fn normal_pair(rng: &mut ChaCha8Rng) -> (f64, f64) {
    let radius = (-2.0 * (1.0 - unit(rng)).ln()).sqrt();
    let angle = TAU * unit(rng);
    (radius * angle.cos(), radius * angle.sin())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(param: &Param<Tensor<1>>) -> Vec<f32> {
        param.val().into_data().try_to_vec().expect("f32")
    }

    #[test]
    fn values_depend_on_seed_and_full_name_only() {
        let device = Device::flex();
        let draw = |seed, scope: &str, name: &str| {
            let init = ParameterInit::new(seed, &device).scope(scope);
            values(&init.normal(name, [5], 1.0))
        };
        assert_eq!(draw(1, "a", "w"), draw(1, "a", "w"));
        assert_ne!(draw(1, "a", "w"), draw(2, "a", "w"));
        assert_ne!(draw(1, "a", "w"), draw(1, "b", "w"));
        assert_ne!(draw(1, "a", "w"), draw(1, "a", "v"));
    }

    #[test]
    fn normal_and_uniform_have_their_moments() {
        let device = Device::flex();
        let init = ParameterInit::new(7, &device);
        let normal = values(&init.normal("n", [40_001], 0.5));
        let mean = normal.iter().sum::<f32>() / 40_001.0;
        let variance = normal.iter().map(|x| x * x).sum::<f32>() / 40_001.0;
        assert!(
            mean.abs() < 0.01 && (variance - 0.25).abs() < 0.01,
            "{mean} {variance}"
        );
        let uniform = values(&init.uniform("u", [40_000], 0.3));
        let variance = uniform.iter().map(|x| x * x).sum::<f32>() / 40_000.0;
        assert!(uniform.iter().all(|x| x.abs() <= 0.3));
        assert!((variance - 0.03).abs() < 0.001, "{variance}");
    }

    #[test]
    fn a_copy_has_the_values_of_the_other_and_its_own_identity() {
        let device = Device::flex();
        let init = ParameterInit::new(3, &device);
        let first = init.scope("image").normal("w", [4], 1.0);
        let copy = init.copy_of("text", "image").normal("w", [4], 1.0);
        assert_eq!(values(&first), values(&copy));
        assert_ne!(first.id, copy.id);
        assert_eq!(copy.id, parameter_id("text.w"));
    }
}
