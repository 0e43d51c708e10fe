//! Matrices in NumPy files: two dimensions, C order, little-endian `f16`, `f32` or `f64`.
//!
//! Read by the `npy` teacher and by `bench`, on the caller's thread. Values become `f32`; whether
//! they are finite is for the caller to check.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use half::f16;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest accepted header, in bytes.
const LONGEST_HEADER: usize = 64 << 10;
/// Most accepted dimensions of a row.
const MOST_DIMENSIONS: usize = 65_536;

/// Why a NumPy file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: {message}")]
    Format { path: String, message: String },
}

/// A matrix that fits into memory.
#[derive(Debug, Clone, PartialEq)]
pub struct NpyMatrix {
    pub rows: usize,
    /// Numbers per row.
    pub dim: usize,
    /// `[rows, dim]`, row-major.
    pub values: Vec<f32>,
}

impl NpyMatrix {
    /// Reads a whole file.
    ///
    /// # Errors
    /// When the file is no such array; says what was found and what was wanted.
    pub fn read(path: &Path) -> Result<Self, NpyError> {
        let mut reader = NpyReader::open(path)?;
        let mut values = Vec::with_capacity(reader.rows() * reader.dim());
        for _ in 0..reader.rows() {
            values.extend(reader.next_row()?);
        }
        Ok(Self {
            rows: reader.rows(),
            dim: reader.dim(),
            values,
        })
    }

    /// Writes `f32` values that `numpy.load` reads.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), NpyError> {
        let shape = format!("({}, {})", self.rows, self.dim);
        let mut bytes = leading_bytes("<f4", "False", &shape);
        bytes.extend(self.values.iter().flat_map(|v| v.to_le_bytes()));
        let written = File::create(path).and_then(|file| {
            let mut file = BufWriter::new(file);
            file.write_all(&bytes)?;
            file.flush()
        });
        written.map_err(|source| io(path, source))
    }
}

/// A file that is read row by row.
#[derive(Debug)]
pub(crate) struct NpyReader {
    path: PathBuf,
    file: BufReader<File>,
    header: Header,
    row: Vec<u8>,
}

impl NpyReader {
    pub(crate) fn open(path: &Path) -> Result<Self, NpyError> {
        let file = File::open(path).map_err(|e| io(path, e))?;
        let length = file.metadata().map_err(|e| io(path, e))?.len();
        let mut file = BufReader::with_capacity(1 << 18, file);
        let header = Header::read(&mut file).and_then(|header| {
            header.check_length(length)?;
            Ok(header)
        });
        let header = header.map_err(|message| NpyError::Format {
            path: path.display().to_string(),
            message,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            header,
            row: vec![0; header.dim * header.kind.bytes()],
        })
    }

    pub(crate) fn rows(&self) -> usize {
        self.header.rows
    }

    pub(crate) fn dim(&self) -> usize {
        self.header.dim
    }

    /// The values of the next row.
    pub(crate) fn next_row(&mut self) -> Result<impl Iterator<Item = f32> + '_, NpyError> {
        self.file
            .read_exact(&mut self.row)
            .map_err(|e| io(&self.path, e))?;
        let kind = self.header.kind;
        let values = self.row.chunks_exact(kind.bytes());
        Ok(values.map(move |bytes| kind.read(bytes)))
    }
}

/// What the header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    kind: Kind,
    rows: usize,
    dim: usize,
    /// Offset of the first value.
    start: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    F16,
    F32,
    F64,
}

impl Kind {
    const fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn read(self, bytes: &[u8]) -> f32 {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        let [a, b, c, d, ..] = eight;
        match self {
            Self::F16 => f16::from_le_bytes([a, b]).to_f32(),
            Self::F32 => f32::from_le_bytes([a, b, c, d]),
            Self::F64 => f64::from_le_bytes(eight) as f32,
        }
    }
}

