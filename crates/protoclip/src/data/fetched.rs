//! Bytes of objects that were fetched before they are asked for; each piece is handed out once.
//!
//! A request takes tens of milliseconds however little it fetches. Whoever knows what comes next has it
//! fetched many at a time and put here.

use std::collections::VecDeque;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

/// Bytes that wait at a time; those that were fetched first go first.
const ROOM: usize = 512 << 20;
/// Bytes of one call, so that two batches may wait.
pub(super) const FETCHED_AT_ONCE: u64 = ROOM as u64 / 2;

#[derive(Debug)]
pub(super) struct Fetched<K> {
    kept: Mutex<Kept<K>>,
    room: usize,
}

#[derive(Debug)]
struct Kept<K> {
    pieces: FxHashMap<K, Vec<u8>>,
    /// As they came; some were handed out meanwhile.
    order: VecDeque<K>,
    bytes: usize,
}

impl<K> Default for Fetched<K> {
    fn default() -> Self {
        Self {
            kept: Mutex::new(Kept {
                pieces: FxHashMap::default(),
                order: VecDeque::new(),
                bytes: 0,
            }),
            room: ROOM,
        }
    }
}

impl<K: Hash + Eq + Clone> Fetched<K> {
    /// A piece, if it is here; it is not afterwards.
    pub(super) fn take(&self, key: &K) -> Option<Vec<u8>> {
        let mut kept = self.lock();
        let bytes = kept.pieces.remove(key)?;
        kept.bytes -= bytes.len();
        Some(bytes)
    }

    pub(super) fn has(&self, key: &K) -> bool {
        self.lock().pieces.contains_key(key)
    }

    pub(super) fn keep(&self, key: K, piece: Vec<u8>) {
        let mut kept = self.lock();
        if kept.pieces.contains_key(&key) {
            return;
        }
        kept.bytes += piece.len();
        kept.order.push_back(key.clone());
        kept.pieces.insert(key, piece);
        while kept.bytes > self.room
            && let Some(oldest) = kept.order.pop_front()
        {
            let gone = kept.pieces.remove(&oldest);
            kept.bytes -= gone.map_or(0, |bytes| bytes.len());
        }
        let Kept { pieces, order, .. } = &mut *kept;
        if order.len() > 4096 + 2 * pieces.len() {
            order.retain(|key| pieces.contains_key(key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept<K>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_handed_out_once_and_the_oldest_make_room() {
        let fetched = Fetched {
            room: 400,
            ..Fetched::default()
        };
        for key in 0..6 {
            fetched.keep(key, vec![7; 100]);
        }
        let here: Vec<bool> = (0..6).map(|key| fetched.take(&key).is_some()).collect();
        assert_eq!(here, [false, false, true, true, true, true]);
        assert!(!fetched.has(&5));
        for key in 0..20_000 {
            fetched.keep(key, vec![1]);
            assert_eq!(fetched.take(&key), Some(vec![1]));
        }
        assert!(
            fetched.lock().order.len() < 5000,
            "what is gone is forgotten"
        );
    }
}
