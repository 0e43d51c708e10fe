//! The operations that dominate a training step, behind plain functions; the only place with
//! `unsafe`.
//!
//! [`model`](crate::model) and [`loss`](crate::loss) call these and never choose an implementation.

pub(crate) mod distance;
mod plain;

pub use plain::{attention, gelu, layer_norm, quick_gelu, softmax};
