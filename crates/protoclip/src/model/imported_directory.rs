//! A foreign file as a model of this program: a directory that runs start from.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::import::{ImportError, ImportOptions, import_weights};
use super::weights;

/// What was imported, from where; the content of `SOURCE.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportReport {
    /// The weight file, as it was called then.
    pub file: PathBuf,
    pub bytes: u64,
    pub blake3: String,
    /// Trainable numbers of the model.
    pub parameters: usize,
    /// See [`ImportedModel::notes`](super::ImportedModel::notes).
    pub notes: Vec<String>,
}

const MODEL: &str = "model.safetensors";
const CONFIG: &str = "config.json";
const SOURCE: &str = "SOURCE.json";

/// Hears the phase, how much of it is done and of how much; answers whether to go on.
pub type Watch<'a> = dyn Fn(&'static str, u64, u64) -> bool + 'a;

/// Bytes that are hashed between two words to the watch.
const CHUNK: usize = 8 << 20;

/// Reads a model and writes it to `directory` as `config.json`, `model.safetensors` and `SOURCE.json`.
/// The directory appears complete or not at all.
///
/// # Errors
/// As [`import_weights`]; when the directory exists or cannot be written.
pub fn import_into(
    path: &Path,
    options: &ImportOptions,
    directory: &Path,
) -> Result<ImportReport, ImportError> {
    import_watched(path, options, directory, &|_, _, _| true)
}

/// As [`import_into`], watched: where `watch` says no, nothing is left.
///
/// # Errors
/// Also [`ImportError::Cancelled`].
pub fn import_watched(
    path: &Path,
    options: &ImportOptions,
    directory: &Path,
    watch: &Watch<'_>,
) -> Result<ImportReport, ImportError> {
    let go_on = |phase| match watch(phase, 0, 0) {
        true => Ok(()),
        false => Err(ImportError::Cancelled),
    };
    if directory.exists() {
        return Err(ImportError::Place {
            path: directory.display().to_string(),
            message: "exists already; choose another name or remove it".into(),
        });
    }
    go_on("reading the weights")?;
    let model = import_weights(path, options, &Device::flex())?;
    let hashed = hash(&model.file, watch).map_err(|e| io_error(&model.file, &e))?;
    let (bytes, blake3) = hashed.ok_or(ImportError::Cancelled)?;
    let report = ImportReport {
        file: fs::canonicalize(&model.file).unwrap_or_else(|_| model.file.clone()),
        bytes,
        blake3,
        parameters: model.clip.num_parameters(),
        notes: model.notes,
    };
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let staged = directory.with_file_name(format!(".importing-{name}"));
    let write = || -> Result<(), ImportError> {
        let io = |e: io::Error| io_error(&staged, &e);
        let _absent_is_fine = fs::remove_dir_all(&staged);
        fs::create_dir_all(&staged).map_err(io)?;
        go_on("writing the weights")?;
        weights::save(&model.clip, &model.config, &staged.join(MODEL))?;
        write_json(&staged.join(CONFIG), &model.config).map_err(io)?;
        write_json(&staged.join(SOURCE), &report).map_err(io)?;
        for file in [MODEL, CONFIG, SOURCE] {
            let synced = File::open(staged.join(file)).and_then(|f| f.sync_all());
            synced.map_err(io)?;
            go_on("writing the weights")?;
        }
        fs::rename(&staged, directory).map_err(io)
    };
    let written = write();
    if written.is_err() {
        let _removed = fs::remove_dir_all(&staged);
    }
    written.map(|()| report)
}

fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    fs::write(path, serde_json::to_vec_pretty(value)?)
}

/// Bytes and hash of a file; `None` when it was told not to go on.
fn hash(path: &Path, watch: &Watch<'_>) -> io::Result<Option<(u64, String)>> {
    let mut file = File::open(path)?;
    let total = file.metadata()?.len();
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        if !watch("reading files", bytes, total) {
            return Ok(None);
        }
        let read = file.read(&mut chunk)?;
        if read == 0 {
            return Ok(Some((bytes, hasher.finalize().to_hex().to_string())));
        }
        hasher.update(&chunk[..read]);
        bytes += read as u64;
    }
}

fn io_error(path: &Path, error: &io::Error) -> ImportError {
    ImportError::Place {
        path: path.display().to_string(),
        message: error.to_string(),
    }
}
