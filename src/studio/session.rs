//! One training session: runs a [`Runner`] with its events recorded and told to a listener.
//!
//! Called by the trainer thread and by `train` on the command line, on the thread that trains.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protoclip::config::DataConfig;
use protoclip::data::DataError;
use protoclip::train::{
    Command, Control, Observer, ObserverError, Outcome, StopReason, TrainError, TrainEvent,
};

use super::recorder::{Change, Recorder};
use super::runner::{RunJob, Runner};
use super::{RunState, StudioError};

/// Hears what was stored. Called on the training thread with the recorder locked: must be quick.
pub trait Listener: Send {
    /// `change` was stored; `recorder` shows where the run is now.
    fn changed(&mut self, change: &Change, recorder: &Recorder);
}

/// A recorder shared between the trainer and those who steer.
pub type SharedRecorder = Arc<Mutex<Recorder>>;

/// Trains until the run ends, records how, and says it.
///
/// # Errors
/// When the end could not be stored; the run then is what its last commit says.
pub fn run_session(
    runner: &dyn Runner,
    job: RunJob,
    control: &Control,
    recorder: &SharedRecorder,
    listener: &mut dyn Listener,
) -> Result<(RunState, Option<String>), StudioError> {
    let data = job.config.data.clone();
    let mut observer = RecordingObserver {
        recorder,
        listener,
        control,
        waits: false,
    };
    let ended = catch_unwind(AssertUnwindSafe(|| runner.run(job, &mut observer, control)));
    let (state, reason) = match ended {
        Ok(result) => missing_data(state_after(result, control.command()), &data),
        Err(panic) => (
            RunState::Failed,
            Some(format!("training panicked: {}", panic_message(&*panic))),
        ),
    };
    let mut recorder = lock(recorder);
    let change = recorder.end(state, reason.clone())?;
    listener.changed(&change, &recorder);
    Ok((state, reason))
}

/// Locks a recorder; a panic of training does not make it unusable.
pub(crate) fn lock(recorder: &SharedRecorder) -> MutexGuard<'_, Recorder> {
    recorder.lock().unwrap_or_else(PoisonError::into_inner)
}

struct RecordingObserver<'a> {
    recorder: &'a SharedRecorder,
    listener: &'a mut dyn Listener,
    control: &'a Control,
    /// Whether the run is shown as waiting for space.
    waits: bool,
}

/// Rests between two tries to write on a full disk.
const BETWEEN_TRIES: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 500 });
/// How soon a stop is heard meanwhile.
const POLL: Duration = Duration::from_millis(50);

impl RecordingObserver<'_> {
    /// Stores something and tells of it; when there is no room, waits for it and tries again.
    fn store(
        &mut self,
        mut write: impl FnMut(&mut Recorder) -> Result<Option<Change>, StudioError>,
    ) -> Result<(), ObserverError> {
        loop {
            let stored = write(&mut lock(self.recorder));
            match stored {
                Ok(Some(change)) => {
                    self.tell(&change);
                    return Ok(());
                }
                Ok(None) => return Ok(()),
                Err(error) if error.is_lack_of_room() => self.wait(&error.to_string())?,
                Err(error) => return Err(unstored(&error)),
            }
        }
    }

    /// Tells of what was stored, and that the run goes on if it had to wait.
    fn tell(&mut self, change: &Change) {
        let mut recorder = lock(self.recorder);
        if std::mem::take(&mut self.waits) {
            tracing::info!("there is room again; the run goes on");
            recorder.show(RunState::Running, None);
        }
        self.listener.changed(change, &recorder);
    }

    /// Shows the run as paused and rests until the next try.
    fn wait(&mut self, message: &str) -> Result<(), ObserverError> {
        if !std::mem::replace(&mut self.waits, true) {
            tracing::warn!(message, "a run waits for room on the disk");
            let mut recorder = lock(self.recorder);
            let reason = format!(
                "disk full: {message}; nothing is lost, and the run goes on when there is space"
            );
            recorder.show(RunState::Paused, Some(reason));
            self.listener.changed(&Change::default(), &recorder);
        }
        let tries = BETWEEN_TRIES.as_millis() / POLL.as_millis();
        for _ in 0..tries {
            if matches!(self.control.command(), Command::Stop(_)) {
                return Err(ObserverError(format!(
                    "ended while the disk was full ({message}); it goes on from its last checkpoint"
                )));
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Observer for RecordingObserver<'_> {
    fn on_event(&mut self, event: TrainEvent) -> Result<(), ObserverError> {
        let mut event = Some(event);
        self.store(|recorder| match event.take() {
            Some(event) => recorder.event(event),
            None => recorder.commit().map(Some),
        })
    }

    fn before_checkpoint(&mut self, step: u64) -> Result<(), ObserverError> {
        self.store(|recorder| recorder.before_checkpoint(step).map(Some))
    }

    fn disk_full(&mut self, message: &str) -> Result<(), ObserverError> {
        self.wait(message)
    }
}

fn unstored(error: &StudioError) -> ObserverError {
    ObserverError(format!("the run's progress cannot be stored: {error}"))
}

fn state_after(
    result: Result<Outcome, TrainError>,
    command: Command,
) -> (RunState, Option<String>) {
    let shutdown = || Some("the program ended; resume to go on".to_owned());
    match (result, command) {
        (Ok(Outcome::Finished), _) => (RunState::Finished, None),
        (Ok(Outcome::Stopped), _) => (RunState::Stopped, None),
        (Ok(Outcome::Interrupted), _) => (RunState::Interrupted, shutdown()),
        // Opening the data is cancelled by the same commands.
        (Err(TrainError::Data(DataError::Cancelled)), Command::Stop(StopReason::User)) => {
            (RunState::Stopped, None)
        }
        (Err(TrainError::Data(DataError::Cancelled)), Command::Stop(StopReason::Shutdown)) => {
            (RunState::Interrupted, shutdown())
        }
        (Err(error), _) => (RunState::Failed, Some(error.to_string())),
    }
}

/// Says of a failed run whose data set is gone that this is why, and what to do.
fn missing_data(
    (state, reason): (RunState, Option<String>),
    data: &DataConfig,
) -> (RunState, Option<String>) {
    let gone = match state {
        // Of objects the reason says already which one, why and what to do.
        RunState::Failed if !data.path.as_deref().is_some_and(protoclip::data::is_remote) => {
            protoclip::data::absence(data)
        }
        _ => None,
    };
    let Some((_, message)) = gone else {
        return (state, reason);
    };
    let reason = reason.unwrap_or_default();
    let said = format!(
        "the data set is missing: {message}; once it is back, or relinked to its new place, resume the run ({reason})"
    );
    (state, Some(said))
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}
