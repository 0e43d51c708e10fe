//! protoclip-studio: start, watch, steer and understand ProtoCLIP training from a browser.
//!
//! | module | holds |
//! |---|---|
//! | [`settings`] | what flags and environment say, parsed once |
//! | [`cli`] | one file per subcommand |
//! | [`studio`] | the run manager: queue, trainer thread, stores, live changes; knows no HTTP |
//! | [`server`] | axum: the JSON API, the event stream, pages and assets |
//! | `s3` | with the feature of this name: data sets on S3-compatible storage |
//!
//! Imports go from `cli` to `server` to `studio` to the learning library `protoclip`.

// Where nobody reads, these panic; `say!` does not.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
#[cfg(feature = "s3")]
pub mod s3;
pub mod server;
pub mod settings;
pub mod studio;
