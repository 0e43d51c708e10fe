//! Reading run directories into records, and tidying up after processes that died.

use std::sync::Arc;

use jiff::Timestamp;
use protoclip::config::RunConfig;

use super::data_dir::DataDir;
use super::data_sets::DataSets;
use super::recorder::state_line;
use super::run_directory::{RunDirectory, RunMeta};
use super::run_snapshot::RunSnapshot;
use super::run_store::{Batch, RunStore};
use super::view::RunRecord;
use super::{RunId, RunState, StudioError};

/// The reason of a run whose process died.
pub(super) const ORPHANED: &str =
    "the program that trained it ended without a word; resume to go on";

/// All runs of a data directory. A run that cannot be read is listed with its reason.
pub(super) fn load_all(
    data_dir: &DataDir,
    data_sets: &DataSets,
) -> Result<Vec<RunRecord>, StudioError> {
    let ids = data_dir.run_ids()?;
    Ok(ids
        .into_iter()
        .map(|id| load(data_dir, data_sets, id))
        .collect())
}

/// One run of a data directory.
pub(super) fn load(data_dir: &DataDir, data_sets: &DataSets, id: RunId) -> RunRecord {
    let run = data_dir.run(&id);
    match try_load(&run) {
        Ok(record) => {
            if record.meta.imported.is_none() {
                data_sets.register(&record.config.data);
            }
            record
        }
        Err(error) => {
            tracing::warn!(run = %id, %error, "a run cannot be read");
            broken(&run, id, &error)
        }
    }
}

fn try_load(run: &RunDirectory) -> Result<RunRecord, StudioError> {
    let meta = run.read_meta()?;
    let config = match &meta.imported {
        Some(_) => RunConfig::default(),
        None => run.read_config()?,
    };
    let (stored, last_line) = stored(run)?;
    let snapshot = stored.unwrap_or_else(|| RunSnapshot::queued(&config));
    let external = snapshot.state.is_active() && run.is_locked()?;
    let mut record = RunRecord {
        meta,
        config: Arc::new(config),
        snapshot,
        eta_seconds: None,
        queue_place: None,
        external,
        last_line,
        broken: false,
    };
    if record.snapshot.state.is_active() && !external {
        interrupt(run, &mut record.snapshot, ORPHANED)?;
    }
    Ok(record)
}

/// The progress that a run's database holds, and the number of its newest log line.
fn stored(run: &RunDirectory) -> Result<(Option<RunSnapshot>, i64), StudioError> {
    let path = run.database();
    if !path.exists() {
        return Ok((None, 0));
    }
    let store = RunStore::read(&path)?;
    Ok((store.snapshot()?, store.last_line()?))
}

/// Marks a run that nobody trains as interrupted.
pub(super) fn interrupt(
    run: &RunDirectory,
    snapshot: &mut RunSnapshot,
    reason: &str,
) -> Result<(), StudioError> {
    snapshot.enter(RunState::Interrupted, Some(reason.to_owned()));
    let batch = Batch {
        points: Vec::new(),
        lines: vec![state_line(snapshot.step, snapshot.state, Some(reason))],
    };
    RunStore::open(&run.database())?.commit(&batch, snapshot)?;
    Ok(())
}

fn broken(run: &RunDirectory, id: RunId, error: &StudioError) -> RunRecord {
    let config = RunConfig::default();
    let mut snapshot = RunSnapshot::queued(&config);
    snapshot.enter(RunState::Failed, Some(error.to_string()));
    RunRecord {
        meta: RunMeta {
            name: id.to_string(),
            id,
            tags: Vec::new(),
            created: created(run),
            program: String::new(),
            forked_from: None,
            imported: None,
        },
        config: Arc::new(config),
        snapshot,
        eta_seconds: None,
        queue_place: None,
        external: false,
        last_line: 0,
        broken: true,
    }
}

fn created(run: &RunDirectory) -> Timestamp {
    std::fs::metadata(run.path())
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|time| Timestamp::try_from(time).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::studio::create::new_run;

    fn new_run_in(data_dir: &DataDir) -> RunId {
        new_run(data_dir, RunConfig::default()).expect("creates").id
    }

    #[test]
    fn a_run_left_by_a_dead_process_is_interrupted_and_one_that_trains_elsewhere_is_not() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let data_dir = DataDir::open(folder.path()).expect("opens");
        let (dead, alive) = (new_run_in(&data_dir), new_run_in(&data_dir));
        for id in [&dead, &alive] {
            let mut snapshot = RunSnapshot::queued(&RunConfig::default());
            snapshot.enter(RunState::Running, None);
            snapshot.step = 12;
            RunStore::open(&data_dir.run(id).database())
                .and_then(|mut store| store.commit(&Batch::default(), &snapshot))
                .expect("writes");
        }
        let _held = data_dir.run(&alive).lock().expect("locks").expect("free");
        let records = load_all(&data_dir, &DataSets::default()).expect("loads");
        let of = |id: &RunId| records.iter().find(|r| r.meta.id == *id).expect("listed");
        assert_eq!(of(&dead).snapshot.state, RunState::Interrupted);
        assert_eq!(of(&dead).snapshot.step, 12);
        assert_eq!(of(&alive).snapshot.state, RunState::Running);
        assert!(of(&alive).external && !of(&dead).external);
        let (stored, _) = stored(&data_dir.run(&dead)).expect("reads");
        let stored = stored.expect("stored");
        assert_eq!(stored.state, RunState::Interrupted);
    }

    #[test]
    fn a_broken_run_is_listed_with_its_reason() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let data_dir = DataDir::open(folder.path()).expect("opens");
        let id = new_run_in(&data_dir);
        let path = data_dir.run(&id).path().join("config.toml");
        std::fs::write(path, "episodes = -1").expect("writes");
        let records = load_all(&data_dir, &DataSets::default()).expect("loads");
        assert!(records[0].broken);
        let reason = records[0].snapshot.reason.as_deref().expect("a reason");
        assert!(
            reason.contains("config.toml") && reason.contains("episodes"),
            "{reason}"
        );
    }
}
