//! The notebooks of a data directory: `notebooks/NAME.md`, listed, made, saved, run and thrown away.
//!
//! Called from any thread that may block.

use std::fs;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{ConfigErrors, DataDir, Studio, StudioError};
use super::cell::{Cell, CellKind};
use super::control::set_value;
use super::document::Document;
use super::file::{MOST_TEXT, NotebookFile, NotebookName};
use super::output::Table;
use super::output_store::OutputStore;
use super::pass::RunCells;
use super::plan::Plan;
use super::standing::{Overrides, standings};
use super::templates::{self, NotebookTemplate};
use super::view::{NotebookView, title};

/// A notebook in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotebookListed {
    pub name: NotebookName,
    pub title: String,
    /// Milliseconds since 1970.
    pub modified: u64,
    pub cells: usize,
    pub problems: usize,
    /// Cells are running.
    pub running: bool,
    /// Why it cannot be read.
    pub broken: Option<String>,
}

/// A notebook to make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewNotebook {
    pub name: String,
    /// One of the templates; an empty notebook when absent.
    pub template: Option<String>,
    /// The text itself.
    pub text: Option<String>,
}

/// What became of a text to save.
#[derive(Debug, Clone, PartialEq)]
pub enum SaveOutcome {
    Saved(Box<NotebookView>),
    /// The file is not the one that was edited; nothing was written.
    Conflict {
        etag: String,
        text: String,
    },
}

const FOLDER: &str = "notebooks";
/// Thrown away notebooks, which a person can take out again by hand.
const TRASH: &str = "notebooks/.trash";

impl DataDir {
    /// The file of a notebook.
    pub(super) fn notebook(&self, name: &NotebookName) -> NotebookFile {
        NotebookFile::at(self.root().join(FOLDER).join(format!("{name}.md")))
    }
}

