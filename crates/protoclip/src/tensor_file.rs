//! Named arrays in one safetensors file, written atomically. The layout of every artifact that is
//! no model: prototype snapshots, translated prototypes, features.

use std::collections::HashMap;
use std::path::Path;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

/// Why such a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: {message}")]
    Format { path: String, message: String },
}

/// Arrays on their way to a file.
#[derive(Debug, Default)]
pub(crate) struct TensorFileWriter {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
    metadata: HashMap<String, String>,
}

impl TensorFileWriter {
    pub(crate) fn number(&mut self, key: &str, value: u64) {
        self.metadata.insert(key.to_owned(), value.to_string());
    }

    pub(crate) fn text(&mut self, key: &str, value: String) {
        self.metadata.insert(key.to_owned(), value);
    }

    /// Bytes of all arrays and texts; the file takes little more.
    pub(crate) fn bytes(&self) -> u64 {
        let arrays: usize = self
            .tensors
            .iter()
            .map(|(_, _, _, bytes)| bytes.len())
            .sum();
        let texts: usize = self.metadata.values().map(String::len).sum();
        (arrays + texts) as u64
    }

    pub(crate) fn f32(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors.push((name, Dtype::F32, shape, bytes));
    }

    pub(crate) fn u32(&mut self, name: String, values: &[u32]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors
            .push((name, Dtype::U32, vec![values.len()], bytes));
    }

    pub(crate) fn u64(&mut self, name: String, values: &[u64]) {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.tensors
            .push((name, Dtype::U64, vec![values.len()], bytes));
    }

    pub(crate) fn u8(&mut self, name: String, values: &[u8]) {
        self.tensors
            .push((name, Dtype::U8, vec![values.len()], values.to_vec()));
    }

    /// Values rounded to 16-bit floats: half the room, for what is only looked at.
    pub(crate) fn f16(&mut self, name: String, shape: Vec<usize>, values: &[f32]) {
        let rounded = values.iter().map(|&v| half::f16::from_f32(v));
        let bytes = rounded.flat_map(half::f16::to_le_bytes).collect();
        self.tensors.push((name, Dtype::F16, shape, bytes));
    }

    /// Writes the file so that a reader sees all of it or the one before.
    pub(crate) fn write(self, path: &Path) -> Result<(), TensorFileError> {
        let bytes = self.serialize().map_err(|e| TensorFileError::Format {
            path: path.display().to_string(),
            message: e.to_string(),
        })?;
        let io = |source| TensorFileError::Io {
            path: path.display().to_string(),
            source,
        };
        let temporary = path.with_extension("tmp");
        let written =
            std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path));
        if written.is_err() {
            // On a full disk half a file only takes what is left.
            let _best_effort = std::fs::remove_file(&temporary);
        }
        written.map_err(io)
    }

    fn serialize(self) -> Result<Vec<u8>, SafeTensorError> {
        let views = self
            .tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                let view = TensorView::new(*dtype, shape.clone(), bytes)?;
                Ok((name.as_str(), view))
            })
            .collect::<Result<Vec<_>, SafeTensorError>>()?;
        serialize(views, Some(self.metadata))
    }
}

/// A file's arrays, checked against its header.
#[derive(Debug)]
pub(crate) struct TensorFileReader<'a> {
    tensors: SafeTensors<'a>,
    metadata: HashMap<String, String>,
}

impl<'a> TensorFileReader<'a> {
    /// Reads `path` and hands its arrays to `take`, whose complaint is reported with the path.
    pub(crate) fn read<T>(
        path: &Path,
        take: impl FnOnce(&TensorFileReader<'_>) -> Result<T, String>,
    ) -> Result<T, TensorFileError> {
        let bytes = std::fs::read(path).map_err(|source| TensorFileError::Io {
            path: path.display().to_string(),
            source,
        })?;
        TensorFileReader::parse(&bytes)
            .and_then(|reader| take(&reader))
            .map_err(|message| TensorFileError::Format {
                path: path.display().to_string(),
                message,
            })
    }

    fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let metadata = header.metadata().clone().unwrap_or_default();
        Ok(Self { tensors, metadata })
    }

    pub(crate) fn number(&self, key: &str) -> Result<u64, String> {
        self.metadata
            .get(key)
            .and_then(|v| v.parse().ok())
            .ok_or_else(|| format!("metadata {key:?} is absent or no number"))
    }

    pub(crate) fn text(&self, key: &str) -> Result<&str, String> {
        let found = self.metadata.get(key).map(String::as_str);
        found.ok_or_else(|| format!("metadata {key:?} is absent"))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.tensors.tensor(name).is_ok()
    }

    /// Shape and values of a matrix.
    pub(crate) fn matrix(&self, name: &str) -> Result<(usize, usize, Vec<f32>), String> {
        let view = self.tensors.tensor(name).map_err(|e| e.to_string())?;
        let &[rows, columns] = view.shape() else {
            return Err(wrong_axes(name, view.shape()));
        };
        Ok((rows, columns, self.f32(name)?))
    }

    pub(crate) fn f32(&self, name: &str) -> Result<Vec<f32>, String> {
        Ok(self
            .words(name, Dtype::F32)?
            .map(f32::from_le_bytes)
            .collect())
    }

    pub(crate) fn u32(&self, name: &str) -> Result<Vec<u32>, String> {
        Ok(self
            .words(name, Dtype::U32)?
            .map(u32::from_le_bytes)
            .collect())
    }

    pub(crate) fn u64(&self, name: &str) -> Result<Vec<u64>, String> {
        let (words, _) = self.values(name, Dtype::U64)?.as_chunks::<8>();
        Ok(words.iter().map(|&b| u64::from_le_bytes(b)).collect())
    }

    pub(crate) fn u8(&self, name: &str) -> Result<Vec<u8>, String> {
        Ok(self.values(name, Dtype::U8)?.to_vec())
    }

    /// Shape and values of a matrix of 16-bit floats.
    pub(crate) fn f16_matrix(&self, name: &str) -> Result<(usize, usize, Vec<f32>), String> {
        let view = self.tensors.tensor(name).map_err(|e| e.to_string())?;
        let &[rows, columns] = view.shape() else {
            return Err(wrong_axes(name, view.shape()));
        };
        if view.dtype() != Dtype::F16 {
            return Err(format!("{name} is {:?}, wanted F16", view.dtype()));
        }
        let (pairs, _) = view.data().as_chunks::<2>();
        let values = pairs.iter().map(|&b| half::f16::from_le_bytes(b).to_f32());
        Ok((rows, columns, values.collect()))
    }

    fn words(
        &self,
        name: &str,
        dtype: Dtype,
    ) -> Result<impl Iterator<Item = [u8; 4]> + use<'a>, String> {
        let data = self.values(name, dtype)?;
        Ok(data.chunks_exact(4).map(|b| [b[0], b[1], b[2], b[3]]))
    }

    fn values(&self, name: &str, dtype: Dtype) -> Result<&'a [u8], String> {
        let view = self.tensors.tensor(name).map_err(|e| e.to_string())?;
        if view.dtype() != dtype {
            return Err(format!("{name} is {:?}, wanted {dtype:?}", view.dtype()));
        }
        Ok(view.data())
    }
}

fn wrong_axes(name: &str, shape: &[usize]) -> String {
    format!("{name} has shape {shape:?}, wanted two axes")
}
