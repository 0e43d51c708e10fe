//! Times one optimizer step on made-up data and prints one JSON line.
//!
//! `cargo run -p protoclip --example train_step -- vit-nano-32 128 10 fused`: model, batch, steps,
//! kernels (`fused` or `plain`). Images are noise and captions random ids, since neither changes the
//! time; the result is the median of the steps after the first two.

use std::time::Instant;

use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Int, Tensor, TensorData};
use protoclip::config::Fidelity;
use protoclip::kernels::FusedAdamW;
use protoclip::loss::clip::clip_loss;
use protoclip::model::{Clip, ClipConfig, l2_normalize};

/// Milliseconds of each part of a step.
#[derive(Debug, Clone, Copy)]
struct Timing {
    forward: f64,
    backward: f64,
    optimizer: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    protoclip::kernels::retain_freed_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |i: usize, default: &str| arguments.get(i).map_or(default, |a| a).to_owned();
    let name = argument(0, "vit-nano-32");
    let batch: usize = argument(1, "128").parse()?;
    let steps: usize = argument(2, "10").parse()?;

    let kernels = argument(3, "fused");
    protoclip::kernels::use_only_plain(kernels == "plain");

    let device = Device::flex().autodiff();
    let mut clip = ClipConfig::load(&name)?.init(0, Fidelity::Corrected, &device);
    let mut optimizer = optimizer(kernels == "plain");
    device.seed(0);
    let images = images(&clip, batch, &device);
    let tokens = tokens(&clip, batch, &device);
    let mut timings = Vec::new();
    let mut loss = f32::NAN;
    for _ in 0..steps.max(3) {
        let (timing, value);
        (clip, timing, value) = step(clip, &mut optimizer, images.clone(), tokens.clone());
        loss = value;
        timings.push(timing);
    }
    let median = |part: fn(&Timing) -> f64| {
        let mut parts: Vec<f64> = timings[2..].iter().map(part).collect();
        parts.sort_by(f64::total_cmp);
        (parts[parts.len() / 2] * 10.0).round() / 10.0
    };
    let total = median(|t| t.forward + t.backward + t.optimizer);
    println!(
        "{}",
        serde_json::json!({
            "work": "train-step", "kernels": kernels, "model": name, "batch": batch, "steps": steps, "loss": loss,
            "milliseconds": total, "forward": median(|t| t.forward),
            "backward": median(|t| t.backward), "optimizer": median(|t| t.optimizer),
        })
    );
    Ok(())
}

fn optimizer(plain: bool) -> ModuleOptimizer {
    let (beta_1, beta_2, epsilon, weight_decay) = (0.9, 0.98, 1e-6, 0.5);
    if plain {
        let config = AdamWConfig::new().with_beta_1(beta_1).with_beta_2(beta_2);
        let config = config.with_epsilon(epsilon).with_weight_decay(weight_decay);
        return ModuleOptimizer::from(config.build());
    }
    ModuleOptimizer::from(FusedAdamW {
        beta_1,
        beta_2,
        epsilon,
        weight_decay,
    })
}

fn images(clip: &Clip, batch: usize, device: &Device) -> Tensor<4> {
    let size = clip.image_size();
    Tensor::random(
        [batch, 3, size, size],
        Distribution::Normal(0.0, 1.0),
        device,
    )
}

fn tokens(clip: &Clip, batch: usize, device: &Device) -> Tensor<2, Int> {
    let (length, vocabulary) = (clip.context_length(), clip.vocab_size());
    let ids: Vec<i32> = (0..batch * length)
        .map(|i| (i.wrapping_mul(2_654_435_761) % vocabulary) as i32)
        .collect();
    Tensor::from_data(TensorData::new(ids, [batch, length]), device)
}

fn step(
    clip: Clip,
    optimizer: &mut ModuleOptimizer,
    images: Tensor<4>,
    tokens: Tensor<2, Int>,
) -> (Clip, Timing, f32) {
    let start = Instant::now();
    let (image, text) = (clip.encode_image(images), clip.encode_text(tokens));
    let scale = clip.logit_scale.val().exp();
    let towers = clip_loss(
        l2_normalize(image.clone()),
        l2_normalize(text.clone()),
        scale.clone(),
    );
    let (image, text) = (clip.project_image(image), clip.project_text(text));
    let heads = clip_loss(l2_normalize(image), l2_normalize(text), scale);
    let loss = towers + heads;
    let value = loss.clone().into_scalar();
    let forward = milliseconds(start);

    let start = Instant::now();
    let gradients = GradientsParams::from_grads(loss.backward(), &clip);
    let backward = milliseconds(start);

    let start = Instant::now();
    let clip = optimizer.step(5e-4, clip, gradients).clamp_logit_scales();
    let optimizer = milliseconds(start);
    let timing = Timing {
        forward,
        backward,
        optimizer,
    };
    (clip, timing, value)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
