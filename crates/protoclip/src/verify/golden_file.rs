//! Reads golden files; whatever is wrong with one becomes an error that names the place.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::SafeTensors;
use safetensors::tensor::Dtype;

/// Why a golden file cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {message}", path.display())]
    Format { path: PathBuf, message: String },
    #[error("{}: tensor {tensor}: {message}", path.display())]
    Tensor {
        path: PathBuf,
        tensor: String,
        message: String,
    },
    #[error("{case}: {message}")]
    Compute { case: String, message: String },
}

impl GoldenError {
    pub(super) fn format(path: &Path, message: impl ToString) -> Self {
        Self::Format {
            path: path.to_owned(),
            message: message.to_string(),
        }
    }

    /// An error of the code under comparison.
    pub(super) fn compute(case: &str, message: impl ToString) -> Self {
        Self::Compute {
            case: case.to_owned(),
            message: message.to_string(),
        }
    }
}

/// A safetensors file in memory.
#[derive(Debug)]
pub(super) struct GoldenFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl GoldenFile {
    pub(super) fn open(path: &Path) -> Result<Self, GoldenError> {
        let bytes = read(path)?;
        let file = Self {
            path: path.to_owned(),
            bytes,
        };
        file.tensors()?;
        Ok(file)
    }

    pub(super) fn names(&self) -> Result<Vec<String>, GoldenError> {
        let mut names: Vec<String> = self
            .tensors()?
            .names()
            .into_iter()
            .map(String::from)
            .collect();
        names.sort();
        Ok(names)
    }

    /// Shape of a tensor.
    pub(super) fn shape(&self, tensor: &str) -> Result<Vec<usize>, GoldenError> {
        Ok(self
            .tensors()?
            .tensor(tensor)
            .map_err(|e| self.wrong(tensor, e))?
            .shape()
            .to_vec())
    }

    /// Rows and columns of a matrix.
    pub(super) fn matrix_shape(&self, tensor: &str) -> Result<[usize; 2], GoldenError> {
        let shape = self.shape(tensor)?;
        <[usize; 2]>::try_from(shape.as_slice())
            .map_err(|_| self.wrong(tensor, format!("has shape {shape:?}; a matrix is needed")))
    }

    pub(super) fn f32(&self, tensor: &str) -> Result<Vec<f32>, GoldenError> {
        self.values(tensor, Dtype::F32, f32::from_le_bytes)
    }

    pub(super) fn f64(&self, tensor: &str) -> Result<Vec<f64>, GoldenError> {
        self.values(tensor, Dtype::F64, f64::from_le_bytes)
    }

    /// A tensor of class or row numbers.
    pub(super) fn labels(&self, tensor: &str) -> Result<Vec<u32>, GoldenError> {
        let values = self.values(tensor, Dtype::I64, i64::from_le_bytes)?;
        let labels = values
            .into_iter()
            .map(u32::try_from)
            .collect::<Result<_, _>>();
        labels.map_err(|_| self.wrong(tensor, "holds a number that is no label"))
    }

    pub(super) fn tensor<const D: usize>(
        &self,
        tensor: &str,
        device: &Device,
    ) -> Result<Tensor<D>, GoldenError> {
        let shape = self.shape_of::<D>(tensor)?;
        Ok(Tensor::from_data(
            TensorData::new(self.f32(tensor)?, shape),
            device,
        ))
    }

    pub(super) fn ints<const D: usize>(
        &self,
        tensor: &str,
        device: &Device,
    ) -> Result<Tensor<D, Int>, GoldenError> {
        let shape = self.shape_of::<D>(tensor)?;
        let values: Vec<i32> = self.labels(tensor)?.into_iter().map(|v| v as i32).collect();
        Ok(Tensor::from_data(TensorData::new(values, shape), device))
    }

    /// An error about a tensor of this file.
    pub(super) fn wrong(&self, tensor: &str, message: impl ToString) -> GoldenError {
        GoldenError::Tensor {
            path: self.path.clone(),
            tensor: tensor.to_owned(),
            message: message.to_string(),
        }
    }

    fn tensors(&self) -> Result<SafeTensors<'_>, GoldenError> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| GoldenError::format(&self.path, e))
    }

    fn shape_of<const D: usize>(&self, tensor: &str) -> Result<Vec<usize>, GoldenError> {
        let shape = self.shape(tensor)?;
        match shape.len() == D {
            true => Ok(shape),
            false => Err(self.wrong(tensor, format!("has shape {shape:?}; rank {D} is needed"))),
        }
    }

    fn values<T, const BYTES: usize>(
        &self,
        tensor: &str,
        dtype: Dtype,
        of: impl Fn([u8; BYTES]) -> T,
    ) -> Result<Vec<T>, GoldenError> {
        let file = self.tensors()?;
        let view = file.tensor(tensor).map_err(|e| self.wrong(tensor, e))?;
        if view.dtype() != dtype {
            let message = format!("holds {:?}; {dtype:?} is needed", view.dtype());
            return Err(self.wrong(tensor, message));
        }
        let (values, _) = view.data().as_chunks::<BYTES>();
        Ok(values.iter().map(|&bytes| of(bytes)).collect())
    }
}

/// A whole file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, GoldenError> {
    std::fs::read(path).map_err(|source| GoldenError::Io {
        path: path.to_owned(),
        source,
    })
}

/// A JSON file as `T`; the error names the field.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, GoldenError> {
    let bytes = read(path)?;
    let mut json = serde_json::Deserializer::from_slice(&bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|e| GoldenError::format(path, e))
}

/// A tensor's numbers in row-major order.
pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}
