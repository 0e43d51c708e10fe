//! A notebook with its last outputs as something that others open: one offline HTML file, a folder
//! of Markdown, a Jupyter notebook, CSV tables.

mod html;
mod ipynb;
mod markdown;

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::super::{Studio, StudioError};
use super::document::{Document, Part};
use super::file::NotebookFile;
use super::output::CellOutput;
use super::output_store::OutputStore;
use super::plan::Plan;
use super::standing::{Overrides, standings};
use super::view::title;
use super::{Cell, CellText, NotebookName};

/// What a notebook is exported as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    Html,
    /// Text and figures in a folder.
    Markdown,
    Ipynb,
    /// One file per table.
    Csv,
}

/// A file of an export; names may have one folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedFile {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl ExportFormat {
    pub const ALL: [Self; 4] = [Self::Html, Self::Markdown, Self::Ipynb, Self::Csv];

    /// As in `--format` and addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Markdown => "md",
            Self::Ipynb => "ipynb",
            Self::Csv => "csv",
        }
    }
}

/// A notebook with everything that an export shows.
struct Exported {
    stem: String,
    title: String,
    document: Document,
    cells: Vec<ShownCell>,
    store: OutputStore,
}

/// A cell of an export, in the order of the file.
struct ShownCell {
    id: Option<String>,
    /// Of a control: label and value.
    control: Option<(String, String)>,
    output: Option<CellOutput>,
    /// Why there is no output, or why it may not be what the cell says now.
    remark: Option<String>,
}

/// A piece of an export.
enum Piece<'a> {
    Prose(&'a str),
    Cell(&'a CellText, &'a ShownCell),
}

impl Studio {
    /// Exports a notebook of the data directory.
    ///
    /// # Errors
    /// When there is none, or its outputs cannot be read.
    pub fn notebook_export(
        &self,
        name: &NotebookName,
        format: ExportFormat,
    ) -> Result<Vec<ExportedFile>, StudioError> {
        self.export_notebook_file(&self.known_notebook(name)?, &Overrides::new(), format)
    }

    /// Exports a notebook file, wherever it lies; `overrides` are the values of controls that it was
    /// run with.
    ///
    /// # Errors
    /// As [`Studio::notebook_export`].
    pub fn export_notebook_file(
        &self,
        file: &NotebookFile,
        overrides: &Overrides,
        format: ExportFormat,
    ) -> Result<Vec<ExportedFile>, StudioError> {
        let exported = Exported::read(self, file, overrides)?;
        let one = |bytes| ExportedFile {
            name: format!("{}.{}", exported.stem, format.name()),
            bytes,
        };
        Ok(match format {
            ExportFormat::Html => vec![one(html::write(&exported)?.into_bytes())],
            ExportFormat::Ipynb => vec![one(ipynb::write(&exported)?.into_bytes())],
            ExportFormat::Markdown => markdown::write(&exported)?,
            ExportFormat::Csv => exported.tables(),
        })
    }
}

/// Several files as one zip archive.
///
/// # Errors
/// When it grows beyond what an archive can hold.
pub fn zipped(files: &[ExportedFile]) -> Result<Vec<u8>, StudioError> {
    let write = || {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for file in files {
            archive.start_file(file.name.as_str(), options)?;
            archive.write_all(&file.bytes)?;
        }
        Ok::<_, zip::result::ZipError>(archive.finish()?.into_inner())
    };
    write().map_err(|error| StudioError::Other(format!("cannot write the archive: {error}")))
}

impl Exported {
    fn read(
        studio: &Studio,
        file: &NotebookFile,
        overrides: &Overrides,
    ) -> Result<Self, StudioError> {
        let document = Document::read(&file.read()?.text);
        let plan = Plan::of(&document);
        let store = OutputStore::at(file.outputs());
        let outputs = store.read()?;
        let all = standings(studio, &plan, &outputs, overrides);
        let shown = |text: &CellText| {
            let Ok(cell) = Cell::read(text) else {
                return ShownCell::wrong(&plan, text);
            };
            let planned = plan
                .cells
                .iter()
                .any(|p| p.id == cell.id && p.line == cell.line);
            let Some(standing) = all.get(&cell.id).filter(|_| planned) else {
                return ShownCell::wrong(&plan, text);
            };
            let control = standing.control.as_ref().map(|control| {
                let value = match &control.value {
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                (control.label.clone(), value)
            });
            let output = outputs.get(&cell.id).cloned();
            let remark = match (&control, &output) {
                (Some(_), _) => None,
                (None, None) => Some("This cell was not run.".to_owned()),
                (None, Some(_)) if standing.fresh => None,
                (None, Some(output)) if output.error.is_some() => None,
                (None, Some(_)) => {
                    Some("What this shows has changed since; run the cell again.".to_owned())
                }
            };
            ShownCell {
                id: Some(cell.id),
                control,
                output,
                remark,
            }
        };
        Ok(Self {
            stem: file.stem(),
            title: title(&document, &file.stem()),
            cells: document.cells().map(shown).collect(),
            document,
            store,
        })
    }

    /// Prose and cells in order; the front matter is left out.
    fn pieces(&self) -> Vec<Piece<'_>> {
        let mut cells = self.cells.iter();
        let piece = |part| match part {
            &Part::Front(_) => None,
            Part::Prose(text) => Some(Piece::Prose(text)),
            Part::Cell(text) => cells.next().map(|shown| Piece::Cell(text, shown)),
        };
        self.document.parts().iter().filter_map(piece).collect()
    }

    fn tables(&self) -> Vec<ExportedFile> {
        let mut files = Vec::new();
        for cell in &self.cells {
            let (Some(id), Some(output)) = (&cell.id, &cell.output) else {
                continue;
            };
            for (at, table) in output.tables().enumerate() {
                let number = if at == 0 {
                    String::new()
                } else {
                    format!("-{}", at + 1)
                };
                files.push(ExportedFile {
                    name: format!("{id}{number}.csv"),
                    bytes: table.csv().into_bytes(),
                });
            }
        }
        files
    }
}

impl ShownCell {
    fn wrong(plan: &Plan, text: &CellText) -> Self {
        let end = text.line + text.body.matches('\n').count() + 1;
        let own = plan
            .problems
            .iter()
            .filter(|p| (text.line..=end).contains(&p.line));
        let told: Vec<String> = own
            .map(|problem| format!("line {}: {}", problem.line, problem.message))
            .collect();
        Self {
            id: None,
            control: None,
            output: None,
            remark: Some(format!("This cell cannot be run: {}.", told.join("; "))),
        }
    }
}
