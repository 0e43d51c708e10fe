//! Work in the background that is no run: checking, measuring, importing and exporting checkpoints,
//! opening data sets, making features of teachers.
//!
//! Each piece has an own thread that yields to everything else. Pages ask how far it is; a person
//! can cancel it. Only a few work at the same time, and the last ones that ended stay listed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Studio, StudioError, niceness};

/// Pieces that work at the same time.
const MOST_RUNNING: usize = 2;
/// Pieces that are listed, those that work included.
const MOST_LISTED: usize = 40;

/// What a piece of work does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    Verify,
    Evaluate,
    Export,
    Import,
    ImportCurves,
    OpenData,
    ComparePictures,
    MakeTeacher,
}

/// Where a piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkState {
    Running,
    Done,
    Failed,
    Cancelled,
}

/// A piece of work as shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WorkView {
    pub id: u64,
    pub kind: WorkKind,
    /// The checkpoint or data set that it is about.
    pub subject: String,
    pub state: WorkState,
    /// What it is doing, in words.
    pub phase: String,
    /// Of `total`, in the unit of the phase; `total` is 0 while unknown.
    pub done: u64,
    pub total: u64,
    /// How many of them in a second, where that is measured.
    pub per_second: Option<f64>,
    /// Since it was started, until it ended.
    pub seconds: f64,
    /// What came of it, or why nothing did.
    pub message: Option<String>,
    /// The setting that made it fail, where one did.
    pub field: Option<&'static str>,
}

/// Why a piece of work has no result.
#[derive(Debug)]
pub(super) enum WorkFailure {
    Cancelled,
    /// The setting that is wrong, if one is, and the message.
    Failed(Option<&'static str>, String),
}

/// All pieces of work.
#[derive(Debug, Default)]
pub(super) struct WorkBoard {
    entries: Mutex<Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    view: WorkView,
    started: Instant,
    cancelled: Arc<AtomicBool>,
}

/// How a piece of work says how far it is and learns that nobody wants it any more.
#[derive(Debug, Clone)]
pub(super) struct WorkProgress {
    board: Arc<WorkBoard>,
    id: u64,
    cancelled: Arc<AtomicBool>,
}

impl WorkFailure {
    pub(super) fn of(error: impl std::fmt::Display) -> Self {
        Self::Failed(None, error.to_string())
    }
}

/// Threads for one piece of work; they yield to all others.
pub(super) fn pool() -> Result<rayon::ThreadPool, WorkFailure> {
    rayon::ThreadPoolBuilder::new()
        .thread_name(|index| format!("work-{index}"))
        .start_handler(|_| niceness::yield_to_others())
        .build()
        .map_err(WorkFailure::of)
}

impl WorkProgress {
    /// Notes how far the work is. `false` when it was cancelled.
    pub(super) fn report(&self, phase: &str, done: u64, total: u64) -> bool {
        self.note(phase, (done, total), None)
    }

    /// The same with how many of them are done in a second.
    pub(super) fn report_speed(&self, phase: &str, done_of: (u64, u64), per_second: f64) -> bool {
        self.note(phase, done_of, Some(per_second))
    }

    fn note(&self, phase: &str, (done, total): (u64, u64), per_second: Option<f64>) -> bool {
        let mut entries = self.board.entries();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.view.id == self.id) {
            if entry.view.phase != phase {
                phase.clone_into(&mut entry.view.phase);
            }
            (entry.view.done, entry.view.total) = (done, total);
            entry.view.per_second = per_second;
        }
        self.go_on()
    }

    pub(super) fn go_on(&self) -> bool {
        !self.cancelled.load(Ordering::Relaxed)
    }
}

impl WorkBoard {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a piece of work on a thread of its own; `work` answers with what came of it.
    ///
    /// # Errors
    /// When enough is working already, the same work is, or there is no thread to be had.
    pub(super) fn begin(
        self: &Arc<Self>,
        kind: WorkKind,
        subject: &str,
        work: impl FnOnce(&WorkProgress) -> Result<String, WorkFailure> + Send + 'static,
    ) -> Result<WorkView, StudioError> {
        let (view, cancelled) = self.enlist(kind, subject)?;
        let progress = WorkProgress {
            board: Arc::clone(self),
            id: view.id,
            cancelled,
        };
        let thread = std::thread::Builder::new().name("work".into());
        let spawned = thread.spawn(move || {
            niceness::yield_to_others();
            let ended = catch_unwind(AssertUnwindSafe(|| work(&progress)));
            let ended = ended.unwrap_or_else(|panic| Err(panicked(&*panic)));
            progress.board.end(progress.id, ended);
        });
        if let Err(error) = spawned {
            let message = format!("cannot start a thread: {error}");
            self.end(view.id, Err(WorkFailure::Failed(None, message.clone())));
            return Err(StudioError::Other(message));
        }
        Ok(view)
    }

