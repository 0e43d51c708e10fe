//! How good a model's features are: grouping against labels, and retrieval.
//!
//! Called by the trainer between episodes and by the studio, on the caller's thread and the current
//! rayon pool. Takes L2-normalised features, never a model; can be cancelled from its callback.

mod grouping;
mod retrieval;

pub use grouping::{GroupingError, GroupingScores, grouping};
pub use retrieval::{RecallAt, RetrievalError, RetrievalScores, retrieval};

/// Progress of an evaluation, `(done, total)` in units of its own; return `false` to cancel.
pub type EvalProgress<'a> = &'a dyn Fn(u64, u64) -> bool;
