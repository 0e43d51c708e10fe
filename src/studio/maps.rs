//! Maps of the image and text spaces: made on demand by one thread, kept as files of the run.
//!
//! Called from any thread that may block. A map is asked for by its [`MapKey`]; asking again for one
//! that exists, waits or is being made changes nothing.

mod columns;
mod figure;
mod frame;
mod groups;
mod jobs;
mod key;
mod packed;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;

use protoclip::analysis::MapFile;
use protoclip::prototypes::FeatureSnapshot;

pub use frame::{FrameQuery, MapFrame};
pub use groups::{MapGroup, MapGroups, PrototypeLabel};
pub use jobs::{MapMaking, MapState, MapStatus};
pub use key::{MapFeatures, MapKey, MapSpace};
pub use packed::{PackedMap, PlacedPoint};

pub(super) use groups::{by_size, group_words};
pub(super) use jobs::MapJobs;
pub(super) use thread::start;

use super::{RunDirectory, RunId, Studio, StudioError};

/// Finished maps kept in memory.
pub(super) const KEPT: usize = 12;
/// Groupings kept in memory.
pub(super) const KEPT_GROUPS: usize = 12;

/// A sample as the map shows it when it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MapSample {
    pub sample: u32,
    pub caption: String,
    pub image_url: String,
}

/// Most samples of one answer.
pub const MOST_MAP_SAMPLES: usize = 400;

impl Studio {
    /// Every map of a run, finished or not, by step.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn maps(&self, id: &RunId) -> Result<Vec<MapStatus>, StudioError> {
        self.readable(id)?;
        let mut all = self.map_jobs.of_run(id);
        let run = self.data_dir.run(id);
        for key in map_keys(&run) {
            all.retain(|status| status.key != key);
            all.push(MapStatus::finished(key, 0));
        }
        all.sort_by_key(|status| status.key);
        Ok(all)
    }

    /// Where a map is; `None` when nobody asked for it.
    ///
    /// # Errors
    /// When there is no such run.
    pub fn map_status(&self, id: &RunId, key: MapKey) -> Result<Option<MapStatus>, StudioError> {
        self.readable(id)?;
        if !map_path(&self.data_dir.run(id), key).exists() {
            return Ok(self.map_jobs.status(id, key));
        }
        let file = self.map_file(id, key)?;
        Ok(Some(MapStatus::finished(key, file.milliseconds)))
    }

    /// Asks for a map.
    ///
    /// # Errors
    /// When there is no such run, it has no features at that step, or too many maps wait.
    pub fn start_map(&self, id: &RunId, key: MapKey) -> Result<MapStatus, StudioError> {
        if let Some(status) = self.map_status(id, key)?
            && (status.state == MapState::Finished || status.is_pending())
        {
            return Ok(status);
        }
        self.has_features(id, key.step)?;
        let status = self.map_jobs.enqueue(id, key).ok_or_else(|| {
            StudioError::Conflict("very many maps wait already; cancel some first".into())
        })?;
        self.live.tell_map(id, status.clone());
        Ok(status)
    }

    /// Cancels a map that waits or is being made.
    ///
    /// # Errors
    /// When there is no such run or map.
    pub fn cancel_map(&self, id: &RunId, key: MapKey) -> Result<MapStatus, StudioError> {
        self.readable(id)?;
        let status = self
            .map_jobs
            .cancel(id, key)
            .ok_or_else(|| no_map(key, "nobody asked for it"))?;
        self.live.tell_map(id, status.clone());
        Ok(status)
    }

    /// The points of a map, finished or not.
    ///
    /// # Errors
    /// When there is no such run or map.
    pub fn map(&self, id: &RunId, key: MapKey) -> Result<PackedMap, StudioError> {
        self.readable(id)?;
        if map_path(&self.data_dir.run(id), key).exists() {
            return Ok(PackedMap::finished(id, key, &*self.map_file(id, key)?));
        }
        match self.map_jobs.draft(id, key) {
            Some(draft) => Ok(PackedMap::draft(id, key, &draft.points, draft.version)),
            None => Err(no_map(key, "it is not made yet; ask for it with POST")),
        }
    }

    /// Captions and pictures of samples, in the asked order; those that the data set does not have
    /// are left out.
    ///
    /// # Errors
    /// When there is no such run or its data set cannot be opened.
    pub fn map_samples(&self, id: &RunId, samples: &[u32]) -> Result<Vec<MapSample>, StudioError> {
        let record = self.readable(id)?;
        let data_set = self.data_sets.register(&record.config.data);
        let set = self.data_sets.get(&data_set)?;
        let version = set.source.fingerprint();
        let version = version.get(..8).unwrap_or(version);
        let found = samples.iter().take(MOST_MAP_SAMPLES).filter_map(|&sample| {
            Some(MapSample {
                sample,
                caption: set.source.caption(sample).ok()?,
                image_url: format!(
                    "/api/datasets/{data_set}/samples/{sample}/image?size=96&v={version}"
                ),
            })
        });
        Ok(found.collect())
    }

    fn has_features(&self, id: &RunId, step: u64) -> Result<(), StudioError> {
        match self.feature_steps(id)?.contains(&step) {
            true => Ok(()),
            // For its message, which names the steps that there are.
            false => self.features(id, Some(step)).map(drop),
        }
    }

    fn map_file(&self, id: &RunId, key: MapKey) -> Result<Arc<MapFile>, StudioError> {
        let path = map_path(&self.data_dir.run(id), key);
        self.map_files.get(&path, |path| Ok(MapFile::read(path)?))
    }
}

/// Rows of `features` that a map of this kind shows, and their length.
fn rows_of(features: &FeatureSnapshot, kind: MapFeatures) -> &protoclip::prototypes::FeaturePair {
    match kind {
        MapFeatures::Clustered => features.clustered(),
        MapFeatures::Tower => &features.tower,
    }
}

pub(super) fn map_path(run: &RunDirectory, key: MapKey) -> PathBuf {
    run.maps().join(key.file_name())
}

/// The finished maps of a run.
pub(super) fn map_keys(run: &RunDirectory) -> Vec<MapKey> {
    let Ok(entries) = std::fs::read_dir(run.maps()) else {
        return Vec::new();
    };
    let names = entries
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok());
    names
        .filter_map(|name| MapKey::of_file_name(&name))
        .collect()
}

fn no_map(key: MapKey, why: &str) -> StudioError {
    let (space, method) = (key.space.name(), key.method.label());
    StudioError::NotFound(format!(
        "there is no {method} map of the {space} space at step {}: {why}",
        key.step
    ))
}
