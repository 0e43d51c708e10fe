//! How good a model's features are: zero-shot classification, linear probe, retrieval, grouping.
//!
//! The measures take features, never a model; [`evaluate`] extracts those of a model on a data set
//! once and runs all of them. Called by the trainer between episodes and by the command line, on the
//! caller's thread and the current rayon pool; everything can be cancelled from its callback.

mod best_matches;
mod columns;
mod evaluate;
mod features;
mod grouping;
mod linear_probe;
mod prompts;
mod report;
mod retrieval;
mod zero_shot;

pub(crate) use columns::{Labelled, classify, separation};
pub(crate) use evaluate::space_scores;
pub use evaluate::{
    EvaluateError, EvaluationOptions, EvaluationPhase, EvaluationProgress, RETRIEVAL_LIMIT,
    SELF_SIMILARITY_LIMIT, evaluate,
};
pub use features::{Encoder, PairFeatures};
pub use grouping::{GroupingError, GroupingScores, grouping};
pub use linear_probe::{ProbeError, ProbeScores, ProbeSplit, StrengthScore, linear_probe};
pub use prompts::{PromptError, PromptTemplates, parse_class_names, spoken_class};
pub use report::{
    ColumnReport, EvaluatedData, EvaluatedModel, EvaluationReport, Part, RetrievalReport,
    SeparationScores, SpaceScores,
};
pub use retrieval::{RecallAt, RetrievalError, RetrievalScores, retrieval};
pub use zero_shot::{Confusion, ZeroShotScores, class_embeddings, zero_shot};

/// Progress of an evaluation, `(done, total)` in units of its own; return `false` to cancel.
pub type EvalProgress<'a> = &'a dyn Fn(u64, u64) -> bool;
