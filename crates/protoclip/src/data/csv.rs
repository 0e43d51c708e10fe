//! Pairs from a CSV or TSV file of image paths and captions.
//!
//! [`CsvSource::open`] reads the file once and keeps per usable row its byte offset, number, line and
//! labels: 16 bytes and 4 per label column. Captions and paths are read back by seeking.
//! Rows that cannot be used are skipped, counted and listed with line and reason; pictures are
//! checked by their header then, and those that fail to decode later join the same report.

mod columns;
mod guarded;
mod index;
mod rows;
mod table;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use csv::{ByteRecord, ReaderBuilder};

use self::columns::Columns;
use self::index::Index;
use self::rows::Rows;
use self::table::Table;
use super::cache_folder::{CacheFolder, cache_folder};
use super::failures::Failures;
use super::kept_index::{self, IndexKey};
use super::object_reader::Patience;
use super::picture_folder::{PictureFolder, Refusal};
use super::shard_files::FoundFile;
use super::{DataError, LabelColumn, OpenProgress, PairSource, SampleId, SkipReport};
use crate::config::{DataConfig, DataFacts};

/// An opened and indexed file.
#[derive(Debug)]
pub struct CsvSource {
    name: String,
    path: PathBuf,
    /// Image paths are relative to it.
    folder: PathBuf,
    pictures: PictureFolder,
    columns: Columns,
    index: Index,
    rows: Mutex<Rows>,
    failures: Failures,
}

impl CsvSource {
    /// Indexes the file that `config` names. `progress` is told bytes done and in all, and may
    /// cancel.
    ///
    /// # Errors
    /// When the file or a column is absent, no row is usable, or more rows than
    /// `max_broken_share` are not; each says what was found and what to change.
    pub fn open(config: &DataConfig, progress: OpenProgress<'_>) -> Result<Self, DataError> {
        Self::open_with(config, cache_folder(), progress)
    }

    fn open_with(
        config: &DataConfig,
        cache: Option<&CacheFolder>,
        progress: OpenProgress<'_>,
    ) -> Result<Self, DataError> {
        let path = config.path.clone().unwrap_or_default();
        let separator = separator(config, &path);
        let folder = folder_of(config);
        let found = FoundFile::at(&path, Patience::Long)?;
        let table = Table::open(&found, cache, progress)?;
        let pictures = PictureFolder::open(&folder)?;
        let columns = index::columns(config, &table, separator)?;
        let key = index_key(found, separator, &columns, &folder);
        let index = match kept_index::load(cache, &key, Index::read) {
            Some((index, base)) => index.with(base),
            None => {
                let index = index::build(config, (&table, &pictures), separator, progress)?;
                if !index.base.report.blames_pictures() {
                    kept_index::store(cache, &key, &index.base, |file| index.write(file));
                }
                index
            }
        };
        check_usable(config, &path, &index)?;
        Ok(Self {
            name: path
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default(),
            path,
            folder,
            pictures,
            columns,
            failures: Failures::new(index.base.report.clone()),
            index,
            rows: Mutex::new(Rows::new(table.into_file(), separator)),
        })
    }

    fn record(&self, sample: SampleId) -> Result<ByteRecord, DataError> {
        let offset = self
            .index
            .offset(sample)
            .ok_or_else(|| DataError::no_such_sample(&self.name, sample, self.len()))?;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        match rows.read(offset) {
            Ok(Some(record)) => Ok(record),
            Ok(None) => Err(self.changed(sample)),
            Err(e) => Err(DataError::format(self.path.display(), e.to_string())),
        }
    }

    fn field(&self, sample: SampleId, column: usize) -> Result<String, DataError> {
        let record = self.record(sample)?;
        let text = record
            .get(column)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .map(str::trim)
            .filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| self.changed(sample))
    }

    fn image_path(&self, sample: SampleId) -> Result<PathBuf, DataError> {
        Ok(self
            .folder
            .join(self.field(sample, self.columns.image.position)?))
    }

    fn changed(&self, sample: SampleId) -> DataError {
        DataError::format(
            self.path.display(),
            format!(
                "line {} is no longer what it was when the file was opened; leave the file unchanged while it is in use, or open it again",
                self.index.line(sample)
            ),
        )
    }

    fn note_failure(&self, sample: SampleId, path: &Path, (reason, message): &Refusal) {
        let line = self.index.line(sample);
        let detail = format!("{}: {message}", path.display());
        self.failures
            .note(sample, line, format!("line {line}"), *reason, detail);
    }
}

