//! The maps that are wanted, being made, or failed. A made one is a file.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use protoclip::analysis::MapQuality;
use serde::Serialize;

use super::super::RunId;
use super::MapKey;

/// Where a map is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MapState {
    Queued,
    Running,
    Finished,
    Cancelled,
    Failed,
}

/// A map and where it is, as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MapStatus {
    #[serde(flatten)]
    pub key: MapKey,
    pub state: MapState,
    /// What is being done, such as `neighbours`.
    pub phase: &'static str,
    pub done: usize,
    pub total: usize,
    /// Grows with every new picture of an unfinished map; 0 before the first.
    pub version: u64,
    pub seconds: f64,
    pub error: Option<String>,
}

/// Points of an unfinished map.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) points: Arc<Vec<f32>>,
    pub(super) version: u64,
}

/// One map on its way.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) status: MapStatus,
    pub(super) draft: Option<Draft>,
    started: Option<Instant>,
    cancelled: bool,
}

/// All maps on their way, shared by the map thread and those who ask.
#[derive(Debug, Default)]
pub(in super::super) struct MapJobs {
    state: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Jobs {
    waiting: VecDeque<(RunId, MapKey)>,
    jobs: BTreeMap<(RunId, MapKey), Job>,
    closed: bool,
}

/// Maps that may wait; one more is refused.
const MOST_WAITING: usize = 1000;
/// Failed and cancelled maps that are remembered.
const MOST_REMEMBERED: usize = 200;

impl MapStatus {
    pub(super) fn finished(key: MapKey, milliseconds: u64) -> Self {
        Self {
            state: MapState::Finished,
            seconds: milliseconds as f64 / 1e3,
            ..Self::queued(key)
        }
    }

    fn queued(key: MapKey) -> Self {
        Self {
            key,
            state: MapState::Queued,
            phase: "",
            done: 0,
            total: 0,
            version: 0,
            seconds: 0.0,
            error: None,
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        matches!(self.state, MapState::Queued | MapState::Running)
    }
}

impl MapJobs {
    /// Puts a map at the end of the queue, or leaves it where it is; `None` when too many wait.
    pub(super) fn enqueue(&self, run: &RunId, key: MapKey) -> Option<MapStatus> {
        let mut state = self.lock();
        let name = (run.clone(), key);
        if let Some(job) = state.jobs.get(&name)
            && job.status.is_pending()
        {
            return Some(job.shown());
        }
        if state.waiting.len() >= MOST_WAITING {
            return None;
        }
        state.forget_old();
        let status = MapStatus::queued(key);
        state.waiting.push_back(name.clone());
        state.jobs.insert(
            name,
            Job {
                status: status.clone(),
                draft: None,
                started: None,
                cancelled: false,
            },
        );
        self.changed.notify_all();
        Some(status)
    }

    /// Waits for the next map; `None` when the program ends or after `limit`.
    pub(super) fn next(&self, limit: Duration) -> Option<(RunId, MapKey)> {
        let state = self.lock();
        let idle = |jobs: &mut Jobs| jobs.waiting.is_empty() && !jobs.closed;
        let (mut state, _) = self
            .changed
            .wait_timeout_while(state, limit, idle)
            .unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return None;
        }
        let name = state.waiting.pop_front()?;
        if let Some(job) = state.jobs.get_mut(&name) {
            job.status.state = MapState::Running;
            job.started = Some(Instant::now());
        }
        Some(name)
    }

    /// Notes progress; `None` when the map is no longer wanted.
    pub(super) fn advance(
        &self,
        run: &RunId,
        key: MapKey,
        (phase, done, total): (&'static str, usize, usize),
        points: Option<&[f32]>,
    ) -> Option<MapStatus> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        let job = state.jobs.get_mut(&(run.clone(), key))?;
        if job.cancelled {
            return None;
        }
        let status = &mut job.status;
        (status.phase, status.done, status.total) = (phase, done, total);
        if let Some(points) = points {
            status.version += 1;
            job.draft = Some(Draft {
                points: Arc::new(points.to_vec()),
                version: status.version,
            });
        }
        Some(job.shown())
    }

    /// Ends a map that is a file now.
    pub(super) fn finish(&self, run: &RunId, key: MapKey) {
        self.lock().jobs.remove(&(run.clone(), key));
    }

    /// Ends a map that there will not be; `error` is absent when it was cancelled.
    pub(super) fn fail(
        &self,
        run: &RunId,
        key: MapKey,
        error: Option<String>,
    ) -> Option<MapStatus> {
        let mut state = self.lock();
        let job = state.jobs.get_mut(&(run.clone(), key))?;
        job.status.seconds = job.seconds();
        job.started = None;
        job.draft = None;
        job.status.state = match error {
            Some(_) => MapState::Failed,
            None => MapState::Cancelled,
        };
        job.status.error = error;
        Some(job.shown())
    }

