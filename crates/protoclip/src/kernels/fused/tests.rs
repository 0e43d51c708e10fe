//! Each fused operation beside Burn's own, forward and backward.

use burn::tensor::{Device, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::kernels::plain;

/// Numbers of deviation 1.5, the same for the same seed. Burn's own generator belongs to the whole
/// process, where other tests seed it, too.
pub(in crate::kernels) fn random<const D: usize>(dims: [usize; D], seed: u64) -> Tensor<D> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let side = 1.5 * 3.0_f32.sqrt();
    let values: Vec<f32> = (0..dims.iter().product())
        .map(|_| random.random_range(-side..side))
        .collect();
    Tensor::from_data(TensorData::new(values, dims), &Device::flex().autodiff())
}

pub(in crate::kernels) fn difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
    (a.inner() - b.inner()).abs().max().into_scalar()
}

/// Output and input gradient of both paths for one unary operation.
pub(in crate::kernels) fn agree<const D: usize, const E: usize>(
    dims: [usize; D],
    fused: impl Fn(Tensor<D>) -> Tensor<E>,
    plain: impl Fn(Tensor<D>) -> Tensor<E>,
) {
    let x = random(dims, 1).require_grad();
    let run = |f: &dyn Fn(Tensor<D>) -> Tensor<E>| {
        let y = f(x.clone());
        let weights = random(y.dims(), 2);
        let gradients = (y.clone() * weights).sum().backward();
        (y, x.grad(&gradients).expect("tracked"))
    };
    let ((ours, by_x), (wanted, wanted_by_x)) = (run(&fused), run(&plain));
    let (forward, backward) = (difference(ours, wanted), difference(by_x, wanted_by_x));
    assert!(
        forward < 3e-6 && backward < 1e-5,
        "{forward:e} {backward:e}"
    );
    let eval = difference(fused(x.clone().inner()), plain(x.inner()));
    assert!(eval < 3e-6, "{eval:e}");
}

#[test]
fn gelu_agrees_with_burn() {
    agree([7, 33], |x| gelu(x, Gelu::Exact), plain::gelu);
    agree([2, 3, 50], |x| gelu(x, Gelu::Quick), plain::quick_gelu);
    agree(
        [7, 33],
        |x| gelu(x.transpose(), Gelu::Exact),
        |x| plain::gelu(x.transpose()),
    );
}

#[test]
fn softmax_agrees_with_burn() {
    agree([2, 3, 5, 19], softmax, plain::softmax);
    agree([4, 1], softmax, plain::softmax);
}

#[test]
fn attention_agrees_with_burn() {
    for causal in [false, true] {
        for (lengths, width) in [([5, 5, 5], 24), ([17, 1, 3], 96), ([1, 1, 1], 12)] {
            let segments = Segments::of_lengths(lengths);
            let fused = |x| attention(x, segments.clone(), 4, causal);
            let plain = |x| plain::attention(x, &segments, 4, causal);
            agree([segments.rows(), width], fused, plain);
        }
    }
}

#[test]
fn pooling_attention_and_all_its_gradients_agree_with_burn() {
    for lengths in [[4, 4, 4], [1, 9, 20]] {
        let segments = Segments::of_lengths(lengths);
        let queries = random([3, 57], 1).require_grad();
        let x = random([segments.rows(), 19], 2).require_grad();
        let run = |y: Tensor<2>| {
            let gradients = (y.clone() * random([3, 57], 3)).sum().backward();
            let by = [&queries, &x].map(|x| x.grad(&gradients).expect("tracked"));
            (y, by)
        };
        let operands = || (queries.clone(), x.clone());
        let (q, rows) = operands();
        let (ours, by_ours) = run(pooling_attention(q, rows, segments.clone(), 0.4));
        let (q, rows) = operands();
        let (wanted, by_wanted) = run(plain::pooling_attention(q, rows, &segments, 0.4));
        assert!(difference(ours, wanted) < 3e-6);
        for (ours, wanted) in by_ours.into_iter().zip(by_wanted) {
            assert!(difference(ours, wanted) < 1e-5);
        }
    }
}

