//! Takes the events of one training session into the run's store and snapshot.
//!
//! Used by whoever trains: the studio's trainer thread, or `train` on the command line. Points are
//! collected and committed when 1,000 have gathered or 200 ms have passed; every other event
//! commits at once. What is told to listeners was committed before, so a listener that reads the
//! store never misses a point that it was not told of.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use protoclip::train::{CheckpointInfo, ControlValues, TrainEvent};
use serde_json::json;

use super::pace::Pace;
use super::run_directory::RunDirectory;
use super::run_log::{LineKind, LogLine, NewLine};
use super::run_snapshot::RunSnapshot;
use super::run_store::{Batch, Point, RunStore};
use super::{RunState, StudioError};

/// What listeners are told after a commit.
#[derive(Debug, Default, Clone)]
pub struct Change {
    /// Points that are now in the store.
    pub points: Vec<Point>,
    /// Lines that are now in the log.
    pub lines: Vec<LogLine>,
    /// New prototypes can be read.
    pub prototypes: Option<NewPrototypes>,
}

/// Prototypes that were just written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct NewPrototypes {
    pub step: u64,
    pub episode: u64,
    pub count: usize,
}

/// The open store of a run that trains, with its progress.
#[derive(Debug)]
pub struct Recorder {
    store: RunStore,
    snapshot: RunSnapshot,
    waiting: Batch,
    /// Prototypes that nobody was told of yet.
    new_prototypes: Option<NewPrototypes>,
    last_commit: Instant,
    pace: Pace,
    session: Instant,
    trained_before: f64,
}

const POINTS_PER_COMMIT: usize = 1000;
const LONGEST_WAIT: Duration = Duration::from_millis(200);

impl Recorder {
    /// Begins a session: from `resume`, or from the start. Points, events and prototypes after that
    /// step are removed, in the transaction that marks the run as running.
    ///
    /// # Errors
    /// When the store cannot be opened or written.
    pub fn begin(
        run: &RunDirectory,
        before: &RunSnapshot,
        resume: Option<&CheckpointInfo>,
    ) -> Result<(Self, Change), StudioError> {
        let step = resume.map_or(0, |checkpoint| checkpoint.step);
        let mut store = RunStore::open(&run.database())?;
        let line = begin_line(before, resume);
        let (snapshot, lines) = store.restart(step, &line, |latest| {
            let mut snapshot = before.clone();
            snapshot.step = step;
            snapshot.episode = resume.map_or(0, |checkpoint| checkpoint.episode);
            snapshot.checkpoint_step = resume.map(|checkpoint| checkpoint.step);
            snapshot.latest = latest;
            snapshot.enter(RunState::Running, None);
            snapshot.updated = Some(Timestamp::now());
            snapshot.prototypes_step = run
                .prototype_steps()
                .into_iter()
                .rfind(|&p| resume.is_some() && p <= step);
            snapshot
        })?;
        match resume {
            Some(checkpoint) => run.remove_prototypes_after(checkpoint.step)?,
            None => run.remove_all_prototypes()?,
        }
        let now = Instant::now();
        let recorder = Self {
            store,
            waiting: Batch::default(),
            new_prototypes: None,
            last_commit: now,
            pace: Pace::default(),
            session: now,
            trained_before: snapshot.trained_seconds,
            snapshot,
        };
        let change = Change {
            lines,
            ..Change::default()
        };
        Ok((recorder, change))
    }

    /// What is known now.
    pub fn snapshot(&self) -> &RunSnapshot {
        &self.snapshot
    }

    /// Seconds until the end at the pace so far.
    pub fn eta_seconds(&self) -> Option<f64> {
        let left = self.snapshot.total_steps.checked_sub(self.snapshot.step)?;
        self.pace.seconds_for(left)
    }

