//! Weight files: flat safetensors with OpenCLIP's names in PyTorch's layout.
//!
//! [`save`] and [`load`] are exact: f32 in, f32 out, bit for bit. Loading keeps every `ParamId`, the
//! gradient settings and the device of the model, so optimizer state still fits it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::parameter_name::{FileLayout, NamePath};
use super::{Clip, ClipConfig};

/// Why a weight file cannot be written or used.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: not a safetensors file: {message}")]
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
    #[error("{path}: tensor {tensor} holds {found}; f32, f16 or bf16 is needed")]
    Dtype {
        path: String,
        tensor: String,
        found: String,
    },
}

/// Writes all parameters and running statistics; the configuration goes into the metadata entry
/// `config`.
///
/// # Errors
/// When the file cannot be written.
pub fn save(clip: &Clip, config: &ClipConfig, path: &Path) -> Result<(), WeightsError> {
    let mut collector = Collector::default();
    clip.visit(&mut collector);
    let place = path.display().to_string();
    let format = |message: String| WeightsError::Format {
        path: place.clone(),
        message,
    };
    let json = serde_json::to_string(config).map_err(|e| format(e.to_string()))?;
    // One entry only: the writer keeps no order, and equal models shall give equal files.
    let metadata = HashMap::from([("config".to_owned(), json)]);
    let mut views = Vec::with_capacity(collector.tensors.len());
    for (name, (shape, bytes)) in &collector.tensors {
        let view =
            TensorView::new(Dtype::F32, shape.clone(), bytes).map_err(|e| format(e.to_string()))?;
        views.push((name.as_str(), view));
    }
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| format(e.to_string()))?;
    fs::write(path, bytes).map_err(|source| WeightsError::Io {
        path: place.clone(),
        source,
    })
}

/// Replaces the model's values by those of a file; f16 and bf16 are widened.
///
/// The projection heads and `logit_scale_proto` may be absent, as they are in OpenCLIP's own
/// weights; they keep the model's values then. Tensors that the model does not have are ignored.
///
/// # Errors
/// Names the first tensor that is missing or does not fit, with both shapes.
pub fn load(clip: Clip, path: &Path) -> Result<Clip, WeightsError> {
    let place = path.display().to_string();
    let bytes = fs::read(path).map_err(|source| WeightsError::Io {
        path: place.clone(),
        source,
    })?;
    let tensors = SafeTensors::deserialize(&bytes).map_err(|e| WeightsError::Format {
        path: place.clone(),
        message: e.to_string(),
    })?;
    let mut loader = Loader {
        path: NamePath::default(),
        place,
        tensors,
        failure: None,
    };
    let clip = clip.map(&mut loader);
    match loader.failure {
        Some(failure) => Err(failure),
        None => Ok(clip),
    }
}

/// Reads the configuration that [`save`] left in a file; `None` when it has none.
///
/// # Errors
/// When the file cannot be read, is no safetensors file, or its entry is not a configuration.
pub fn read_config(path: &Path) -> Result<Option<ClipConfig>, WeightsError> {
    let place = path.display().to_string();
    let bytes = fs::read(path).map_err(|source| WeightsError::Io {
        path: place.clone(),
        source,
    })?;
    let format = |message: String| WeightsError::Format {
        path: place.clone(),
        message,
    };
    let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| format(e.to_string()))?;
    let entry = metadata.metadata().as_ref().and_then(|m| m.get("config"));
    let config = entry.map(|json| ClipConfig::from_json(json, &place));
    config.transpose().map_err(|e| format(e.to_string()))
}

/// Copies every tensor out of a model, in file layout.
#[derive(Default)]
struct Collector {
    path: NamePath,
    tensors: BTreeMap<String, (Vec<usize>, Vec<u8>)>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.name();
        let layout = FileLayout::of(&name, D);
        let value = param.val().detach();
        let shape = layout.file_shape(&value.dims());
        let value = match layout {
            FileLayout::Transposed => value.transpose(),
            FileLayout::Same | FileLayout::Scalar => value,
        };
        let bytes = value
            .into_data()
            .iter::<f32>()
            .flat_map(f32::to_le_bytes)
            .collect();
        self.tensors.insert(name, (shape, bytes));
    }
}

