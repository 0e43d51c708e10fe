//! Features from a NumPy file: two dimensions, C order, little-endian `f32` or `f16`.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use half::f16;

use super::{Progress, TeacherFeatures};
use crate::data::{DataError, PairSource, SampleId};

const MAGIC: &[u8] = b"\x93NUMPY";
/// Longest accepted header, in bytes.
const LONGEST_HEADER: usize = 64 << 10;
/// Most accepted dimensions of a feature.
const MOST_DIMENSIONS: usize = 65_536;
/// Rows between two reports of progress.
const REPORT_EVERY: usize = 4096;

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
    F32,
    F16,
}

impl Kind {
    const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }

    fn read(self, bytes: &[u8]) -> f32 {
        match self {
            Self::F32 => f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            Self::F16 => f16::from_le_bytes([bytes[0], bytes[1]]).to_f32(),
        }
    }
}

/// Reads the features of every pair of `source`. The file has one row per usable pair, or one per
/// row of the source's file, from which the usable ones are taken.
///
/// # Errors
/// When the file is no such array, has another number of rows, or holds a value that is not
/// finite; says what was found and what was wanted.
pub(super) fn read(
    path: &Path,
    source: &dyn PairSource,
    progress: Progress<'_>,
) -> Result<TeacherFeatures, DataError> {
    let file = File::open(path).map_err(|e| io(path, e))?;
    let length = file.metadata().map_err(|e| io(path, e))?.len();
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let header = Header::read(&mut reader).map_err(|message| format(path, message))?;
    header
        .check_length(length)
        .map_err(|message| format(path, message))?;
    let wanted = wanted_rows(path, header.rows, source)?;
    let mut features = TeacherFeatures {
        dim: header.dim,
        rows: Vec::with_capacity(source.len() * header.dim),
    };
    let mut bytes = vec![0; header.dim * header.kind.bytes()];
    let mut wanted = wanted.into_iter().peekable();
    for row in 0..header.rows {
        reader.read_exact(&mut bytes).map_err(|e| io(path, e))?;
        if row % REPORT_EVERY == 0 && !progress(row as u64, header.rows as u64) {
            return Err(DataError::Cancelled);
        }
        if wanted.next_if_eq(&(row as u64)).is_some() {
            let values = bytes.chunks_exact(header.kind.bytes());
            features
                .push_normalised(values.map(|b| header.kind.read(b)))
                .map_err(|message| format(path, format!("row {row} (from 0): {message}")))?;
        }
    }
    Ok(features)
}

/// The rows to take, in order.
fn wanted_rows(path: &Path, rows: usize, source: &dyn PairSource) -> Result<Vec<u64>, DataError> {
    let (pairs, all) = (source.len(), source.skipped().rows);
    if rows == pairs {
        return Ok((0..rows as u64).collect());
    }
    if rows as u64 == all {
        return Ok((0..pairs as SampleId)
            .map(|sample| source.record_number(sample))
            .collect());
    }
    let or_all = if all == pairs as u64 {
        String::new()
    } else {
        format!(", or {all}, one per row of the file")
    };
    Err(format(
        path,
        format!(
            "found {rows} rows, wanted {pairs}, one per usable pair of {}{or_all}; compute the features again for this data set",
            source.name()
        ),
    ))
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
            "<f4" => Kind::F32,
            "<f2" => Kind::F16,
            other => {
                return Err(format!(
                    "found values of type {other:?}, wanted <f4 or <f2; convert with .astype('float32')"
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

fn io(path: &Path, source: std::io::Error) -> DataError {
    DataError::Io {
        path: path.display().to_string(),
        source,
    }
}

fn format(path: &Path, message: impl Into<String>) -> DataError {
    DataError::Format {
        path: path.display().to_string(),
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::data::scripted::ScriptedSource;

    fn npy(descr: &str, order: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&[1, 0]);
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(values);
        bytes
    }

    fn f32s(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    fn read_bytes(bytes: &[u8], pairs: usize) -> Result<TeacherFeatures, String> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), bytes).expect("writes");
        read(file.path(), &ScriptedSource::new(pairs), &|_, _| true).map_err(|e| e.to_string())
    }

    #[test]
    fn both_types_are_read_and_normalised() {
        let bytes = npy("<f4", "False", "(2, 2)", &f32s(&[3.0, 4.0, 0.0, -2.0]));
        let features = read_bytes(&bytes, 2).expect("reads");
        assert_eq!(features.dim, 2);
        assert_eq!(features.rows, [0.6, 0.8, 0.0, -1.0]);
        let halves: Vec<u8> = [3.0, 4.0, 0.0, -2.0]
            .into_iter()
            .flat_map(|v| f16::from_f32(v).to_le_bytes())
            .collect();
        let features = read_bytes(&npy("<f2", "False", "(2, 2)", &halves), 2);
        assert_eq!(features.expect("reads").rows, [0.6, 0.8, 0.0, -1.0]);
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_was_wanted() {
        let two = f32s(&[1.0, 2.0]);
        let cases = [
            (
                npy("<f4", "False", "(2, 1)", &two),
                "found 2 rows, wanted 3",
            ),
            (npy("<f8", "False", "(1, 1)", &[0; 8]), "<f8"),
            (npy(">f4", "False", "(2, 1)", &two), ">f4"),
            (npy("<f4", "True", "(2, 1)", &two), "Fortran"),
            (npy("<f4", "False", "(2,)", &two), "shape (2,)"),
            (npy("<f4", "False", "(3, 0)", &[]), "shape (3, 0)"),
            (npy("<f4", "False", "(3, 1)", &two), "was cut"),
            (
                npy("<f4", "False", "(3, 1)", &f32s(&[1.0, f32::NAN, 0.0])),
                "row 1",
            ),
            (
                npy("<f4", "False", "(99999999999999999, 50000)", &two),
                "wanted more than there can be",
            ),
            (b"PK\x03\x04 zip file".to_vec(), "no .npy"),
            (b"\x93NUMPY".to_vec(), "header"),
        ];
        for (bytes, wanted) in cases {
            let message = read_bytes(&bytes, 3).expect_err(wanted);
            assert!(message.contains(wanted), "{wanted} not in {message}");
        }
    }

    #[test]
    fn rows_of_unusable_records_are_left_out() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let values = f32s(&[1.0, 0.0, 0.0, 1.0, -1.0, 0.0]);
        std::fs::write(file.path(), npy("<f4", "False", "(3, 2)", &values)).expect("writes");
        let source = ScriptedSource::new(2).with_records(&[0, 2], 3);
        let features = read(file.path(), &source, &|_, _| true).expect("reads");
        assert_eq!(features.rows, [1.0, 0.0, -1.0, 0.0]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_reading_panic(
            descr in "(<f4|<f2|[<>|a-z0-9]{0,5})",
            shape in "\\(?[0-9]{0,20}(, ?)?[0-9]{0,20}\\)?",
            values in proptest::collection::vec(any::<u8>(), 0..40),
            cut in 0_usize..200,
        ) {
            let mut bytes = npy(&descr, "False", &shape, &values);
            let _either = read_bytes(&bytes, 2);
            bytes.truncate(cut);
            let _either = read_bytes(&bytes, 2);
        }
    }
}
