//! ProtoCLIP on [Burn](burn): data, models, losses, prototypes, training and evaluation.
//!
//! The map, from the plain-data leaves upward:
//!
//! | module | holds |
//! |---|---|
//! | [`config`] | [`RunConfig`](config::RunConfig), presets, validation into [`ValidRunConfig`](config::ValidRunConfig) |
//! | [`data`] | pair sources (built-in emoji, CSV/TSV, folder per class), held-out parts, decoding, transforms, episode sampling, batches |
//! | [`tokenizer`] | CLIP's byte-level BPE with its text cleaning |
//! | [`kernels`] | CPU kernels behind Burn's extension mechanism; the only place with `unsafe` |
//! | [`model`] | `Clip`: image towers, text tower, projection heads, weights in and out |
//! | [`loss`] | InfoNCE, prototype loss; takes tensors, knows no model |
//! | [`prototypes`] | k-means, prototype back translation, external teachers, snapshots on disk |
//! | [`analysis`] | cluster quality, modality gap, PCA, maps |
//! | [`teacher`] | BERT and RoBERTa text encoders as external teachers |
//! | [`npy`] | matrices in NumPy files |
//! | [`tensor_file`] | named arrays on disk, written atomically |
//! | [`eval`] | zero-shot, linear probe, retrieval and grouping; a whole evaluation of a model on a data set |
//! | [`verify`] | golden values beside ours, on any device |
//! | [`train`] | [`run`](train::run): episodes, steps, optimizer, checkpoints, events up, control down |
//!
//! Three narrow crossings lead to an application: [`config::ValidRunConfig`] and
//! [`train::Control`] go down, [`train::TrainEvent`] comes up. Tensors never leave this crate,
//! and nothing here knows about HTTP, SQL or async run times.

pub mod analysis;
pub mod config;
pub mod data;
pub mod device;
pub mod eval;
#[cfg(test)]
mod golden;
pub mod kernels;
pub mod loss;
pub mod model;
pub mod npy;
pub mod prototypes;
pub mod teacher;
pub mod tensor_file;
pub mod tokenizer;
pub mod train;
pub mod verify;
