//! One run on disk: `run.json`, `config.toml`, `run.db`, `checkpoints/`, `artifacts/`.
//!
//! Self-contained and copyable: nothing outside refers to its insides except by run id.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use protoclip::config::RunConfig;
use protoclip::train::ControlValues;
use serde::{Deserialize, Serialize};

use super::changes::ChangeId;
use super::lock_file::{Acquired, LockFile};
use super::{RunId, StudioError};

/// What `run.json` holds: the parts of a run that a person names. Progress is in `run.db`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunMeta {
    pub id: RunId,
    pub name: String,
    #[serde(default)]
    pub tags: Vec<String>,
    pub created: Timestamp,
    /// Version of the program that created it.
    #[serde(default)]
    pub program: String,
    /// The run and step that this one continues from, if it was forked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<ForkOrigin>,
    /// Where its curves were read, if it was not trained here; it then has no settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<CurveOrigin>,
}

/// The event files of another program that a run was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurveOrigin {
    /// Folder of the files on the machine that imported them.
    pub directory: String,
    /// Their names, in the order in which they were read.
    pub files: Vec<String>,
    /// When the first and the last point were recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded: Option<(Timestamp, Timestamp)>,
}

impl CurveOrigin {
    /// Why the run cannot do what trained runs can.
    pub(crate) fn refusal(&self) -> String {
        format!(
            "this run was imported from TensorBoard event files of {} and has curves only: no settings, no model, no checkpoints",
            self.directory
        )
    }
}

/// Where a forked run comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForkOrigin {
    pub run: RunId,
    pub step: u64,
    /// The change of settings that this run goes on without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<OmittedChange>,
    /// Settings that are others than those of the origin, by dotted name.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// The settings that this run is steered with from its first step on, where a setting that can be
    /// steered was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controls: Option<ControlValues>,
}

/// A change of settings that a fork leaves out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OmittedChange {
    #[serde(flatten)]
    pub change: ChangeId,
    pub from: f64,
    pub to: f64,
    /// The settings that the fork starts with.
    pub controls: ControlValues,
}

impl ForkOrigin {
    /// The settings of a session that goes on from the checkpoint at `step`, where they are not
    /// those of the checkpoint.
    pub(crate) fn controls_from(&self, step: u64) -> Option<ControlValues> {
        let omitted = self.without.as_ref().map(|omitted| omitted.controls);
        self.controls.or(omitted).filter(|_| step == self.step)
    }
}

/// Paths of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDirectory {
    path: PathBuf,
}

impl RunDirectory {
    /// The run that lies in a directory, wherever that is.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SQLite file with points, events and progress.
    pub fn database(&self) -> PathBuf {
        self.path.join("run.db")
    }

    /// Folder of the prototype snapshots.
    pub fn prototypes(&self) -> PathBuf {
        self.path.join("artifacts").join("prototypes")
    }

    /// The snapshot of the prototypes at `step`.
    pub fn prototype_file(&self, step: u64) -> PathBuf {
        self.prototypes().join(format!("{step:08}.safetensors"))
    }

    /// Folder of the features.
    pub fn features(&self) -> PathBuf {
        self.path.join("artifacts").join("features")
    }

    /// The features at `step`.
    pub fn feature_file(&self, step: u64) -> PathBuf {
        self.path.join(protoclip::train::feature_file(step))
    }

    /// Steps at which features were kept, ascending.
    pub fn feature_steps(&self) -> Vec<u64> {
        protoclip::train::feature_steps(&self.path)
    }

    /// Folder of the maps.
    pub fn maps(&self) -> PathBuf {
        self.path.join("artifacts").join("maps")
    }

    /// Writes a new run: complete or not there at all.
    ///
    /// # Errors
    /// When a file cannot be written or the run exists.
    pub fn create(&self, meta: &RunMeta, config: &RunConfig) -> Result<(), StudioError> {
        self.create_with(meta, Some(config), |_| Ok(()))
    }

