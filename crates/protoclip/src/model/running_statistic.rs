//! A tensor that the forward pass of training replaces: BatchNorm's running mean and variance.

use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param, ParamId,
};
use burn::tensor::{Device, Tensor};

/// A buffer `[channels]` behind a short lock, updated through `&self`.
///
/// Differs from Burn's `RunningState` on purpose: an update is visible at once (Burn's visitors see
/// the value before the last update), and a clone owns its value (Burn's clones share it, so that
/// loading weights into one model would change another).
#[derive(Debug)]
pub struct RunningStatistic {
    id: ParamId,
    value: Arc<Mutex<Tensor<1>>>,
}

impl RunningStatistic {
    pub(super) fn new(id: ParamId, value: Tensor<1>) -> Self {
        Self {
            id,
            value: Arc::new(Mutex::new(value)),
        }
    }

    /// The current value, `[channels]`.
    pub fn value(&self) -> Tensor<1> {
        let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
        value.clone()
    }

    /// Moves towards `observed` by the share `momentum`; gradients never flow into it.
    pub(super) fn blend(&self, observed: Tensor<1>, momentum: f64) {
        let blended = self.value().mul_scalar(1.0 - momentum) + observed.detach() * momentum;
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = blended.detach();
    }

    fn with(&self, value: Tensor<1>) -> Self {
        Self::new(self.id, value)
    }
}

impl Clone for RunningStatistic {
    fn clone(&self) -> Self {
        self.with(self.value())
    }
}

impl Module for RunningStatistic {
    fn collect_devices(&self, mut devices: Devices) -> Devices {
        let device = self.value().device();
        if !devices.contains(&device) {
            devices.push(device);
        }
        devices
    }

    fn fork(self, device: &Device) -> Self {
        self.to_device(device)
    }

    fn to_device(self, device: &Device) -> Self {
        self.with(self.value().to_device(device))
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.visit_float(&Param::initialized(self.id, self.value()));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        let mapped = mapper.map_float(Param::initialized(self.id, self.value()));
        self.with(mapped.into_value().set_require_grad(false))
    }

    fn valid(&self) -> Self {
        self.with(self.value().without_autodiff())
    }

    fn train(self) -> Self {
        self.with(self.value().autodiff())
    }

    fn materialize(self) -> Self {
        self
    }
}

impl ModuleDisplayDefault for RunningStatistic {
    fn content(&self, content: Content) -> Option<Content> {
        content
            .add_formatted(&format!("RunningStatistic {:?}", self.value().dims()))
            .optional()
    }
}

impl ModuleDisplay for RunningStatistic {}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(statistic: &RunningStatistic) -> Vec<f32> {
        statistic.value().into_data().try_to_vec().expect("f32")
    }

    #[test]
    fn an_update_is_seen_at_once_and_only_by_its_owner() {
        let device = Device::flex().autodiff();
        let statistic = RunningStatistic::new(ParamId::new(), Tensor::zeros([2], &device));
        let clone = statistic.clone();
        statistic.blend(Tensor::from_floats([1.0, -2.0], &device), 0.25);
        assert_eq!(values(&statistic), [0.25, -0.5]);
        assert_eq!(values(&statistic.valid()), [0.25, -0.5]);
        assert_eq!(values(&clone), [0.0, 0.0]);
    }
}