impl Studio {
    /// All notebooks, the newest first.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn notebooks(&self) -> Result<Vec<NotebookListed>, StudioError> {
        let folder = self.data_dir.root().join(FOLDER);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StudioError::io(&folder)(error)),
        };
        let mut all: Vec<NotebookListed> = entries
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let name = NotebookName::parse(name.strip_suffix(".md")?).ok()?;
                Some(self.listed(name))
            })
            .collect();
        all.sort_by(|a, b| {
            b.modified
                .cmp(&a.modified)
                .then_with(|| a.name.cmp(&b.name))
        });
        Ok(all)
    }

    fn listed(&self, name: NotebookName) -> NotebookListed {
        let file = self.data_dir.notebook(&name);
        let mut listed = NotebookListed {
            title: name.to_string(),
            running: self.notebooks.view(file.path()).running,
            name,
            modified: 0,
            cells: 0,
            problems: 0,
            broken: None,
        };
        match file.read() {
            Ok(read) => {
                let document = Document::read(&read.text);
                listed.title = title(&document, listed.name.as_str());
                listed.modified = read.modified;
                listed.cells = document.cells().count();
                listed.problems = Plan::of(&document).problems.len();
            }
            Err(error) => listed.broken = Some(error.to_string()),
        }
        listed
    }

    /// Makes a notebook from a text, a template, or empty.
    ///
    /// # Errors
    /// When the name is none or taken, there is no such template, or it cannot be written.
    pub fn create_notebook(&self, new: &NewNotebook) -> Result<NotebookView, StudioError> {
        let name = NotebookName::parse(&new.name)?;
        let text = match (&new.text, &new.template) {
            (Some(text), _) => text.clone(),
            (None, Some(template)) => templates::text(template)?.to_owned(),
            (None, None) => templates::empty(name.as_str()),
        };
        let file = self.data_dir.notebook(&name);
        self.free(&name)?;
        checked_length(&text)?;
        file.write(&text)?;
        self.live.tell_notebook(&name);
        self.notebook(&name)
    }

    /// What a new notebook can begin with.
    pub fn notebook_templates(&self) -> &'static [NotebookTemplate] {
        templates::ALL
    }

    /// A notebook with its last outputs.
    ///
    /// # Errors
    /// When there is none with this name, or it cannot be read.
    pub fn notebook(&self, name: &NotebookName) -> Result<NotebookView, StudioError> {
        let file = self.known_notebook(name)?;
        let read = file.read()?;
        let session = self.notebooks.view(file.path());
        Ok(NotebookView::of(
            self,
            (name.as_str(), &file),
            &read,
            &session,
        ))
    }

    /// Replaces the text, if the file still is the one that was edited.
    ///
    /// # Errors
    /// When there is no such notebook, or it cannot be written.
    pub fn save_notebook(
        &self,
        name: &NotebookName,
        if_match: &str,
        text: &str,
    ) -> Result<SaveOutcome, StudioError> {
        let file = self.known_notebook(name)?;
        checked_length(text)?;
        let _writing = self.notebook_writes();
        let read = file.read()?;
        if read.etag != if_match {
            return Ok(SaveOutcome::Conflict {
                etag: read.etag,
                text: read.text,
            });
        }
        if read.text != text {
            file.write(text)?;
            self.live.tell_notebook(name);
        }
        Ok(SaveOutcome::Saved(Box::new(self.notebook(name)?)))
    }

    /// Sets a control, which changes one line of the file, and refreshes the views that follow it.
    ///
    /// # Errors
    /// When there is no such control, or it cannot have this value.
    pub fn set_control(
        &self,
        name: &NotebookName,
        cell: &str,
        value: &Value,
    ) -> Result<NotebookView, StudioError> {
        let file = self.known_notebook(name)?;
        let writing = self.notebook_writes();
        let mut document = Document::read(&file.read()?.text);
        let plan = Plan::of(&document);
        let outputs = OutputStore::at(file.outputs()).read()?;
        let all = standings(self, &plan, &outputs, &Overrides::new());
        let standing = all.get(cell).ok_or_else(|| {
            StudioError::NotFound(format!(
                "the notebook {name} has no cell {cell} that can be used"
            ))
        })?;
        let is_control = |c: &Cell| c.id == cell && c.kind == CellKind::Control;
        if !plan.cells.iter().any(is_control) {
            let message = format!("{cell} is no control; only controls are set");
            return Err(StudioError::Conflict(message));
        }
        // One whose value does not fit has no control yet, and is mended by setting another.
        if let Some(control) = &standing.control {
            control
                .check(value)
                .map_err(|message| ConfigErrors::one("value", message))?;
        }
        set_value(&mut document, cell, value)
            .map_err(|problem| StudioError::Conflict(problem.message))?;
        file.write(&document.to_string())?;
        drop(writing);
        self.run_cells(name, file, RunCells::default())?;
        self.live.tell_notebook(name);
        self.notebook(name)
    }

    /// Runs cells in the background.
    ///
    /// # Errors
    /// When there is no such notebook or cell.
    pub fn run_notebook(
        &self,
        name: &NotebookName,
        asked: &RunCells,
    ) -> Result<NotebookView, StudioError> {
        let file = self.known_notebook(name)?;
        let plan = Plan::of(&Document::read(&file.read()?.text));
        asked.check(&plan)?;
        self.run_cells(name, file, asked.clone())?;
        self.notebook(name)
    }

    /// Cancels one cell, or everything that runs or waits in a notebook.
    ///
    /// # Errors
    /// When there is no such notebook.
    pub fn cancel_notebook(
        &self,
        name: &NotebookName,
        cell: Option<&str>,
    ) -> Result<NotebookView, StudioError> {
        let file = self.known_notebook(name)?;
        self.notebooks.cancel(file.path(), cell);
        self.live.tell_notebook(name);
        self.notebook(name)
    }

    /// Gives a notebook another name, with its outputs.
    ///
    /// # Errors
    /// When there is none, the new name is none or taken, or cells are running.
    pub fn rename_notebook(
        &self,
        name: &NotebookName,
        to: &str,
    ) -> Result<NotebookView, StudioError> {
        let from = self.known_notebook(name)?;
        let to = NotebookName::parse(to)?;
        self.free(&to)?;
        self.notebooks.forget(from.path())?;
        let target = self.data_dir.notebook(&to);
        move_notebook(&from, &target)?;
        self.live.tell_notebook(name);
        self.live.tell_notebook(&to);
        self.notebook(&to)
    }

    /// Moves a notebook and its outputs to the trash; where it lies then.
    ///
    /// # Errors
    /// When there is none, or cells are running.
    pub fn trash_notebook(&self, name: &NotebookName) -> Result<PathBuf, StudioError> {
        let from = self.known_notebook(name)?;
        self.notebooks.forget(from.path())?;
        let folder = self.data_dir.root().join(TRASH);
        fs::create_dir_all(&folder).map_err(StudioError::io(&folder))?;
        let stamp = Timestamp::now().as_millisecond();
        let target = NotebookFile::at(folder.join(format!("{name}-{stamp}.md")));
        move_notebook(&from, &target)?;
        self.live.tell_notebook(name);
        Ok(target.path().to_owned())
    }

    /// A figure of a notebook by its hash, as SVG.
    ///
    /// # Errors
    /// When there is none.
    pub fn notebook_figure(&self, name: &NotebookName, hash: &str) -> Result<Vec<u8>, StudioError> {
        OutputStore::at(self.known_notebook(name)?.outputs()).figure(hash)
    }

    /// A table of a cell, by its place among the cell's tables.
    ///
    /// # Errors
    /// When there is none.
    pub fn notebook_table(
        &self,
        name: &NotebookName,
        cell: &str,
        place: usize,
    ) -> Result<Table, StudioError> {
        let outputs = OutputStore::at(self.known_notebook(name)?.outputs()).read()?;
        let table = outputs
            .get(cell)
            .and_then(|output| output.tables().nth(place));
        table.cloned().ok_or_else(|| {
            StudioError::NotFound(format!(
                "the cell {cell} shows no table number {}",
                place + 1
            ))
        })
    }

    /// The file of a notebook that exists.
    pub(super) fn known_notebook(&self, name: &NotebookName) -> Result<NotebookFile, StudioError> {
        let file = self.data_dir.notebook(name);
        match file.path().is_file() {
            true => Ok(file),
            false => Err(StudioError::NotFound(format!(
                "there is no notebook {name}; /notebooks lists those that exist"
            ))),
        }
    }

    fn free(&self, name: &NotebookName) -> Result<(), StudioError> {
        match self.data_dir.notebook(name).path().exists() {
            false => Ok(()),
            true => {
                let message = format!("there is a notebook {name} already; choose another name");
                Err(ConfigErrors::one("name", message).into())
            }
        }
    }
}

fn checked_length(text: &str) -> Result<(), ConfigErrors> {
    if text.len() as u64 <= MOST_TEXT {
        return Ok(());
    }
    let message = format!("{} bytes; a notebook has at most {MOST_TEXT}", text.len());
    Err(ConfigErrors::one("text", message))
}

fn move_notebook(from: &NotebookFile, to: &NotebookFile) -> Result<(), StudioError> {
    fs::rename(from.path(), to.path()).map_err(StudioError::io(from.path()))?;
    if from.outputs().is_dir() {
        fs::rename(from.outputs(), to.outputs()).map_err(StudioError::io(from.outputs()))?;
    }
    Ok(())
}