    /// As [`RunDirectory::create`], with more files that `fill` puts into the directory before it
    /// becomes visible. Only a run that was imported has no settings.
    ///
    /// # Errors
    /// Also what `fill` answers; nothing is left behind then.
    pub(crate) fn create_with(
        &self,
        meta: &RunMeta,
        config: Option<&RunConfig>,
        fill: impl FnOnce(&Self) -> Result<(), StudioError>,
    ) -> Result<(), StudioError> {
        let staged = self.path.with_file_name(format!(".new-{}", meta.id));
        let made = Self::at(staged.clone())
            .stage(meta, config, fill)
            .and_then(|()| {
                std::fs::rename(&staged, &self.path).map_err(StudioError::io(&self.path))
            });
        if made.is_err() {
            // What remains has a name that is never listed.
            let _removed = std::fs::remove_dir_all(&staged);
        }
        made.and_then(|()| sync_parent(&self.path))
    }

    fn stage(
        &self,
        meta: &RunMeta,
        config: Option<&RunConfig>,
        fill: impl FnOnce(&Self) -> Result<(), StudioError>,
    ) -> Result<(), StudioError> {
        for folder in ["checkpoints", "artifacts"] {
            let folder = self.path.join(folder);
            std::fs::create_dir_all(&folder).map_err(StudioError::io(&folder))?;
        }
        self.write_meta(meta)?;
        if let Some(config) = config {
            self.write_config(config)?;
        }
        fill(self)
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// When it is absent or not what this program writes.
    pub fn read_meta(&self) -> Result<RunMeta, StudioError> {
        let path = self.path.join("run.json");
        let text = std::fs::read_to_string(&path).map_err(StudioError::io(&path))?;
        serde_json::from_str(&text).map_err(|e| StudioError::format(&path, e))
    }

    /// Replaces `run.json`.
    ///
    /// # Errors
    /// When it cannot be written; the old file then stays.
    pub fn write_meta(&self, meta: &RunMeta) -> Result<(), StudioError> {
        let path = self.path.join("run.json");
        let text = serde_json::to_string_pretty(meta).map_err(|e| StudioError::format(&path, e))?;
        write_durably(&path, text.as_bytes())
    }

    /// Replaces `config.toml`.
    ///
    /// # Errors
    /// When it cannot be written; the old file then stays.
    pub fn write_config(&self, config: &RunConfig) -> Result<(), StudioError> {
        write_durably(&self.path.join("config.toml"), config.to_toml()?.as_bytes())
    }

    /// Reads `config.toml`.
    ///
    /// # Errors
    /// Names the file and the field that cannot be understood; an imported run has no settings.
    pub fn read_config(&self) -> Result<RunConfig, StudioError> {
        let path = self.path.join("config.toml");
        if let (false, Ok(meta)) = (path.exists(), self.read_meta())
            && let Some(origin) = meta.imported
        {
            return Err(StudioError::Conflict(origin.refusal()));
        }
        let text = std::fs::read_to_string(&path).map_err(StudioError::io(&path))?;
        RunConfig::from_toml(&text).map_err(|e| StudioError::format(&path, e))
    }

    /// Takes the lock that whoever trains this run holds; `None` when another process does.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn lock(&self) -> Result<Option<LockFile>, StudioError> {
        Ok(match LockFile::acquire(&self.lock_path())? {
            Acquired::Mine(lock) => Some(lock),
            Acquired::Held(_) => None,
        })
    }

    /// Whether some process trains this run now.
    ///
    /// # Errors
    /// When the lock file cannot be opened.
    pub fn is_locked(&self) -> Result<bool, StudioError> {
        LockFile::is_held(&self.lock_path())
    }

    fn lock_path(&self) -> PathBuf {
        self.path.join("run.lock")
    }

