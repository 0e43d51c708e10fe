//! Weight files: tensors by OpenCLIP's names in PyTorch's layout.
//!
//! [`WeightSource`] opens safetensors files and PyTorch checkpoints; [`save`] writes safetensors.
//! [`save`] and [`load`] are exact: f32 in, f32 out, bit for bit. Loading keeps every `ParamId`, the
//! gradient settings and the device of the model, so optimizer state still fits it. What a foreign
//! file needs beyond that, an architecture, is in [`import`](super::import_weights).

mod number;
mod pickle;
mod pickled_state_dict;
mod safetensors_file;
mod source;
pub(super) mod state_dict;
mod summary;
mod torch_file;
pub(super) mod transfer;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};

pub use number::NumberType;
pub use source::{WeightEntry, WeightSource};
pub use summary::{TensorNumbers, TensorShape, measure_tensors, tensor_shapes};

use super::{Clip, ClipConfig};
use transfer::PlainTensor;

/// Why a weight file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: {message}")]
    Format { path: String, message: String },
    #[error("{path}: tensor {tensor} is missing; the file does not belong to this model")]
    Missing { path: String, tensor: String },
    #[error(
        "{path}: tensor {tensor} has shape {found:?}, the model needs {wanted:?}; choose the model that the file was trained with"
    )]
    Shape {
        path: String,
        tensor: String,
        wanted: Vec<usize>,
        found: Vec<usize>,
    },
    #[error("{path}: tensor {tensor} holds {found}; f64, f32, f16 or bf16 is needed")]
    Dtype {
        path: String,
        tensor: String,
        found: String,
    },
    #[error(
        "{path}: tensor {tensor} of shape {found:?} has no place in this model; its architecture is not one of CLIP's"
    )]
    Unexpected {
        path: String,
        tensor: String,
        found: Vec<usize>,
    },
}

impl WeightsError {
    /// What the system said about a file.
    fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.display().to_string(),
            source,
        }
    }

    /// What is wrong with the content of a file.
    pub(super) fn format(place: impl std::fmt::Display, message: impl ToString) -> Self {
        Self::Format {
            path: place.to_string(),
            message: message.to_string(),
        }
    }
}

/// Writes all parameters and running statistics; the configuration goes into the metadata entry
/// `config`.
///
/// # Errors
/// When the file cannot be written.
pub fn save(clip: &Clip, config: &ClipConfig, path: &Path) -> Result<(), WeightsError> {
    write(&transfer::tensors_of(clip), &[], config, path)
}

/// Replaces the model's values by those of a weight file; other number types are widened to f32.
///
/// The projection heads and `logit_scale_proto` may be absent, as they are in OpenCLIP's own
/// weights; they keep the model's values then. Tensors that the model does not have are ignored.
///
/// # Errors
/// Names the first tensor that is missing or does not fit, with both shapes.
pub fn load(clip: Clip, path: &Path) -> Result<Clip, WeightsError> {
    let mut source = WeightSource::open(path)?;
    Ok(transfer::fill(clip, &mut source)?.clip)
}

/// Reads the configuration that [`save`] left in a file; `None` when it has none.
///
/// # Errors
/// When the file cannot be read, is no weight file, or its entry is not a configuration.
pub fn read_config(path: &Path) -> Result<Option<ClipConfig>, WeightsError> {
    let source = WeightSource::open(path)?;
    let config = source
        .config()
        .map(|json| ClipConfig::from_json(json, source.place()));
    config
        .transpose()
        .map_err(|e| WeightsError::format(path.display(), e))
}

/// Writes tensors and, as 64-bit zeros, the counters of the given names.
pub(super) fn write(
    tensors: &BTreeMap<String, PlainTensor>,
    counters: &[String],
    config: &ClipConfig,
    path: &Path,
) -> Result<(), WeightsError> {
    let format = |e: &dyn std::error::Error| WeightsError::format(path.display(), e);
    let json = serde_json::to_string(config).map_err(|e| format(&e))?;
    // One entry only: the writer keeps no order, and equal models shall give equal files.
    let metadata = HashMap::from([("config".to_owned(), json)]);
    let bytes: Vec<Vec<u8>> = tensors
        .values()
        .map(|(_, values)| le_bytes(values))
        .collect();
    let mut views = Vec::with_capacity(tensors.len() + counters.len());
    for ((name, (shape, _)), bytes) in tensors.iter().zip(&bytes) {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes);
        views.push((name.as_str(), view.map_err(|e| format(&e))?));
    }
    for name in counters {
        let view = TensorView::new(Dtype::I64, Vec::new(), &[0; 8]);
        views.push((name.as_str(), view.map_err(|e| format(&e))?));
    }
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| format(&e))?;
    fs::write(path, bytes).map_err(|e| WeightsError::io(path, e))
}

fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
