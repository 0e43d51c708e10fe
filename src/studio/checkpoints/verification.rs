//! Reading a checkpoint in full: every hash of its manifest, every number of its model.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use protoclip::model::weights::{TensorNumbers, measure_tensors};
use protoclip::train::{MANIFEST, check_file, listed_files, verify_checkpoint};
use serde::Serialize;

use super::super::work::{WorkFailure, WorkKind, WorkProgress, WorkView};
use super::super::{Studio, StudioError};
use super::{CheckpointId, MODEL};

/// What reading all of a checkpoint found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Of the checkpoint as it was then.
    pub hash: String,
    /// Empty for imported models, which have no manifest.
    pub files: Vec<CheckedFile>,
    /// By tensor name; empty when a file is damaged.
    pub tensors: Vec<(String, TensorNumbers)>,
}

/// A file and how it differs from its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedFile {
    pub name: String,
    /// Absent when it has the hash of the manifest.
    pub problem: Option<String>,
}

/// The last verification of each checkpoint, while the program runs.
#[derive(Debug, Default)]
pub(crate) struct Verifications {
    known: Mutex<HashMap<CheckpointId, Arc<Verification>>>,
}

impl Verification {
    /// The first file that is damaged, in words.
    pub fn problem(&self) -> Option<&str> {
        self.files.iter().find_map(|file| file.problem.as_deref())
    }

    /// Numbers of the model that are NaN or infinite.
    pub fn not_finite(&self) -> u64 {
        let counts = self.tensors.iter();
        counts.map(|(_, numbers)| numbers.not_finite).sum()
    }
}

impl Studio {
    /// Starts to read a checkpoint in full, in the background.
    ///
    /// # Errors
    /// When there is no such checkpoint or too much work is under way.
    pub fn verify(&self, id: &CheckpointId) -> Result<WorkView, StudioError> {
        let hash = self.entry(id)?.hash;
        let path = self.checkpoint_path(id)?;
        let known = Arc::clone(&self.verifications);
        let of = id.clone();
        self.work
            .begin(WorkKind::Verify, &id.to_string(), move |progress| {
                let found = read_all(&path, hash, progress)?;
                let outcome = match (found.problem(), found.not_finite()) {
                    (Some(problem), _) => Err(WorkFailure::of(problem)),
                    (None, 0) => Ok(format!(
                        "{} files and {} tensors are as they should be",
                        found.files.len(),
                        found.tensors.len()
                    )),
                    (None, count) => Err(WorkFailure::of(format!(
                        "the model has {count} numbers that are not finite"
                    ))),
                };
                let mut known = known.known.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(of, Arc::new(found));
                outcome
            })
    }

    /// What the last verification of a checkpoint found, if it is still the same checkpoint.
    ///
    /// # Errors
    /// When there is no such checkpoint.
    pub fn verification(
        &self,
        id: &CheckpointId,
    ) -> Result<Option<Arc<Verification>>, StudioError> {
        let hash = self.entry(id)?.hash;
        let known = self.verifications.known.lock();
        let found = known
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned();
        Ok(found.filter(|verification| verification.hash == hash))
    }
}

/// Refuses a checkpoint whose files are not those of its manifest. Imported models have none.
pub(super) fn intact(directory: &Path) -> Result<(), WorkFailure> {
    if !directory.join(MANIFEST).exists() {
        return Ok(());
    }
    verify_checkpoint(directory)
        .map_err(|message| WorkFailure::of(format!("the checkpoint is damaged: {message}")))
}

fn read_all(
    path: &Path,
    hash: String,
    progress: &WorkProgress,
) -> Result<Verification, WorkFailure> {
    let files = match listed_files(path) {
        Ok((_, files)) => files,
        Err(_) if !path.join(MANIFEST).exists() => Vec::new(),
        Err(message) => return Err(WorkFailure::of(message)),
    };
    let total: u64 = files.iter().map(|file| file.bytes).sum();
    let mut done = 0;
    let mut checked = Vec::with_capacity(files.len());
    for file in files {
        let result = check_file(path, &file, &mut |bytes| {
            done += bytes;
            progress.report("reading files", done, total)
        });
        checked.push(CheckedFile {
            problem: match result {
                Ok(true) => None,
                Ok(false) => return Err(WorkFailure::Cancelled),
                Err(problem) => Some(problem),
            },
            name: file.name,
        });
    }
    let damaged = checked.iter().any(|file| file.problem.is_some());
    let tensors = match damaged {
        true => Vec::new(),
        false => measure_tensors(&path.join(MODEL), &mut |done, total| {
            progress.report("measuring tensors", done, total)
        })
        .map_err(WorkFailure::of)?
        .ok_or(WorkFailure::Cancelled)?,
    };
    Ok(Verification {
        hash,
        files: checked,
        tensors,
    })
}
