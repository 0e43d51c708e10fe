//! `*_io.safetensors`: a model's outputs for given inputs, from each weight file beside it.

use std::path::Path;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde_json::Value;

use super::golden_file::{numbers, read_json};
use super::{GoldenError, GoldenFile, Measure, Report, beside, worst};
use crate::config::Fidelity;
use crate::model::{Clip, ClipConfig, l2_normalize, weights};

const TOLERANCE: f64 = 1e-4;

/// What a weight file of a model may be called after the model's name.
const WEIGHT_FILES: [&str; 3] = [
    "_open_clip.safetensors",
    "_checkpoint.pt",
    "_checkpoint_ddp.pt",
];

pub(super) fn check(
    path: &Path,
    device: &Device,
    report: &mut Report<'_>,
) -> Result<(), GoldenError> {
    let io = GoldenFile::open(path)?;
    let config = model_config(&beside(path, "_io.safetensors", "_train.json"))?;
    for end in WEIGHT_FILES {
        let file = beside(path, "_io.safetensors", end);
        if !file.exists() {
            continue;
        }
        let clip = config.init(0, Fidelity::Reference, device);
        let clip = weights::load(clip, &file).map_err(|e| GoldenError::compute("weights", e))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        for (output, values) in outputs(&clip.valid(), &io, device)? {
            let wanted = io.f32(&format!("eval/{output}"))?;
            if wanted.len() != values.len() {
                let message = format!("ours has {} values", values.len());
                return Err(io.wrong(&format!("eval/{output}"), message));
            }
            let error = worst(&values, &wanted);
            report.add(
                format!("{name}: {output}"),
                Measure::Absolute,
                error,
                TOLERANCE,
            );
        }
    }
    Ok(())
}

/// The configuration that the training log of a golden model holds.
pub(super) fn model_config(train: &Path) -> Result<ClipConfig, GoldenError> {
    let file: Value = read_json(train)?;
    let config = &file["config"];
    let open_clip = serde_json::json!({
        "embed_dim": config["embed_dim"],
        "vision_cfg": config["vision"],
        "text_cfg": config["text"],
        "quick_gelu": config["quick_gelu"],
        "projection_head": {
            "hidden": config["projection"]["hidden_dim"],
            "output": config["projection"]["dim"],
        },
    });
    let place = train.display().to_string();
    ClipConfig::from_json(&open_clip.to_string(), &place)
        .map_err(|e| GoldenError::format(train, format!("config: {e}")))
}

/// Everything that a model makes of the inputs in `io`, by the name of the golden tensor.
pub(super) fn outputs(
    clip: &Clip,
    io: &GoldenFile,
    device: &Device,
) -> Result<Vec<(&'static str, Vec<f32>)>, GoldenError> {
    let image = clip.encode_image(io.tensor("images", device)?);
    let text = clip.encode_text(io.ints("tokens", device)?);
    let unit = |tensor: Tensor<2>| numbers(l2_normalize(tensor));
    Ok(vec![
        ("image_encoded", numbers(image.clone())),
        ("text_encoded", numbers(text.clone())),
        ("image_projected", unit(clip.project_image(image.clone()))),
        ("text_projected", unit(clip.project_text(text.clone()))),
        ("image_features", unit(image)),
        ("text_features", unit(text)),
    ])
}
