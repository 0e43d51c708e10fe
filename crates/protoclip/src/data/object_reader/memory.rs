//! Objects in memory for tests, with failures on demand; the one reader of all tests of this process.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::{
    Depth, ListedObject, ObjectError, ObjectReader, ObjectStamp, Patience, Wanted,
    read_objects_with,
};

/// Each test has a bucket of its own.
#[derive(Debug, Default)]
pub(crate) struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Bytes and number of the version.
    objects: BTreeMap<String, (Vec<u8>, u64)>,
    /// URLs that begin so fail.
    failing: BTreeMap<String, ObjectError>,
    /// What was asked: ranges of reads, nothing of listings and stamps.
    asked: Vec<(String, Option<Range<u64>>)>,
}

pub(crate) fn memory() -> &'static Memory {
    static MEMORY: OnceLock<Arc<Memory>> = OnceLock::new();
    MEMORY.get_or_init(|| {
        let memory = Arc::new(Memory::default());
        let reader: Arc<dyn ObjectReader> = Arc::clone(&memory) as _;
        read_objects_with(reader);
        memory
    })
}

impl Memory {
    pub(crate) fn put(&self, url: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        let mut state = self.lock();
        let entry = state.objects.entry(url.into()).or_default();
        *entry = (bytes.into(), entry.1 + 1);
    }

    pub(crate) fn fail(&self, beginning: &str, error: ObjectError) {
        self.lock().failing.insert(beginning.to_owned(), error);
    }

    pub(crate) fn heal(&self, beginning: &str) {
        self.lock().failing.remove(beginning);
    }

    /// What was asked since the last call about URLs that begin so.
    pub(crate) fn take_asked(&self, beginning: &str) -> Vec<(String, Option<Range<u64>>)> {
        let mut state = self.lock();
        let all = std::mem::take(&mut state.asked).into_iter();
        let (these, others) = all.partition(|(url, _)| url.starts_with(beginning));
        state.asked = others;
        these
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, url: &str, range: Option<Range<u64>>) -> Result<(), ObjectError> {
        let mut state = self.lock();
        state.asked.push((url.to_owned(), range));
        let failing = state.failing.iter();
        let mut failing = failing.filter(|(beginning, _)| url.starts_with(beginning.as_str()));
        failing
            .next()
            .map_or(Ok(()), |(_, error)| Err(error.clone()))
    }

    fn object(&self, url: &str) -> Result<(Vec<u8>, ObjectStamp), ObjectError> {
        let state = self.lock();
        let found = state.objects.get(url);
        let (bytes, version) =
            found.ok_or_else(|| ObjectError::Absent("there is no such object".into()))?;
        Ok((bytes.clone(), stamp(bytes, *version)))
    }
}

fn stamp(bytes: &[u8], version: u64) -> ObjectStamp {
    ObjectStamp {
        bytes: bytes.len() as u64,
        tag: Some(format!("version {version}")),
        modified: 7,
    }
}

impl ObjectReader for Memory {
    fn list(
        &self,
        prefix: &str,
        depth: Depth,
        _patience: Patience,
    ) -> Result<Vec<ListedObject>, ObjectError> {
        self.ask(prefix, None)?;
        let state = self.lock();
        let found = state.objects.iter().filter(|(url, _)| {
            let rest = url.strip_prefix(prefix);
            rest.is_some_and(|rest| depth == Depth::Below || !rest.contains('/'))
        });
        Ok(found
            .map(|(url, (bytes, version))| ListedObject {
                url: url.clone(),
                stamp: stamp(bytes, *version),
            })
            .collect())
    }

    fn stamp(&self, url: &str, _patience: Patience) -> Result<ObjectStamp, ObjectError> {
        self.ask(url, None)?;
        Ok(self.object(url)?.1)
    }

    fn read(&self, wanted: &Wanted<'_>) -> Result<Vec<u8>, ObjectError> {
        self.ask(wanted.url, Some(wanted.range.clone()))?;
        let (bytes, stamp) = self.object(wanted.url)?;
        if wanted.stamp.is_some_and(|then| *then != stamp) {
            return Err(ObjectError::Changed);
        }
        let end = (wanted.range.end as usize).min(bytes.len());
        Ok(bytes[(wanted.range.start as usize).min(end)..end].to_vec())
    }
}
