//! Checkpoints as directories that OpenCLIP loads, kept in the data directory for download.

use std::fs;
use std::path::PathBuf;

use protoclip::train::{ExportError, ExportOptions, export_watched};
use serde::Serialize;

use super::super::work::{WorkFailure, WorkKind, WorkView};
use super::super::{Studio, StudioError};
use super::verification::intact;
use super::{CheckpointId, ShelvedFile, plain_files};

/// An export on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportFolder {
    pub path: PathBuf,
    pub files: Vec<ShelvedFile>,
}

impl Studio {
    /// Starts to write a checkpoint in OpenCLIP's form, in the background; an older export of the
    /// same checkpoint is replaced.
    ///
    /// # Errors
    /// When there is no such checkpoint or too much work is under way.
    pub fn export(&self, id: &CheckpointId) -> Result<WorkView, StudioError> {
        let title = self.entry(id)?.title;
        let path = self.checkpoint_path(id)?;
        let target = self.export_path(id);
        self.work
            .begin(WorkKind::Export, &id.to_string(), move |progress| {
                intact(&path)?;
                let parent = target.parent().unwrap_or(&target);
                fs::create_dir_all(parent).map_err(WorkFailure::of)?;
                let staged = parent
                    .join(".exporting")
                    .join(target.file_name().unwrap_or_default());
                let _absent_is_fine = fs::remove_dir_all(&staged);
                fs::create_dir_all(&staged).map_err(WorkFailure::of)?;
                let options = ExportOptions {
                    name: Some(title),
                    heads_inside: false,
                };
                let watch = |phase, done, total| progress.report(phase, done, total);
                let exported = export_watched(&path, &staged, &options, &watch);
                let exported = exported.map_err(|error| {
                    let _nothing_is_left = fs::remove_dir_all(&staged);
                    match error {
                        ExportError::Cancelled => WorkFailure::Cancelled,
                        error => WorkFailure::of(error),
                    }
                })?;
                let _absent_is_fine = fs::remove_dir_all(&target);
                fs::rename(&staged, &target).map_err(WorkFailure::of)?;
                Ok(format!(
                    "{} files in {}",
                    exported.files.len(),
                    target.display()
                ))
            })
    }

    /// The export of a checkpoint, if there is one.
    ///
    /// # Errors
    /// When there is no such checkpoint or the export cannot be read.
    pub fn exported(&self, id: &CheckpointId) -> Result<Option<ExportFolder>, StudioError> {
        self.entry(id)?;
        let path = self.export_path(id);
        if !path.is_dir() {
            return Ok(None);
        }
        let files = plain_files(&path)?;
        Ok(Some(ExportFolder { path, files }))
    }

    /// The path of an exported file, looked up among those that exist.
    ///
    /// # Errors
    /// When the checkpoint has no export or the export no such file.
    pub fn exported_file(&self, id: &CheckpointId, name: &str) -> Result<PathBuf, StudioError> {
        let missing = || {
            StudioError::NotFound(format!(
                "there is no exported file {name:?}; export the checkpoint first"
            ))
        };
        let folder = self.exported(id)?.ok_or_else(missing)?;
        let found = folder.files.iter().find(|file| file.name == name);
        Ok(folder.path.join(&found.ok_or_else(missing)?.name))
    }

    /// Ids hold nothing but plain characters and one `@`.
    fn export_path(&self, id: &CheckpointId) -> PathBuf {
        self.data_dir.root().join("exports").join(id.to_string())
    }
}
