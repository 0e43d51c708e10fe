//! Features from a NumPy file: two dimensions, C order, little-endian floats.

use std::path::Path;

use super::{Progress, TeacherFeatures};
use crate::data::{DataError, PairSource, SampleId};
use crate::npy::{NpyError, NpyReader};

/// Rows between two reports of progress.
const REPORT_EVERY: usize = 4096;

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
    let mut reader = NpyReader::open(path)?;
    let rows = reader.rows();
    let wanted = wanted_rows(path, rows, source)?;
    let mut features = TeacherFeatures {
        dim: reader.dim(),
        rows: Vec::with_capacity(source.len() * reader.dim()),
    };
    let mut wanted = wanted.into_iter().peekable();
    for row in 0..rows {
        let values = reader.next_row()?;
        if row % REPORT_EVERY == 0 && !progress(row as u64, rows as u64) {
            return Err(DataError::Cancelled);
        }
        if wanted.next_if_eq(&(row as u64)).is_some() {
            features
                .push_normalised(values)
                .map_err(|message| format!("row {row} (from 0): {message}"))
                .map_err(|message| DataError::format(path.display(), message))?;
        }
    }
    Ok(features)
}

/// The rows to take, in order.
fn wanted_rows(path: &Path, rows: usize, source: &dyn PairSource) -> Result<Vec<u64>, DataError> {
    let (pairs, all) = (source.len(), source.skipped().rows);
    let (of_whole, whole) = match source.in_whole() {
        Some((samples, whole)) => (Some(samples), whole),
        None => (None, pairs),
    };
    if rows == pairs {
        return Ok((0..rows as u64).collect());
    }
    if let (true, Some(samples)) = (rows == whole, of_whole) {
        return Ok(samples.iter().map(|&sample| u64::from(sample)).collect());
    }
    if rows as u64 == all {
        return Ok((0..pairs as SampleId)
            .map(|sample| source.record_number(sample))
            .collect());
    }
    let mut others = String::new();
    if whole != pairs {
        others += &format!(", or {pairs}, one per pair to train on");
    }
    if all != whole as u64 {
        others += &format!(", or {all}, one per row of the file");
    }
    Err(DataError::format(
        path.display(),
        format!(
            "found {rows} rows, wanted {whole}, one per usable pair of {}{others}; compute the features again for this data set",
            source.name()
        ),
    ))
}

impl From<NpyError> for DataError {
    fn from(error: NpyError) -> Self {
        match error {
            NpyError::Io { path, source } => Self::Io { path, source },
            NpyError::Format { path, message } => Self::Format { path, message },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use half::f16;
    use proptest::prelude::*;

    use super::*;
    use crate::data::scripted::ScriptedSource;
    use crate::data::training_part;
    use crate::npy::leading_bytes;

    fn npy(descr: &str, order: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = leading_bytes(descr, order, shape);
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
            (npy("<i8", "False", "(1, 1)", &[0; 8]), "<i8"),
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

    /// `teacher` writes a row per usable pair, whatever a run holds out.
    #[test]
    fn a_part_takes_its_rows_of_the_features_of_all_usable_pairs() {
        let records: Vec<u64> = (0..40).map(|i| i + i / 10).collect();
        let whole: Arc<dyn PairSource> =
            Arc::new(ScriptedSource::new(40).with_records(&records, 44));
        let rule = "sha1:4".parse().expect("a rule");
        let part = training_part(Arc::clone(&whole), &rule).expect("splits");
        let kept: Vec<f32> = (0..part.len() as SampleId)
            .map(|sample| part.record_number(sample))
            .map(|record| records.iter().position(|&r| r == record).expect("is one") as f32)
            .collect();
        let read = |rows: usize| {
            let file = tempfile::NamedTempFile::new().expect("temporary file");
            // The angle of a row tells its number, also at length 1.
            let angle = |row: usize| row as f32 / 100.0;
            let values: Vec<f32> = (0..rows)
                .flat_map(|r| [angle(r).cos(), angle(r).sin()])
                .collect();
            let shape = format!("({rows}, 2)");
            std::fs::write(file.path(), npy("<f4", "False", &shape, &f32s(&values)))
                .expect("writes");
            read(file.path(), &*part, &|_, _| true).map_err(|e| e.to_string())
        };
        let numbers = |features: TeacherFeatures| -> Vec<f32> {
            let rows = features.rows.chunks_exact(2);
            rows.map(|row| (row[1].atan2(row[0]) * 100.0).round())
                .collect()
        };
        assert_eq!(numbers(read(40).expect("one per usable pair")), kept);
        let of_rows = numbers(read(44).expect("one per row"));
        assert!(
            of_rows
                .iter()
                .zip(&kept)
                .all(|(&row, &pair)| row == pair + (pair / 10.0).floor())
        );
        let message = read(39).expect_err("fits nothing");
        for wanted in [
            "wanted 40",
            &format!("{}, one per pair to train", part.len()),
            "44, one per row",
        ] {
            assert!(message.contains(wanted), "{wanted} not in {message}");
        }
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
