//! Where the usable rows are, with their captions and the names of their pictures.

use std::path::Path;

use crate::data::SampleId;
use crate::data::kept_index::IndexBase;
use crate::data::shared_pictures::SharedPictures;
use crate::data::text_list::TextList;
use crate::tensor_file::{TensorFileReader, TensorFileWriter};

#[derive(Debug, Default)]
pub(super) struct Index {
    files: Vec<u32>,
    groups: Vec<u32>,
    rows: Vec<u32>,
    /// 1 where the file holds the picture, 0 where it lies elsewhere.
    in_file: Vec<u8>,
    records: Vec<u32>,
    captions: TextList,
    paths: TextList,
    pictures: Option<Vec<u32>>,
    pub(super) base: IndexBase,
}

/// Where one pair is; all numbers from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) file: usize,
    pub(super) group: usize,
    pub(super) row: usize,
    pub(super) in_file: bool,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn with(self, base: IndexBase) -> Self {
        Self { base, ..self }
    }

    /// Appends a usable row.
    pub(super) fn push(&mut self, located: &Located, record: u32, caption: &str, path: &str) {
        self.files.push(located.file as u32);
        self.groups.push(located.group as u32);
        self.rows.push(located.row as u32);
        self.in_file.push(located.in_file.into());
        self.records.push(record);
        self.captions.push(caption);
        self.paths.push(path);
    }

    /// Finds out which pairs have the same picture: those of one row, and of rows that name the same one.
    pub(super) fn find_shared(&mut self) {
        let mut shared = SharedPictures::default();
        for sample in 0..self.len() as SampleId {
            match self.path(sample) {
                "" => shared.add(Path::new(&format!("\0{:?}", self.row_of(sample)))),
                path => shared.add(Path::new(path)),
            }
        }
        self.pictures = shared.shared();
    }

    /// File, row group and row of a pair.
    fn row_of(&self, sample: SampleId) -> Option<(u32, u32, u32)> {
        let sample = sample as usize;
        let (file, group) = (self.files.get(sample)?, self.groups.get(sample)?);
        Some((*file, *group, *self.rows.get(sample)?))
    }

    /// The first usable pair of the same row.
    pub(super) fn first_of_row(&self, sample: SampleId) -> SampleId {
        let row = self.row_of(sample);
        let before = (0..sample).rev();
        before
            .take_while(|&other| self.row_of(other) == row)
            .last()
            .unwrap_or(sample)
    }

    pub(super) fn locate(&self, sample: SampleId) -> Option<Located> {
        let sample = sample as usize;
        Some(Located {
            file: *self.files.get(sample)? as usize,
            group: *self.groups.get(sample)? as usize,
            row: *self.rows.get(sample)? as usize,
            in_file: *self.in_file.get(sample)? != 0,
        })
    }

    pub(super) fn caption(&self, sample: SampleId) -> &str {
        self.captions.get(sample)
    }

    pub(super) fn path(&self, sample: SampleId) -> &str {
        self.paths.get(sample)
    }

    pub(super) fn pictures(&self) -> Option<&[u32]> {
        self.pictures.as_deref()
    }

    pub(super) fn record_number(&self, sample: SampleId) -> u64 {
        let record = self.records.get(sample as usize);
        record.map_or(u64::MAX, |&record| u64::from(record))
    }

    pub(super) fn write(&self, file: &mut TensorFileWriter) {
        file.u32("file".into(), &self.files);
        file.u32("group".into(), &self.groups);
        file.u32("row".into(), &self.rows);
        file.u8("in_file".into(), &self.in_file);
        file.u32("record".into(), &self.records);
        self.captions.write(file, "captions");
        self.paths.write(file, "paths");
        if let Some(pictures) = &self.pictures {
            file.u32("picture".into(), pictures);
        }
    }

    /// # Errors
    /// When the arrays do not belong together.
    pub(super) fn read(file: &TensorFileReader<'_>) -> Result<Self, String> {
        let index = Self {
            files: file.u32("file")?,
            groups: file.u32("group")?,
            rows: file.u32("row")?,
            in_file: file.u8("in_file")?,
            records: file.u32("record")?,
            captions: TextList::read(file, "captions")?,
            paths: TextList::read(file, "paths")?,
            pictures: match file.contains("picture") {
                true => Some(file.u32("picture")?),
                false => None,
            },
            base: IndexBase::default(),
        };
        let lengths = [
            index.groups.len(),
            index.rows.len(),
            index.in_file.len(),
            index.records.len(),
            index.captions.len(),
            index.paths.len(),
            index.pictures.as_ref().map_or(index.len(), Vec::len),
        ];
        match lengths.iter().all(|&length| length == index.len()) {
            true => Ok(index),
            false => Err(format!("arrays of different lengths: {lengths:?}")),
        }
    }
}
