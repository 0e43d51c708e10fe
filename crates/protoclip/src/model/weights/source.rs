//! Named tensors in one or more files, opened but not yet read.

use std::collections::BTreeMap;
use std::path::Path;

use super::safetensors_file::{self, SafetensorsFile};
use super::torch_file::{self, TorchFile, TorchTensor};
use super::{NumberType, WeightsError, state_dict};

/// The tensors of a weight file by name, in a fixed order. Opening one reads names, shapes and types
/// only; numbers are read one tensor at a time, so no model is held in memory twice.
#[derive(Debug)]
pub struct WeightSource {
    /// The file, as errors name it.
    place: String,
    entries: BTreeMap<String, WeightEntry>,
    files: Vec<OpenFile>,
    /// JSON of the model's configuration, where the file carries it.
    config: Option<String>,
    /// Names that were left out on purpose.
    ignored: Vec<String>,
}

/// One tensor of a [`WeightSource`].
#[derive(Debug, Clone)]
pub struct WeightEntry {
    /// As in the file (PyTorch's layout).
    pub shape: Vec<usize>,
    pub number_type: NumberType,
    pub(super) location: Location,
}

/// Where the numbers of a tensor lie.
#[derive(Debug, Clone)]
pub(super) enum Location {
    /// `file` counts the open files; the bytes are contiguous.
    Bytes { file: usize, from: u64, count: u64 },
    /// A view of a storage in a PyTorch archive.
    Torch { file: usize, tensor: TorchTensor },
}

/// A file from which numbers can be read.
#[derive(Debug)]
pub(super) enum OpenFile {
    Safetensors(SafetensorsFile),
    Torch(TorchFile),
}

/// What one format's reader found.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) entries: BTreeMap<String, WeightEntry>,
    pub(super) file: OpenFile,
    pub(super) config: Option<String>,
}

impl WeightSource {
    /// Opens a safetensors file or a PyTorch archive (`.pt`, `.pth`, `.bin`, …), told apart by their
    /// first bytes. Prefixes of wrappers (`module.`, `_orig_mod.`) are gone from the names, and
    /// buffers that are no weights are left out.
    ///
    /// # Errors
    /// When the file cannot be read, is of no known format, is larger or stranger than a weight file
    /// may be, or names code.
    pub fn open(path: &Path) -> Result<Self, WeightsError> {
        let place = path.display().to_string();
        let opened = if torch_file::looks_like(path)? {
            torch_file::open(path)?
        } else {
            safetensors_file::open(path)?
        };
        let (entries, ignored) = state_dict::clean(opened.entries);
        Ok(Self {
            place,
            entries,
            files: vec![opened.file],
            config: opened.config,
            ignored,
        })
    }

    /// Adds the tensors of another file; of equal names the new ones win.
    ///
    /// # Errors
    /// As [`WeightSource::open`].
    pub fn add(&mut self, path: &Path) -> Result<(), WeightsError> {
        let other = Self::open(path)?;
        let shift = self.files.len();
        for (name, mut entry) in other.entries {
            entry.location.shift(shift);
            self.entries.insert(name, entry);
        }
        self.files.extend(other.files);
        self.ignored.extend(other.ignored);
        Ok(())
    }

    /// The file's path.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Shape and type of a tensor.
    pub fn entry(&self, name: &str) -> Option<&WeightEntry> {
        self.entries.get(name)
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The configuration that the file carries, as JSON.
    pub fn config(&self) -> Option<&str> {
        self.config.as_deref()
    }

    /// Buffers that were left out because they are no weights.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Leaves a tensor out.
    pub fn ignore(&mut self, name: &str) {
        if self.entries.remove(name).is_some() {
            self.ignored.push(name.to_owned());
        }
    }

    /// The numbers of a tensor in row-major order; f16 and bf16 are widened, f64 is rounded.
    ///
    /// # Errors
    /// When the tensor is missing, holds no floating-point numbers, or cannot be read.
    pub fn read(&mut self, name: &str) -> Result<Vec<f32>, WeightsError> {
        let Some(entry) = self.entries.get(name) else {
            return Err(WeightsError::Missing {
                path: self.place.clone(),
                tensor: name.to_owned(),
            });
        };
        if entry.number_type.bytes().is_none() {
            return Err(WeightsError::Dtype {
                path: self.place.clone(),
                tensor: name.to_owned(),
                found: entry.number_type.name().to_owned(),
            });
        }
        let read = match &entry.location {
            Location::Bytes { file, from, count } => match &mut self.files[*file] {
                OpenFile::Safetensors(file) => file.read(*from, *count, &entry.number_type),
                OpenFile::Torch(_) => Err("is not where its file says".to_owned()),
            },
            Location::Torch { file, tensor } => match &mut self.files[*file] {
                OpenFile::Torch(file) => file.read(tensor, &entry.number_type),
                OpenFile::Safetensors(_) => Err("is not where its file says".to_owned()),
            },
        };
        read.map_err(|e| WeightsError::format(&self.place, format!("tensor {name}: {e}")))
    }

    /// The shape of a tensor that a model of this kind must have.
    pub(in crate::model) fn shape(&self, name: &str) -> Result<&[usize], WeightsError> {
        match self.entries.get(name) {
            Some(entry) => Ok(&entry.shape),
            None => Err(WeightsError::Missing {
                path: self.place.clone(),
                tensor: name.to_owned(),
            }),
        }
    }
}

impl Location {
    fn shift(&mut self, by: usize) {
        match self {
            Self::Bytes { file, .. } | Self::Torch { file, .. } => *file += by,
        }
    }
}
