//! Losses and their gradients against values of the reference implementation.

use crate::golden_file::{GoldenFile, worst_relative};
use burn::tensor::{Device, Tensor};
use protoclip::loss::clip::clip_loss;
use protoclip::loss::proto::{ProtoTarget, ProtoTermInput, proto_term};

const VALUE: f32 = 1e-5;
const GRADIENT: f32 = 1e-4;

fn leaf<const D: usize>(file: &GoldenFile, name: &str, device: &Device) -> Tensor<D> {
    file.tensor::<D>(name, device).require_grad()
}

fn log_scale(device: &Device) -> Tensor<1> {
    Tensor::<1>::from_floats([(1.0f32 / 0.07).ln()], device).require_grad()
}

fn close<const D: usize>(file: &GoldenFile, name: &str, ours: Tensor<D>, tolerance: f32) {
    let error = worst_relative(&file.floats(name), ours);
    assert!(error <= tolerance, "{name}: {error:e} > {tolerance:e}");
}

#[test]
fn clip_loss_and_its_gradients() {
    let device = Device::flex().autodiff();
    let file = GoldenFile::open("losses.safetensors");
    let image = leaf::<2>(&file, "clip/image_features", &device);
    let text = leaf::<2>(&file, "clip/text_features", &device);
    let log_scale = log_scale(&device);
    let loss = clip_loss(image.clone(), text.clone(), log_scale.clone().exp());
    close(&file, "clip/loss", loss.clone(), VALUE);
    let gradients = loss.backward();
    close(
        &file,
        "clip/grad_image",
        image.grad(&gradients).expect("image"),
        GRADIENT,
    );
    close(
        &file,
        "clip/grad_text",
        text.grad(&gradients).expect("text"),
        GRADIENT,
    );
    let scale_gradient = log_scale.grad(&gradients).expect("scale");
    close(&file, "clip/grad_log_scale", scale_gradient, GRADIENT);
}

#[test]
fn proto_terms_and_their_gradients() {
    let device = Device::flex().autodiff();
    let file = GoldenFile::open("losses.safetensors");
    for tau in ["-1", "0.01", "0.1", "1"] {
        let target = match tau {
            "-1" => ProtoTarget::Hard,
            soft => ProtoTarget::Soft {
                temperature: soft.parse().expect("a number"),
            },
        };
        let student = leaf::<2>(&file, "proto/student_features", &device);
        let log_scale = log_scale(&device);
        let input = ProtoTermInput {
            student_features: student.clone(),
            student_centroids: file.tensor("proto/student_centroids", &device),
            teacher_centroids: file.tensor("proto/teacher_centroids", &device),
            labels: file.ints("proto/labels", &device),
            occupied: None,
        };
        let term = proto_term(input, target, log_scale.clone().exp());
        let name = |figure: &str| format!("proto/tau_{tau}/{figure}");
        close(&file, &name("loss"), term.loss.clone(), VALUE);
        close(
            &file,
            &name("accuracy_percent"),
            term.accuracy_percent,
            VALUE,
        );
        let gradients = term.loss.backward();
        let student_gradient = student.grad(&gradients).expect("student");
        close(&file, &name("grad_student"), student_gradient, GRADIENT);
        let scale_gradient = log_scale.grad(&gradients).expect("scale");
        close(&file, &name("grad_log_scale"), scale_gradient, GRADIENT);
    }
}
