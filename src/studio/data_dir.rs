//! The directory that holds all runs.

use std::path::{Path, PathBuf};

use super::lock_file::{Acquired, LockFile};
use super::run_directory::RunDirectory;
use super::{RunId, StudioError};

/// Paths of a data directory: `runs/<id>/`, `trash/<id>/`, `checkpoints/<name>/` of imported models,
/// `teachers/` with features of captions, and the lock of the server.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// Opens a data directory, creating what is absent.
    ///
    /// # Errors
    /// When the directories cannot be created.
    pub fn open(root: &Path) -> Result<Self, StudioError> {
        let made = Self {
            root: std::path::absolute(root).map_err(StudioError::io(root))?,
        };
        for path in [made.runs(), made.trash()] {
            std::fs::create_dir_all(&path).map_err(StudioError::io(&path))?;
        }
        Ok(made)
    }

    /// Takes the lock that only one server can hold.
    ///
    /// # Errors
    /// Names the process and address of the server that has it.
    pub fn lock(&self) -> Result<LockFile, StudioError> {
        match LockFile::acquire(&self.root.join("serve.lock"))? {
            Acquired::Mine(lock) => Ok(lock),
            Acquired::Held(holder) => Err(StudioError::AlreadyServed {
                data_dir: self.root.display().to_string(),
                pid: holder.pid,
                url: holder.url,
            }),
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the runs are.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Where deleted runs are.
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    /// Where features of external teachers are; absent before the first are made.
    pub fn teachers(&self) -> PathBuf {
        self.root.join("teachers")
    }

    /// The directory of a run that exists or is about to.
    pub fn run(&self, id: &RunId) -> RunDirectory {
        RunDirectory::at(self.runs().join(id.as_str()))
    }

    /// The directory of an imported model; `None` for a name that is no plain file name.
    pub fn imported_model(&self, name: &str) -> Option<PathBuf> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fits = (1..=100).contains(&name.len()) && !name.starts_with('.');
        (fits && name.chars().all(plain)).then(|| self.root.join("checkpoints").join(name))
    }

    /// Ids of all directories that could be runs, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn run_ids(&self) -> Result<Vec<RunId>, StudioError> {
        ids_in(&self.runs())
    }

    /// Bytes free on its disk.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn free_bytes(&self) -> Result<u64, StudioError> {
        let stat =
            rustix::fs::statvfs(&self.root).map_err(|e| StudioError::io(&self.root)(e.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

fn ids_in(folder: &Path) -> Result<Vec<RunId>, StudioError> {
    let entries = std::fs::read_dir(folder).map_err(StudioError::io(folder))?;
    let mut ids: Vec<RunId> = entries
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| RunId::of_directory(entry.file_name().to_str()?))
        .collect();
    ids.sort();
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_refused_with_the_address_of_the_first() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let data_dir = DataDir::open(folder.path()).expect("opens");
        let mut lock = data_dir.lock().expect("locks");
        lock.describe(Some("http://127.0.0.1:7878"))
            .expect("writes");
        let message = data_dir.lock().expect_err("held").to_string();
        assert!(
            message.contains(&std::process::id().to_string()),
            "{message}"
        );
        assert!(message.contains("http://127.0.0.1:7878"), "{message}");
    }

    #[test]
    fn imported_models_have_plain_names() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let data_dir = DataDir::open(folder.path()).expect("opens");
        let path = data_dir.imported_model("RN50-v1.2_x").expect("plain");
        assert_eq!(path, folder.path().join("checkpoints/RN50-v1.2_x"));
        for name in ["", ".", "..", ".hidden", "a/b", "a\\b", "a b", "ä"] {
            assert_eq!(data_dir.imported_model(name), None, "{name:?}");
        }
    }

    #[test]
    fn only_directories_with_safe_names_are_runs() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let data_dir = DataDir::open(folder.path()).expect("opens");
        for name in ["b", "a", ".new-c"] {
            std::fs::create_dir(data_dir.runs().join(name)).expect("creates");
        }
        std::fs::write(data_dir.runs().join("file"), "").expect("writes");
        let ids = data_dir.run_ids().expect("lists");
        assert_eq!(ids, [RunId::from("a"), RunId::from("b")]);
        assert!(data_dir.free_bytes().expect("asks") > 0);
    }
}
