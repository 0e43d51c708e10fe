//! Each picture operation beside Burn's own, forward and backward.

use burn::tensor::Tensor;

use super::*;
use crate::kernels::fused::tests::{agree, difference, random};
use crate::kernels::plain;

#[test]
fn convolutions_and_their_gradients_agree_with_burn() {
    for (size, kernel, stride) in [
        ([3, 9, 8, 5], 3, 1),
        ([2, 8, 7, 3], 3, 2),
        ([2, 5, 5, 4], 1, 1),
    ] {
        let x = random(size, 1).require_grad();
        let weight = random([6, size[3], kernel, kernel], 2).require_grad();
        let run = |y: Tensor<4>| {
            let gradients = (y.clone() * random(y.dims(), 3)).sum().backward();
            let by = [&x, &weight].map(|x| x.grad(&gradients).expect("tracked"));
            (y, by)
        };
        let (ours, by_ours) = run(convolution(x.clone(), weight.clone(), stride));
        let (wanted, by_wanted) = run(plain::convolution(x.clone(), weight.clone(), stride));
        assert!(difference(ours, wanted) < 1e-4);
        for (ours, wanted) in by_ours.into_iter().zip(by_wanted) {
            assert!(difference(ours, wanted) < 2e-4);
        }
    }
}

#[test]
fn batch_norm_relu_and_residual_agree_with_burn() {
    let x = random([2, 5, 7, 6], 1).require_grad();
    let weight = random([6], 2).require_grad();
    let bias = random([6], 3).require_grad();
    let residual = random([2, 5, 7, 6], 4).require_grad();
    for (joined, relu) in [(false, false), (false, true), (true, true)] {
        let run = |(y, mean, variance): (Tensor<4>, Tensor<1>, Tensor<1>)| {
            let gradients = (y.clone() * random(y.dims(), 5)).sum().backward();
            let by_x = x.grad(&gradients).expect("tracked");
            let by_residual = residual.grad(&gradients);
            let by = [&weight, &bias].map(|p| p.grad(&gradients).expect("tracked"));
            ([y, by_x], [mean.inner(), variance.inner()], by, by_residual)
        };
        let residual = joined.then(|| residual.clone());
        let ours = crate::kernels::batch_norm(
            x.clone(),
            weight.clone(),
            bias.clone(),
            residual.clone(),
            relu,
            1e-5,
        );
        let ours = run((ours.output, ours.mean, ours.variance));
        let (y, mean, variance) = plain::batch_norm(x.clone(), weight.clone(), bias.clone(), 1e-5);
        let wanted = run((plain::add_and_cut(y, residual, relu), mean, variance));
        for (ours, wanted) in ours.0.into_iter().zip(wanted.0) {
            assert!(
                (ours.inner() - wanted.inner())
                    .abs()
                    .max()
                    .into_scalar::<f32>()
                    < 2e-5
            );
        }
        for (ours, wanted) in ours
            .1
            .into_iter()
            .zip(wanted.1)
            .chain(ours.2.into_iter().zip(wanted.2))
        {
            assert!((ours - wanted).abs().max().into_scalar::<f32>() < 1e-4);
        }
        assert_eq!(ours.3.is_some(), joined);
        if let (Some(ours), Some(wanted)) = (ours.3, wanted.3) {
            assert!((ours - wanted).abs().max().into_scalar::<f32>() < 1e-6);
        }
    }
}

#[test]
fn fixed_batch_norm_and_average_pool_agree_with_burn() {
    let x = random([2, 5, 7, 6], 1);
    let [weight, bias, mean] = [2, 3, 4].map(|seed| random([6], seed));
    let variance = random([6], 5).square() + 0.1;
    let (w, b, m, v) = (weight.inner(), bias.inner(), mean.inner(), variance.inner());
    let y = crate::kernels::batch_norm_fixed(
        x.clone().inner(),
        [w.clone(), b.clone()],
        [m.clone(), v.clone()],
        None,
        true,
        1e-5,
    );
    let wanted = plain::batch_norm_fixed(x.clone().inner(), w, b, m, v, 1e-5);
    let wanted = plain::add_and_cut(wanted, None, true);
    assert!((y - wanted).abs().max().into_scalar::<f32>() < 1e-5);
    for side in [2, 3] {
        agree(
            [2, 5, 7, 6],
            |x| average_pool(x, side),
            |x| plain::average_pool(x, side),
        );
    }
}
