//! Features of every caption of a data set, written as the `npy` teacher reads them.
//!
//! Embeddings go to `OUT.partial` chunk by chunk, so that a stopped or killed command goes on where it
//! was; `OUT.partial.json` says what they belong to. At the end they are reduced by PCA and written to
//! `OUT`, whole or not at all. Memory grows with a chunk and with the rows that PCA is fitted on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{EncodeProgress, SentenceEncoder, TeacherError};
use crate::analysis::Pca;
use crate::data::{PairSource, SampleId};
use crate::npy::leading_bytes;

/// Captions encoded between two writes.
const CHUNK: usize = 1024;
/// Rows that PCA is fitted on, at most: evenly spread over the data set.
const MOST_FITTED: usize = 200_000;

/// What to write where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureFile {
    pub path: PathBuf,
    /// Numbers per row; `None` keeps those of the encoder.
    pub dim: Option<usize>,
    /// Names the encoder's files; embeddings of another one are not gone on with.
    pub model: String,
}

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct WrittenFeatures {
    pub rows: usize,
    pub dim: usize,
    /// Rows that an earlier command had left.
    pub resumed: usize,
    /// Share of the variance that PCA kept; 1 without it.
    pub explained_variance: f64,
}

/// What the rows of `OUT.partial` belong to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Owner {
    model: String,
    data: String,
    rows: usize,
    dim: usize,
}

impl FeatureFile {
    /// Encodes the captions of `source` and writes the file. `progress` is told captions done and in
    /// all, and may cancel; what was done then is kept.
    ///
    /// # Errors
    /// When a file cannot be written, a caption cannot be read, there are fewer rows than dimensions,
    /// or `progress` cancels.
    pub fn write(
        &self,
        encoder: &SentenceEncoder,
        source: &dyn PairSource,
        progress: EncodeProgress<'_>,
    ) -> Result<WrittenFeatures, TeacherError> {
        let rows = source.len();
        let most = encoder.dim().min(rows);
        if let Some(dim) = self.dim.filter(|&dim| dim == 0 || dim > most) {
            return Err(TeacherError::Dimensions { dim, most });
        }
        let owner = Owner {
            model: self.model.clone(),
            data: source.fingerprint().to_owned(),
            rows,
            dim: encoder.dim(),
        };
        let partial = self.beside("partial");
        let (mut file, resumed) = self.open_partial(&owner)?;
        self.encode(encoder, source, &mut file, resumed, progress)?;
        let written = self.reduce(&mut file, &owner, resumed)?;
        drop(file);
        for path in [partial, self.beside("partial.json")] {
            fs::remove_file(&path).map_err(io_at(&path))?;
        }
        Ok(written)
    }

    /// Rows that lie encoded beside an unfinished file `out`, by an encoder of `dim` numbers.
    pub fn encoded_rows(out: &Path, dim: usize) -> usize {
        let length = fs::metadata(beside(out, "partial")).map_or(0, |found| found.len());
        length.checked_div(row_bytes(dim)).unwrap_or(0) as usize
    }

    fn beside(&self, ending: &str) -> PathBuf {
        beside(&self.path, ending)
    }

