//! PyTorch checkpoints: the zip archives that `torch.save` writes since 1.6.
//!
//! An archive holds one pickle, which describes the tensors, and one stored (not compressed) entry per
//! storage. Opening reads the pickle only; an optimizer's state, most of a training checkpoint, is
//! never read. TorchScript archives, such as those that OpenAI published, are read likewise: the fields
//! of their modules are the state dict, and their code is left alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::{CompressionMethod, ZipArchive};

use super::pickle::{self, LONGEST_PICKLE, Origin, TensorRef};
use super::source::{Location, OpenFile, Opened, WeightEntry};
use super::{NumberType, WeightsError, pickled_state_dict};

/// A tensor of a [`TorchFile`].
pub(super) type TorchTensor = TensorRef;

/// An open archive.
#[derive(Debug)]
pub(super) struct TorchFile {
    archive: ZipArchive<BufReader<File>>,
    /// Folder that all entries are in, with a slash at its end.
    folder: String,
}

/// Largest file that is opened.
const LARGEST_FILE: u64 = 64 << 30;
/// Most entries of an archive: one per storage and a few more.
const MOST_ENTRIES: usize = 100_000;
/// All weights together may take this many times the file's bytes (f16 doubles, tied weights repeat).
const LARGEST_SHARE: u64 = 4;

/// Whether a file starts as a zip archive or as a pickle does.
pub(super) fn looks_like(path: &Path) -> Result<bool, WeightsError> {
    let mut start = Vec::new();
    File::open(path)
        .and_then(|file| file.take(9).read_to_end(&mut start))
        .map_err(|e| WeightsError::io(path, e))?;
    // The eight bytes before a safetensors header are its length and may look like anything.
    let safetensors = start.get(8) == Some(&b'{');
    let pickle = matches!(start[..], [0x80, 2..=5, ..]);
    Ok(!safetensors && (pickle || start.starts_with(b"PK")))
}

/// Opens an archive and describes its state dict.
pub(super) fn open(path: &Path) -> Result<Opened, WeightsError> {
    let io = |e| WeightsError::io(path, e);
    let format = |message: String| WeightsError::format(path.display(), message);
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    if length > LARGEST_FILE {
        return Err(format(format!(
            "{length} bytes are more than the {LARGEST_FILE} that a checkpoint may have"
        )));
    }
    let mut torch = TorchFile::open(file).map_err(format)?;
    let entries = torch.state_dict().map_err(format)?;
    check_size(&entries, length).map_err(format)?;
    Ok(Opened {
        entries,
        file: OpenFile::Torch(torch),
        config: None,
    })
}

impl TorchFile {
    fn open(file: File) -> Result<Self, String> {
        let archive = ZipArchive::new(BufReader::new(file)).map_err(|e| {
            format!(
                "not a zip archive ({e}); files of PyTorch before 1.6 must be saved again with a newer torch.save"
            )
        })?;
        if archive.len() > MOST_ENTRIES {
            return Err(format!("the archive has more than {MOST_ENTRIES} entries"));
        }
        let pickle = archive.file_names().flatten().find_map(|name| {
            let folder = name.strip_suffix("data.pkl")?;
            let outermost = folder.find('/').is_none_or(|at| at + 1 == folder.len());
            (outermost && (folder.is_empty() || folder.ends_with('/'))).then(|| folder.to_owned())
        });
        let folder = pickle.ok_or_else(|| {
            "the archive holds no data.pkl, so torch.save did not write it".to_owned()
        })?;
        Ok(Self { archive, folder })
    }

