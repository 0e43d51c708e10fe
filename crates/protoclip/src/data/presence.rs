//! Whether the files of a data set are there, whether they are those of before, and what kind they are.
//!
//! Pages ask this, also of objects: answers about those are kept for some seconds ([`remote`]).

mod remote;

use std::path::Path;

use super::object_reader::{Patience, is_remote, url_of};
use super::shard_files::{self, FoundFile, has_ending};
use super::{DataError, parquet, webdataset};
use crate::config::{DataConfig, DataSource};

/// What kind of data set a path is, judged by its name and, for a folder, by what it holds.
pub fn kind_of(path: &Path) -> DataSource {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let folder = match url_of(path) {
        Some(url) => shard_files::is_remote_folder(url),
        None => path.is_dir(),
    };
    let is = |endings: &[&str]| match folder {
        true => shard_files::find(path, endings, Patience::Short).is_ok(),
        false => has_ending(name, endings),
    };
    if is(&webdataset::ENDINGS) {
        DataSource::WebDataset
    } else if is(&parquet::ENDINGS) {
        DataSource::Parquet
    } else if folder {
        match is_remote(path) {
            // What is wrong with it is said when it is opened.
            true => DataSource::WebDataset,
            false => DataSource::Folder,
        }
    } else if is(&[".json"]) {
        DataSource::Coco
    } else {
        DataSource::Csv
    }
}

/// Why the files of a data set cannot be opened, if they are not there: the setting, and a message
/// with the fix.
pub fn absence(config: &DataConfig) -> Option<(&'static str, String)> {
    let path = config.path.as_deref()?;
    if config.source == DataSource::Builtin {
        return None;
    }
    if let Some(folder) = config.image_folder.as_deref()
        && !folder.is_dir()
        && !is_remote(folder)
    {
        let message = format!("{} is no folder; {ADVICE}", folder.display());
        return Some(("data.image_folder", message));
    }
    if let Some(url) = url_of(path) {
        return remote::absence(config.source, url).map(|message| ("data.path", message));
    }
    absent_path(config.source, path).map(|message| ("data.path", message))
}

/// Why no data set of this kind can lie where its path says, if none can.
pub(super) fn unsupported(config: &DataConfig) -> Option<String> {
    let url = url_of(config.path.as_deref()?)?;
    remote::unsupported(config.source, url)
}

fn absent_path(source: DataSource, path: &Path) -> Option<String> {
    let shown = path.display();
    match source {
        DataSource::WebDataset | DataSource::Parquet => {
            let found = files(source, path, Patience::Short);
            found.err().map(|e| format!("{e}; {ADVICE}"))
        }
        DataSource::Folder if path.is_file() => Some(format!(
            "{shown} is no folder; give the folder that has one folder of pictures per class"
        )),
        DataSource::Csv | DataSource::Coco if path.is_dir() => Some(format!(
            "{shown} is no file; give the path of a file, or choose the source that a folder is for"
        )),
        _ => match std::fs::metadata(path) {
            Ok(_) => None,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                Some(format!("{shown} does not exist; {ADVICE}"))
            }
            Err(e) => Some(format!("{shown}: {e}; {ADVICE}")),
        },
    }
}

const ADVICE: &str = "give an absolute path, or one relative to where the program was started";

/// Sizes and times of the files of a data set; different when one changed, absent when one is gone.
/// Pictures that lie beside the files do not count. While storage cannot be reached, objects count as
/// unchanged.
pub fn stamp(config: &DataConfig) -> Option<String> {
    let path = config.path.as_deref()?;
    match url_of(path) {
        Some(url) => remote::stamp(config.source, url),
        None => {
            let found = files(config.source, path, Patience::Short);
            Some(stamp_of(&found.ok()?))
        }
    }
}

fn stamp_of(files: &[FoundFile]) -> String {
    let mut hash = blake3::Hasher::new();
    for file in files {
        hash.update(file.path.as_os_str().as_encoded_bytes());
        hash.update(&file.stamp.bytes.to_le_bytes());
        hash.update(&file.stamp.modified.to_le_bytes());
    }
    hash.finalize().to_hex().to_string()
}

fn files(source: DataSource, path: &Path, patience: Patience) -> Result<Vec<FoundFile>, DataError> {
    match source {
        DataSource::WebDataset => shard_files::find(path, &webdataset::ENDINGS, patience),
        DataSource::Parquet => shard_files::find(path, &parquet::ENDINGS, patience),
        _ => Ok(vec![FoundFile::at(path, patience)?]),
    }
}
