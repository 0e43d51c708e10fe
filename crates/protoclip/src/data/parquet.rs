//! Pairs from Parquet files: pictures as bytes or paths in one column, captions in another, one per row or
//! a list of several.
//!
//! Hugging Face's layout, a structure of `bytes` and `path`, is one of those. [`ParquetSource::open`]
//! reads all rows once, row group after row group in parallel, and keeps captions and file names in
//! memory, and per usable pair its file, row group and row. A picture is read by passing over the pages
//! before it; some rows around it are decoded with it and kept for a while ([`blocks`]). All of a file is
//! read when it is opened, so that one on S3 is copied then.

mod blocks;
mod columns;
mod file;
mod index;
mod scan;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::blocks::Blocks;
use self::columns::Columns;
use self::file::{Cell, ParquetFile};
use self::index::{Index, Located};
use super::cache_folder::{CacheFolder, cache_folder};
use super::decode::decode_bytes;
use super::failures::Failures;
use super::kept_index::{self, IndexKey};
use super::local_copy::local_files;
use super::object_reader::Patience;
use super::picture_folder::{PictureFolder, Refusal};
use super::shard_files::{self, FoundFile};
use super::{DataError, LabelColumn, OpenProgress, PairSource, SampleId, SkipReason, SkipReport};
use crate::config::{DataConfig, DataFacts};

/// Endings of files in a folder.
pub(super) const ENDINGS: [&str; 1] = [".parquet"];

/// Opened and indexed files.
#[derive(Debug)]
pub struct ParquetSource {
    name: String,
    /// Pictures that are paths are relative to it.
    folder: PathBuf,
    pictures: PictureFolder,
    files: Vec<Result<Opened, String>>,
    index: Index,
    blocks: Blocks,
    failures: Failures,
}

/// A file and where its columns are.
#[derive(Debug)]
struct Opened {
    file: ParquetFile,
    columns: Columns,
}

impl ParquetSource {
    /// Indexes the files that `config` names. `progress` is told rows done and in all, and may cancel.
    ///
    /// # Errors
    /// When a file or column is absent, no row is usable, or more rows than `max_broken_share` are
    /// not; each says what was found and what to change.
    pub fn open(config: &DataConfig, progress: OpenProgress<'_>) -> Result<Self, DataError> {
        Self::open_with(config, cache_folder(), progress)
    }

