//! Whether the files of a data set are there, whether they are those of before, and what kind they are.

use std::path::{Path, PathBuf};

use super::shard_files::{self, FileStamp, has_ending};
use super::{parquet, webdataset};
use crate::config::{DataConfig, DataSource};

/// What kind of data set a path is, judged by its name and, for a folder, by what it holds.
pub fn kind_of(path: &Path) -> DataSource {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let folder = path.is_dir();
    let is = |endings: &[&str]| match folder {
        true => shard_files::find(path, endings).is_ok(),
        false => has_ending(name, endings),
    };
    if is(&webdataset::ENDINGS) {
        DataSource::WebDataset
    } else if is(&parquet::ENDINGS) {
        DataSource::Parquet
    } else if folder {
        DataSource::Folder
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
    if let Some(folder) = config.image_folder.as_deref().filter(|f| !f.is_dir()) {
        let message = format!("{} is no folder; {ADVICE}", folder.display());
        return Some(("data.image_folder", message));
    }
    absent_path(config.source, path).map(|message| ("data.path", message))
}

fn absent_path(source: DataSource, path: &Path) -> Option<String> {
    let shown = path.display();
    match source {
        DataSource::WebDataset | DataSource::Parquet => {
            let found = files(source, path);
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
/// Pictures that lie beside the files do not count.
pub fn stamp(config: &DataConfig) -> Option<String> {
    let mut hash = blake3::Hasher::new();
    for file in files(config.source, config.path.as_deref()?).ok()? {
        let stamp = FileStamp::at(&file).ok()?;
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update(&stamp.bytes.to_le_bytes());
        hash.update(&stamp.modified.to_le_bytes());
    }
    Some(hash.finalize().to_hex().to_string())
}

fn files(source: DataSource, path: &Path) -> Result<Vec<PathBuf>, super::DataError> {
    match source {
        DataSource::WebDataset => shard_files::find(path, &webdataset::ENDINGS),
        DataSource::Parquet => shard_files::find(path, &parquet::ENDINGS),
        _ => Ok(vec![path.to_owned()]),
    }
}
