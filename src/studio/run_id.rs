//! Names of runs: sortable by creation, readable, safe as a directory name.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use protoclip::config::Preset;
use serde::{Deserialize, Serialize};

/// Identifies a run, such as `20261124-061530-protoclip-k3x9`.
///
/// Any text may arrive as an id from a client: an id is only ever looked up among known runs and
/// never becomes a path by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(String);

/// Letters that cannot be taken for one another.
const SUFFIX_LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
/// Longest directory name that is taken for a run.
const LONGEST: usize = 100;

impl RunId {
    /// A new id for a run created at `now`.
    pub fn new(now: Timestamp, preset: Preset) -> Self {
        Self::with_word(now, preset.name())
    }

    /// A new id for a run that is imported at `now`.
    pub fn of_import(now: Timestamp) -> Self {
        Self::with_word(now, "imported")
    }

    fn with_word(now: Timestamp, word: &str) -> Self {
        let time = now.strftime("%Y%m%d-%H%M%S");
        Self(format!("{time}-{word}-{}", suffix(now)))
    }

    /// Takes a directory name for an id when it could be one.
    pub fn of_directory(name: &str) -> Option<Self> {
        let safe = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        (!name.is_empty()
            && name.len() <= LONGEST
            && !name.starts_with('.')
            && name.chars().all(safe))
        .then(|| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for RunId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Four letters that differ between runs created in the same second, by any process.
fn suffix(now: Timestamp) -> String {
    static CREATED: AtomicU32 = AtomicU32::new(0);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&now.as_nanosecond().to_le_bytes());
    hasher.update(&std::process::id().to_le_bytes());
    hasher.update(&CREATED.fetch_add(1, Ordering::Relaxed).to_le_bytes());
    hasher.finalize().as_bytes()[..4]
        .iter()
        .map(|b| char::from(SUFFIX_LETTERS[usize::from(b % 32)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_readable_sortable_and_distinct() {
        let early = Timestamp::from_second(1_795_500_000).expect("time");
        let late = Timestamp::from_second(1_795_500_001).expect("time");
        let first = RunId::new(early, Preset::Protoclip);
        assert!(first.as_str().starts_with("20261124-"), "{first}");
        assert!(first.as_str().contains("-protoclip-"), "{first}");
        assert!(first < RunId::new(late, Preset::Clip));
        assert_ne!(first, RunId::new(early, Preset::Protoclip));
        assert_eq!(RunId::of_directory(first.as_str()), Some(first));
    }

    #[test]
    fn names_that_could_leave_the_directory_are_no_ids() {
        for name in ["", ".", "..", ".new-x", "a/b", "a\\b", "a b", "ü"] {
            assert_eq!(RunId::of_directory(name), None, "{name:?}");
        }
    }
}