    pub(super) fn open_with(
        config: &DataConfig,
        cache: Option<&CacheFolder>,
        progress: OpenProgress<'_>,
    ) -> Result<Self, DataError> {
        let path = config.path.clone().unwrap_or_default();
        let found = shard_files::find(&path, &ENDINGS, Patience::Long)?;
        let opened = found.iter().zip(local_files(&found, cache, progress)?);
        let files = opened.map(|(found, file)| opened_file(config, found, file));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let folder = config.image_folder.clone().unwrap_or_else(|| {
            let first = found.first().and_then(|file| file.path.parent());
            first.map(Path::to_path_buf).unwrap_or_default()
        });
        let pictures = PictureFolder::open(&folder)?;
        let folder_text = folder.to_string_lossy();
        let labels = config.label_columns.iter().map(String::as_str);
        let mut settings = vec![
            config.image_column.as_deref().unwrap_or(""),
            config.caption_column.as_deref().unwrap_or(""),
            &folder_text,
        ];
        settings.extend(labels);
        let key = IndexKey::new("parquet", &settings, &found);
        let index = match kept_index::load(cache, &key, Index::read) {
            Some((index, base)) => index.with(base),
            None => {
                if files
                    .iter()
                    .flatten()
                    .any(|file| file.columns.bytes.is_none())
                {
                    pictures.look()?;
                }
                let names: Vec<String> = found.iter().map(FoundFile::name).collect();
                let files = (&files[..], &names[..]);
                let index = scan::scan(files, (&folder, &pictures), config, progress)?;
                if !index.base.report.blames_pictures() {
                    kept_index::store(cache, &key, &index.base, |file| index.write(file));
                }
                index
            }
        };
        let report = &index.base.report;
        if let Some(message) = report.refusal(config, "rows", index.len()) {
            return Err(DataError::format(path.display(), message));
        }
        Ok(Self {
            name: path.file_name().map_or_else(
                || path.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
            folder,
            pictures,
            failures: Failures::new(report.clone()),
            files,
            index,
            blocks: Blocks::default(),
        })
    }

    fn located(&self, sample: SampleId) -> Result<Located, DataError> {
        let found = self.index.locate(sample);
        found.ok_or_else(|| DataError::no_such_sample(&self.name, sample, self.len()))
    }

    fn place(&self, located: &Located) -> String {
        let file = self.files.get(located.file).and_then(|f| f.as_ref().ok());
        let name = file.map_or("", |opened| opened.file.name());
        place(name, located.group, located.row)
    }

    fn picture(
        &self,
        sample: SampleId,
        located: &Located,
    ) -> Result<Result<image::RgbImage, Refusal>, DataError> {
        match located.in_file {
            true => Ok(self
                .picture_in_file(located)
                .map_err(|message| (SkipReason::BrokenImage, message))),
            false => {
                let path = self.folder.join(self.index.path(sample));
                self.pictures.decode(&path)
            }
        }
    }

    fn picture_in_file(&self, located: &Located) -> Result<image::RgbImage, String> {
        let opened = self.files.get(located.file).and_then(|f| f.as_ref().ok());
        let opened = opened.ok_or("the file is no longer open")?;
        let leaf = opened.columns.bytes.ok_or("the file has no pictures")?;
        let cell = self.blocks.cell(&opened.file, located, leaf)?;
        match cell {
            Cell::Bytes(bytes) => decode_bytes(&bytes),
            _ => Err("the row has no picture any more".into()),
        }
    }
}

/// A file, or what is wrong with it; a column that is absent is an error of the settings.
fn opened_file(
    config: &DataConfig,
    found: &FoundFile,
    file: File,
) -> Result<Result<Opened, String>, DataError> {
    let file = match ParquetFile::open(found, file) {
        Ok(file) => file,
        Err(message) => return Ok(Err(message)),
    };
    let columns = Columns::find(config, &file.metadata);
    let columns = columns.map_err(|message| DataError::format(found.path.display(), message))?;
    Ok(Ok(Opened { file, columns }))
}

/// `file.parquet, row group 2, row 5`, counted from 1 as people do.
fn place(file: &str, group: usize, row: usize) -> String {
    format!("{file}, row group {}, row {}", group + 1, row + 1)
}

impl PairSource for ParquetSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn caption(&self, sample: SampleId) -> Result<String, DataError> {
        self.located(sample)?;
        Ok(self.index.caption(sample).to_owned())
    }

    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError> {
        let located = self.located(sample)?;
        self.picture(sample, &located)?
            .map_err(|(reason, message)| {
                let origin = self.place(&located);
                let row = self.record_number(sample) + 1;
                self.failures
                    .note(sample, row, origin.clone(), reason, message.clone());
                DataError::Image { origin, message }
            })
    }

    fn is_remote(&self) -> bool {
        self.pictures.is_remote()
    }

    fn fetch(&self, samples: &[SampleId]) -> Result<(), DataError> {
        let beside = samples.iter().filter(|&&sample| {
            let located = self.index.locate(sample);
            located.is_some_and(|located| !located.in_file)
        });
        let paths: Vec<PathBuf> = beside
            .map(|&sample| self.folder.join(self.index.path(sample)))
            .collect();
        self.pictures.fetch(&paths)
    }

    fn origin(&self, sample: SampleId) -> String {
        self.located(sample).map_or_else(
            |e| e.to_string(),
            |located| match self.index.path(sample) {
                "" => self.place(&located),
                path => format!("{}: {path}", self.place(&located)),
            },
        )
    }

    fn labels(&self) -> &[LabelColumn] {
        &self.index.base.labels
    }

    fn balance_groups(&self) -> Option<&[u32]> {
        None
    }

    fn fingerprint(&self) -> &str {
        &self.index.base.fingerprint
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

    /// The name of the picture where the file has it, else the number of the row's first caption: a split by
    /// hash keeps the captions of a picture together.
    fn key(&self, sample: SampleId) -> Result<String, DataError> {
        self.located(sample)?;
        let stem = Path::new(self.index.path(sample)).file_stem();
        Ok(match stem {
            Some(stem) => stem.to_string_lossy().into_owned(),
            None => {
                let first = self.index.first_of_row(sample);
                self.record_number(first).to_string()
            }
        })
    }

    fn picture_groups(&self) -> Option<&[u32]> {
        self.index.pictures()
    }
}
