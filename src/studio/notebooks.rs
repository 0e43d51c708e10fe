//! Notebooks: Markdown files whose fenced cells drive and show the studio.
//!
//! [`Document`] splits a file into prose and cells and writes it back byte for byte, [`Cell`] reads one
//! cell, [`Plan`] orders cells by what they refer to. A pass runs cells; their results lie
//! beside the file. The methods of [`Studio`](super::Studio) in `shelf` are what the server calls.

mod cell;
mod cells;
mod control;
mod desk;
mod document;
mod export;
mod file;
#[cfg(test)]
mod hostile_tests;
mod markdown;
mod output;
mod output_store;
mod outside;
mod pass;
mod plan;
mod resolve;
mod shelf;
mod standing;
mod templates;
mod verify;
mod view;

pub use cell::{Cell, CellClass, CellKind, Reference};
pub use control::{Choice, Control, ControlKind};
pub use document::{CellText, Document, FrontMatter, Part};
pub use export::{ExportFormat, ExportedFile, zipped};
pub use file::{MOST_TEXT, NotebookFile, NotebookName, TaggedText};
pub use markdown::{Heading, Pictures, headings, prose_html};
pub use output::{Block, CellOutput, CheckpointMark, OutputLink, Provenance, Table};
pub use output_store::{Effect, Outputs};
pub use outside::NotRun;
pub use pass::{Outcome, PassObserver, RunCells, Which};
pub use plan::Plan;
pub use shelf::{NewNotebook, NotebookListed, SaveOutcome};
pub use standing::Overrides;
pub use templates::NotebookTemplate;
pub use verify::{CellVerdict, Verdict};
pub use view::{CellState, CellStatus, CellView, NotebookView, PartView};

pub(super) use desk::NotebookDesk;

/// What is wrong with a notebook, where.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// Line of the file, from 1.
    pub line: usize,
    /// Id of the cell, if it has one.
    pub cell: Option<String>,
    pub message: String,
}