    /// Takes in one event. `None` means that there is nothing to tell yet.
    ///
    /// # Errors
    /// When the store cannot be written; the event is then not lost but kept for the next commit.
    pub fn event(&mut self, event: TrainEvent) -> Result<Option<Change>, StudioError> {
        let now = Instant::now();
        self.track_pace(&event, now);
        self.snapshot.apply(&event);
        let line = NewLine::of_event(&event, self.snapshot.step);
        match event {
            TrainEvent::Points { step, points } => {
                self.waiting
                    .points
                    .extend(
                        points
                            .into_iter()
                            .map(|(tag, value)| Point { tag, step, value }),
                    );
                let full = self.waiting.points.len() >= POINTS_PER_COMMIT;
                if full || now.duration_since(self.last_commit) >= LONGEST_WAIT {
                    self.commit().map(Some)
                } else {
                    Ok(None)
                }
            }
            TrainEvent::Progress { .. } => Ok(Some(Change::default())),
            TrainEvent::Prototypes {
                step,
                episode,
                count,
                ..
            } => {
                self.waiting.lines.extend(line);
                self.new_prototypes = Some(NewPrototypes {
                    step,
                    episode,
                    count,
                });
                self.commit().map(Some)
            }
            _ => {
                self.waiting.lines.extend(line);
                self.commit().map(Some)
            }
        }
    }

    /// Makes everything so far durable, before a checkpoint at `step` becomes visible.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn before_checkpoint(&mut self, step: u64) -> Result<Change, StudioError> {
        self.snapshot.step = self.snapshot.step.max(step);
        self.stamp();
        let lines = self.store.commit_durably(&self.waiting, &self.snapshot)?;
        Ok(self.committed(lines))
    }

    /// Notes that a person's change of settings was accepted.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn accept(&mut self, values: ControlValues, line: NewLine) -> Result<Change, StudioError> {
        self.snapshot.controls = values;
        self.waiting.lines.push(line);
        self.commit()
    }

    /// Ends the session.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub fn end(&mut self, state: RunState, reason: Option<String>) -> Result<Change, StudioError> {
        let line = state_line(self.snapshot.step, state, reason.as_deref());
        self.stamp();
        self.snapshot.enter(state, reason);
        self.waiting.lines.push(line);
        let lines = self.store.commit_durably(&self.waiting, &self.snapshot)?;
        Ok(self.committed(lines))
    }

    /// Stores what waits.
    ///
    /// # Errors
    /// When the store cannot be written; what waits goes on waiting.
    pub(crate) fn commit(&mut self) -> Result<Change, StudioError> {
        self.stamp();
        let lines = self.store.commit(&self.waiting, &self.snapshot)?;
        Ok(self.committed(lines))
    }

    fn committed(&mut self, lines: Vec<LogLine>) -> Change {
        self.last_commit = Instant::now();
        Change {
            points: std::mem::take(&mut self.waiting).points,
            lines,
            prototypes: self.new_prototypes.take(),
        }
    }

    /// Shows a state that is not stored, as when nothing can be.
    pub(crate) fn show(&mut self, state: RunState, reason: Option<String>) {
        self.snapshot.enter(state, reason);
    }

    fn stamp(&mut self) {
        let now = Instant::now();
        let busy = now
            .duration_since(self.session)
            .saturating_sub(self.pace.paused(now));
        self.snapshot.trained_seconds = self.trained_before + busy.as_secs_f64();
        self.snapshot.updated = Some(Timestamp::now());
    }

    fn track_pace(&mut self, event: &TrainEvent, now: Instant) {
        match event {
            TrainEvent::Points { step, .. } => self.pace.at(*step, now),
            TrainEvent::Paused { .. } => self.pace.pause(now),
            TrainEvent::Resumed { .. } => self.pace.resume(now),
            _ => {}
        }
    }
}

fn begin_line(before: &RunSnapshot, resume: Option<&CheckpointInfo>) -> NewLine {
    let (step, message) = match resume {
        Some(checkpoint) if checkpoint.step < before.step => (
            checkpoint.step,
            format!(
                "goes on from the checkpoint at step {}; steps up to {} are trained again",
                checkpoint.step, before.step
            ),
        ),
        Some(checkpoint) => (
            checkpoint.step,
            format!("goes on from the checkpoint at step {}", checkpoint.step),
        ),
        None if before.step > 0 => (0, "begins again: there is no checkpoint".into()),
        None => (0, "begins".into()),
    };
    NewLine::new(
        step,
        LineKind::State,
        message,
        json!({"state": RunState::Running}),
    )
}

