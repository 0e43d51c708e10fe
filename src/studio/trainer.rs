//! The thread named `trainer`: takes runs from the queue and trains them, one at a time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use protoclip::train::{Control, StopReason};

use super::desk::Active;
use super::recorder::{Change, Recorder};
use super::runner::RunJob;
use super::session::{self, Listener, SharedRecorder};
use super::view::RunRecord;
use super::{RunId, RunState, Studio, StudioError, niceness};

/// Tells when the trainer thread has ended.
#[derive(Debug, Default)]
pub(super) struct TrainerThread {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl TrainerThread {
    fn end(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self, limit: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) = self
            .changed
            .wait_timeout_while(ended, limit, |ended| !*ended)
            .unwrap_or_else(PoisonError::into_inner);
        *ended
    }
}

/// Starts the thread.
pub(super) fn start(studio: &Arc<Studio>) -> Result<(), StudioError> {
    let studio = Arc::clone(studio);
    std::thread::Builder::new()
        .name("trainer".into())
        .spawn(move || {
            niceness::yield_to_others();
            while let Some(active) = studio.next_turn() {
                studio.take_turn(&active);
            }
            studio.trainer.end();
        })
        .map(|_| ())
        .map_err(|e| StudioError::Other(format!("cannot start the trainer thread: {e}")))
}

impl Studio {
    /// Ends the trainer: the run that trains gets a checkpoint and becomes interrupted, waiting
    /// ones become interrupted. `false` when that took longer than `limit`.
    pub fn shutdown(&self, limit: Duration) -> bool {
        niceness::hurry();
        let mut desk = self.desk();
        let waiting = desk.queue.close();
        if let Some(active) = &desk.active {
            active.control.stop(StopReason::Shutdown);
        }
        self.show_places(&desk);
        drop(desk);
        self.desk_changed.notify_all();
        self.map_jobs.close();
        self.notebooks.close();
        for id in waiting {
            let reason = "the program ended before it started; resume to queue it again";
            if let Err(error) = self.enter(&id, RunState::Interrupted, Some(reason.into())) {
                tracing::error!(run = %id, %error, "cannot mark a waiting run as interrupted");
            }
        }
        self.trainer.wait(limit)
    }

    /// Waits for the next run; `None` when the program ends.
    fn next_turn(&self) -> Option<Active> {
        let mut desk = self.desk();
        loop {
            if desk.queue.is_closed() {
                return None;
            }
            if let Some(id) = desk.queue.take_next() {
                if let Some(record) = self.live.record(&id) {
                    let controls = record.snapshot.controls;
                    let active = Active {
                        id,
                        control: Arc::new(Control::new(&record.config, Some(controls))),
                        recorder: None,
                    };
                    desk.active = Some(active.clone());
                    self.show_places(&desk);
                    return Some(active);
                }
                desk.queue.finish();
                continue;
            }
            desk = self
                .desk_changed
                .wait(desk)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Trains one run to its end, whatever that is.
    fn take_turn(&self, active: &Active) {
        if let Err(error) = self.train(active) {
            tracing::error!(run = %active.id, %error, "a run cannot be trained");
            self.fail(&active.id, &error);
        }
        let mut desk = self.desk();
        desk.active = None;
        desk.queue.finish();
        drop(desk);
        self.desk_changed.notify_all();
    }

    fn train(&self, active: &Active) -> Result<(), StudioError> {
        let run = self.data_dir.run(&active.id);
        let Some(_lock) = run.lock()? else {
            return Err(StudioError::Conflict(
                "another process trains this run".into(),
            ));
        };
        let record = self.record(&active.id)?;
        let config = run.read_config()?.validate()?;
        let resume = self.runner.latest_intact(run.path());
        let origin = record.meta.forked_from.as_ref();
        let omitting = origin.and_then(|o| o.controls_from(resume.as_ref()?.step));
        if let Some(values) = omitting {
            active.control.start_with(values);
        }
        let (recorder, change) = Recorder::begin(&run, &record.snapshot, resume.as_ref())?;
        let mut listener = LiveListener {
            studio: self,
            id: &active.id,
        };
        listener.changed(&change, &recorder);
        let recorder: SharedRecorder = Arc::new(Mutex::new(recorder));
        if let Some(shown) = &mut self.desk().active {
            shown.recorder = Some(Arc::clone(&recorder));
        }
        let job = RunJob {
            config,
            directory: run.path().to_owned(),
            resume,
        };
        let (state, reason) = session::run_session(
            self.runner.as_ref(),
            job,
            &active.control,
            &recorder,
            &mut listener,
        )?;
        tracing::info!(run = %active.id, state = state.name(), reason, "a run ended");
        Ok(())
    }

    /// Marks a run as failed; in memory alone when its store is what failed.
    fn fail(&self, id: &RunId, error: &StudioError) {
        let reason = Some(error.to_string());
        if self.enter(id, RunState::Failed, reason.clone()).is_err() {
            self.live.update(id, &Change::default(), |record| {
                record.snapshot.enter(RunState::Failed, reason);
            });
        }
    }
}

/// Brings what was recorded into the live records.
struct LiveListener<'a> {
    studio: &'a Studio,
    id: &'a RunId,
}

impl Listener for LiveListener<'_> {
    fn changed(&mut self, change: &Change, recorder: &Recorder) {
        self.studio
            .live
            .update(self.id, change, |record: &mut RunRecord| {
                record.snapshot = recorder.snapshot().clone();
                record.eta_seconds = recorder.eta_seconds();
            });
    }
}
