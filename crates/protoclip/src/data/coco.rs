//! Pairs from a COCO captions file: JSON with `images` and `annotations`, several captions per image.
//!
//! [`CocoSource::open`] parses the file once, checks each picture by its header, and keeps captions and
//! file names in memory. A pair is an annotation; pairs of one image share its picture.

mod annotations;
mod index;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::path::{Path, PathBuf};

use self::index::Index;
use super::cache_folder::{CacheFolder, cache_folder};
use super::failures::Failures;
use super::kept_index::{self, IndexKey};
use super::local_copy::local_files;
use super::object_reader::Patience;
use super::picture_folder::PictureFolder;
use super::shard_files::FoundFile;
use super::{DataError, LabelColumn, OpenProgress, PairSource, SampleId, SkipReport};
use crate::config::{DataConfig, DataFacts};

/// An opened and indexed file.
#[derive(Debug)]
pub struct CocoSource {
    name: String,
    /// Picture names are relative to it.
    folder: PathBuf,
    pictures: PictureFolder,
    index: Index,
    failures: Failures,
}

impl CocoSource {
    /// Indexes the file that `config` names. `progress` is told images done and in all, and may
    /// cancel.
    ///
    /// # Errors
    /// When the file is no such JSON, its pictures are not found, no annotation is usable, or more than
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
        let found = FoundFile::at(&path, Patience::Long)?;
        let given = config.image_folder.as_deref();
        let given_text = given.map_or_else(String::new, |f| f.to_string_lossy().into_owned());
        let key = IndexKey::new("coco", &[&given_text], std::slice::from_ref(&found));
        let (folder, index) = match kept_index::load(cache, &key, Index::read) {
            Some(((folder, index), base)) => (folder, index.with(base)),
            None => {
                let mut file = local_files(std::slice::from_ref(&found), cache, progress)?;
                let mut text = Vec::new();
                for file in &mut file {
                    let read = file.read_to_end(&mut text);
                    read.map_err(|e| DataError::io(&path, e))?;
                }
                let (folder, index) = annotations::read((&path, &text), given, progress)?;
                if !index.base.report.blames_pictures() {
                    kept_index::store(cache, &key, &index.base, |file| index.write(&folder, file));
                }
                (folder, index)
            }
        };
        let report = &index.base.report;
        let message = match report.rows {
            0 => Some("the file has no annotations".to_owned()),
            _ => report.refusal(config, "captions", index.len()),
        };
        if let Some(message) = message {
            return Err(DataError::format(path.display(), message));
        }
        Ok(Self {
            name: path.file_name().map_or_else(
                || path.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
            pictures: PictureFolder::open(&folder)?,
            folder,
            failures: Failures::new(report.clone()),
            index,
        })
    }

    fn file(&self, sample: SampleId) -> Result<&str, DataError> {
        let found = self.index.file(sample);
        found.ok_or_else(|| DataError::no_such_sample(&self.name, sample, self.len()))
    }
}

/// Place of an annotation, counted from 1 as people do.
fn place(record: u64) -> String {
    format!("annotation {}", record + 1)
}

impl PairSource for CocoSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn caption(&self, sample: SampleId) -> Result<String, DataError> {
        self.file(sample)?;
        Ok(self.index.caption(sample).to_owned())
    }

    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError> {
        let path = self.folder.join(self.file(sample)?);
        self.pictures.decode(&path)?.map_err(|(reason, message)| {
            let record = self.record_number(sample);
            let detail = format!("{}: {message}", path.display());
            self.failures
                .note(sample, record + 1, place(record), reason, detail);
            DataError::Image {
                origin: self.origin(sample),
                message,
            }
        })
    }

    fn is_remote(&self) -> bool {
        self.pictures.is_remote()
    }

    fn fetch(&self, samples: &[SampleId]) -> Result<(), DataError> {
        let files = samples.iter().filter_map(|&s| self.index.file(s));
        let paths: Vec<PathBuf> = files.map(|file| self.folder.join(file)).collect();
        self.pictures.fetch(&paths)
    }

    fn origin(&self, sample: SampleId) -> String {
        self.file(sample).map_or_else(
            |e| e.to_string(),
            |file| {
                let place = place(self.record_number(sample));
                let path = self.folder.join(file);
                format!("{}, {place}: {}", self.name, path.display())
            },
        )
    }

    fn labels(&self) -> &[LabelColumn] {
        &[]
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

    fn key(&self, sample: SampleId) -> Result<String, DataError> {
        let file = Path::new(self.file(sample)?);
        let stem = file.file_stem().unwrap_or(file.as_os_str());
        Ok(stem.to_string_lossy().into_owned())
    }

    fn picture_groups(&self) -> Option<&[u32]> {
        Some(self.index.pictures())
    }
}
