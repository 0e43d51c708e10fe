//! Room on the disk: what each run takes, what lies in the trash, and what may go.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::{RunId, Studio, StudioError};

/// Bytes of a data directory by what they are for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// The largest first.
    pub runs: Vec<RunStorage>,
    /// Imported models.
    pub imported: u64,
    /// Written exports; each can be written again.
    pub exports: u64,
    pub trash: u64,
    /// Runs in the trash.
    pub trashed_runs: usize,
}

/// Bytes of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunStorage {
    pub run: RunId,
    pub name: String,
    pub checkpoints: u64,
    /// Prototypes, features, maps and reports.
    pub artifacts: u64,
    /// Curves and the event log.
    pub database: u64,
}

/// Instructions of this processor that kernels can use.
pub fn instructions() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("sse4.2", is_x86_feature_detected!("sse4.2")),
        ("avx", is_x86_feature_detected!("avx")),
        ("avx2", is_x86_feature_detected!("avx2")),
        ("fma", is_x86_feature_detected!("fma")),
        ("avx512f", is_x86_feature_detected!("avx512f")),
        ("avx512bf16", is_x86_feature_detected!("avx512bf16")),
    ];
    #[cfg(target_arch = "aarch64")]
    let found = [("neon", true)];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found = [("portable", true)];
    found
        .into_iter()
        .filter_map(|(name, present)| present.then_some(name))
        .collect()
}

impl RunStorage {
    pub fn bytes(&self) -> u64 {
        self.checkpoints + self.artifacts + self.database
    }
}

impl Studio {
    /// Measures the data directory. Files that two runs share count for both.
    pub fn storage(&self) -> Storage {
        let root = self.data_dir.root();
        let measured = |run: super::RunView| {
            let path = self.data_dir.run(&run.id).path().to_owned();
            let (all, checkpoints, artifacts) = (
                bytes_below(&path),
                bytes_below(&path.join("checkpoints")),
                bytes_below(&path.join("artifacts")),
            );
            RunStorage {
                run: run.id,
                name: run.name,
                checkpoints,
                artifacts,
                database: all - checkpoints - artifacts,
            }
        };
        let mut runs: Vec<RunStorage> = self.runs().into_iter().map(measured).collect();
        runs.sort_by_key(|run| std::cmp::Reverse(run.bytes()));
        let trash = self.data_dir.trash();
        Storage {
            runs,
            imported: bytes_below(&root.join("checkpoints")),
            exports: bytes_below(&root.join("exports")),
            trash: bytes_below(&trash),
            trashed_runs: fs::read_dir(&trash).map_or(0, |entries| entries.flatten().count()),
        }
    }

    /// Removes what lies in the trash for good.
    ///
    /// # Errors
    /// When a directory cannot be removed; what was removed before stays removed.
    pub fn empty_trash(&self) -> Result<(), StudioError> {
        let trash = self.data_dir.trash();
        let entries = fs::read_dir(&trash).map_err(StudioError::io(&trash))?;
        for entry in entries.flatten() {
            remove(&entry.path())?;
        }
        Ok(())
    }

    /// Removes the exports; each can be written again from its checkpoint.
    ///
    /// # Errors
    /// When a directory cannot be removed.
    pub fn remove_exports(&self) -> Result<(), StudioError> {
        let exports = self.data_dir.root().join("exports");
        match exports.exists() {
            true => remove(&exports),
            false => Ok(()),
        }
    }
}

fn remove(path: &Path) -> Result<(), StudioError> {
    // A link is removed, never what it points to.
    let is_dir = fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    let removed = match is_dir {
        true => fs::remove_dir_all(path),
        false => fs::remove_file(path),
    };
    removed.map_err(StudioError::io(path))
}

/// Bytes of all files below a folder; links are not followed.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let size = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |m| m.len()),
        _ => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_below_are_counted_and_links_are_not_followed() {
        let folder = tempfile::tempdir().expect("folder");
        fs::create_dir(folder.path().join("a")).expect("creates");
        fs::write(folder.path().join("a/x"), [0; 10]).expect("writes");
        fs::write(folder.path().join("y"), [0; 5]).expect("writes");
        #[cfg(unix)]
        std::os::unix::fs::symlink("/", folder.path().join("root")).expect("links");
        assert_eq!(bytes_below(folder.path()), 15);
        assert_eq!(bytes_below(Path::new("/no/such")), 0);
    }
}