#[test]
fn a_lookup_and_its_row_gradient_agree_with_burn() {
    let table = random([11, 7], 1).require_grad();
    let ids = [3, 10, 3, 0];
    let run = |y: Tensor<2>| {
        let gradients = (y.clone() * random([4, 7], 2)).sum().backward();
        (y, table.grad(&gradients).expect("tracked"))
    };
    let (ours, by_rows) = run(embedding(table.clone(), &ids));
    let (wanted, by_table) = run(plain::embedding(table.clone(), &ids));
    assert_eq!(difference(ours, wanted), 0.0);
    assert_eq!(by_rows.dims(), [3, 8]);
    let rows: Vec<f32> = by_rows.into_data().try_to_vec().expect("f32");
    let wanted: Vec<f32> = by_table.into_data().try_to_vec().expect("f32");
    let mut dense = vec![0.0; 77];
    for (row, values) in crate::kernels::row_gradient::rows(&rows, 7) {
        dense[row * 7..][..7].copy_from_slice(values);
    }
    assert!(dense.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-6));
}

#[test]
fn layer_norm_and_all_its_gradients_agree_with_burn() {
    let x = random([6, 5, 37], 1).require_grad();
    let weight = random([37], 2).require_grad();
    let bias = random([37], 3).require_grad();
    let output_weights = random([6, 5, 37], 4);
    let run = |y: Tensor<3>| {
        let gradients = (y.clone() * output_weights.clone()).sum().backward();
        let parameters = [&weight, &bias].map(|p| p.grad(&gradients).expect("tracked"));
        (y, x.grad(&gradients).expect("tracked"), parameters)
    };
    let ours = run(layer_norm(x.clone(), weight.clone(), bias.clone(), 1e-5));
    let wanted = run(plain::layer_norm(
        x.clone(),
        weight.clone(),
        bias.clone(),
        1e-5,
    ));
    assert!(difference(ours.0, wanted.0) < 5e-6);
    assert!(difference(ours.1, wanted.1) < 2e-5);
    for (ours, wanted) in ours.2.into_iter().zip(wanted.2) {
        assert!(difference(ours, wanted) < 5e-5);
    }
}

/// Output and all gradients of a layer, by the kernels and by Burn.
fn layers_agree(
    sizes: [usize; 3],
    fused: impl Fn([Tensor<2>; 2], Tensor<2>, Tensor<1>) -> Tensor<2>,
    plain: impl Fn([Tensor<2>; 2], Tensor<2>, Tensor<1>) -> Tensor<2>,
) {
    let [rows, input, output] = sizes;
    // Deviations near 1 behind the layer.
    let x = (random([rows, input], 1) / (input as f32).sqrt()).require_grad();
    let weight = random([input, output], 2).require_grad();
    let bias = random([output], 3).require_grad();
    let residual = random([rows, output], 4).require_grad();
    let run = |y: Tensor<2>| {
        let weights = random([rows, output], 5);
        let gradients = (y.clone() * weights).sum().backward();
        let by = [&x, &weight, &residual].map(|x| x.grad(&gradients));
        (y, by, bias.grad(&gradients).expect("tracked"))
    };
    let both = || [residual.clone(), x.clone()];
    let ours = run(fused(both(), weight.clone(), bias.clone()));
    let wanted = run(plain(both(), weight.clone(), bias.clone()));
    assert!(difference(ours.0, wanted.0) < 2e-5);
    for (ours, wanted) in ours.1.into_iter().zip(wanted.1) {
        assert_eq!(ours.is_some(), wanted.is_some());
        let both = ours.zip(wanted);
        assert!(both.is_none_or(|(ours, wanted)| difference(ours, wanted) < 2e-4));
    }
    assert!(difference(ours.2, wanted.2) < 2e-4);
    let [residual, x] = both().map(Tensor::inner);
    let (weight, bias) = (weight.inner(), bias.inner());
    let ours = fused([residual.clone(), x.clone()], weight.clone(), bias.clone());
    let wanted = plain([residual, x], weight, bias);
    assert!((ours - wanted).abs().max().into_scalar::<f32>() < 2e-5);
}

