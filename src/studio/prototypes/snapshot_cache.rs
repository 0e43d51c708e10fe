//! The snapshots looked at last.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::super::{DataSetId, StudioError};
use super::SnapshotView;

/// A few snapshots in memory, the one used last at the end. A file that was written again is read
/// again.
#[derive(Debug, Default)]
pub(crate) struct SnapshotCache {
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    path: PathBuf,
    written: Option<SystemTime>,
    view: Arc<SnapshotView>,
}

/// At 200,000 samples and 20,000 prototypes one takes about 40 MB.
const KEPT: usize = 6;

impl SnapshotCache {
    pub(super) fn get(
        &self,
        path: &Path,
        data_set: impl FnOnce() -> DataSetId,
    ) -> Result<Arc<SnapshotView>, StudioError> {
        let written = std::fs::metadata(path).and_then(|m| m.modified()).ok();
        if let Some(view) = self.find(path, written) {
            return Ok(view);
        }
        // Read without the lock: two readers at once cost only the second read.
        let view = Arc::new(SnapshotView::read(path, data_set())?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|k| k.path != path);
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(Kept {
            path: path.to_owned(),
            written,
            view: Arc::clone(&view),
        });
        Ok(view)
    }

    fn find(&self, path: &Path, written: Option<SystemTime>) -> Option<Arc<SnapshotView>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept
            .iter()
            .position(|k| k.path == path && k.written == written)?;
        let found = kept.remove(place);
        let view = Arc::clone(&found.view);
        kept.push(found);
        Some(view)
    }
}
