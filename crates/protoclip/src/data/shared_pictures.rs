//! Which rows share a picture: those with the same path, which are several captions of it.

use std::path::Path;

use rustc_hash::FxHashMap;

#[derive(Debug, Default)]
pub(super) struct SharedPictures {
    /// Number of each picture by the hash of its path.
    number_of: FxHashMap<[u8; 16], u32>,
    of_sample: Vec<u32>,
}

impl SharedPictures {
    /// The next row has the picture at this path.
    pub(super) fn add(&mut self, path: &Path) {
        let hash = blake3::hash(path.as_os_str().as_encoded_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hash.as_bytes()[..16]);
        let next = self.number_of.len() as u32;
        self.of_sample
            .push(*self.number_of.entry(key).or_insert(next));
    }

    /// For each row the number of its picture; nothing when every row has one of its own.
    pub(super) fn shared(self) -> Option<Vec<u32>> {
        (self.number_of.len() < self.of_sample.len()).then_some(self.of_sample)
    }
}