/// The line for a run that enters a state.
pub(crate) fn state_line(step: u64, state: RunState, reason: Option<&str>) -> NewLine {
    let message = match reason {
        Some(reason) => format!("{}: {reason}", state.name()),
        None => state.name().to_owned(),
    };
    let line = NewLine::new(
        step,
        LineKind::State,
        message,
        json!({"state": state, "reason": reason}),
    );
    NewLine {
        level: if state == RunState::Failed {
            protoclip::train::LogLevel::Error
        } else {
            protoclip::train::LogLevel::Info
        },
        ..line
    }
}

#[cfg(test)]
mod tests {
    use protoclip::config::RunConfig;
    use protoclip::train::tag;

    use super::*;
    use crate::studio::RunId;
    use crate::studio::run_directory::RunMeta;

    fn run(folder: &tempfile::TempDir) -> RunDirectory {
        let run = RunDirectory::at(folder.path().join("r"));
        let meta = RunMeta {
            id: RunId::from("r"),
            name: "r".into(),
            tags: Vec::new(),
            created: Timestamp::now(),
            program: String::new(),
            forked_from: None,
            imported: None,
        };
        run.create(&meta, &RunConfig::default()).expect("creates");
        run
    }

    fn points(step: u64, count: usize) -> TrainEvent {
        TrainEvent::Points {
            step,
            points: (0..count).map(|i| (format!("t/{i}").into(), 1.0)).collect(),
        }
    }

    fn stored(run: &RunDirectory, tag: &str) -> Vec<u64> {
        let mut steps = Vec::new();
        RunStore::read(&run.database())
            .expect("opens")
            .each_point(tag, (0, u64::MAX), |step, _| steps.push(step))
            .expect("reads");
        steps
    }

    #[test]
    fn a_thousand_points_are_committed_together_and_told_after_that() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let run = run(&folder);
        let before = RunSnapshot::queued(&RunConfig::default());
        let (mut recorder, _) = Recorder::begin(&run, &before, None).expect("begins");
        recorder.last_commit = Instant::now() + Duration::from_secs(3600);
        assert!(recorder.event(points(1, 999)).expect("takes").is_none());
        assert_eq!(stored(&run, "t/0"), [] as [u64; 0]);
        let told = recorder.event(points(2, 1)).expect("takes").expect("told");
        assert_eq!(told.points.len(), 1000);
        assert_eq!(stored(&run, "t/0"), [1, 2]);
    }

    #[test]
    fn everything_is_stored_before_a_checkpoint_and_removed_after_it_on_resume() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let run = run(&folder);
        let before = RunSnapshot::queued(&RunConfig::default());
        let (mut recorder, _) = Recorder::begin(&run, &before, None).expect("begins");
        for step in 1..=3 {
            recorder.event(points(step, 1)).expect("takes");
        }
        recorder.before_checkpoint(3).expect("flushes");
        assert_eq!(stored(&run, "t/0"), [1, 2, 3]);
        recorder.event(points(4, 1)).expect("takes");
        recorder.end(RunState::Interrupted, None).expect("ends");
        assert_eq!(stored(&run, "t/0"), [1, 2, 3, 4]);

        let checkpoint = CheckpointInfo {
            step: 3,
            episode: 0,
            path: run.path().join("checkpoints/3"),
            bytes: 0,
            hash: String::new(),
            score: None,
            pinned: false,
            pin_reason: None,
        };
        let left = recorder.snapshot().clone();
        drop(recorder);
        let (recorder, change) = Recorder::begin(&run, &left, Some(&checkpoint)).expect("begins");
        assert_eq!(stored(&run, "t/0"), [1, 2, 3]);
        assert_eq!(recorder.snapshot().state, RunState::Running);
        assert_eq!((recorder.snapshot().step, left.step), (3, 4));
        assert!(change.lines[0].message.contains("step 3"));
    }

    #[test]
    fn the_pace_gives_the_time_to_the_end() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let run = run(&folder);
        let before = RunSnapshot::queued(&RunConfig::default());
        let (mut recorder, _) = Recorder::begin(&run, &before, None).expect("begins");
        assert_eq!(recorder.eta_seconds(), None);
        recorder.snapshot.total_steps = 10;
        recorder
            .event(TrainEvent::Points {
                step: 1,
                points: vec![(tag::LOSS_TOTAL.into(), 1.0)],
            })
            .expect("takes");
        recorder.event(points(2, 1)).expect("takes");
        assert!(recorder.eta_seconds().expect("known") >= 0.0);
    }
}
