//! Every kernel with a backward pass of its own, and every loss, against finite differences.
//!
//! Central differences at two widths, extrapolated: independent of every formula, and good to about
//! three digits in f32. Each element of each input is moved in turn.

use burn::tensor::{Bool, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use protoclip::kernels::{self, Segments};
use protoclip::loss::clip::clip_loss;
use protoclip::loss::proto::{ProtoTarget, ProtoTermInput, proto_loss, proto_term};
use protoclip::model::l2_normalize;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Of the largest gradient of an input.
const TOLERANCE: f32 = 3e-3;
const WIDTH: f32 = 2e-2;

/// A function of flat inputs, `[n]` each, with the result `[1]`.
type Function<'a> = &'a dyn Fn(&[Tensor<1>]) -> Tensor<1>;

fn device() -> Device {
    Device::flex().autodiff()
}

/// Numbers in [−1, 1), the same for the same seed.
fn random(count: usize, seed: u64) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn constant<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let values = random(shape.iter().product(), seed);
    Tensor::from_data(TensorData::new(values, shape), &device())
}

/// Σ w·y with fixed weights: a scalar that looks at every element.
fn weighed<const D: usize>(y: Tensor<D>) -> Tensor<1> {
    let weights = constant(y.dims(), 77);
    (y * weights).sum()
}

fn value(function: Function<'_>, inputs: &[Vec<f32>]) -> f32 {
    let tensors: Vec<Tensor<1>> = inputs
        .iter()
        .map(|input| Tensor::from_floats(input.as_slice(), &device()))
        .collect();
    function(&tensors).into_scalar()
}

fn difference(function: Function<'_>, inputs: &[Vec<f32>], at: (usize, usize), width: f32) -> f32 {
    let moved = |by: f32| {
        let mut inputs = inputs.to_vec();
        inputs[at.0][at.1] += by;
        value(function, &inputs)
    };
    (moved(width) - moved(-width)) / (2.0 * width)
}

/// Fails where a gradient is not the slope.
fn check(name: &str, inputs: &[Vec<f32>], function: Function<'_>) {
    let tensors: Vec<Tensor<1>> = inputs
        .iter()
        .map(|input| Tensor::<1>::from_floats(input.as_slice(), &device()).require_grad())
        .collect();
    let gradients = function(&tensors).backward();
    for (number, (input, tensor)) in inputs.iter().zip(&tensors).enumerate() {
        let gradient = tensor.grad(&gradients).expect("every input is used");
        let gradient: Vec<f32> = gradient.into_data().try_to_vec().expect("f32");
        let size = gradient.iter().fold(1e-2_f32, |m, g| m.max(g.abs()));
        for (element, &analytic) in gradient.iter().enumerate().take(input.len()) {
            let slope = |width| difference(function, inputs, (number, element), width);
            let numeric = (4.0 * slope(WIDTH / 2.0) - slope(WIDTH)) / 3.0;
            let error = (numeric - analytic).abs() / size;
            assert!(
                error < TOLERANCE,
                "{name}, input {number}, element {element}: gradient {analytic}, slope {numeric}"
            );
        }
    }
}

#[test]
fn activations_and_softmax() {
    // Rows longer than a vector register, with a rest.
    let x = [random(3 * 21, 1)];
    let rows = |x: &Tensor<1>| x.clone().reshape([3, 21]);
    check("gelu", &x, &|x| weighed(kernels::gelu(rows(&x[0]))));
    check("quick_gelu", &x, &|x| {
        weighed(kernels::quick_gelu(rows(&x[0])))
    });
    check("softmax", &x, &|x| weighed(kernels::softmax(rows(&x[0]))));
}

#[test]
fn layer_norm_by_input_weight_and_bias() {
    let inputs = [random(4 * 19, 1), random(19, 2), random(19, 3)];
    check("layer_norm", &inputs, &|x| {
        let rows = x[0].clone().reshape([4, 19]);
        weighed(kernels::layer_norm(rows, x[1].clone(), x[2].clone(), 1e-5))
    });
}

#[test]
fn linear_by_input_weight_and_bias() {
    let inputs = [random(2 * 3 * 5, 1), random(5 * 7, 2), random(7, 3)];
    check("linear", &inputs, &|x| {
        let rows = x[0].clone().reshape([2, 3, 5]);
        let weight = x[1].clone().reshape([5, 7]);
        weighed(kernels::linear(rows, weight, Some(x[2].clone())))
    });
}

