//! What was made of the files read last, in memory.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::StudioError;

/// A few values made of files, the one used last at the end. A file that was written again is read
/// again.
#[derive(Debug)]
pub(crate) struct FileCache<T> {
    most: usize,
    kept: Mutex<Vec<Kept<T>>>,
}

#[derive(Debug)]
struct Kept<T> {
    path: PathBuf,
    written: Option<SystemTime>,
    value: Arc<T>,
}

impl<T> FileCache<T> {
    pub(super) const fn new(most: usize) -> Self {
        Self {
            most,
            kept: Mutex::new(Vec::new()),
        }
    }

    /// What `read` makes of `path`, or made of it before.
    pub(super) fn get(
        &self,
        path: &Path,
        read: impl FnOnce(&Path) -> Result<T, StudioError>,
    ) -> Result<Arc<T>, StudioError> {
        let written = std::fs::metadata(path).and_then(|m| m.modified()).ok();
        if let Some(value) = self.find(path, written) {
            return Ok(value);
        }
        // Read without the lock: two readers at once cost only the second read.
        let value = Arc::new(read(path)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|k| k.path != path);
        if kept.len() >= self.most {
            kept.remove(0);
        }
        kept.push(Kept {
            path: path.to_owned(),
            written,
            value: Arc::clone(&value),
        });
        Ok(value)
    }

    fn find(&self, path: &Path, written: Option<SystemTime>) -> Option<Arc<T>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept
            .iter()
            .position(|k| k.path == path && k.written == written)?;
        let found = kept.remove(place);
        let value = Arc::clone(&found.value);
        kept.push(found);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_last_stays_and_what_was_written_again_is_read_again() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = |name: &str| folder.path().join(name);
        let cache = FileCache::new(2);
        let reads = std::cell::Cell::new(0);
        let get = |name: &str| {
            let read = |path: &Path| {
                reads.set(reads.get() + 1);
                std::fs::read_to_string(path).map_err(StudioError::io(path))
            };
            cache.get(&path(name), read).expect("reads").to_string()
        };
        for name in ["a", "b", "c"] {
            std::fs::write(path(name), name).expect("writes");
        }
        assert_eq!(
            (get("a"), get("b"), get("a")),
            ("a".into(), "b".into(), "a".into())
        );
        assert_eq!(reads.get(), 2);
        // The third drives out b, which was used before a.
        get("c");
        get("a");
        assert_eq!(reads.get(), 3);
        get("b");
        assert_eq!(reads.get(), 4);
        std::fs::write(path("b"), "new").expect("writes");
        let later = SystemTime::now() + std::time::Duration::from_secs(9);
        let file = std::fs::File::options().write(true).open(path("b"));
        file.expect("opens").set_modified(later).expect("dates");
        assert_eq!(get("b"), "new");
    }
}
