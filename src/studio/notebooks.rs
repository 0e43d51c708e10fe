//! Notebooks: Markdown files whose fenced cells drive and show the studio.
//!
//! Pure text in and out so far: [`Document`] splits a file into prose and cells and writes it back byte
//! for byte, [`Cell`] reads one cell, [`Plan`] orders cells by what they refer to.

mod cell;
mod document;
mod plan;

pub use cell::{Cell, CellClass, CellKind, Reference};
pub use document::{CellText, Document, FrontMatter, Part};
pub use plan::Plan;

/// What is wrong with a notebook, where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Line of the file, from 1.
    pub line: usize,
    /// Id of the cell, if it has one.
    pub cell: Option<String>,
    pub message: String,
}
