//! The file of rows, or the copy of one on S3, open once and read from its beginning as often as needed.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::data::cache_folder::CacheFolder;
use crate::data::local_copy::local_files;
use crate::data::shard_files::FoundFile;
use crate::data::{DataError, OpenProgress};

#[derive(Debug)]
pub(super) struct Table {
    path: PathBuf,
    file: File,
    bytes: u64,
}

impl Table {
    /// # Errors
    /// As [`local_files`].
    pub(super) fn open(
        found: &FoundFile,
        cache: Option<&CacheFolder>,
        progress: OpenProgress<'_>,
    ) -> Result<Self, DataError> {
        let mut files = local_files(std::slice::from_ref(found), cache, progress)?;
        let path = found.path.clone();
        let file = files.pop();
        let file = file.ok_or_else(|| DataError::format(path.display(), "it was not opened"))?;
        Ok(Self {
            path,
            file,
            bytes: found.stamp.bytes,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file at its beginning; readers share one place, and follow each other.
    pub(super) fn beginning(&self) -> Result<File, DataError> {
        let begin = || {
            let mut file = self.file.try_clone()?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        };
        begin().map_err(|e| DataError::io(&self.path, e))
    }

    pub(super) fn into_file(self) -> File {
        self.file
    }
}