impl Header {
    fn read(reader: &mut impl Read) -> Result<Self, String> {
        let mut lead = [0; 8];
        read_exactly(reader, &mut lead)?;
        if !lead.starts_with(MAGIC) {
            return Err("this is no .npy file; save the features with numpy.save".into());
        }
        let length_bytes = if lead[6] == 1 { 2 } else { 4 };
        let mut length = [0; 4];
        read_exactly(reader, &mut length[..length_bytes])?;
        let length = u32::from_le_bytes(length) as usize;
        if length > LONGEST_HEADER {
            return Err(format!(
                "its header claims {length} bytes; the file is damaged"
            ));
        }
        let mut text = vec![0; length];
        read_exactly(reader, &mut text)?;
        let start = lead.len() + length_bytes + length;
        Self::parse(&String::from_utf8_lossy(&text), start)
    }

    fn parse(text: &str, start: usize) -> Result<Self, String> {
        let kind = match field(text, "descr").trim_matches(['\'', '"']) {
            "<f2" => Kind::F16,
            "<f4" => Kind::F32,
            "<f8" => Kind::F64,
            other => {
                return Err(format!(
                    "found values of type {other:?}, wanted <f4, <f8 or <f2; convert with .astype('float32')"
                ));
            }
        };
        if field(text, "fortran_order") != "False" {
            return Err(
                "found Fortran order, wanted C order; convert with numpy.ascontiguousarray".into(),
            );
        }
        let shape = shape(text);
        match shape.as_deref() {
            Some(&[rows, dim]) if (1..=MOST_DIMENSIONS).contains(&dim) => Ok(Self {
                kind,
                rows,
                dim,
                start,
            }),
            _ => Err(format!(
                "found shape {}, wanted (rows, dimensions) with 1 to {MOST_DIMENSIONS} dimensions",
                shape_text(text)
            )),
        }
    }

    fn check_length(&self, length: u64) -> Result<(), String> {
        let values = (self.rows as u64).checked_mul((self.dim * self.kind.bytes()) as u64);
        let wanted = values.and_then(|v| v.checked_add(self.start as u64));
        if wanted == Some(length) {
            return Ok(());
        }
        Err(format!(
            "found {length} bytes, wanted {} for {} × {} values; the file was cut or is damaged",
            wanted.map_or_else(|| "more than there can be".into(), |w| w.to_string()),
            self.rows,
            self.dim
        ))
    }
}

/// The text of a value of the header's dictionary, up to the next comma.
fn field<'a>(text: &'a str, name: &str) -> &'a str {
    after_key(text, name)
        .and_then(|rest| rest.split([',', '}']).next())
        .unwrap_or_default()
        .trim()
}

fn after_key<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("'{name}'"))?;
    rest.trim_start().strip_prefix(':')
}

fn shape_text(text: &str) -> &str {
    after_key(text, "shape")
        .and_then(|rest| rest.split_inclusive(')').next())
        .unwrap_or("none")
        .trim()
}

fn shape(text: &str) -> Option<Vec<usize>> {
    let inside = shape_text(text).strip_prefix('(')?.strip_suffix(')')?;
    inside
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().ok())
        .collect()
}

fn read_exactly(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), String> {
    reader
        .read_exact(bytes)
        .map_err(|e| format!("the header cannot be read: {e}"))
}

fn io(path: &Path, source: std::io::Error) -> NpyError {
    NpyError::Io {
        path: path.display().to_string(),
        source,
    }
}

/// Everything before the values: magic, version 1.0, and the header, padded to 64 bytes.
pub(crate) fn leading_bytes(descr: &str, order: &str, shape: &str) -> Vec<u8> {
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
    while !(MAGIC.len() + 4 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[1, 0]);
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let matrix = NpyMatrix {
            rows: 2,
            dim: 3,
            values: vec![0.5, -1.0, 2.0, 3.25, f32::MIN_POSITIVE, 1e30],
        };
        matrix.write(file.path()).expect("writes");
        assert_eq!(NpyMatrix::read(file.path()).expect("reads"), matrix);
    }

    #[test]
    fn doubles_become_singles() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let mut bytes = leading_bytes("<f8", "False", "(1, 2)");
        bytes.extend([0.1_f64, -7.5].iter().flat_map(|v| v.to_le_bytes()));
        std::fs::write(file.path(), bytes).expect("writes");
        let matrix = NpyMatrix::read(file.path()).expect("reads");
        assert_eq!(matrix.values, [0.1, -7.5]);
    }
}