    /// Steps at which prototypes were saved, ascending.
    pub fn prototype_steps(&self) -> Vec<u64> {
        let Ok(entries) = std::fs::read_dir(self.prototypes()) else {
            return Vec::new();
        };
        let mut steps: Vec<u64> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_suffix(".safetensors")?.parse().ok()
            })
            .collect();
        steps.sort_unstable();
        steps
    }

    /// Removes prototype snapshots, features and maps of steps after `step`, which a resumed run will
    /// write again.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_prototypes_after(&self, step: u64) -> Result<(), StudioError> {
        self.remove_prototypes(|later| later > step)
    }

    /// Removes all prototype snapshots, features and maps.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn remove_all_prototypes(&self) -> Result<(), StudioError> {
        self.remove_prototypes(|_| true)
    }

    fn remove_prototypes(&self, which: impl Fn(u64) -> bool) -> Result<(), StudioError> {
        for step in self.prototype_steps().into_iter().filter(|&s| which(s)) {
            let path = self.prototype_file(step);
            std::fs::remove_file(&path).map_err(StudioError::io(&path))?;
        }
        for step in self.feature_steps().into_iter().filter(|&s| which(s)) {
            let path = self.feature_file(step);
            std::fs::remove_file(&path).map_err(StudioError::io(&path))?;
        }
        for key in super::maps::map_keys(self)
            .into_iter()
            .filter(|key| which(key.step))
        {
            let path = super::maps::map_path(self, key);
            std::fs::remove_file(&path).map_err(StudioError::io(&path))?;
        }
        Ok(())
    }
}

/// Replaces a file so that a reader, or a crash, sees the old or the new one whole.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<(), StudioError> {
    let temporary = path.with_extension("tmp");
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(StudioError::io(path))?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> Result<(), StudioError> {
    let Some(parent) = path.parent() else {
        return Ok(());
    };
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(StudioError::io(parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(id: &str) -> RunMeta {
        RunMeta {
            id: RunId::from(id),
            name: "a name".into(),
            tags: vec!["x".into()],
            created: Timestamp::from_second(1_795_500_000).expect("time"),
            program: "test".into(),
            forked_from: None,
            imported: None,
        }
    }

    #[test]
    fn a_created_run_reads_back_and_cannot_be_created_again() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let run = RunDirectory::at(folder.path().join("r1"));
        let config = RunConfig::default();
        run.create(&meta("r1"), &config).expect("creates");
        assert_eq!(run.read_meta().expect("reads"), meta("r1"));
        assert_eq!(run.read_config().expect("reads"), config);
        assert!(run.create(&meta("r1"), &config).is_err());
    }

    #[test]
    fn prototypes_after_a_step_are_removed() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let run = RunDirectory::at(folder.path().join("r1"));
        std::fs::create_dir_all(run.prototypes()).expect("creates");
        std::fs::create_dir_all(run.features()).expect("creates");
        for step in [0, 20, 40] {
            std::fs::write(run.feature_file(step), "x").expect("writes");
            std::fs::write(run.prototype_file(step), "x").expect("writes");
        }
        std::fs::write(run.prototypes().join("notes.txt"), "x").expect("writes");
        assert_eq!(run.prototype_steps(), [0, 20, 40]);
        run.remove_prototypes_after(20).expect("removes");
        assert_eq!(run.prototype_steps(), [0, 20]);
        assert_eq!(run.feature_steps(), [0, 20]);
    }

    #[test]
    fn broken_files_are_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let run = RunDirectory::at(folder.path().join("r1"));
        run.create(&meta("r1"), &RunConfig::default())
            .expect("creates");
        std::fs::write(run.path().join("run.json"), "{").expect("writes");
        std::fs::write(run.path().join("config.toml"), "batch_size = \"x\"").expect("writes");
        let error = run.read_meta().expect_err("broken").to_string();
        assert!(error.contains("run.json"), "{error}");
        let error = run.read_config().expect_err("broken").to_string();
        assert!(
            error.contains("config.toml") && error.contains("batch_size"),
            "{error}"
        );
    }
}
