//! Tower outputs of a model for given inputs, to be compared with those of another program.
//!
//! ```sh
//! cargo run --example encode -- MODEL INPUTS.safetensors OUTPUTS.safetensors
//! ```
//!
//! `MODEL` is whatever `protoclip::model::load_checkpoint` opens. `INPUTS` holds `images`
//! `[n, 3, size, size]` (f32, normalised) and `tokens` `[m, context]` (i64); `OUTPUTS` gets
//! `image_encoded` `[n, embed_dim]` and `text_encoded` `[m, embed_dim]`, not normalised.

use std::error::Error;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use protoclip::model::load_checkpoint;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [model, inputs, outputs] = arguments.as_slice() else {
        return Err("usage: encode MODEL INPUTS.safetensors OUTPUTS.safetensors".into());
    };
    let device = Device::flex();
    let model = load_checkpoint(model, &device)?;
    for note in &model.notes {
        eprintln!("{note}");
    }
    let bytes = std::fs::read(inputs)?;
    let inputs = SafeTensors::deserialize(&bytes)?;
    let images = inputs.tensor("images")?;
    let pixels: Vec<f32> = images
        .data()
        .as_chunks::<4>()
        .0
        .iter()
        .map(|&b| f32::from_le_bytes(b))
        .collect();
    let images = Tensor::<4>::from_data(TensorData::new(pixels, images.shape().to_vec()), &device);
    let tokens = inputs.tensor("tokens")?;
    let ids: Vec<i64> = tokens
        .data()
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&b| i64::from_le_bytes(b))
        .collect();
    let tokens =
        Tensor::<2, Int>::from_data(TensorData::new(ids, tokens.shape().to_vec()), &device);
    let encoded = [
        ("image_encoded", model.clip.encode_image(images)),
        ("text_encoded", model.clip.encode_text(tokens)),
    ];
    write(outputs, encoded)
}

fn write(path: &Path, tensors: [(&str, Tensor<2>); 2]) -> Result<(), Box<dyn Error>> {
    let mut plain = Vec::new();
    for (name, tensor) in tensors {
        let shape = tensor.dims().to_vec();
        let values: Vec<f32> = tensor
            .into_data()
            .try_to_vec()
            .map_err(|e| format!("{e:?}"))?;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        plain.push((name, shape, bytes));
    }
    let mut views = Vec::new();
    for (name, shape, bytes) in &plain {
        views.push((*name, TensorView::new(Dtype::F32, shape.clone(), bytes)?));
    }
    std::fs::write(path, safetensors::serialize(views, None)?)?;
    Ok(())
}
