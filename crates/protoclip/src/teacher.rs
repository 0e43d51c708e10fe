//! Text encoders that serve as external teachers: BERT and RoBERTa from a Hugging Face directory.
//!
//! Called by whoever prepares teacher features, never during a step. Reads `config.json`,
//! `tokenizer.json` and `model.safetensors` (or `pytorch_model.bin`, as data only) of the directory and nothing else; computes on any device.
//! A caption's embedding is the mean of its token features, L2-normalised, as the reference makes
//! its teacher features (`method`, setting of the paper).

mod bert;
mod bert_config;
mod feature_file;
mod sentences;

use std::path::PathBuf;

use crate::analysis::AnalysisError;
use crate::data::DataError;
use crate::model::weights::WeightsError;
pub use bert_config::BertConfig;
pub use feature_file::{FeatureFile, WrittenFeatures};
pub use sentences::{EncodeProgress, SentenceEncoder, missing_files};

/// Why a text encoder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TeacherError {
    #[error("{}: {source}", path.display())]
    Io {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{}: {message}", path.display())]
    Format { path: PathBuf, message: String },
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error("caption {index} (from 0) cannot be split into tokens: {message}")]
    Caption { index: usize, message: String },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Analysis(#[from] AnalysisError),
    #[error(
        "{dim} dimensions were asked for, and there can be 1 to {most}; ask for fewer, or 0 for all"
    )]
    Dimensions { dim: usize, most: usize },
    #[error("encoding was cancelled")]
    Cancelled,
}