#[test]
fn attention_by_packed_queries_keys_and_values() {
    for (lengths, causal) in [
        ([3, 3], false),
        ([3, 3], true),
        ([1, 5], false),
        ([4, 2], true),
        ([17, 1], true),
        ([1, 20], false),
    ] {
        let segments = Segments::of_lengths(lengths);
        let rows = segments.rows();
        check("attention", &[random(rows * 24, 1)], &|x| {
            let packed = x[0].clone().reshape([rows, 24]);
            weighed(kernels::attention(packed, &segments, 2, causal))
        });
    }
}

#[test]
fn pooling_attention_by_queries_and_rows() {
    for lengths in [[3, 3], [1, 5]] {
        let segments = Segments::of_lengths(lengths);
        let inputs = [random(2 * 3 * 5, 1), random(6 * 5, 2)];
        check("pooling attention", &inputs, &|x| {
            let queries = x[0].clone().reshape([2, 15]);
            let rows = x[1].clone().reshape([6, 5]);
            weighed(kernels::pooling_attention(queries, rows, &segments, 0.7))
        });
    }
}

#[test]
fn an_mlp_by_residual_input_weights_and_biases() {
    let inputs = [
        random(3 * 2, 1),
        random(3 * 4, 2),
        random(4 * 7, 3),
        random(7, 4),
        random(7 * 2, 5),
        random(2, 6),
    ];
    for quick in [false, true] {
        check("mlp", &inputs, &|x| {
            let residual = x[0].clone().reshape([3, 2]);
            let rows = x[1].clone().reshape([3, 4]);
            let up = (x[2].clone().reshape([4, 7]), Some(x[3].clone()));
            let down = (x[4].clone().reshape([7, 2]), Some(x[5].clone()));
            weighed(kernels::mlp_onto(residual, rows, [up, down], quick))
        });
    }
}

#[test]
fn convolutions_by_pictures_and_weights() {
    for ([height, width], kernel, stride) in [
        ([4, 3], 3, 1),
        ([4, 5], 3, 2),
        ([3, 3], 1, 1),
        ([1, 1], 3, 1),
    ] {
        let inputs = [
            random(2 * height * width * 3, 1),
            random(4 * 3 * kernel * kernel, 2),
        ];
        check("convolution", &inputs, &|x| {
            let pictures = x[0].clone().reshape([2, height, width, 3]);
            let weight = x[1].clone().reshape([4, 3, kernel, kernel]);
            weighed(kernels::convolution(pictures, weight, stride))
        });
    }
}

#[test]
fn batch_norm_by_input_weight_bias_and_residual() {
    let inputs = [
        random(7 * 5, 1),
        random(5, 2),
        random(5, 3),
        random(7 * 5, 4),
    ];
    let rows = |x: &Tensor<1>| x.clone().reshape([7, 5]);
    check("batch_norm", &inputs[..3], &|x| {
        let (weight, bias) = (x[1].clone(), x[2].clone());
        weighed(kernels::batch_norm(rows(&x[0]), weight, bias, None, false, 1e-2).output)
    });
    check("batch_norm with residual", &inputs, &|x| {
        let (weight, bias) = (x[1].clone(), x[2].clone());
        let residual = Some(rows(&x[3]));
        weighed(kernels::batch_norm(rows(&x[0]), weight, bias, residual, false, 1e-2).output)
    });
}

