//! The life of a run: its states and which request each one allows. Pure decisions, no effects.

use serde::{Deserialize, Serialize};

use super::StudioError;

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Waits for the trainer.
    Queued,
    Running,
    /// Holds the trainer, waits for a person.
    Paused,
    /// Took its last step.
    Finished,
    /// Ended by a person; can go on from its last checkpoint.
    Stopped,
    /// Ended by an error; the reason says which.
    Failed,
    /// The process ended before the run did; can go on from its last checkpoint.
    Interrupted,
}

/// What a person asks of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Pause,
    Resume,
    Stop,
    Checkpoint,
    /// Change settings while it trains.
    Steer,
    Delete,
}

/// What an allowed request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Tell the trainer.
    Signal,
    /// Take it out of the queue.
    Dequeue,
    /// Put it in the queue, from its latest checkpoint.
    Requeue,
    /// Touch only its files.
    Files,
}

impl RunState {
    pub const ALL: [Self; 7] = [
        Self::Queued,
        Self::Running,
        Self::Paused,
        Self::Finished,
        Self::Stopped,
        Self::Failed,
        Self::Interrupted,
    ];

    /// The word used in files, the API and pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Finished => "finished",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// Queued, running or paused: it changes without anybody asking.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running | Self::Paused)
    }

    /// Whether it holds the trainer.
    pub const fn is_training(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// What `request` does in this state.
    ///
    /// # Errors
    /// A conflict that names the state and what to do instead.
    pub fn decide(self, request: Request) -> Result<Action, StudioError> {
        use Request as R;
        use RunState as S;
        match (self, request) {
            (S::Running, R::Pause | R::Stop | R::Checkpoint | R::Steer)
            | (S::Paused, R::Resume | R::Stop | R::Checkpoint | R::Steer) => Ok(Action::Signal),
            (S::Queued, R::Stop) => Ok(Action::Dequeue),
            (S::Stopped | S::Failed | S::Interrupted, R::Resume) => Ok(Action::Requeue),
            (S::Finished | S::Stopped | S::Failed | S::Interrupted, R::Delete) => Ok(Action::Files),
            (state, request) => Err(StudioError::Conflict(refusal(state, request))),
        }
    }
}

fn refusal(state: RunState, request: Request) -> String {
    let name = state.name();
    let fix = match (state, request) {
        (RunState::Finished, Request::Resume) => "fork it with more episodes",
        (RunState::Running, Request::Resume) => "nothing to do",
        (RunState::Queued, Request::Resume) => "it starts when the trainer is free",
        (_, Request::Delete) => "stop it first",
        (RunState::Queued, _) => "wait until it starts",
        (RunState::Paused, Request::Pause) => "nothing to do",
        _ => "resume it first",
    };
    let verb = match request {
        Request::Pause => "pause",
        Request::Resume => "resume",
        Request::Stop => "stop",
        Request::Checkpoint => "checkpoint",
        Request::Steer => "steer",
        Request::Delete => "delete",
    };
    format!("cannot {verb} a run that is {name}: {fix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_allows_exactly_these_requests() {
        use Action as A;
        use Request as R;
        use RunState as S;
        let allowed = [
            (S::Queued, R::Stop, A::Dequeue),
            (S::Running, R::Pause, A::Signal),
            (S::Running, R::Stop, A::Signal),
            (S::Running, R::Checkpoint, A::Signal),
            (S::Running, R::Steer, A::Signal),
            (S::Paused, R::Resume, A::Signal),
            (S::Paused, R::Stop, A::Signal),
            (S::Paused, R::Checkpoint, A::Signal),
            (S::Paused, R::Steer, A::Signal),
            (S::Finished, R::Delete, A::Files),
            (S::Stopped, R::Resume, A::Requeue),
            (S::Stopped, R::Delete, A::Files),
            (S::Failed, R::Resume, A::Requeue),
            (S::Failed, R::Delete, A::Files),
            (S::Interrupted, R::Resume, A::Requeue),
            (S::Interrupted, R::Delete, A::Files),
        ];
        let requests = [
            R::Pause,
            R::Resume,
            R::Stop,
            R::Checkpoint,
            R::Steer,
            R::Delete,
        ];
        for state in S::ALL {
            for request in requests {
                let wanted = allowed
                    .iter()
                    .find(|(s, r, _)| (*s, *r) == (state, request))
                    .map(|(_, _, action)| *action);
                let got = state.decide(request);
                assert_eq!(got.as_ref().ok().copied(), wanted, "{state:?} {request:?}");
                if let Err(error) = got {
                    assert!(error.to_string().contains(state.name()), "{error}");
                }
            }
        }
    }
}
