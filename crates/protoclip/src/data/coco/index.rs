//! The usable captions and the pictures they belong to.

use std::path::{Path, PathBuf};

use crate::data::SampleId;
use crate::data::kept_index::IndexBase;
use crate::data::text_list::TextList;
use crate::tensor_file::{TensorFileReader, TensorFileWriter};

#[derive(Debug, Default)]
pub(super) struct Index {
    pub(super) captions: TextList,
    /// Number of each caption's picture.
    pub(super) pictures: Vec<u32>,
    /// Number of each caption's annotation.
    pub(super) records: Vec<u32>,
    /// File names of the pictures.
    pub(super) files: TextList,
    pub(super) base: IndexBase,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.captions.len()
    }

    pub(super) fn with(self, base: IndexBase) -> Self {
        Self { base, ..self }
    }

    pub(super) fn caption(&self, sample: SampleId) -> &str {
        self.captions.get(sample)
    }

    /// File name of a sample's picture.
    pub(super) fn file(&self, sample: SampleId) -> Option<&str> {
        let picture = self.pictures.get(sample as usize)?;
        Some(self.files.get(*picture))
    }

    pub(super) fn pictures(&self) -> &[u32] {
        &self.pictures
    }

    pub(super) fn record_number(&self, sample: SampleId) -> u64 {
        let record = self.records.get(sample as usize);
        record.map_or(u64::MAX, |&record| u64::from(record))
    }

    pub(super) fn write(&self, folder: &Path, file: &mut TensorFileWriter) {
        file.text("folder", folder.to_string_lossy().into_owned());
        self.captions.write(file, "captions");
        file.u32("picture".into(), &self.pictures);
        file.u32("record".into(), &self.records);
        self.files.write(file, "files");
    }

    /// # Errors
    /// When the arrays do not belong together.
    pub(super) fn read(file: &TensorFileReader<'_>) -> Result<(PathBuf, Self), String> {
        let index = Self {
            captions: TextList::read(file, "captions")?,
            pictures: file.u32("picture")?,
            records: file.u32("record")?,
            files: TextList::read(file, "files")?,
            base: IndexBase::default(),
        };
        let fits = index.pictures.len() == index.len() && index.records.len() == index.len();
        let inside = |&picture: &u32| (picture as usize) < index.files.len();
        match fits && index.pictures.iter().all(inside) {
            true => Ok((file.text("folder")?.into(), index)),
            false => Err("arrays that do not belong together".into()),
        }
    }
}
