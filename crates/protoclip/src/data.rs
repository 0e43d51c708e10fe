//! Image–caption pairs: where they come from and how they become batches.
//!
//! A [`PairSource`] gives random access to pairs by [`SampleId`]. It knows no model and no episode.

mod augment;
mod blur;
mod builtin;
mod colour;
mod decode;
mod draw;
mod sampler;
mod transform;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{DataConfig, DataFacts, DataSource};

pub use builtin::BuiltinSource;
pub use decode::{LARGEST_DECODE, LARGEST_SIDE, decode_picture};
pub use sampler::EpisodeSampler;
pub use transform::{MEAN, STD, Transform};

/// Index of a usable pair in its source, stable while the source's fingerprint is.
pub type SampleId = u32;

/// Random access to the pairs of one data set. Shared between threads.
pub trait PairSource: Send + Sync + fmt::Debug {
    /// What a person calls it: `built-in emoji`, or the file name.
    fn name(&self) -> &str;

    /// Number of usable pairs.
    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The caption of a pair, never empty.
    ///
    /// # Errors
    /// When the row can no longer be read.
    fn caption(&self, sample: SampleId) -> Result<String, DataError>;

    /// The decoded picture, transparency composited on white.
    ///
    /// # Errors
    /// When the file is gone or cannot be decoded; the message names it.
    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError>;

    /// Where the pair comes from, for people: a path and row, or a character.
    fn origin(&self, sample: SampleId) -> String;

    /// Label columns for evaluation; model and teacher never see them.
    fn labels(&self) -> &[LabelColumn];

    /// For each pair, the group of near-copies it belongs to (skin tones of one emoji), when an
    /// episode should draw one member per group. `None` when every pair stands for itself.
    fn balance_groups(&self) -> Option<&[u32]>;

    /// Hash of what the data set holds; a checkpoint remembers it.
    fn fingerprint(&self) -> &str;

    /// Rows that cannot be used.
    fn skipped(&self) -> SkipReport;

    /// Sizes that decide whether a configuration fits.
    fn facts(&self) -> DataFacts;
}

/// A column of class labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelColumn {
    pub name: String,
    pub classes: Vec<String>,
    /// Index into `classes` for every pair.
    pub of_sample: Arc<[u32]>,
}

/// Rows that were skipped, counted by reason, the first ones listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipReport {
    /// All rows seen, usable or not.
    pub rows: u64,
    pub skipped: u64,
    pub by_reason: Vec<(SkipReason, u64)>,
    /// At most [`SkipReport::LISTED`] of them.
    pub listed: Vec<SkippedRow>,
}

impl SkipReport {
    /// Rows that a report lists one by one.
    pub const LISTED: usize = 1000;
}

/// One unusable row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRow {
    /// Line of the file, from 1.
    pub row: u64,
    pub reason: SkipReason,
    /// The path, or the decoder's message.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    MissingFile,
    BrokenImage,
    BadUtf8,
    EmptyCaption,
    MissingColumn,
}

/// Why data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{origin}: the image cannot be decoded: {message}; remove the row or replace the file")]
    Image { origin: String, message: String },
    #[error("{path}: {message}")]
    Format { path: String, message: String },
    #[error("cancelled")]
    Cancelled,
}

impl DataError {
    /// A sample number that a source does not have.
    fn no_such_sample(name: &str, sample: SampleId, pairs: usize) -> Self {
        Self::Format {
            path: name.into(),
            message: format!("there is no sample {sample}, it has {pairs} pairs"),
        }
    }
}

/// Progress of opening a source; return `false` to cancel.
pub type OpenProgress<'a> = &'a (dyn Fn(u64, u64) -> bool + Sync);

/// Opens the data set that a configuration names.
///
/// # Errors
/// When the file is absent, has no usable row, or too large a share of broken ones.
pub fn open(
    config: &DataConfig,
    progress: OpenProgress<'_>,
) -> Result<Arc<dyn PairSource>, DataError> {
    match config.source {
        DataSource::Builtin => {
            let source = BuiltinSource::new();
            let pairs = source.len() as u64;
            if progress(pairs, pairs) {
                Ok(Arc::new(source))
            } else {
                Err(DataError::Cancelled)
            }
        }
        DataSource::Csv => Err(DataError::Format {
            path: config
                .path
                .as_deref()
                .unwrap_or(std::path::Path::new(""))
                .display()
                .to_string(),
            message: "this build cannot read CSV files yet".into(),
        }),
    }
}
