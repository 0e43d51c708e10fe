//! Event files of a run that still trains, so that `tensorboard --logdir` shows it as it goes.
//!
//! Reads the run's database from outside, so training never waits for it, and any process can follow
//! the run of another. A run that goes on from a checkpoint takes steps again: a new file then begins
//! with the word that makes them void in the earlier ones.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::super::run_directory::{RunDirectory, RunMeta};
use super::super::run_log::{LineKind, LogLine};
use super::super::run_store::RunStore;
use super::super::step_clock::StepClock;
use super::super::{RunState, StudioError};
use super::event_file::EventFile;
use super::{newest, start_of};

/// The event files of one run while it trains.
#[derive(Debug)]
pub struct CurveFollower {
    run: RunDirectory,
    meta: RunMeta,
    folder: PathBuf,
    file: EventFile<BufWriter<File>>,
    path: PathBuf,
    /// Newest written step by tag.
    written: BTreeMap<String, u64>,
    /// Number of the newest log line that was looked at.
    last_line: i64,
    /// Files so far.
    files: i64,
    /// The newest step at each look, and when it was stored.
    looks: Vec<(u64, Timestamp)>,
}

/// What all names of event files begin with.
const NAME: &str = "events.out.tfevents";

impl CurveFollower {
    /// Begins the files of a run in a folder named after it below `out`; those of an earlier follower
    /// of this run are replaced.
    ///
    /// # Errors
    /// When the run cannot be read or the folder not written.
    pub fn begin(run: RunDirectory, out: &Path) -> Result<Self, StudioError> {
        let meta = run.read_meta()?;
        let folder = out.join(meta.id.as_str());
        fs::create_dir_all(&folder).map_err(StudioError::io(&folder))?;
        remove_earlier(&folder, &meta)?;
        let path = path_of(&folder, &meta, 0);
        Ok(Self {
            file: open(&path, start_of(&meta))?,
            run,
            meta,
            folder,
            path,
            written: BTreeMap::new(),
            last_line: 0,
            files: 1,
            looks: Vec::new(),
        })
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes what is new; answers whether there can be more.
    ///
    /// # Errors
    /// When the run cannot be read or a file not written.
    pub fn catch_up(&mut self) -> Result<bool, StudioError> {
        let database = self.run.database();
        if !database.exists() {
            return Ok(true);
        }
        // Looked at before the points: what is written after this look is of the next one.
        let goes_on = self.goes_on(&RunStore::read(&database)?)?;
        let store = RunStore::read(&database)?;
        let lines = store.lines(0, i64::MAX as usize)?;
        if let Some(look) = store.snapshot()?.as_ref().and_then(newest) {
            self.look(look);
        }
        let clock = StepClock::of(&lines, &self.looks);
        for line in lines.iter().filter(|line| begins(line)) {
            if line.seq > self.last_line {
                self.begin_session(line.step, &clock)?;
            }
        }
        self.last_line = lines.last().map_or(0, |line| line.seq).max(self.last_line);
        for (tag, _) in store.tags()? {
            self.write_new(&store, &tag, &clock)?;
        }
        self.file.flush().map_err(StudioError::io(&self.path))?;
        Ok(goes_on)
    }

    /// Remembers when steps were stored; those that come again count anew.
    fn look(&mut self, (step, time): (u64, Timestamp)) {
        self.looks.retain(|look| look.0 < step);
        self.looks.push((step, time));
    }

    /// Whether the run waits or trains, by a process that lives.
    fn goes_on(&self, store: &RunStore) -> Result<bool, StudioError> {
        Ok(match store.snapshot()?.map(|snapshot| snapshot.state) {
            Some(RunState::Queued) | None => true,
            Some(state) => state.is_active() && self.run.is_locked()?,
        })
    }

    /// A session goes on from `step`: later ones will come again.
    fn begin_session(&mut self, step: u64, clock: &StepClock) -> Result<(), StudioError> {
        if self.written.values().all(|&written| written <= step) {
            return Ok(());
        }
        self.file.flush().map_err(StudioError::io(&self.path))?;
        self.path = path_of(&self.folder, &self.meta, self.files);
        self.files += 1;
        let time = start_of(&self.meta) + clock.at(step);
        self.file = open(&self.path, time)?;
        let begun = self.file.begin_session(time, step + 1);
        begun.map_err(StudioError::io(&self.path))?;
        for written in self.written.values_mut() {
            *written = step.min(*written);
        }
        Ok(())
    }

    fn write_new(
        &mut self,
        store: &RunStore,
        tag: &str,
        clock: &StepClock,
    ) -> Result<(), StudioError> {
        let from = self.written.get(tag).map_or(0, |written| written + 1);
        let start = start_of(&self.meta);
        let mut new = Vec::new();
        store.each_point(tag, (from, u64::MAX), |step, value| new.push((step, value)))?;
        for &(step, value) in &new {
            let point = self
                .file
                .scalar(start + clock.at(step), step, tag, value as f32);
            point.map_err(StudioError::io(&self.path))?;
        }
        if let Some((step, _)) = new.last() {
            self.written.insert(tag.to_owned(), *step);
        }
        Ok(())
    }
}

/// Whether a session begins with this line, in whose step the points were cut.
fn begins(line: &LogLine) -> bool {
    line.kind == LineKind::State && line.data["state"] == "running"
}

fn path_of(folder: &Path, meta: &RunMeta, number: i64) -> PathBuf {
    let second = meta.created.as_second() + number;
    folder.join(format!("{NAME}.{second}.{}", meta.id))
}

fn open(path: &Path, time: f64) -> Result<EventFile<BufWriter<File>>, StudioError> {
    let file = File::create(path).map_err(StudioError::io(path))?;
    EventFile::begin(BufWriter::new(file), time).map_err(StudioError::io(path))
}

/// Removes files that the names say are of this run.
fn remove_earlier(folder: &Path, meta: &RunMeta) -> Result<(), StudioError> {
    let entries = fs::read_dir(folder).map_err(StudioError::io(folder))?;
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(NAME) && name.ends_with(&format!(".{}", meta.id)) {
            let path = entry.path();
            fs::remove_file(&path).map_err(StudioError::io(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use protoclip::config::RunConfig;

    use super::super::super::create::new_run;
    use super::super::super::data_dir::DataDir;
    use super::super::super::recorder::state_line;
    use super::super::super::run_snapshot::RunSnapshot;
    use super::super::super::run_store::{Batch, Point};
    use super::super::curves::Curves;
    use super::*;

    fn points(steps: std::ops::RangeInclusive<u64>, value: f64) -> Batch {
        let point = |step| Point {
            tag: "train/loss_total".into(),
            step,
            value,
        };
        Batch {
            points: steps.map(point).collect(),
            lines: Vec::new(),
        }
    }

    fn shown(folder: &Path) -> Vec<(u64, f64)> {
        let mut files: Vec<PathBuf> = fs::read_dir(folder)
            .expect("lists")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        let curves = Curves::read(&files, &|_| true).expect("reads");
        curves.expect("whole").points["train/loss_total"].clone()
    }

    #[test]
    fn the_files_follow_a_run_over_a_resume_and_to_its_end() {
        let folder = tempfile::tempdir().expect("folder");
        let data_dir = DataDir::open(&folder.path().join("data")).expect("opens");
        let meta = new_run(&data_dir, RunConfig::default()).expect("creates");
        let run = data_dir.run(&meta.id);
        let out = folder.path().join("logs");
        let mut follower = CurveFollower::begin(run.clone(), &out).expect("begins");
        assert!(follower.catch_up().expect("reads"), "it waits");
        let lock = run.lock().expect("locks").expect("free");
        let mut snapshot = RunSnapshot::queued(&RunConfig::default());
        snapshot.enter(RunState::Running, None);
        let mut store = RunStore::open(&run.database()).expect("opens");
        let running = state_line(0, RunState::Running, None);
        let begin = |_| snapshot.clone();
        store.restart(0, &running, begin).expect("stores");
        store
            .commit(&points(1..=3, 1.0), &snapshot)
            .expect("stores");
        assert!(follower.catch_up().expect("reads"), "it trains");
        assert_eq!(shown(follower.folder()), [(1, 1.0), (2, 1.0), (3, 1.0)]);
        store
            .commit(&points(4..=5, 1.0), &snapshot)
            .expect("stores");
        assert!(follower.catch_up().expect("reads"));
        // Resumed from the checkpoint at step 2.
        let running = state_line(2, RunState::Running, None);
        store.restart(2, &running, begin).expect("stores");
        store
            .commit(&points(3..=3, 7.0), &snapshot)
            .expect("stores");
        assert!(follower.catch_up().expect("reads"));
        let resumed = [(1, 1.0), (2, 1.0), (3, 7.0)];
        assert_eq!(shown(follower.folder()), resumed, "steps 4 and 5 are void");
        let mut ended = snapshot.clone();
        ended.enter(RunState::Finished, None);
        store.commit(&points(4..=4, 8.0), &ended).expect("stores");
        drop(lock);
        assert!(!follower.catch_up().expect("reads"), "it ended");
        assert_eq!(shown(follower.folder()).last(), Some(&(4, 8.0)));
        let mut again = CurveFollower::begin(run, &out).expect("begins");
        again.catch_up().expect("reads");
        assert_eq!(fs::read_dir(again.folder()).expect("lists").count(), 1);
        assert_eq!(shown(again.folder()).len(), 4);
    }
}