    /// Cancels a map that waits or is being made; what it is then, `None` when there is none.
    pub(super) fn cancel(&self, run: &RunId, key: MapKey) -> Option<MapStatus> {
        let mut state = self.lock();
        let name = (run.clone(), key);
        let waited = state.waiting.len();
        state.waiting.retain(|other| *other != name);
        let was_waiting = state.waiting.len() < waited;
        let job = state.jobs.get_mut(&name)?;
        if was_waiting {
            job.status.state = MapState::Cancelled;
        } else if job.status.state == MapState::Running {
            job.cancelled = true;
        }
        Some(job.shown())
    }

    /// Cancels every map of a run for which `which` holds.
    pub(in super::super) fn cancel_run(&self, run: &RunId, which: impl Fn(&MapKey) -> bool) {
        let names: Vec<MapKey> = {
            let state = self.lock();
            let own = state
                .jobs
                .keys()
                .filter(|(owner, key)| owner == run && which(key));
            own.map(|(_, key)| *key).collect()
        };
        for key in names {
            self.cancel(run, key);
        }
    }

    pub(super) fn status(&self, run: &RunId, key: MapKey) -> Option<MapStatus> {
        self.lock().jobs.get(&(run.clone(), key)).map(Job::shown)
    }

    pub(super) fn draft(&self, run: &RunId, key: MapKey) -> Option<Draft> {
        self.lock().jobs.get(&(run.clone(), key))?.draft.clone()
    }

    /// Where the maps of a run are that are no files.
    pub(super) fn of_run(&self, run: &RunId) -> Vec<MapStatus> {
        let state = self.lock();
        let own = state.jobs.iter().filter(|((owner, _), _)| owner == run);
        own.map(|(_, job)| job.shown()).collect()
    }

    /// Ends everything; the map thread ends with its next look.
    pub(in super::super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Jobs {
    fn forget_old(&mut self) {
        if self.jobs.len() >= MOST_REMEMBERED + self.waiting.len() {
            self.jobs.retain(|_, job| job.status.is_pending());
        }
    }
}

impl Job {
    fn seconds(&self) -> f64 {
        let running = self.started.map(|started| started.elapsed().as_secs_f64());
        running.unwrap_or(self.status.seconds)
    }

    fn shown(&self) -> MapStatus {
        MapStatus {
            seconds: self.seconds(),
            ..self.status.clone()
        }
    }
}

/// How a finished map was made, beside its points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MapMaking {
    pub quality: Option<MapQuality>,
    /// Step of the map that it goes on from.
    pub after: Option<u64>,
    pub seconds: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn key(step: u64) -> MapKey {
        MapKey {
            step,
            ..MapKey::default()
        }
    }

    #[test]
    fn maps_are_made_in_turn_and_asking_twice_makes_one() {
        let (jobs, run) = (MapJobs::default(), RunId::from("a"));
        jobs.enqueue(&run, key(1)).expect("room");
        jobs.enqueue(&run, key(2)).expect("room");
        jobs.enqueue(&run, key(1)).expect("room");
        assert_eq!(jobs.next(NOW), Some((run.clone(), key(1))));
        let again = jobs.enqueue(&run, key(1)).expect("room");
        assert_eq!(again.state, MapState::Running);
        let shown = jobs.advance(&run, key(1), ("refinement", 3, 9), Some(&[1.0, 2.0]));
        assert_eq!(shown.expect("wanted").version, 1);
        assert_eq!(*jobs.draft(&run, key(1)).expect("some").points, [1.0, 2.0]);
        jobs.finish(&run, key(1));
        assert_eq!(jobs.status(&run, key(1)), None);
        assert_eq!(jobs.next(NOW), Some((run.clone(), key(2))));
        assert_eq!(jobs.next(NOW), None);
    }

    #[test]
    fn a_cancelled_map_stops_at_its_next_step_or_never_begins() {
        let (jobs, run) = (MapJobs::default(), RunId::from("a"));
        jobs.enqueue(&run, key(1)).expect("room");
        jobs.enqueue(&run, key(2)).expect("room");
        jobs.next(NOW).expect("first");
        let waiting = jobs.cancel(&run, key(2)).expect("known");
        assert_eq!(waiting.state, MapState::Cancelled);
        jobs.cancel(&run, key(1)).expect("known");
        assert_eq!(jobs.advance(&run, key(1), ("map", 1, 2), None), None);
        let ended = jobs.fail(&run, key(1), None).expect("known");
        assert_eq!(ended.state, MapState::Cancelled);
        assert_eq!(jobs.next(NOW), None);
        assert_eq!(jobs.cancel(&run, key(7)), None);
        let again = jobs.enqueue(&run, key(1)).expect("room");
        assert_eq!(again.state, MapState::Queued);
    }

    #[test]
    fn a_closed_queue_gives_nothing_out_and_stops_what_runs() {
        let (jobs, run) = (MapJobs::default(), RunId::from("a"));
        jobs.enqueue(&run, key(1)).expect("room");
        jobs.enqueue(&run, key(2)).expect("room");
        jobs.next(NOW).expect("first");
        jobs.close();
        assert_eq!(jobs.advance(&run, key(1), ("map", 1, 2), None), None);
        assert_eq!(jobs.next(NOW), None);
    }
}
