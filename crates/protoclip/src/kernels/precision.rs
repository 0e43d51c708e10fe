//! In which precision the products of dense and convolutional layers are computed.

use std::cell::Cell;

use crate::config::Precision;

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// Computes with `precision` in the layers that `work` calls on this thread, and in their backward
/// passes, whenever those run. Only f32 tensors on the CPU know another precision than their own.
pub fn with_precision<T>(precision: Precision, work: impl FnOnce() -> T) -> T {
    /// Goes back, also when `work` panics.
    struct Before(Precision);
    impl Drop for Before {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _before = Before(CURRENT.replace(precision));
    work()
}

/// That of the current thread.
pub(super) fn current() -> Precision {
    CURRENT.get()
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::kernels::linear;

    /// 1 + 2⁻⁹ is halfway below what bfloat16 can tell from 1.
    const FINE: f32 = 1.001_953_1;

    #[test]
    fn layers_round_inside_the_scope_and_in_their_backward_pass() {
        let device = Device::flex().autodiff();
        let x = Tensor::<2>::from_floats([[FINE, 0.0]], &device).require_grad();
        let weight = Tensor::<2>::from_floats([[FINE], [FINE]], &device);
        let bias = Tensor::<1>::from_floats([0.5], &device);
        let run = || linear(x.clone(), weight.clone(), Some(bias.clone()));
        let rounded = with_precision(Precision::Bf16, run);
        assert_eq!(current(), Precision::F32);
        assert_eq!(rounded.clone().into_scalar::<f32>(), 1.5);
        assert!(run().into_scalar::<f32>() > 1.503);
        // Outside of the scope by now.
        let by_x = x.grad(&rounded.sum().backward()).expect("tracked");
        assert_eq!(by_x.max().into_scalar::<f32>(), 1.0);
        let by_x = x.grad(&run().sum().backward()).expect("tracked");
        assert_eq!(by_x.max().into_scalar::<f32>(), FINE);
    }
}
