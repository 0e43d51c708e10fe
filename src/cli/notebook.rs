//! `notebook`: runs, verifies and exports a notebook file in this terminal.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use indicatif::{ProgressBar, ProgressStyle};

use super::UsageError;
use super::serve::open_studio;
use super::signals::{END_LIMIT, on_signal};
use crate::settings::{
    NotebookExport, NotebookFormat, NotebookRun, NotebookSettings, NotebookSource, NotebookVerify,
    NotebookWork,
};
use crate::studio::Studio;
use crate::studio::notebooks::{
    ExportFormat, NotebookFile, Outcome, Overrides, PassObserver, RunCells, Verdict, Which,
};

pub(super) fn notebook(settings: NotebookSettings) -> anyhow::Result<()> {
    match settings.work {
        NotebookWork::Run(run) => run_cells(&run),
        NotebookWork::Verify(verify) => verify_cells(&verify),
        NotebookWork::Export(export) => write_export(&export),
    }
}

fn run_cells(settings: &NotebookRun) -> anyhow::Result<()> {
    let opened = Opened::new(&settings.source)?;
    let asked = RunCells {
        cells: settings.cells.clone(),
        which: match (settings.all, settings.cells.is_empty()) {
            (true, _) => Which::All,
            (false, true) => Which::Stale,
            (false, false) => Which::Views,
        },
        effects: settings.effects,
    };
    let terminal = Terminal::new()?;
    let ended = opened
        .studio
        .run_notebook_file(&opened.file, &opened.overrides, asked, &terminal);
    terminal.bar.finish_and_clear();
    opened.studio.shutdown(END_LIMIT);
    let waiting = ended?;
    let told = terminal
        .ended
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    for (cell, reason) in &waiting {
        say!("  {cell:<20} not run: {reason}");
    }
    let failed = told
        .iter()
        .filter(|(_, outcome)| *outcome != Outcome::Done)
        .count();
    say!(
        "{} cells run, {failed} failed, {} not run",
        told.len(),
        waiting.len()
    );
    say!("outputs: {}", opened.file.outputs().display());
    match (failed, terminal.over.load(Ordering::Relaxed)) {
        (_, true) => Err(anyhow!("ended before all cells were run")),
        (0, false) => Ok(()),
        (_, false) => Err(anyhow!("{failed} cells failed")),
    }
}

fn verify_cells(settings: &NotebookVerify) -> anyhow::Result<()> {
    let opened = Opened::new(&settings.source)?;
    let mut terminal = Terminal::new()?;
    terminal.quiet = true;
    let verdicts = opened
        .studio
        .verify_notebook(&opened.file, &opened.overrides, &terminal);
    terminal.bar.finish_and_clear();
    opened.studio.shutdown(END_LIMIT);
    let verdicts = verdicts?;
    if settings.json {
        say!("{}", serde_json::to_string(&verdicts)?);
    } else {
        for found in &verdicts {
            let message = match found.message.is_empty() {
                true => String::new(),
                false => format!(": {}", found.message),
            };
            say!("  {:<20} {}{message}", found.cell, found.verdict.name());
        }
    }
    if terminal.over.load(Ordering::Relaxed) {
        return Err(anyhow!("ended before all cells were verified"));
    }
    let names = |verdict| -> Vec<&str> {
        let asked = verdicts.iter().filter(|found| found.verdict == verdict);
        asked.map(|found| found.cell.as_str()).collect()
    };
    let (drifted, failed) = (names(Verdict::Drifted), names(Verdict::Failed));
    if drifted.is_empty() && failed.is_empty() {
        if !settings.json {
            say!("{} cells are as they were", verdicts.len());
        }
        return Ok(());
    }
    let mut told = Vec::new();
    if !drifted.is_empty() {
        told.push(format!("drifted: {}", drifted.join(", ")));
    }
    if !failed.is_empty() {
        told.push(format!("failed: {}", failed.join(", ")));
    }
    Err(anyhow!("{}", told.join("; ")))
}

fn write_export(settings: &NotebookExport) -> anyhow::Result<()> {
    let opened = Opened::new(&settings.source)?;
    let (format, is_folder) = match settings.format {
        NotebookFormat::Html => (ExportFormat::Html, false),
        NotebookFormat::Ipynb => (ExportFormat::Ipynb, false),
        NotebookFormat::Md => (ExportFormat::Markdown, true),
        NotebookFormat::Csv => (ExportFormat::Csv, true),
    };
    let files = opened
        .studio
        .export_notebook_file(&opened.file, &opened.overrides, format);
    opened.studio.shutdown(END_LIMIT);
    let files = files?;
    let beside = |suffix: &str| {
        opened
            .file
            .path()
            .with_file_name(format!("{}{suffix}", opened.file.stem()))
    };
    if files.is_empty() {
        return Err(anyhow!(
            "no cell of this notebook shows a table; run it first"
        ));
    }
    for file in &files {
        let path = match (&settings.out, is_folder) {
            (Some(out), false) => out.clone(),
            (Some(out), true) => out.join(&file.name),
            (None, false) => beside(&format!(".{}", format.name())),
            (None, true) => beside("-export").join(&file.name),
        };
        write(&path, &file.bytes)?;
        say!("{}", path.display());
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let say = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(say)?;
    }
    fs::write(path, bytes).with_context(say)
}