    /// The file of embeddings, at its end, and how many rows it has: those of an earlier command where
    /// they belong to the same model and data, in whole chunks.
    fn open_partial(&self, owner: &Owner) -> Result<(File, usize), TeacherError> {
        let (path, note) = (self.beside("partial"), self.beside("partial.json"));
        let known = fs::read(&note).ok();
        let known = known.and_then(|bytes| serde_json::from_slice::<Owner>(&bytes).ok());
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&path).map_err(io_at(&path))?;
        let length = file.metadata().map_err(io_at(&path))?.len();
        let bytes = row_bytes(owner.dim);
        let rows = match known.as_ref() == Some(owner) {
            true => (length / bytes) as usize / CHUNK * CHUNK,
            false => 0,
        };
        let rows = match length / bytes >= owner.rows as u64 && rows > 0 {
            true => owner.rows,
            false => rows,
        };
        file.set_len(rows as u64 * bytes).map_err(io_at(&path))?;
        file.seek(SeekFrom::End(0)).map_err(io_at(&path))?;
        let text = serde_json::to_vec(owner).map_err(|e| io_at(&note)(e.into()))?;
        fs::write(&note, text).map_err(io_at(&note))?;
        Ok((file, rows))
    }

    fn encode(
        &self,
        encoder: &SentenceEncoder,
        source: &dyn PairSource,
        file: &mut File,
        done: usize,
        progress: EncodeProgress<'_>,
    ) -> Result<(), TeacherError> {
        let total = source.len();
        let path = self.beside("partial");
        for start in (done..total).step_by(CHUNK) {
            let samples = start as SampleId..(start + CHUNK).min(total) as SampleId;
            let captions = samples.map(|sample| source.caption(sample));
            let captions: Vec<String> = captions.collect::<Result<_, _>>()?;
            let texts: Vec<&str> = captions.iter().map(String::as_str).collect();
            let report = |done: usize, _| progress(start + done, total);
            let embeddings = encoder.encode(&texts, &report).map_err(|e| match e {
                TeacherError::Caption { index, message } => TeacherError::Caption {
                    index: start + index,
                    message,
                },
                other => other,
            })?;
            let bytes: Vec<u8> = embeddings.iter().flat_map(|v| v.to_le_bytes()).collect();
            file.write_all(&bytes).map_err(io_at(&path))?;
        }
        progress(total, total);
        Ok(())
    }

    /// Reduces the rows of `partial` and writes the file.
    fn reduce(
        &self,
        partial: &mut File,
        owner: &Owner,
        resumed: usize,
    ) -> Result<WrittenFeatures, TeacherError> {
        let pca = match self.dim.filter(|&dim| dim < owner.dim) {
            Some(dim) => Some(Pca::fit(&self.some_rows(partial, owner)?, owner.dim, dim)?),
            None => None,
        };
        let dim = self.dim.unwrap_or(owner.dim);
        let staged = self.beside("tmp");
        let file = File::create(&staged).map_err(io_at(&staged))?;
        let mut file = BufWriter::new(file);
        let shape = format!("({}, {dim})", owner.rows);
        let mut write = |bytes: &[u8]| file.write_all(bytes).map_err(io_at(&staged));
        write(&leading_bytes("<f4", "False", &shape))?;
        let failed = io_at(&self.beside("partial"));
        partial.seek(SeekFrom::Start(0)).map_err(&failed)?;
        let mut reader = BufReader::new(partial);
        for start in (0..owner.rows).step_by(CHUNK) {
            let rows = CHUNK.min(owner.rows - start);
            let values = read_floats(&mut reader, rows * owner.dim).map_err(&failed)?;
            let values = match &pca {
                Some(pca) => pca.transform(&values)?,
                None => values,
            };
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            write(&bytes)?;
        }
        let file = file
            .into_inner()
            .map_err(|e| io_at(&staged)(e.into_error()))?;
        file.sync_all().map_err(io_at(&staged))?;
        fs::rename(&staged, &self.path).map_err(io_at(&self.path))?;
        let kept = pca
            .as_ref()
            .map(|pca| pca.explained_variance_ratio().iter().sum());
        Ok(WrittenFeatures {
            rows: owner.rows,
            dim,
            resumed,
            explained_variance: kept.unwrap_or(1.0),
        })
    }

    /// The rows that PCA is fitted on.
    fn some_rows(&self, partial: &mut File, owner: &Owner) -> Result<Vec<f32>, TeacherError> {
        let failed = io_at(&self.beside("partial"));
        let stride = owner.rows.div_ceil(MOST_FITTED).max(1);
        let mut rows = Vec::with_capacity(owner.rows.div_ceil(stride) * owner.dim);
        let mut reader = BufReader::new(partial);
        reader.seek(SeekFrom::Start(0)).map_err(&failed)?;
        let skipped = ((stride - 1) * owner.dim * 4) as i64;
        for _ in (0..owner.rows).step_by(stride) {
            rows.extend(read_floats(&mut reader, owner.dim).map_err(&failed)?);
            reader.seek_relative(skipped).map_err(&failed)?;
        }
        Ok(rows)
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Bytes of an encoded row.
const fn row_bytes(dim: usize) -> u64 {
    (dim * 4) as u64
}

fn read_floats(reader: &mut impl Read, count: usize) -> io::Result<Vec<f32>> {
    let mut bytes = vec![0; count * 4];
    reader.read_exact(&mut bytes)?;
    let (words, _) = bytes.as_chunks::<4>();
    Ok(words.iter().map(|&word| f32::from_le_bytes(word)).collect())
}

fn io_at(path: &Path) -> impl Fn(io::Error) -> TeacherError + use<> {
    let path = path.to_owned();
    move |source| TeacherError::Io {
        path: path.clone(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use burn::tensor::Device;

    use super::*;
    use crate::data::scripted::ScriptedSource;
    use crate::npy::NpyMatrix;

    fn encoder() -> SentenceEncoder {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/teachers/tiny_bert");
        SentenceEncoder::open(&folder, &Device::flex()).expect("opens")
    }

    fn source(captions: usize) -> ScriptedSource {
        let animals = [
            "a red fox",
            "the small dog",
            "cat",
            "birds in the snow",
            "fish",
        ];
        let caption = |i: usize| format!("{} number {i}", animals[i % animals.len()]);
        ScriptedSource::with_captions((0..captions).map(caption).collect())
    }

    fn file(folder: &Path, dim: Option<usize>) -> FeatureFile {
        FeatureFile {
            path: folder.join("features.npy"),
            dim,
            model: "tiny".into(),
        }
    }

    #[test]
    fn every_caption_has_a_row_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().expect("folder");
        let (encoder, source) = (encoder(), source(70));
        let file = file(folder.path(), None);
        let written = file.write(&encoder, &source, &|_, _| true).expect("writes");
        assert_eq!(
            (written.rows, written.dim, written.resumed),
            (70, encoder.dim(), 0)
        );
        let read = NpyMatrix::read(&file.path).expect("reads");
        let captions: Vec<String> = (0..70)
            .map(|s| source.caption(s).expect("caption"))
            .collect();
        let texts: Vec<&str> = captions.iter().map(String::as_str).collect();
        let wanted = encoder.encode(&texts, &|_, _| true).expect("encodes");
        assert_eq!(read.values, wanted);
        assert_eq!(fs::read_dir(folder.path()).expect("lists").count(), 1);
    }

    #[test]
    fn reduced_rows_are_the_principal_components_of_all() {
        let folder = tempfile::tempdir().expect("folder");
        let (encoder, source) = (encoder(), source(70));
        let whole = file(folder.path(), None);
        whole
            .write(&encoder, &source, &|_, _| true)
            .expect("writes");
        let all = NpyMatrix::read(&whole.path).expect("reads").values;
        let pca = Pca::fit(&all, encoder.dim(), 3).expect("fits");
        let reduced = file(folder.path(), Some(3));
        let written = reduced
            .write(&encoder, &source, &|_, _| true)
            .expect("writes");
        let read = NpyMatrix::read(&reduced.path).expect("reads");
        assert_eq!((read.rows, read.dim), (70, 3));
        assert_eq!(read.values, pca.transform(&all).expect("maps"));
        assert!(written.explained_variance > 0.1 && written.explained_variance < 1.0);
        let wide = file(folder.path(), Some(71)).write(&encoder, &source, &|_, _| true);
        assert!(matches!(wide, Err(TeacherError::Dimensions { .. })));
    }

    #[test]
    fn a_stopped_command_goes_on_and_one_for_other_data_begins_anew() {
        let folder = tempfile::tempdir().expect("folder");
        let (encoder, source) = (encoder(), source(2500));
        let file = file(folder.path(), Some(4));
        let stopped = file.write(&encoder, &source, &|done, _| done < 2100);
        assert!(matches!(stopped, Err(TeacherError::Cancelled)));
        assert!(!file.path.exists());
        let least = Cell::new(usize::MAX);
        let report = |done, total| {
            assert_eq!(total, 2500);
            least.set(least.get().min(done));
            true
        };
        let written = file.write(&encoder, &source, &report).expect("writes");
        assert_eq!((written.resumed, least.get()), (2048, 2048));
        let resumed = NpyMatrix::read(&file.path).expect("reads");
        let whole = file.write(&encoder, &source, &|_, _| true).expect("writes");
        assert_eq!(whole.resumed, 0);
        assert_eq!(NpyMatrix::read(&file.path).expect("reads"), resumed);
        let _cancelled = file.write(&encoder, &source, &|done, _| done < 2100);
        let other = FeatureFile {
            model: "another".into(),
            ..file
        };
        let written = other
            .write(&encoder, &source, &|_, _| true)
            .expect("writes");
        assert_eq!(written.resumed, 0);
    }
}
