//! Random generators that depend only on what they are for.
//!
//! Nothing random is carried from one episode to the next, so a resumed run needs no generator
//! state: the run's seed, the purpose and two numbers give the same draws on any thread.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the draws decide; keeps the streams of one seed apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Order of one pass over the data.
    Pass,
    /// Order inside one episode.
    Episode,
    /// Draws with replacement.
    Replacement,
    /// Augmentation of one sample in one episode.
    Augment,
    /// Choice of the captions that the built-in teacher is fitted on.
    Teacher,
    /// Choice of the rows that a quadratic measure looks at.
    Evaluation,
}

/// The generator for `(seed, purpose, a, b)`.
pub(crate) fn generator(seed: u64, purpose: Purpose, a: u64, b: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (slot, number) in key.chunks_exact_mut(8).zip([seed, purpose as u64, a, b]) {
        slot.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
