//! Safetensors: a JSON header, then the numbers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata};

use super::source::{Location, OpenFile, Opened, WeightEntry};
use super::{NumberType, WeightsError};

/// Longest header that is read, the format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;

/// An open file whose header was checked.
#[derive(Debug)]
pub(super) struct SafetensorsFile {
    file: File,
    /// Where the numbers begin.
    data: u64,
}

/// Reads and checks the header.
pub(super) fn open(path: &Path) -> Result<Opened, WeightsError> {
    let io = |e| WeightsError::io(path, e);
    let format = |message: String| {
        let message = format!(
            "not a safetensors file ({message}); give a .safetensors file or a checkpoint that torch.save wrote"
        );
        WeightsError::format(path.display(), message)
    };
    let mut file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let header = read_header(&mut file, length)
        .map_err(io)?
        .ok_or_else(|| format("no header".into()))?;
    let data = 8 + header.len() as u64;
    // Checks that the tensors lie one after the other and have the bytes of their shapes.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| format(e.to_string()))?;
    let wanted = data + metadata.data_len() as u64;
    if wanted != length {
        return Err(format(format!(
            "its header describes {wanted} bytes, it has {length}"
        )));
    }
    let mut entries = BTreeMap::new();
    for (name, info) in metadata.tensors() {
        let (from, to) = info.data_offsets;
        let entry = WeightEntry {
            shape: info.shape.clone(),
            number_type: number_type(info.dtype),
            location: Location::Bytes {
                file: 0,
                from: from as u64,
                count: (to - from) as u64,
            },
        };
        entries.insert(name, entry);
    }
    let config = metadata.metadata().as_ref().and_then(|m| m.get("config"));
    Ok(Opened {
        config: config.cloned(),
        entries,
        file: OpenFile::Safetensors(SafetensorsFile { file, data }),
    })
}

/// The header's JSON; `None` when the file is no safetensors file.
fn read_header(file: &mut File, length: u64) -> std::io::Result<Option<Vec<u8>>> {
    if length < 8 {
        return Ok(None);
    }
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix)?;
    let count = u64::from_le_bytes(prefix);
    if count > LONGEST_HEADER || count > length - 8 {
        return Ok(None);
    }
    let mut header = Vec::new();
    file.take(count).read_to_end(&mut header)?;
    Ok(Some(header))
}

impl SafetensorsFile {
    /// The numbers in `count` bytes at `from`; the header's check keeps both within the file.
    pub(super) fn read(
        &mut self,
        from: u64,
        count: u64,
        number_type: &NumberType,
    ) -> Result<Vec<f32>, String> {
        let mut bytes = Vec::new();
        self.file
            .seek(SeekFrom::Start(self.data + from))
            .and_then(|_| (&self.file).take(count).read_to_end(&mut bytes))
            .map_err(|e| e.to_string())?;
        if bytes.len() as u64 != count {
            return Err("the file was cut while it was read".into());
        }
        let values = number_type.widen_all(&bytes);
        values.ok_or_else(|| format!("holds {}", number_type.name()))
    }
}

fn number_type(dtype: Dtype) -> NumberType {
    match dtype {
        Dtype::F16 => NumberType::F16,
        Dtype::BF16 => NumberType::BF16,
        Dtype::F32 => NumberType::F32,
        Dtype::F64 => NumberType::F64,
        other => NumberType::Other(other.to_string()),
    }
}
