//! The shelf: checkpoints of all runs and models that were imported, and what is inside them.
//!
//! Lists read manifests only. What reads whole files is background work, in the modules below.

mod evaluation;
mod export;
mod import;
mod verification;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use protoclip::model::ImportReport;
use protoclip::model::weights::{TensorShape, read_config, tensor_shapes};
use protoclip::train::{CheckpointInfo, list_checkpoints, listed_files, set_pinned};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{RunId, Studio, StudioError};

pub use evaluation::EvaluationRequest;
pub use export::ExportFolder;
pub use import::ImportRequest;
pub use verification::{CheckedFile, Verification};

pub(super) use verification::Verifications;

/// Names a checkpoint: `RUN@STEP`, or `@NAME` of an imported model. No run has an empty id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CheckpointId {
    OfRun { run: RunId, step: u64 },
    Imported { name: String },
}

/// All checkpoints, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shelf {
    pub checkpoints: Vec<ShelvedCheckpoint>,
    /// Directories that look like checkpoints but fail their manifest.
    pub broken: Vec<BrokenOnShelf>,
}

/// A checkpoint in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShelvedCheckpoint {
    pub id: CheckpointId,
    /// Name of the run or of the imported model.
    pub title: String,
    /// Name or file of the model; empty when only the file itself says what it is.
    pub model: String,
    /// Absent for imported models.
    pub step: Option<u64>,
    pub episode: Option<u64>,
    pub bytes: u64,
    /// Of the manifest, or of the file that was imported.
    pub hash: String,
    /// Mean retrieval recall in percent when it was written, if it was measured.
    pub score: Option<f64>,
    pub pinned: bool,
    /// Whether it is the newest of its run.
    pub newest: bool,
    pub written: Option<Timestamp>,
}

/// A directory that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BrokenOnShelf {
    pub run: RunId,
    pub title: String,
    pub path: PathBuf,
    /// Names the file.
    pub message: String,
}

/// Everything about one checkpoint that its headers say.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckpointDetail {
    pub checkpoint: ShelvedCheckpoint,
    pub path: PathBuf,
    pub files: Vec<ShelvedFile>,
    /// Hash of the data that it was trained on, for those of runs.
    pub data_fingerprint: Option<String>,
    /// The model's settings, where a file has them.
    pub model_config: Option<Value>,
    pub tensors: Vec<TensorShape>,
    /// Why the tensors cannot be listed.
    pub tensors_problem: Option<String>,
    /// Where an imported model comes from.
    pub source: Option<ImportReport>,
}

/// A file of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShelvedFile {
    pub name: String,
    pub bytes: u64,
    /// As listed by the manifest; imported models have none.
    pub blake3: Option<String>,
}

/// The file of a checkpoint that holds its model.
const MODEL: &str = "model.safetensors";

impl CheckpointId {
    /// Reads an id from an address. Any text may come; it is looked up, never used as a path.
    pub fn parse(text: &str) -> Option<Self> {
        let (run, rest) = text.rsplit_once('@')?;
        if run.is_empty() {
            let name = rest.to_owned();
            return Some(Self::Imported { name });
        }
        let step = rest.parse().ok()?;
        let run = RunId::from(run);
        Some(Self::OfRun { run, step })
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfRun { run, step } => write!(f, "{run}@{step}"),
            Self::Imported { name } => write!(f, "@{name}"),
        }
    }
}

impl Serialize for CheckpointId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Studio {
    /// Checkpoints of all runs and imported models, the newest first.
    pub fn shelf(&self) -> Shelf {
        let mut shelf = Shelf {
            checkpoints: self.imported(),
            broken: Vec::new(),
        };
        for run in self.runs() {
            let (good, broken) = list_checkpoints(self.data_dir.run(&run.id).path());
            let newest = good.last().map(|info| info.step);
            let entry = |info: &CheckpointInfo| ShelvedCheckpoint {
                id: CheckpointId::OfRun {
                    run: run.id.clone(),
                    step: info.step,
                },
                title: run.name.clone(),
                model: run.model.clone(),
                step: Some(info.step),
                episode: Some(info.episode),
                bytes: info.bytes,
                hash: info.hash.clone(),
                score: info.score,
                pinned: info.pinned,
                newest: newest == Some(info.step),
                written: written(&info.path),
            };
            shelf.checkpoints.extend(good.iter().map(entry));
            shelf
                .broken
                .extend(broken.into_iter().map(|b| BrokenOnShelf {
                    run: run.id.clone(),
                    title: run.name.clone(),
                    path: b.path,
                    message: b.message,
                }));
        }
        shelf
            .checkpoints
            .sort_by_key(|entry| std::cmp::Reverse(entry.written));
        shelf
    }