/// Only the ReLU's mask is at stake: far from zero, where slopes exist, the gradient is all or
/// nothing.
#[test]
fn the_relu_of_batch_norm_stops_gradients_where_it_cuts_off() {
    let (values, shift) = (random(6 * 4, 1), [3.0_f32, -3.0, 3.0, -3.0]);
    let x = Tensor::<1>::from_floats(values.as_slice(), &device()).require_grad();
    let parameter = |values: [f32; 4]| Tensor::<1>::from_floats(values, &device());
    let residual = constant([6, 4], 2).require_grad();
    let normalised = kernels::batch_norm(
        x.clone().reshape([6, 4]),
        parameter([0.5; 4]),
        parameter(shift),
        Some(residual.clone()),
        true,
        1e-5,
    );
    let gradients = normalised.output.sum().backward();
    let by_residual = residual.grad(&gradients).expect("tracked");
    let by_residual: Vec<f32> = by_residual.into_data().try_to_vec().expect("f32");
    for row in by_residual.chunks_exact(4) {
        assert_eq!(row, [1.0, 0.0, 1.0, 0.0]);
    }
    let by_x = x.grad(&gradients).expect("tracked");
    let by_x: Vec<f32> = by_x.into_data().try_to_vec().expect("f32");
    // The sum of a normalised column does not depend on its input.
    assert!(by_x.iter().all(|g| g.abs() < 1e-5), "{by_x:?}");
}

#[test]
fn average_pools_by_pictures() {
    for (height, width, side) in [(4, 4, 2), (5, 7, 2), (6, 3, 3)] {
        let inputs = [random(2 * height * width * 3, 1)];
        check("average_pool", &inputs, &|x| {
            let pictures = x[0].clone().reshape([2, height, width, 3]);
            weighed(kernels::average_pool(pictures, side))
        });
    }
}

#[test]
fn normalisation_and_infonce() {
    check("l2_normalize", &[random(4 * 6, 1)], &|x| {
        weighed(l2_normalize(x[0].clone().reshape([4, 6])))
    });
    let inputs = [random(5 * 4, 1), random(5 * 4, 2), vec![1.2]];
    check("clip_loss", &inputs, &|x| {
        let features = |i: usize| l2_normalize(x[i].clone().reshape([5, 4]));
        clip_loss(features(0), features(1), x[2].clone().exp())
    });
}

/// Labels 0..6 for five samples; prototype 5 is empty.
fn proto_input(student: Tensor<2>, mask: bool) -> ProtoTermInput {
    let device = device();
    let mut centroids = random(6 * 4, 8);
    centroids[20..].fill(0.0);
    let centroids = Tensor::from_data(TensorData::new(centroids, [6, 4]), &device);
    let occupied = [true, true, true, true, true, false];
    ProtoTermInput {
        student_features: student,
        student_centroids: centroids,
        teacher_centroids: constant([6, 3], 9),
        labels: Tensor::<1, Int>::from_ints([3, 0, 4, 1, 3], &device),
        occupied: mask.then(|| Tensor::<1, Bool>::from_data(occupied, &device)),
    }
}

#[test]
fn prototype_losses_of_every_kind() {
    let inputs = [random(5 * 4, 1), random(5 * 4, 2), vec![1.2]];
    let student = |x: &Tensor<1>| l2_normalize(x.clone().reshape([5, 4]));
    for mask in [false, true] {
        for target in [
            ProtoTarget::Hard,
            ProtoTarget::Soft { temperature: 0.1 },
            ProtoTarget::Soft { temperature: 1.0 },
        ] {
            check(
                "proto_term",
                &[inputs[0].clone(), inputs[2].clone()],
                &|x| {
                    let input = proto_input(student(&x[0]), mask);
                    proto_term(input, target, x[1].clone().exp()).loss
                },
            );
            check("proto_loss", &inputs, &|x| {
                let (image, text) = (student(&x[0]), student(&x[1]));
                let scale = x[2].clone().exp();
                proto_loss(
                    proto_input(image, mask),
                    proto_input(text, mask),
                    target,
                    scale,
                )
                .loss
            });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Sizes on both sides of every vector width.
    #[test]
    fn kernels_of_any_shape(rows in 1_usize..4, width in 2_usize..40, seed in 0_u64..1000) {
        let inputs = [random(rows * width, seed), random(width, seed + 1), random(width, seed + 2)];
        let shaped = |x: &Tensor<1>| x.clone().reshape([rows, width]);
        check("gelu", &inputs[..1], &|x| weighed(kernels::gelu(shaped(&x[0]))));
        check("softmax", &inputs[..1], &|x| weighed(kernels::softmax(shaped(&x[0]))));
        if width > 3 {
            check("layer_norm", &inputs, &|x| {
                let y = kernels::layer_norm(shaped(&x[0]), x[1].clone(), x[2].clone(), 1e-3);
                weighed(y)
            });
        }
    }
}
