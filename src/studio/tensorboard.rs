//! TensorBoard's event files: a run's curves as one, so that `tensorboard --logdir` shows them beside
//! others, and the curves of those that other programs wrote.
//!
//! Reads every point of a run: callers must be allowed to block.

mod curves;
mod event;
mod event_file;
mod follow;
mod records;
mod tensor;
mod wire;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::run_directory::{RunDirectory, RunMeta};
use super::run_snapshot::RunSnapshot;
use super::run_store::RunStore;
use super::step_clock::StepClock;
use super::{RunId, Studio, StudioError};
use event_file::EventFile;

pub(crate) use curves::Curves;
pub use follow::CurveFollower;

/// An event file before it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorboardFile {
    /// What TensorBoard looks for: `events.out.tfevents.` and more.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Studio {
    /// The curves of a run as one event file.
    ///
    /// # Errors
    /// When there is no such run, or its database cannot be read.
    pub fn tensorboard(&self, id: &RunId) -> Result<TensorboardFile, StudioError> {
        self.readable(id)?;
        tensorboard_of(&self.data_dir.run(id))
    }
}

/// Writes the curves of a run directory into a folder named after the run below `out`; answers with
/// the file.
///
/// # Errors
/// When the run cannot be read or the file not written.
pub fn export_tensorboard(run: &RunDirectory, out: &Path) -> Result<PathBuf, StudioError> {
    let folder = out.join(run.read_meta()?.id.as_str());
    let file = tensorboard_of(run)?;
    std::fs::create_dir_all(&folder).map_err(StudioError::io(&folder))?;
    let path = folder.join(&file.name);
    std::fs::write(&path, &file.bytes).map_err(StudioError::io(&path))?;
    Ok(path)
}

fn tensorboard_of(run: &RunDirectory) -> Result<TensorboardFile, StudioError> {
    let meta = run.read_meta()?;
    let path = run.database();
    let mut bytes = Vec::new();
    let mut file = EventFile::begin(&mut bytes, start_of(&meta)).map_err(StudioError::io(&path))?;
    if path.exists() {
        write_curves(&mut file, &meta, &RunStore::read(&path)?)?;
    }
    Ok(TensorboardFile {
        name: format!(
            "events.out.tfevents.{}.{}",
            meta.created.as_second(),
            meta.id
        ),
        bytes,
    })
}

/// Seconds since 1970 at which the run was created; its steps follow by seconds of training.
fn start_of(meta: &RunMeta) -> f64 {
    meta.created.as_millisecond() as f64 / 1000.0
}

/// The newest step of a run, and when it was stored.
fn newest(snapshot: &RunSnapshot) -> Option<(u64, Timestamp)> {
    Some((snapshot.step, snapshot.updated?))
}

fn write_curves<W: Write>(
    file: &mut EventFile<W>,
    meta: &RunMeta,
    store: &RunStore,
) -> Result<(), StudioError> {
    let look = store.snapshot()?.as_ref().and_then(newest);
    let clock = StepClock::of(&store.lines(0, i64::MAX as usize)?, look.as_slice());
    let start = start_of(meta);
    for (tag, _) in store.tags()? {
        let mut written: io::Result<()> = Ok(());
        store.each_point(&tag, (0, u64::MAX), |step, value| {
            if written.is_ok() {
                written = file.scalar(start + clock.at(step), step, &tag, value as f32);
            }
        })?;
        written.map_err(|e| StudioError::Other(format!("cannot write {tag}: {e}")))?;
    }
    Ok(())
}
