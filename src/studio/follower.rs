//! The thread named `follower`: watches the directory for what other processes do.
//!
//! `train` on the command line writes the same run directories. Once per second this thread lists
//! new and vanished runs, and reads what a run of another process added to its store.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::recorder::{Change, NewPrototypes};
use super::run_snapshot::RunSnapshot;
use super::run_store::{Point, RunStore};
use super::view::RunRecord;
use super::{RunId, Studio, StudioError, records};

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
/// Age in seconds at which a new run without a lock is nobody's.
const SETTLED_AFTER: i64 = 5;
/// Log lines read at one look.
const MOST_LINES: usize = 1000;

/// Starts the thread; it ends with the desk.
pub(super) fn start(studio: &Arc<Studio>) -> Result<(), StudioError> {
    let studio = Arc::clone(studio);
    std::thread::Builder::new()
        .name("follower".into())
        .spawn(move || {
            while studio.wait_between_looks() {
                if let Err(error) = studio.look_around() {
                    tracing::warn!(%error, "the data directory cannot be watched");
                }
            }
        })
        .map(|_| ())
        .map_err(|e| StudioError::Other(format!("cannot start the follower thread: {e}")))
}

impl Studio {
    /// Waits; `false` when the program ends.
    fn wait_between_looks(&self) -> bool {
        let desk = self.desk();
        let (desk, _) = self
            .desk_changed
            .wait_timeout_while(desk, BETWEEN_LOOKS, |desk| !desk.queue.is_closed())
            .unwrap_or_else(PoisonError::into_inner);
        !desk.queue.is_closed()
    }

    /// Brings the records in line with the directory, where other processes changed it.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub(super) fn look_around(&self) -> Result<(), StudioError> {
        let on_disk = self.data_dir.run_ids()?;
        let mut known = Vec::new();
        self.live.each(|record| {
            known.push((
                record.meta.id.clone(),
                record.snapshot.state.is_active() && !record.external,
                record.broken,
            ));
        });
        for id in &on_disk {
            if !known.iter().any(|(k, ..)| k == id) {
                self.take_in(id);
            }
        }
        for (id, own, broken) in known {
            // A run of ours is on disk as long as we train it; a broken one stays listed.
            if own {
                continue;
            }
            if on_disk.binary_search(&id).is_err() {
                self.live.remove(&id);
            } else if !broken {
                self.follow(&id);
            }
        }
        Ok(())
    }

    fn take_in(&self, id: &RunId) {
        // One that is just being created, here or elsewhere, has no lock yet: look again later.
        let run = self.data_dir.run(id);
        let young = run.read_meta().is_ok_and(|meta| {
            let age = Timestamp::now().duration_since(meta.created);
            meta.imported.is_none() && age < SignedDuration::from_secs(SETTLED_AFTER)
        });
        if young && !run.is_locked().unwrap_or(false) {
            return;
        }
        let record = records::load(&self.data_dir, &self.data_sets, id.clone());
        // Between the listing and now it may have been created or restored here.
        self.live.insert_if_absent(record);
    }

    fn follow(&self, id: &RunId) {
        let Some(record) = self.live.record(id) else {
            return;
        };
        if let Err(error) = self.follow_record(id, &record) {
            tracing::warn!(run = %id, %error, "a run of another process cannot be read");
        }
    }

    fn follow_record(&self, id: &RunId, record: &RunRecord) -> Result<(), StudioError> {
        let run = self.data_dir.run(id);
        let locked = run.is_locked()?;
        if !locked && !record.external {
            return Ok(());
        }
        // Ours may have begun between the listing and now.
        if self.desk().active.as_ref().is_some_and(|a| a.id == *id) {
            return Ok(());
        }
        let store = RunStore::read(&run.database())?;
        let Some(mut snapshot) = store.snapshot()? else {
            return Ok(());
        };
        if !locked && snapshot.state.is_active() {
            records::interrupt(&run, &mut snapshot, records::ORPHANED)?;
        }
        let begun_again = snapshot.step < record.snapshot.step;
        let change = Change {
            points: if begun_again {
                Vec::new()
            } else {
                new_points(&store, &snapshot, record.snapshot.step)?
            },
            lines: store.lines(record.last_line, MOST_LINES)?,
            prototypes: new_prototypes(record, snapshot.prototypes_step, snapshot.episode),
        };
        let state_changed = snapshot.state != record.snapshot.state;
        if change.points.is_empty() && change.lines.is_empty() && !state_changed && !begun_again {
            return Ok(());
        }
        self.live.update(id, &change, |record| {
            record.external = locked && snapshot.state.is_active();
            record.snapshot = snapshot;
        });
        Ok(())
    }
}

fn new_points(
    store: &RunStore,
    snapshot: &RunSnapshot,
    after: u64,
) -> Result<Vec<Point>, StudioError> {
    let mut points = Vec::new();
    for tag in snapshot.latest.keys() {
        store.each_point(tag, (after + 1, u64::MAX), |step, value| {
            points.push(Point {
                tag: tag.clone().into(),
                step,
                value,
            });
        })?;
    }
    Ok(points)
}

fn new_prototypes(record: &RunRecord, step: Option<u64>, episode: u64) -> Option<NewPrototypes> {
    let step = step.filter(|_| step != record.snapshot.prototypes_step)?;
    Some(NewPrototypes {
        step,
        episode,
        count: record.snapshot.controls.prototype_count,
    })
}
