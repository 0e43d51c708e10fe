//! The index on disk.

use super::Index;
use crate::data::kept_index::IndexBase;
use crate::tensor_file::{TensorFileReader, TensorFileWriter};

impl Index {
    pub(in crate::data::csv) fn write(&self, file: &mut TensorFileWriter) {
        file.u64("offset".into(), &self.offsets);
        file.u32("record".into(), &self.records);
        file.u32("line".into(), &self.lines);
        if let Some(pictures) = &self.pictures {
            file.u32("picture".into(), pictures);
        }
    }

    /// # Errors
    /// When the arrays do not belong together.
    pub(in crate::data::csv) fn read(file: &TensorFileReader<'_>) -> Result<Self, String> {
        let index = Self {
            offsets: file.u64("offset")?,
            records: file.u32("record")?,
            lines: file.u32("line")?,
            pictures: match file.contains("picture") {
                true => Some(file.u32("picture")?),
                false => None,
            },
            base: IndexBase::default(),
        };
        let pictures = index.pictures.as_ref().map_or(index.len(), Vec::len);
        let lengths = [index.records.len(), index.lines.len(), pictures];
        match lengths.iter().all(|&length| length == index.len()) {
            true => Ok(index),
            false => Err(format!("arrays of different lengths: {lengths:?}")),
        }
    }

    pub(in crate::data::csv) fn with(self, base: IndexBase) -> Self {
        Self { base, ..self }
    }
}