    /// Tensors of the state dict by name.
    fn state_dict(&mut self) -> Result<BTreeMap<String, WeightEntry>, String> {
        let order = self.entry("byteorder", 16)?.unwrap_or_default();
        if order.starts_with(b"big") {
            return Err("its numbers are big-endian; save it on a little-endian machine".into());
        }
        let bytes = self
            .entry("data.pkl", LONGEST_PICKLE)?
            .ok_or_else(|| "data.pkl is missing".to_owned())?;
        let constants = format!("{}constants.pkl", self.folder);
        let origin = match self.archive.index_for_name(&constants) {
            Some(_) => Origin::Scripted,
            None => Origin::Saved,
        };
        let read = pickle::read(&bytes, origin);
        let (heap, root) = read.map_err(|e| format!("data.pkl: {e}"))?;
        let tensors = pickled_state_dict::find(&heap, root)?;
        let entries = tensors.into_iter().map(|(name, tensor)| {
            let entry = WeightEntry {
                shape: tensor.shape.clone(),
                number_type: tensor.storage.number_type.clone(),
                location: Location::Torch { file: 0, tensor },
            };
            (name, entry)
        });
        Ok(entries.collect())
    }

    /// The bytes of an entry; `None` when there is none of this name.
    fn entry(&mut self, name: &str, most: u64) -> Result<Option<Vec<u8>>, String> {
        let name = format!("{}{name}", self.folder);
        let Some(index) = self.archive.index_for_name(&name) else {
            return Ok(None);
        };
        let entry = self.archive.by_index(index);
        let mut entry = entry.map_err(|e| format!("{name}: {e}"))?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(format!(
                "{name} is compressed, which torch.save never does; save the file again with it"
            ));
        }
        let size = entry.size();
        if size > most {
            return Err(format!("{name} has {size} bytes, at most {most} are read"));
        }
        // Grows with what is really there, whatever the archive claims.
        let mut bytes = Vec::new();
        let read = entry.by_ref().take(most + 1).read_to_end(&mut bytes);
        read.map_err(|e| format!("{name}: {e}"))?;
        if bytes.len() as u64 != size {
            return Err(format!("{name} does not have the {size} bytes it should"));
        }
        Ok(Some(bytes))
    }

    /// The numbers of a tensor in row-major order.
    pub(super) fn read(
        &mut self,
        tensor: &TorchTensor,
        number_type: &NumberType,
    ) -> Result<Vec<f32>, String> {
        let width = number_type
            .bytes()
            .ok_or_else(|| format!("holds {}", number_type.name()))?;
        let storage = &tensor.storage;
        let wanted = storage.count.checked_mul(width);
        let wanted = wanted.ok_or_else(|| "its storage is too large".to_owned())?;
        let name = format!("data/{}", storage.key);
        let bytes = self
            .entry(&name, wanted as u64)?
            .ok_or_else(|| format!("its storage {name} is missing"))?;
        if bytes.len() != wanted {
            return Err(format!(
                "its storage {name} has {} bytes, {wanted} are needed",
                bytes.len()
            ));
        }
        Ok(gather(tensor, number_type, width, &bytes))
    }
}

/// The elements of a view, the last axis fastest. The view was checked to lie within its storage.
fn gather(tensor: &TorchTensor, number_type: &NumberType, width: usize, bytes: &[u8]) -> Vec<f32> {
    let count = tensor.shape.iter().product();
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0; tensor.shape.len()];
    for _ in 0..count {
        let axes = index.iter().zip(&tensor.strides);
        let place = tensor.offset + axes.map(|(i, stride)| i * stride).sum::<usize>();
        values.push(number_type.widen(&bytes[place * width..][..width]));
        for (i, size) in index.iter_mut().zip(&tensor.shape).rev() {
            *i += 1;
            if *i < *size {
                break;
            }
            *i = 0;
        }
    }
    values
}

/// Refuses files whose tensors, read, would be far larger than the file.
fn check_size(entries: &BTreeMap<String, WeightEntry>, length: u64) -> Result<(), String> {
    let numbers = |entry: &WeightEntry| match entry.number_type.bytes() {
        None => 0,
        Some(_) => entry.shape.iter().product::<usize>() as u64,
    };
    let bytes = entries
        .values()
        .map(numbers)
        .fold(0u64, u64::saturating_add);
    let bytes = bytes.saturating_mul(4);
    let most = length.saturating_mul(LARGEST_SHARE);
    if bytes > most {
        return Err(format!(
            "its tensors take {bytes} bytes, more than {LARGEST_SHARE} times the file"
        ));
    }
    Ok(())
}
