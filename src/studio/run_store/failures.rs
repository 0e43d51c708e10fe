//! Commits that fail: in every phase, for the moment or for good. A run waits or fails with the
//! reason, what was told is stored, and nothing is stored twice.

use std::cell::Cell;
use std::path::Path;
use std::sync::{Arc, Mutex};

use protoclip::config::RunConfig;
use protoclip::train::{CheckpointInfo, Control, Observer, Outcome, TrainError, TrainEvent, tag};
use rusqlite::ffi;

use super::*;
use crate::studio::recorder::{Change, Recorder};
use crate::studio::run_directory::{RunDirectory, RunMeta};
use crate::studio::runner::{RunJob, Runner};
use crate::studio::session::{Listener, run_session};
use crate::studio::{RunId, RunState};

/// Places in a commit, in order; the mark is part of those before a checkpoint.
const PLACES: [&str; 6] = ["begin", "points", "lines", "snapshot", "mark", "commit"];
/// Steps of a run here, with a checkpoint after the one in the middle.
const STEPS: u64 = 6;

thread_local! {
    /// Place, code of SQLite, how often it is passed before, and whether it fails from then on.
    static FAILS_AT: Cell<Option<(&'static str, i32, u64, bool)>> = const { Cell::new(None) };
}

/// Lets the next transaction fail there for the moment.
pub(super) fn fail_at(place: &'static str) {
    FAILS_AT.set(Some((place, ffi::SQLITE_IOERR, 0, false)));
}

pub(super) fn may_fail(place: &str) -> rusqlite::Result<()> {
    let Some((wanted, code, passes, always)) = FAILS_AT.get() else {
        return Ok(());
    };
    if wanted != place {
        return Ok(());
    }
    if passes > 0 {
        FAILS_AT.set(Some((wanted, code, passes - 1, always)));
        return Ok(());
    }
    if !always {
        FAILS_AT.set(None);
    }
    Err(rusqlite::Error::SqliteFailure(
        ffi::Error::new(code),
        Some("made to fail".into()),
    ))
}

/// Trains nothing: a point and an accepted change at every step.
struct Steps;

impl Runner for Steps {
    fn run(
        &self,
        _job: RunJob,
        observer: &mut (dyn Observer + Send),
        _control: &Control,
    ) -> Result<Outcome, TrainError> {
        for step in 1..=STEPS {
            let points = vec![(tag::LOSS_TOTAL.into(), step as f64)];
            observer.on_event(TrainEvent::Points { step, points })?;
            let level = protoclip::train::LogLevel::Info;
            let message = format!("step {step}");
            observer.on_event(TrainEvent::Log { level, message })?;
            if step == STEPS / 2 {
                observer.before_checkpoint(step)?;
                let path = format!("checkpoints/{step:08}");
                observer.on_event(TrainEvent::Checkpoint { step, path })?;
            }
        }
        Ok(Outcome::Finished)
    }

    fn checkpoints(&self, _directory: &Path) -> Vec<CheckpointInfo> {
        Vec::new()
    }

    fn latest_intact(&self, _directory: &Path) -> Option<CheckpointInfo> {
        None
    }
}

/// What somebody was told.
#[derive(Default)]
struct Heard {
    points: Vec<(u64, f64)>,
    messages: Vec<String>,
    states: Vec<(RunState, Option<String>)>,
}

impl Listener for Heard {
    fn changed(&mut self, change: &Change, recorder: &Recorder) {
        self.points
            .extend(change.points.iter().map(|p| (p.step, p.value)));
        self.messages
            .extend(change.lines.iter().map(|line| line.message.clone()));
        let snapshot = recorder.snapshot();
        let state = (snapshot.state, snapshot.reason.clone());
        if self.states.last() != Some(&state) {
            self.states.push(state);
        }
    }
}

/// A run in a folder of its own.
fn run_in(folder: &tempfile::TempDir) -> RunDirectory {
    let run = RunDirectory::at(folder.path().join("r"));
    let meta = RunMeta {
        id: RunId::from("r"),
        name: "r".into(),
        tags: Vec::new(),
        created: jiff::Timestamp::now(),
        program: String::new(),
        forked_from: None,
        imported: None,
    };
    run.create(&meta, &RunConfig::default()).expect("creates");
    run
}

/// Points and messages of the store.
fn stored(run: &RunDirectory) -> Stored {
    let store = RunStore::read(&run.database()).expect("opens");
    let mut points = Vec::new();
    store
        .each_point(tag::LOSS_TOTAL, (0, u64::MAX), |step, value| {
            points.push((step, value))
        })
        .expect("reads");
    let lines = store.lines(0, 1000).expect("reads");
    (points, lines.into_iter().map(|line| line.message).collect())
}

type Ended = Result<(RunState, Option<String>), StudioError>;
/// Points and messages.
type Stored = (Vec<(u64, f64)>, Vec<String>);

/// Runs with a failure of SQLite: how it ended, what was told, and what is stored.
fn run_with(failure: (&'static str, i32, u64, bool)) -> (Ended, Heard, Stored) {
    let folder = tempfile::tempdir().expect("temporary folder");
    let run = run_in(&folder);
    let config = RunConfig::default();
    let before = RunSnapshot::queued(&config);
    let (recorder, _) = Recorder::begin(&run, &before, None).expect("begins");
    let config = config.validate().expect("valid");
    let control = Control::new(&config, None);
    let job = RunJob {
        config,
        directory: run.path().to_owned(),
        resume: None,
    };
    let mut heard = Heard::default();
    let recorder = Arc::new(Mutex::new(recorder));
    FAILS_AT.set(Some(failure));
    let ended = run_session(&Steps, job, &control, &recorder, &mut heard);
    FAILS_AT.set(None);
    drop(recorder);
    (ended, heard, stored(&run))
}

fn whole() -> Vec<(u64, f64)> {
    (1..=STEPS).map(|step| (step, step as f64)).collect()
}

/// Every message once, in order.
fn each_once(messages: &[String]) {
    let steps: Vec<&String> = messages.iter().filter(|m| m.starts_with("step ")).collect();
    let wanted: Vec<String> = (1..=steps.len())
        .map(|step| format!("step {step}"))
        .collect();
    assert!(steps.into_iter().eq(wanted.iter()), "{messages:?}");
}

#[test]
fn a_commit_that_fails_for_the_moment_pauses_the_run_and_is_tried_again() {
    for place in PLACES {
        for (code, passes) in [(ffi::SQLITE_FULL, 0), (ffi::SQLITE_IOERR, 3)] {
            let passes = if place == "mark" { 0 } else { passes };
            let name = format!("{code} at {place} after {passes}");
            let (ended, heard, (points, messages)) = run_with((place, code, passes, false));
            assert_eq!(ended.expect("ends"), (RunState::Finished, None), "{name}");
            assert_eq!(points, whole(), "{name}");
            assert_eq!(heard.points, whole(), "{name}: told once, when stored");
            each_once(&messages);
            let paused = heard
                .states
                .iter()
                .find(|state| state.0 == RunState::Paused);
            let reason = paused.and_then(|state| state.1.clone()).unwrap_or_default();
            assert!(reason.starts_with("disk full: "), "{name}: {reason:?}");
            let last = heard.states.iter().map(|state| state.0).next_back();
            assert_eq!(last, Some(RunState::Finished), "{name}");
        }
    }
}

#[test]
fn a_commit_that_fails_for_good_fails_the_run_with_the_reason_and_keeps_what_was_told() {
    for place in PLACES {
        for code in [ffi::SQLITE_CORRUPT, ffi::SQLITE_READONLY, ffi::SQLITE_BUSY] {
            for passes in [0, 2, 4] {
                let passes = if place == "mark" { 0 } else { passes };
                let name = format!("{code} at {place} after {passes}");
                let once = run_with((place, code, passes, false));
                let (ended, heard, (points, messages)) = once;
                let (state, reason) = ended.expect("its end is stored");
                assert_eq!(state, RunState::Failed, "{name}");
                let reason = reason.unwrap_or_default();
                assert!(
                    reason.contains("cannot be stored") && reason.contains("run.db"),
                    "{name}: {reason}"
                );
                assert!(points.starts_with(&heard.points), "{name}: {points:?}");
                each_once(&messages);
                assert!(
                    heard.messages.iter().all(|told| messages.contains(told)),
                    "{name}"
                );

                // And where not even its end can be stored.
                let (ended, heard, (points, messages)) = run_with((place, code, passes, true));
                assert!(ended.is_err(), "{name}");
                assert_eq!(points, heard.points, "{name}");
                each_once(&messages);
                assert!(
                    heard.messages.iter().all(|told| messages.contains(told)),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn a_restart_that_fails_leaves_the_run_as_it_was() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let mut store = RunStore::open(&folder.path().join("run.db")).expect("opens");
    let snapshot = RunSnapshot::queued(&RunConfig::default());
    let points = (1..=5).map(|step| Point {
        tag: tag::LOSS_TOTAL.into(),
        step,
        value: 1.0,
    });
    let batch = Batch {
        points: points.collect(),
        lines: Vec::new(),
    };
    store.commit(&batch, &snapshot).expect("commits");
    let line = crate::studio::recorder::state_line(2, RunState::Running, None);
    for place in ["begin", "removed", "commit"] {
        FAILS_AT.set(Some((place, ffi::SQLITE_IOERR, 0, false)));
        let failed = store.restart(2, &line, |_| snapshot.clone());
        assert!(failed.is_err(), "{place}");
        let mut steps = 0;
        let count = |_, _| steps += 1;
        store
            .each_point(tag::LOSS_TOTAL, (0, u64::MAX), count)
            .expect("reads");
        assert_eq!(steps, 5, "{place}");
        assert!(store.lines(0, 10).expect("reads").is_empty(), "{place}");
    }
    store
        .restart(2, &line, |_| snapshot.clone())
        .expect("restarts");
}
