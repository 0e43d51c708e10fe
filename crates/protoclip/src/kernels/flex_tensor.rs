//! From Burn's tensors to slices of numbers and back.

use burn::tensor::{Bytes, DType, Device, Shape, Tensor};
use burn_flex::{FlexTensor, Layout};

/// Whether a tensor lies where the fused operations can run: in f32 on burn-flex.
pub(super) fn usable<const D: usize>(x: &Tensor<D>) -> bool {
    x.dtype() == DType::F32 && x.device() == Device::flex()
}

/// The tensor itself when its values lie in order, else a copy in order.
pub(super) fn contiguous(x: FlexTensor) -> FlexTensor {
    match x.as_slice::<f32>() {
        Some(_) => x,
        None => x.to_contiguous(),
    }
}

/// The tensor as the only content of its buffer, in order; a copy when it is a view.
pub(super) fn whole(x: FlexTensor) -> FlexTensor {
    let all = x.bytes().len() / size_of::<f32>();
    match x.as_slice::<f32>() {
        Some(values) if values.len() == all => x,
        _ => x.to_contiguous(),
    }
}

/// Values of a tensor that went through [`contiguous`].
pub(super) fn values(x: &FlexTensor) -> &[f32] {
    x.as_slice::<f32>().unwrap_or_default()
}

pub(super) fn last_dim(x: &FlexTensor) -> usize {
    let shape = x.layout().shape();
    shape[shape.num_dims() - 1]
}

pub(super) fn shaped_like(x: &FlexTensor, values: Vec<f32>) -> FlexTensor {
    shaped(x.layout().shape().clone(), values)
}

pub(super) fn shaped(shape: Shape, values: Vec<f32>) -> FlexTensor {
    FlexTensor::new(
        Bytes::from_elems(values),
        Layout::contiguous(shape),
        DType::F32,
    )
}