impl PairSource for CsvSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn caption(&self, sample: SampleId) -> Result<String, DataError> {
        self.field(sample, self.columns.caption.position)
    }

    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError> {
        let path = self.image_path(sample)?;
        self.pictures.decode(&path)?.map_err(|refusal| {
            self.note_failure(sample, &path, &refusal);
            DataError::Image {
                origin: self.origin(sample),
                message: refusal.1,
            }
        })
    }

    fn is_remote(&self) -> bool {
        self.pictures.is_remote()
    }

    fn fetch(&self, samples: &[SampleId]) -> Result<(), DataError> {
        let paths = samples.iter().map(|&sample| self.image_path(sample));
        self.pictures.fetch(&paths.collect::<Result<Vec<_>, _>>()?)
    }

    fn origin(&self, sample: SampleId) -> String {
        let line = self.index.line(sample);
        match self.image_path(sample) {
            Ok(path) => format!("{}, line {line}: {}", self.name, path.display()),
            Err(_) => format!("{}, line {line}", self.name),
        }
    }

    fn labels(&self) -> &[LabelColumn] {
        self.index.labels()
    }

    fn balance_groups(&self) -> Option<&[u32]> {
        None
    }

    fn fingerprint(&self) -> &str {
        self.index.fingerprint()
    }

    fn skipped(&self) -> SkipReport {
        self.failures.report()
    }

    fn facts(&self) -> DataFacts {
        DataFacts {
            pairs: self.len(),
            balanced_pairs: self.len(),
        }
    }

    fn record_number(&self, sample: SampleId) -> u64 {
        self.index.record_number(sample)
    }

    fn key(&self, sample: SampleId) -> Result<String, DataError> {
        let path = self.image_path(sample)?;
        let stem = path.file_stem().unwrap_or(path.as_os_str());
        Ok(stem.to_string_lossy().into_owned())
    }

    fn picture_groups(&self) -> Option<&[u32]> {
        self.index.pictures()
    }
}

/// Names the index by all that decides what it holds.
fn index_key(found: FoundFile, separator: u8, columns: &Columns, folder: &Path) -> IndexKey {
    let (separator, folder) = (separator.to_string(), folder.to_string_lossy());
    let mut settings = vec![
        separator.as_str(),
        &folder,
        &columns.image.name,
        &columns.caption.name,
    ];
    settings.extend(columns.labels.iter().map(|column| column.name.as_str()));
    IndexKey::new("csv", &settings, &[found])
}

/// What image paths are relative to.
fn folder_of(config: &DataConfig) -> PathBuf {
    let own = || config.path.as_deref()?.parent().map(Path::to_path_buf);
    let given = config.image_folder.clone();
    given.or_else(own).unwrap_or_default()
}

fn separator(config: &DataConfig, path: &Path) -> u8 {
    let tabbed = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("tsv") || e.eq_ignore_ascii_case("tab"));
    let default = if tabbed { b'\t' } else { b',' };
    config
        .separator
        .and_then(|c| u8::try_from(c).ok())
        .unwrap_or(default)
}

/// A reader without header handling that accepts rows of any length.
fn reader(separator: u8) -> ReaderBuilder {
    let mut builder = ReaderBuilder::new();
    builder
        .delimiter(separator)
        .has_headers(false)
        .flexible(true);
    builder
}

fn check_usable(config: &DataConfig, path: &Path, index: &Index) -> Result<(), DataError> {
    let report = &index.base.report;
    let message = match report.rows {
        0 => Some("the file has a header but no rows".to_owned()),
        _ => report.refusal(config, "rows", index.len()),
    };
    message.map_or(Ok(()), |message| {
        Err(DataError::format(path.display(), message))
    })
}

#[cfg(test)]
mod tests;