/// Rows, input and output: small, with rests of every kind, and cut into several blocks.
const LAYERS: [[usize; 3]; 4] = [[2, 3, 1], [30, 37, 21], [131, 40, 48], [201, 600, 33]];

#[test]
fn layers_and_all_their_gradients_agree_with_burn() {
    for sizes in LAYERS {
        layers_agree(
            sizes,
            |[_, x], weight, bias| linear(x, weight, bias),
            |[_, x], weight, bias| plain::linear(x, weight, Some(bias)),
        );
        layers_agree(
            sizes,
            |[residual, x], weight, bias| linear_onto(residual, x, weight, bias),
            |[residual, x], weight, bias| residual + plain::linear(x, weight, Some(bias)),
        );
    }
}

#[test]
fn an_mlp_and_all_its_gradients_agree_with_burn() {
    for ([rows, input, inner], kind) in LAYERS
        .into_iter()
        .flat_map(|sizes| [Gelu::Exact, Gelu::Quick].map(|kind| (sizes, kind)))
    {
        let width = input + 5;
        let weight = |shape: [usize; 2], seed| random(shape, seed) / (shape[0] as f32).sqrt();
        let matrices = [
            random([rows, width], 1),
            random([rows, input], 2),
            weight([input, inner], 3),
            weight([inner, width], 4),
        ];
        let [residual, x, up, down] = matrices.map(Tensor::require_grad);
        let biases = [random([inner], 5), random([width], 6)].map(Tensor::require_grad);
        let run = |y: Tensor<2>| {
            let gradients = (y.clone() * random([rows, width], 7)).sum().backward();
            let by = [&residual, &x, &up, &down].map(|x| x.grad(&gradients).expect("tracked"));
            let by_biases = biases
                .each_ref()
                .map(|b| b.grad(&gradients).expect("tracked"));
            (y.inner(), by, by_biases)
        };
        let fused = |[residual, x, up, down]: [Tensor<2>; 4], [b, c]: [Tensor<1>; 2]| {
            mlp_onto(residual, x, [(up, b), (down, c)], kind)
        };
        let plain = |[residual, x, up, down]: [Tensor<2>; 4], [b, c]: [Tensor<1>; 2]| {
            let hidden = plain::linear(x, up, Some(b));
            let hidden = match kind {
                Gelu::Exact => plain::gelu(hidden),
                Gelu::Quick => plain::quick_gelu(hidden),
            };
            residual + plain::linear(hidden, down, Some(c))
        };
        let operands = || [&residual, &x, &up, &down].map(Tensor::clone);
        let ours = run(fused(operands(), biases.clone()));
        let wanted = run(plain(operands(), biases.clone()));
        assert!(difference(ours.0.clone(), wanted.0) < 2e-5);
        let rows_agree = |ours: Tensor<2>, wanted: Tensor<2>| {
            let scale = wanted.clone().abs().max().into_scalar::<f32>();
            let error = difference(ours, wanted);
            assert!(error < 3e-6 * scale.max(1.0), "{error:e} of {scale:e}");
        };
        for (ours, wanted) in ours.1.into_iter().zip(wanted.1) {
            rows_agree(ours, wanted);
        }
        for (ours, wanted) in ours.2.into_iter().zip(wanted.2) {
            rows_agree(ours.unsqueeze(), wanted.unsqueeze());
        }
        let untracked = fused(operands().map(Tensor::inner), biases.map(Tensor::inner));
        assert_eq!(difference(untracked, ours.0), 0.0);
    }
}

/// A residual that is also the layer's input gets both gradients.
#[test]
fn a_layer_onto_its_own_input_agrees_with_burn() {
    let (weight, bias) = (random([24, 24], 2), random([24], 3));
    agree(
        [50, 24],
        |x| linear_onto(x.clone(), x, weight.clone() * 0.2, bias.clone()),
        |x| x.clone() + plain::linear(x, weight.clone() * 0.2, Some(bias.clone())),
    );
}
