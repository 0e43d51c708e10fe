//! Notebooks that are being run: one thread for each, its requests, and how far its cells are.
//!
//! Asked from any thread. A new request ends the pass that is under way after its current cell and is
//! taken up together with what was left, so that a slider that moves is not waited for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::super::{Studio, StudioError, niceness};
use super::file::{NotebookFile, NotebookName};
use super::pass::{Outcome, Pass, PassObserver, RunCells};
use super::standing::Overrides;

/// A cell that is running, waits for its turn, or was cancelled.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    pub(super) state: ActivityState,
    pub(super) phase: String,
    pub(super) done: u64,
    pub(super) total: u64,
    began: Instant,
    cancelled: Arc<AtomicBool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ActivityState {
    Queued,
    Running,
    Cancelled,
}

/// All notebooks that are or were run since the program started.
#[derive(Debug, Default)]
pub(in super::super) struct NotebookDesk {
    sessions: Mutex<BTreeMap<PathBuf, Session>>,
    closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Session {
    running: bool,
    pending: Option<RunCells>,
    cells: BTreeMap<String, Activity>,
    /// Why the last pass ended early.
    problem: Option<String>,
    told: Option<Instant>,
}

/// How a notebook is, as views show it.
#[derive(Debug, Clone, Default)]
pub(super) struct SessionView {
    pub(super) running: bool,
    pub(super) cells: BTreeMap<String, Activity>,
    pub(super) problem: Option<String>,
}

/// Between two events about progress alone.
const BETWEEN_EVENTS: Duration = Duration::from_millis(250);

impl Activity {
    fn new(state: ActivityState) -> Self {
        Self {
            state,
            phase: String::new(),
            done: 0,
            total: 0,
            began: Instant::now(),
            cancelled: Arc::default(),
        }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }
}

impl NotebookDesk {
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No pass begins any more, and those under way end.
    pub(in super::super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for session in self.sessions().values() {
            for activity in session.cells.values() {
                activity.cancelled.store(true, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn view(&self, path: &Path) -> SessionView {
        let sessions = self.sessions();
        sessions
            .get(path)
            .map_or_else(SessionView::default, |session| SessionView {
                running: session.running,
                cells: session.cells.clone(),
                problem: session.problem.clone(),
            })
    }

    /// Notes a request; `true` when a thread must be started for it.
    fn ask(&self, path: &Path, asked: RunCells) -> bool {
        let mut sessions = self.sessions();
        let session = sessions.entry(path.to_owned()).or_default();
        session.problem = None;
        for cell in &asked.cells {
            let running = session
                .cells
                .get(cell)
                .is_some_and(|a| a.state == ActivityState::Running);
            if !running {
                session
                    .cells
                    .insert(cell.clone(), Activity::new(ActivityState::Queued));
            }
        }
        match &mut session.pending {
            Some(pending) => pending.merge(asked),
            None => session.pending = Some(asked),
        }
        !std::mem::replace(&mut session.running, true)
    }

    /// Takes the next request, together with what the last pass left; ends the session when there is
    /// none.
    fn next(&self, path: &Path, left: Option<RunCells>) -> Option<RunCells> {
        let mut sessions = self.sessions();
        let session = sessions.get_mut(path)?;
        let closed = self.closed.load(Ordering::Relaxed);
        let mut next = session.pending.take().filter(|_| !closed);
        if let (Some(next), Some(left)) = (&mut next, left) {
            next.merge(left);
        }
        if next.is_none() {
            session.running = false;
            session
                .cells
                .retain(|_, activity| activity.state == ActivityState::Cancelled);
        }
        next
    }

    /// Cancels one cell, or all of a notebook.
    pub(super) fn cancel(&self, path: &Path, cell: Option<&str>) {
        let mut sessions = self.sessions();
        let Some(session) = sessions.get_mut(path) else {
            return;
        };
        if let Some(pending) = &mut session.pending {
            match cell {
                Some(cell) => pending.cells.retain(|other| other != cell),
                None => session.pending = None,
            }
        }
        let asked = session
            .cells
            .iter_mut()
            .filter(|(id, _)| cell.is_none_or(|cell| cell == id.as_str()));
        for (_, activity) in asked {
            activity.cancelled.store(true, Ordering::Relaxed);
            if activity.state == ActivityState::Queued {
                activity.state = ActivityState::Cancelled;
            }
        }
    }

    /// Forgets a notebook that is not run.
    ///
    /// # Errors
    /// When it is run.
    pub(super) fn forget(&self, path: &Path) -> Result<(), StudioError> {
        let mut sessions = self.sessions();
        if sessions.get(path).is_some_and(|session| session.running) {
            let message = "cells of this notebook are running; cancel them first";
            return Err(StudioError::Conflict(message.into()));
        }
        sessions.remove(path);
        Ok(())
    }
}

impl Studio {
    /// Runs cells of a notebook on its thread.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub(super) fn run_cells(
        &self,
        name: &NotebookName,
        file: NotebookFile,
        asked: RunCells,
    ) -> Result<(), StudioError> {
        if !self.notebooks.ask(file.path(), asked) {
            return Ok(());
        }
        let studio = Weak::clone(&self.own);
        let name = name.clone();
        let thread = std::thread::Builder::new().name("notebook".into());
        let path = file.path().to_owned();
        let spawned = thread.spawn(move || {
            niceness::yield_to_others();
            if let Some(studio) = studio.upgrade() {
                run_session(&studio, &name, &file);
            }
        });
        if let Err(error) = spawned {
            if let Some(session) = self.notebooks.sessions().get_mut(&path) {
                session.running = false;
            }
            return Err(StudioError::Other(format!(
                "cannot start a thread: {error}"
            )));
        }
        Ok(())
    }
}

fn run_session(studio: &Studio, name: &NotebookName, file: &NotebookFile) {
    let observer = SessionObserver { studio, name, file };
    let overrides = Overrides::new();
    let mut left = None;
    while let Some(mut asked) = studio.notebooks.next(file.path(), left.take()) {
        let pass = Pass {
            studio,
            file,
            overrides: &overrides,
            observer: &observer,
        };
        // A panic of a cell must not leave the notebook running for ever.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pass.run(&mut asked)));
        match ended {
            Ok(Ok(true)) => (),
            Ok(Ok(false)) => left = Some(asked),
            Ok(Err(error)) => observer.note(error.to_string()),
            Err(_panic) => {
                observer.note("a cell panicked; the log of the program says where".into())
            }
        }
    }
    studio.live.tell_notebook(name);
}

/// Brings what a pass does into the session and to the pages.
struct SessionObserver<'a> {
    studio: &'a Studio,
    name: &'a NotebookName,
    file: &'a NotebookFile,
}

impl SessionObserver<'_> {
    fn edit(&self, edit: impl FnOnce(&mut Session)) {
        let mut sessions = self.studio.notebooks.sessions();
        if let Some(session) = sessions.get_mut(self.file.path()) {
            edit(session);
        }
    }

    fn note(&self, problem: String) {
        tracing::error!(notebook = %self.name, problem, "a notebook cannot be run");
        self.edit(|session| session.problem = Some(problem));
    }
}

impl PassObserver for SessionObserver<'_> {
    fn begins(&self, cell: &str) -> Arc<AtomicBool> {
        let mut activity = Activity::new(ActivityState::Running);
        let cancelled = Arc::clone(&activity.cancelled);
        if self.studio.notebooks.closed.load(Ordering::Relaxed) {
            cancelled.store(true, Ordering::Relaxed);
        }
        activity.phase = "starting".into();
        self.edit(|session| {
            session.cells.insert(cell.to_owned(), activity);
        });
        self.studio.live.tell_notebook(self.name);
        cancelled
    }

    fn progress(&self, cell: &str, phase: &str, done: u64, total: u64) {
        let mut tell = false;
        self.edit(|session| {
            if let Some(activity) = session.cells.get_mut(cell) {
                phase.clone_into(&mut activity.phase);
                (activity.done, activity.total) = (done, total);
            }
            if session
                .told
                .is_none_or(|told| told.elapsed() > BETWEEN_EVENTS)
            {
                session.told = Some(Instant::now());
                tell = true;
            }
        });
        if tell {
            self.studio.live.tell_notebook(self.name);
        }
    }

    fn ends(&self, cell: &str, outcome: &Outcome) {
        self.edit(|session| match outcome {
            Outcome::Cancelled => {
                if let Some(activity) = session.cells.get_mut(cell) {
                    activity.state = ActivityState::Cancelled;
                }
            }
            Outcome::Done | Outcome::Failed(_) => {
                session.cells.remove(cell);
            }
        });
        self.studio.live.tell_notebook(self.name);
    }

    fn is_over(&self) -> bool {
        let sessions = self.studio.notebooks.sessions();
        let session = sessions.get(self.file.path());
        self.studio.notebooks.closed.load(Ordering::Relaxed)
            || session.is_none_or(|session| session.pending.is_some())
    }
}
