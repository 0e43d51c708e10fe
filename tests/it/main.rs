//! Black-box tests of the whole workspace, one binary.
#![allow(
    clippy::unwrap_used,
    reason = "a failed expectation of a test should stop it"
)]

mod architecture;
mod augmentation;
mod bench;
mod checkpoints;
mod compare;
mod connections;
mod data_sets;
mod disk_full;
mod evaluate;
mod event_stream;
mod exports;
mod figures;
mod gap;
mod http_api;
mod imported_runs;
mod kill_loop;
mod lifecycle;
mod maps;
mod memory;
mod notebook_desk;
mod notebook_pages;
mod notebooks;
mod pages;
mod program;
mod prototype_sheet;
mod prototypes;
mod relink;
mod route_table;
#[cfg(feature = "s3")]
mod s3;
mod settings;
mod sources;
mod steering;
mod support;
mod teachers;
mod term_loop;
mod weights;