/// Puts a file's tensors into a model; remembers the first failure and then changes nothing more.
struct Loader<'a> {
    path: NamePath,
    place: String,
    tensors: SafeTensors<'a>,
    failure: Option<WeightsError>,
}

impl Loader<'_> {
    /// The values for the tensor called `name`, `None` where the model's own are kept.
    fn values(&self, name: &str, wanted: &[usize]) -> Result<Option<Vec<f32>>, WeightsError> {
        let Ok(view) = self.tensors.tensor(name) else {
            return match is_optional(name) {
                true => Ok(None),
                false => Err(WeightsError::Missing {
                    path: self.place.clone(),
                    tensor: name.to_owned(),
                }),
            };
        };
        // A log-scale may also have been written as one row.
        let fits = view.shape() == wanted || (wanted.is_empty() && view.shape() == [1]);
        if !fits {
            return Err(WeightsError::Shape {
                path: self.place.clone(),
                tensor: name.to_owned(),
                wanted: wanted.to_vec(),
                found: view.shape().to_vec(),
            });
        }
        widen(&view).map(Some).ok_or_else(|| WeightsError::Dtype {
            path: self.place.clone(),
            tensor: name.to_owned(),
            found: view.dtype().to_string(),
        })
    }

    fn replace<const D: usize>(
        &self,
        name: &str,
        param: Param<Tensor<D>>,
    ) -> Result<Param<Tensor<D>>, WeightsError> {
        let layout = FileLayout::of(name, D);
        let dims = param.lazy_shape();
        let shape = layout.file_shape(&dims);
        let Some(values) = self.values(name, &shape)? else {
            return Ok(param);
        };
        let file_dims = match layout {
            FileLayout::Scalar => dims.to_vec(),
            FileLayout::Same | FileLayout::Transposed => shape,
        };
        Ok(param.map(|old| {
            let tracked = old.is_require_grad();
            let data = TensorData::new(values, file_dims);
            let value = Tensor::from_data(data, &old.device());
            let value = match layout {
                // Contiguous again, so that kernels need not copy it at every step.
                FileLayout::Transposed => contiguous(value.transpose()),
                FileLayout::Same | FileLayout::Scalar => value,
            };
            value.detach().set_require_grad(tracked)
        }))
    }
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.path.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self.failure.is_some() {
            return param;
        }
        let unchanged = param.clone();
        match self.replace(&self.path.name(), param) {
            Ok(param) => param,
            Err(failure) => {
                self.failure = Some(failure);
                unchanged
            }
        }
    }
}

fn contiguous<const D: usize>(value: Tensor<D>) -> Tensor<D> {
    let device = value.device();
    Tensor::from_data(value.into_data(), &device)
}

fn is_optional(name: &str) -> bool {
    name.contains("projection_head") || name == "logit_scale_proto"
}

/// A tensor's numbers as f32; `None` for types that hold none.
fn widen(view: &TensorView<'_>) -> Option<Vec<f32>> {
    let bytes = view.data();
    let pair = |b: &[u8]| [b[0], b[1]];
    match view.dtype() {
        Dtype::F32 => {
            let quads = bytes.chunks_exact(4);
            Some(
                quads
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect(),
            )
        }
        Dtype::F16 => {
            let pairs = bytes.chunks_exact(2);
            Some(
                pairs
                    .map(|b| f16::from_le_bytes(pair(b)).to_f32())
                    .collect(),
            )
        }
        Dtype::BF16 => {
            let pairs = bytes.chunks_exact(2);
            Some(
                pairs
                    .map(|b| bf16::from_le_bytes(pair(b)).to_f32())
                    .collect(),
            )
        }
        _ => None,
    }
}
