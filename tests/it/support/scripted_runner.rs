//! A runner whose every step the test takes: no clock, no sleep, no training.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protoclip::train::{
    BeforeChange, CheckpointInfo, Command, Control, ControlValues, Observer, Outcome, StopReason,
    TrainError, TrainEvent, tag,
};
use protoclip_studio::studio::{RunJob, Runner};

/// What the run does next.
#[derive(Debug)]
pub(crate) enum Action {
    /// One optimizer step with this total loss.
    Step(f64),
    /// One evaluation at the current step.
    Evaluate(Vec<(&'static str, f64)>),
    Checkpoint,
    Finish,
    Fail(&'static str),
    Panic(&'static str),
}

/// Runs that do what [`ScriptedRunner::act`] says, and obey their control between two actions.
pub(crate) struct ScriptedRunner {
    actions: Mutex<Receiver<Action>>,
    acknowledgements: Sender<u64>,
    sender: Mutex<(Sender<Action>, Receiver<u64>)>,
}

pub(crate) const STEPS_PER_EPISODE: u64 = 4;
pub(crate) const TOTAL_STEPS: u64 = 40;
/// How often a waiting run looks at its control.
const POLL: Duration = Duration::from_millis(2);
/// A test that waits longer than this has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

impl ScriptedRunner {
    pub(crate) fn new() -> Self {
        let (action_sender, actions) = channel();
        let (acknowledgements, acknowledged) = channel();
        Self {
            actions: Mutex::new(actions),
            acknowledgements,
            sender: Mutex::new((action_sender, acknowledged)),
        }
    }

    /// Lets the run that trains, or the next one, do something; returns its step when it is done.
    pub(crate) fn act(&self, action: Action) -> u64 {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        sender.0.send(action).expect("the runner lives");
        sender.1.recv_timeout(PATIENCE).expect("a run that trains")
    }

    pub(crate) fn steps(&self, count: u64) {
        for _ in 0..count {
            self.act(Action::Step(2.5));
        }
    }
}

fn save(directory: &Path, step: u64, observer: &mut dyn Observer) -> Result<(), TrainError> {
    observer.before_checkpoint(step)?;
    let path = directory.join("checkpoints").join(format!("{step:08}"));
    std::fs::create_dir_all(&path).expect("creates");
    std::fs::write(path.join("state"), step.to_string()).expect("writes");
    observer.on_event(TrainEvent::Checkpoint {
        step,
        path: format!("checkpoints/{step:08}"),
    })?;
    Ok(())
}

/// Takes what was asked for as the product does: K between episodes, the rest at every step, after
/// a checkpoint.
fn change(
    directory: &Path,
    step: u64,
    controls: &mut ControlValues,
    (observer, control): (&mut dyn Observer, &Control),
) -> Result<(), TrainError> {
    let mut wanted = control.begin_step(step + 1);
    if !step.is_multiple_of(STEPS_PER_EPISODE) {
        wanted.prototype_count = controls.prototype_count;
    }
    let values = |controls: &ControlValues| serde_json::to_value(controls).expect("writes");
    let (old, new) = (values(controls), values(&wanted));
    if old != new {
        save(directory, step, observer)?;
    }
    for (field, to) in new.as_object().expect("an object") {
        if old[field] == *to {
            continue;
        }
        let mut without = new.clone();
        without[field] = old[field].clone();
        observer.on_event(TrainEvent::ControlApplied {
            episode: step / STEPS_PER_EPISODE,
            step: step + 1,
            field: field.clone(),
            from: old[field].as_f64().expect("a number"),
            to: to.as_f64().expect("a number"),
            before: Some(BeforeChange {
                checkpoint_step: step,
                without: serde_json::from_value(without).expect("reads"),
            }),
        })?;
    }
    *controls = wanted;
    Ok(())
}

fn started(step: u64, controls: ControlValues) -> TrainEvent {
    TrainEvent::Started {
        step,
        total_steps: TOTAL_STEPS,
        episode: step / STEPS_PER_EPISODE,
        total_episodes: TOTAL_STEPS / STEPS_PER_EPISODE,
        steps_per_episode: STEPS_PER_EPISODE,
        batch_size: 8,
        samples: 32,
        parameters: 1000,
        device: "script".into(),
        controls,
    }
}

fn saved(path: PathBuf) -> CheckpointInfo {
    let state = std::fs::read_to_string(path.join("state")).expect("reads");
    let step = state.parse().expect("a number");
    CheckpointInfo {
        step,
        episode: step / STEPS_PER_EPISODE,
        path,
        bytes: 0,
        hash: format!("hash-{step}"),
        score: None,
        pinned: false,
        pin_reason: None,
    }
}

impl Runner for ScriptedRunner {
    fn run(
        &self,
        job: RunJob,
        observer: &mut (dyn Observer + Send),
        control: &Control,
    ) -> Result<Outcome, TrainError> {
        // What the product promises for every run: an own thread that yields to all others.
        assert_eq!(std::thread::current().name(), Some("trainer"));
        let nice = rustix::process::getpriority_process(None).expect("asks");
        assert_eq!(nice, 19, "the trainer thread yields");
        let mut step = job.resume.as_ref().map_or(0, |checkpoint| checkpoint.step);
        let mut controls = control.values();
        observer.on_event(started(step, controls))?;
        let actions = self.actions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match control.command() {
                Command::Run => {}
                Command::Pause => {
                    observer.on_event(TrainEvent::Paused { step })?;
                    while control.command() == Command::Pause {
                        control.wait_while_paused(PATIENCE);
                        if control.take_checkpoint_request() {
                            save(&job.directory, step, observer)?;
                        }
                    }
                    observer.on_event(TrainEvent::Resumed { step })?;
                    continue;
                }
                Command::Stop(reason) => {
                    save(&job.directory, step, observer)?;
                    return Ok(match reason {
                        StopReason::User => Outcome::Stopped,
                        StopReason::Shutdown => Outcome::Interrupted,
                    });
                }
            }
            if control.take_checkpoint_request() {
                save(&job.directory, step, observer)?;
            }
            let action = match actions.recv_timeout(POLL) {
                Ok(action) => action,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Ok(Outcome::Interrupted),
            };
            let done = |step| self.acknowledgements.send(step).expect("the test listens");
            match action {
                Action::Step(loss) => {
                    change(&job.directory, step, &mut controls, (observer, control))?;
                    step += 1;
                    observer.on_event(TrainEvent::Points {
                        step,
                        points: vec![(tag::LOSS_TOTAL.into(), loss)],
                    })?;
                }
                Action::Evaluate(values) => {
                    let points = values.into_iter().map(|(tag, value)| (tag.into(), value));
                    let points = points.collect();
                    observer.on_event(TrainEvent::Points { step, points })?;
                }
                Action::Checkpoint => save(&job.directory, step, observer)?,
                Action::Finish => {
                    done(step);
                    return Ok(Outcome::Finished);
                }
                Action::Fail(message) => {
                    done(step);
                    return Err(TrainError::Other(message.into()));
                }
                Action::Panic(message) => {
                    done(step);
                    // Without the hook, whose backtrace takes long at this priority.
                    std::panic::resume_unwind(Box::new(message));
                }
            }
            done(step);
        }
    }

    fn checkpoints(&self, directory: &Path) -> Vec<CheckpointInfo> {
        let Ok(entries) = std::fs::read_dir(directory.join("checkpoints")) else {
            return Vec::new();
        };
        let mut found: Vec<CheckpointInfo> = entries.flatten().map(|e| saved(e.path())).collect();
        found.sort_by_key(|checkpoint| checkpoint.step);
        found
    }

    fn latest_intact(&self, directory: &Path) -> Option<CheckpointInfo> {
        self.checkpoints(directory).pop()
    }
}