    fn enlist(
        &self,
        kind: WorkKind,
        subject: &str,
    ) -> Result<(WorkView, Arc<AtomicBool>), StudioError> {
        let mut entries = self.entries();
        let running = |entry: &&Entry| entry.view.state == WorkState::Running;
        let same = |entry: &Entry| entry.view.kind == kind && entry.view.subject == subject;
        if entries.iter().filter(running).any(same) {
            let message = "this is being done already; wait for it or cancel it";
            return Err(StudioError::Conflict(message.into()));
        }
        if entries.iter().filter(running).count() >= MOST_RUNNING {
            return Err(StudioError::Conflict(format!(
                "{MOST_RUNNING} pieces of background work are under way; wait for one or cancel it"
            )));
        }
        let view = WorkView {
            id: entries.iter().map(|entry| entry.view.id).max().unwrap_or(0) + 1,
            kind,
            subject: subject.to_owned(),
            state: WorkState::Running,
            phase: "starting".into(),
            done: 0,
            total: 0,
            per_second: None,
            seconds: 0.0,
            message: None,
            field: None,
        };
        let cancelled = Arc::new(AtomicBool::new(false));
        entries.push(Entry {
            view: view.clone(),
            started: Instant::now(),
            cancelled: Arc::clone(&cancelled),
        });
        if entries.len() > MOST_LISTED {
            let ended = |entry: &Entry| entry.view.state != WorkState::Running;
            if let Some(place) = entries.iter().position(ended) {
                entries.remove(place);
            }
        }
        Ok((view, cancelled))
    }

    fn end(&self, id: u64, ended: Result<String, WorkFailure>) {
        let mut entries = self.entries();
        let Some(entry) = entries.iter_mut().find(|entry| entry.view.id == id) else {
            return;
        };
        let view = &mut entry.view;
        view.seconds = entry.started.elapsed().as_secs_f64();
        (view.state, view.message, view.field) = match ended {
            Ok(message) => (WorkState::Done, Some(message), None),
            Err(WorkFailure::Cancelled) => (WorkState::Cancelled, None, None),
            Err(WorkFailure::Failed(field, message)) => (WorkState::Failed, Some(message), field),
        };
    }

    /// All pieces, the newest first.
    fn views(&self) -> Vec<WorkView> {
        let entries = self.entries();
        let view = |entry: &Entry| {
            let mut view = entry.view.clone();
            if view.state == WorkState::Running {
                view.seconds = entry.started.elapsed().as_secs_f64();
            }
            view
        };
        entries.iter().rev().map(view).collect()
    }
}

fn panicked(panic: &(dyn Any + Send)) -> WorkFailure {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    tracing::error!(message, "background work panicked");
    WorkFailure::Failed(None, format!("the work broke off: {message}"))
}

impl Studio {
    /// Background work, the newest first, that which ended lately included.
    pub fn work(&self) -> Vec<WorkView> {
        self.work.views()
    }

    /// One piece of background work.
    ///
    /// # Errors
    /// When there is none with this number.
    pub fn work_piece(&self, id: u64) -> Result<WorkView, StudioError> {
        let found = self.work.views().into_iter().find(|view| view.id == id);
        found.ok_or_else(|| no_work(id))
    }

    /// Asks a piece of work to end; it does so after its current batch or file part.
    ///
    /// # Errors
    /// When there is none with this number, or it ended already.
    pub fn cancel_work(&self, id: u64) -> Result<(), StudioError> {
        let entries = self.work.entries();
        let entry = entries.iter().find(|entry| entry.view.id == id);
        let entry = entry.ok_or_else(|| no_work(id))?;
        if entry.view.state != WorkState::Running {
            return Err(StudioError::Conflict("this work has ended already".into()));
        }
        entry.cancelled.store(true, Ordering::Relaxed);
        Ok(())
    }
}

fn no_work(id: u64) -> StudioError {
    StudioError::NotFound(format!("there is no background work {id}"))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    fn ended(board: &WorkBoard, id: u64) -> WorkView {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let view = board.views().into_iter().find(|view| view.id == id);
            let view = view.expect("listed");
            if view.state != WorkState::Running {
                return view;
            }
            assert!(Instant::now() < end, "{view:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn work_reports_ends_fails_and_panics_without_harm() {
        let board = Arc::new(WorkBoard::default());
        let begin = |subject: &str, result: fn() -> Result<String, WorkFailure>| {
            let work = board.begin(WorkKind::Verify, subject, move |progress| {
                assert!(progress.report("reading", 1, 2));
                result()
            });
            ended(&board, work.expect("starts").id)
        };
        let done = begin("a", || Ok("all well".into()));
        assert_eq!((done.state, done.done, done.total), (WorkState::Done, 1, 2));
        assert_eq!(done.message.as_deref(), Some("all well"));
        let failed = begin("b", || {
            Err(WorkFailure::Failed(Some("file"), "gone".into()))
        });
        assert_eq!(
            (failed.state, failed.field),
            (WorkState::Failed, Some("file"))
        );
        let broken = begin("c", || std::panic::resume_unwind(Box::new("bang")));
        assert!(broken.message.expect("says why").contains("bang"));
    }

    #[test]
    fn the_same_work_runs_once_and_only_a_few_run_at_once() {
        let board = Arc::new(WorkBoard::default());
        let mut ends = Vec::new();
        let mut begin = |subject: &str| {
            let (end, ending) = channel::<()>();
            ends.push(end);
            board.begin(WorkKind::Export, subject, move |_| {
                let _the_test_ended = ending.recv();
                Ok(String::new())
            })
        };
        let first = begin("a").expect("starts");
        assert!(matches!(begin("a"), Err(StudioError::Conflict(_))));
        begin("b").expect("starts");
        let third = begin("c").expect_err("too many").to_string();
        assert!(third.contains("wait for one"), "{third}");
        ends.clear();
        ended(&board, first.id);
    }
}
