//! Where indexes and unpacked shards of data sets are kept between runs, and how much room they get.
//!
//! The program names the folder once with [`keep_indexes_in`]; without that nothing is kept. When
//! room is needed, the files that were used longest ago are removed. Whoever has one open keeps
//! reading it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The folder and its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheFolder {
    pub path: PathBuf,
    /// Bytes that all files in it may take together.
    pub limit: u64,
}

static FOLDER: OnceLock<CacheFolder> = OnceLock::new();

/// Keeps indexes and unpacked shards in this folder from now on. The first call counts.
pub fn keep_indexes_in(folder: CacheFolder) {
    let _first = FOLDER.set(folder);
}

/// The folder that was named.
pub(super) fn cache_folder() -> Option<&'static CacheFolder> {
    FOLDER.get()
}

impl CacheFolder {
    /// The path of a file of this name; notes that it is in use.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        if let Ok(file) = fs::File::open(&path) {
            let _best_effort = file.set_modified(SystemTime::now());
        }
        path
    }

    /// Creates the folder and removes the files that were used longest ago until `bytes` more fit.
    ///
    /// # Errors
    /// When the folder cannot be written, or `bytes` alone are beyond the limit.
    pub(super) fn make_room(&self, bytes: u64) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        if bytes > self.limit {
            return Err(io::Error::other(format!(
                "{} needs {} and may hold {}",
                self.path.display(),
                gibibytes(bytes as f64),
                gibibytes(self.limit as f64)
            )));
        }
        let mut files = self.files()?;
        let mut used: u64 = files.iter().map(|(_, _, bytes)| bytes).sum();
        files.sort();
        for (_, path, size) in files {
            if used + bytes <= self.limit {
                break;
            }
            fs::remove_file(&path)?;
            used -= size;
        }
        Ok(())
    }

    /// Time of last use, path and size of every finished file.
    fn files(&self) -> io::Result<Vec<(SystemTime, PathBuf, u64)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() && !is_staged(&entry.path()) {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.push((used, entry.path(), metadata.len()));
            }
        }
        Ok(found)
    }
}

/// A file that is being written.
fn is_staged(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "tmp")
}

/// Bytes as people read them: `"23.5 GiB"`.
pub fn gibibytes(bytes: f64) -> String {
    format!("{:.1} GiB", bytes / f64::from(1 << 30))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let folder = tempfile::tempdir().expect("folder");
        let cache = CacheFolder {
            path: folder.path().join("cache"),
            limit: 100,
        };
        cache.make_room(0).expect("creates");
        for (name, age) in [("new", 1), ("old", 3), ("older", 9), ("busy.tmp", 99)] {
            let path = cache.path.join(name);
            fs::write(&path, [0; 30]).expect("writes");
            let time = SystemTime::now() - Duration::from_secs(age * 100);
            let file = fs::File::options().append(true).open(&path).expect("opens");
            file.set_modified(time).expect("sets the time");
        }
        let there = |name: &str| cache.path.join(name).exists();
        cache.make_room(40).expect("makes room");
        assert!(there("new") && there("old") && !there("older") && there("busy.tmp"));
        cache.file("old");
        cache.make_room(70).expect("makes room");
        assert!(there("old") && !there("new"), "used again just now");
        assert!(cache.make_room(101).is_err());
    }
}