/// A notebook and the studio that it is run over.
struct Opened {
    studio: Arc<Studio>,
    file: NotebookFile,
    overrides: Overrides,
}

impl Opened {
    fn new(source: &NotebookSource) -> anyhow::Result<Self> {
        if !source.file.is_file() {
            let message = format!(
                "there is no file {}; give a notebook",
                source.file.display()
            );
            return Err(UsageError(message).into());
        }
        let overrides = overrides(&source.set)?;
        let path: PathBuf = source.file.clone();
        let file = match &source.outputs {
            Some(folder) => NotebookFile::with_outputs(path, folder.clone()),
            None => NotebookFile::at(path),
        };
        Ok(Self {
            studio: open_studio(source.data_dir.clone(), &source.device)?,
            file,
            overrides,
        })
    }
}

/// Values of controls; one that is no JSON is taken as text.
fn overrides(set: &[String]) -> anyhow::Result<Overrides> {
    let mut overrides = BTreeMap::new();
    for change in set {
        let (control, value) = change
            .split_once('=')
            .ok_or_else(|| UsageError(format!("--set {change}: write CONTROL=VALUE")))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
        overrides.insert(control.to_owned(), value);
    }
    Ok(overrides)
}

/// Shows a pass in the terminal; Ctrl-C cancels the cell that runs and ends the pass.
struct Terminal {
    bar: ProgressBar,
    over: Arc<AtomicBool>,
    /// Of the cell that runs.
    cancelled: Arc<Mutex<Arc<AtomicBool>>>,
    ended: Mutex<Vec<(String, Outcome)>>,
    /// Says nothing of cells that end.
    quiet: bool,
}

impl Terminal {
    fn new() -> anyhow::Result<Self> {
        let style = ProgressStyle::with_template("{spinner} {prefix} {msg} {elapsed}")?;
        let terminal = Self {
            bar: ProgressBar::new_spinner().with_style(style),
            over: Arc::default(),
            cancelled: Arc::default(),
            ended: Mutex::default(),
            quiet: false,
        };
        terminal.bar.enable_steady_tick(Duration::from_millis(120));
        let (over, cancelled) = (Arc::clone(&terminal.over), Arc::clone(&terminal.cancelled));
        on_signal(move || {
            over.store(true, Ordering::Relaxed);
            let cell = cancelled.lock().unwrap_or_else(PoisonError::into_inner);
            cell.store(true, Ordering::Relaxed);
        })?;
        Ok(terminal)
    }
}

impl PassObserver for Terminal {
    fn begins(&self, cell: &str) -> Arc<AtomicBool> {
        self.bar.set_prefix(cell.to_owned());
        self.bar.set_message("");
        let flag = Arc::new(AtomicBool::new(self.over.load(Ordering::Relaxed)));
        *self
            .cancelled
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(&flag);
        flag
    }

    fn progress(&self, _cell: &str, phase: &str, done: u64, total: u64) {
        self.bar.set_message(match total {
            0 => phase.to_owned(),
            total => format!("{phase} {done}/{total}"),
        });
    }

    fn ends(&self, cell: &str, outcome: &Outcome) {
        if !self.quiet {
            let told = match outcome {
                Outcome::Done => "done".to_owned(),
                Outcome::Cancelled => "cancelled".to_owned(),
                Outcome::Failed(message) => format!("failed: {message}"),
            };
            self.bar.suspend(|| say!("  {cell:<20} {told}"));
        }
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.push((cell.to_owned(), outcome.clone()));
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_of_controls_are_json_or_text() {
        let set = ["a=3", "b=[1, 2]", "c=protoclip", "d=x=y"].map(str::to_owned);
        let found = overrides(&set).expect("reads");
        let wanted = [
            ("a", json!(3)),
            ("b", json!([1, 2])),
            ("c", json!("protoclip")),
            ("d", json!("x=y")),
        ];
        for (control, value) in wanted {
            assert_eq!(found[control], value);
        }
        assert!(overrides(&["a".to_owned()]).is_err());
    }
}