    /// What is inside a checkpoint.
    ///
    /// # Errors
    /// When there is none with this id; a broken one says which file is wrong.
    pub fn shelved(&self, id: &CheckpointId) -> Result<CheckpointDetail, StudioError> {
        let checkpoint = self.entry(id)?;
        let path = self.checkpoint_path(id)?;
        let listed = listed_files(&path).ok();
        let fingerprint = listed
            .as_ref()
            .map(|(header, _)| header.data_fingerprint.clone());
        let files = match listed {
            Some((_, files)) => files
                .into_iter()
                .map(|file| ShelvedFile {
                    name: file.name,
                    bytes: file.bytes,
                    blake3: Some(file.blake3),
                })
                .collect(),
            None => plain_files(&path)?,
        };
        let weights = path.join(MODEL);
        let (tensors, tensors_problem) = match tensor_shapes(&weights) {
            Ok(tensors) => (tensors, None),
            Err(error) => (Vec::new(), Some(error.to_string())),
        };
        let config = read_config(&weights).ok().flatten();
        Ok(CheckpointDetail {
            checkpoint,
            files,
            data_fingerprint: fingerprint,
            model_config: config.and_then(|config| serde_json::to_value(config).ok()),
            tensors,
            tensors_problem,
            source: read_source(&path),
            path,
        })
    }

    /// Keeps a checkpoint of a run from being pruned, or lets it go.
    ///
    /// # Errors
    /// When there is none with this id, it is an imported model, or the mark cannot be written.
    pub fn pin(&self, id: &CheckpointId, pinned: bool) -> Result<(), StudioError> {
        self.entry(id)?;
        if let CheckpointId::Imported { .. } = id {
            let message = "imported models are never pruned; only checkpoints of runs are pinned";
            return Err(StudioError::Conflict(message.into()));
        }
        let path = self.checkpoint_path(id)?;
        set_pinned(&path, pinned).map_err(StudioError::io(&path))
    }

    fn entry(&self, id: &CheckpointId) -> Result<ShelvedCheckpoint, StudioError> {
        let shelf = self.shelf();
        if let Some(found) = shelf.checkpoints.into_iter().find(|entry| entry.id == *id) {
            return Ok(found);
        }
        let path = self.checkpoint_path(id)?;
        match shelf.broken.into_iter().find(|broken| broken.path == path) {
            Some(broken) => Err(StudioError::Conflict(format!(
                "this checkpoint is damaged and cannot be loaded: {} ({})",
                broken.message,
                broken.path.display()
            ))),
            None => Err(no_checkpoint(id)),
        }
    }

    /// The directory of a checkpoint of a known run, or of an imported model with a plain name.
    fn checkpoint_path(&self, id: &CheckpointId) -> Result<PathBuf, StudioError> {
        match id {
            CheckpointId::OfRun { run, step } => {
                self.record(run)?;
                let folder = self.data_dir.run(run).path().join("checkpoints");
                Ok(folder.join(format!("{step:08}")))
            }
            CheckpointId::Imported { name } => {
                let path = self.data_dir.imported_model(name);
                path.filter(|path| path.is_dir())
                    .ok_or_else(|| no_checkpoint(id))
            }
        }
    }

    fn imported(&self) -> Vec<ShelvedCheckpoint> {
        let Ok(entries) = fs::read_dir(self.data_dir.root().join("checkpoints")) else {
            return Vec::new();
        };
        let names = entries.flatten().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let path = self.data_dir.imported_model(&name)?;
            path.join(MODEL).is_file().then_some((name, path))
        });
        let entry = |(name, path): (String, PathBuf)| ShelvedCheckpoint {
            title: name.clone(),
            id: CheckpointId::Imported { name },
            model: String::new(),
            step: None,
            episode: None,
            bytes: plain_files(&path).map_or(0, |files| files.iter().map(|f| f.bytes).sum()),
            hash: read_source(&path).map_or_else(String::new, |source| source.blake3),
            score: None,
            pinned: false,
            newest: true,
            written: written(&path),
        };
        names.map(entry).collect()
    }
}

fn no_checkpoint(id: &CheckpointId) -> StudioError {
    StudioError::NotFound(format!(
        "there is no checkpoint {id}; see /checkpoints for those that exist"
    ))
}

/// Files of a directory without a manifest, by name.
fn plain_files(directory: &Path) -> Result<Vec<ShelvedFile>, StudioError> {
    let entries = fs::read_dir(directory).map_err(StudioError::io(directory))?;
    let file = |entry: fs::DirEntry| {
        let metadata = entry.metadata().ok()?;
        metadata.is_file().then(|| ShelvedFile {
            name: entry.file_name().to_string_lossy().into_owned(),
            bytes: metadata.len(),
            blake3: None,
        })
    };
    let mut files: Vec<ShelvedFile> = entries.flatten().filter_map(file).collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

fn written(directory: &Path) -> Option<Timestamp> {
    let modified = fs::metadata(directory).and_then(|m| m.modified()).ok()?;
    Timestamp::try_from(modified).ok()
}

fn read_source(directory: &Path) -> Option<ImportReport> {
    let bytes = fs::read(directory.join("SOURCE.json")).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_an_address_and_others_are_none() {
        let of_run = CheckpointId::OfRun {
            run: RunId::from("20260101-protoclip"),
            step: 12,
        };
        let imported = CheckpointId::Imported {
            name: "RN50".into(),
        };
        for id in [of_run, imported] {
            assert_eq!(CheckpointId::parse(&id.to_string()), Some(id));
        }
        for text in ["", "run", "run@", "run@x", "run@-1", "run@1.5"] {
            assert_eq!(CheckpointId::parse(text), None, "{text:?}");
        }
    }
}
