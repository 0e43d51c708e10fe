//! The thread named `maps`: makes one map after another, at low priority.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use protoclip::analysis::{
    EarlierMap, MapFile, MapMethod, PlaneError, PlaneProgress, aligned_to, carried_start,
    map_to_plane,
};
use protoclip::prototypes::{FeatureSnapshot, Space};

use super::super::{RunId, Studio, StudioError, niceness};
use super::{MapKey, MapSpace, MapStatus, map_keys, map_path, rows_of};

/// Time between two messages about one map.
const BETWEEN_MESSAGES: Duration = Duration::from_millis(200);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Starts the thread; it ends when the jobs are closed.
pub(in super::super) fn start(studio: &Arc<Studio>) -> Result<(), StudioError> {
    let studio = Arc::clone(studio);
    std::thread::Builder::new()
        .name("maps".into())
        .spawn(move || {
            niceness::yield_to_others();
            while !studio.map_jobs.is_closed() {
                if let Some((run, key)) = studio.map_jobs.next(BETWEEN_LOOKS) {
                    studio.make_map(&run, key);
                }
            }
        })
        .map(|_| ())
        .map_err(|e| StudioError::Other(format!("cannot start the maps thread: {e}")))
}

/// Why a map was not made.
enum Unmade {
    Cancelled,
    Because(String),
}

/// What a map is made of.
pub(super) struct Material {
    /// `[rows, dim]`, row-major.
    pub(super) values: Vec<f32>,
    pub(super) dim: usize,
    /// Two for each sample of a joint map, told apart by [`distinct`].
    pub(super) samples: Vec<u32>,
    groups: Vec<u32>,
}

impl From<StudioError> for Unmade {
    fn from(error: StudioError) -> Self {
        Self::Because(error.to_string())
    }
}

impl From<PlaneError> for Unmade {
    fn from(error: PlaneError) -> Self {
        match error {
            PlaneError::Cancelled => Self::Cancelled,
            other => Self::Because(other.to_string()),
        }
    }
}

impl Studio {
    fn make_map(&self, run: &RunId, key: MapKey) {
        // linfa's eigenvectors panic where they do not converge.
        let made = catch_unwind(AssertUnwindSafe(|| self.try_map(run, key))).unwrap_or_else(|_| {
            Err(Unmade::Because(
                "the method failed on these features".into(),
            ))
        });
        let status = match made {
            Ok(status) => {
                self.map_jobs.finish(run, key);
                Some(status)
            }
            Err(Unmade::Cancelled) => self.map_jobs.fail(run, key, None),
            Err(Unmade::Because(reason)) => {
                tracing::warn!(run = %run, map = %key, %reason, "a map was not made");
                self.map_jobs.fail(run, key, Some(reason))
            }
        };
        if let Some(status) = status {
            self.live.tell_map(run, status);
        }
    }

    fn try_map(&self, run: &RunId, key: MapKey) -> Result<MapStatus, Unmade> {
        let started = Instant::now();
        let features = self.features(run, Some(key.step))?;
        let material = self.material(run, key, &features)?;
        drop(features);
        let earlier = self.nearest_sibling(run, key);
        let told = AtomicU64::new(0);
        let watch = |progress: &PlaneProgress<'_>| {
            let where_it_is = (progress.phase, progress.done, progress.total);
            let status = self
                .map_jobs
                .advance(run, key, where_it_is, progress.points);
            let now = started.elapsed().as_millis() as u64;
            let due = told.load(Ordering::Relaxed) + BETWEEN_MESSAGES.as_millis() as u64;
            if let Some(status) = &status
                && (now >= due || progress.done == 0)
            {
                told.store(now, Ordering::Relaxed);
                self.live.tell_map(run, status.clone());
            }
            status.is_some()
        };
        let (known, after) = match &earlier {
            Some((step, file)) => (Some(distinct(&file.samples, key.space)), Some(*step)),
            None => (None, None),
        };
        let earlier = earlier.as_ref().zip(known.as_deref());
        let earlier = earlier.map(|((_, file), samples)| EarlierMap {
            samples,
            points: &file.points,
        });
        let ids = distinct(&material.samples, key.space);
        let start = earlier
            .filter(|_| key.method == MapMethod::Tsne)
            .and_then(|map| carried_start(map, &ids, &material.groups));
        let map = map_to_plane(
            &material.values,
            material.dim,
            key.method,
            start.as_deref(),
            &watch,
        )?;
        let points = match earlier {
            Some(earlier) => aligned_to(earlier, &ids, &map.points),
            None => map.points,
        };
        let file = MapFile {
            samples: material.samples,
            points,
            quality: map.quality,
            after,
            milliseconds: started.elapsed().as_millis() as u64,
        };
        self.keep(run, key, &file)?;
        Ok(MapStatus::finished(key, file.milliseconds))
    }

    pub(super) fn material(
        &self,
        run: &RunId,
        key: MapKey,
        features: &FeatureSnapshot,
    ) -> Result<Material, StudioError> {
        let pair = rows_of(features, key.features);
        let rows = pair.rows();
        let samples = &features.samples[..rows];
        let (view, _) = self.snapshot(run, Some(key.step))?;
        let groups = |space| match view.clusters(space) {
            Ok(clusters) => clusters.assignments.iter().copied().take(rows).collect(),
            Err(_) => vec![0; rows],
        };
        let mut material = Material {
            values: Vec::new(),
            dim: pair.dim,
            samples: samples.to_vec(),
            groups: Vec::new(),
        };
        match key.space {
            MapSpace::Image => {
                material.values.clone_from(&pair.image);
                material.groups = groups(Space::Image);
            }
            MapSpace::Text => {
                material.values.clone_from(&pair.text);
                material.groups = groups(Space::Text);
            }
            MapSpace::Joint => {
                material.values = [pair.image.as_slice(), &pair.text].concat();
                material.samples.extend_from_slice(samples);
                let texts = groups(Space::Text).into_iter().map(|g| g | 1 << 31);
                material.groups = groups(Space::Image).into_iter().chain(texts).collect();
            }
        }
        Ok(material)
    }

    /// The finished map of the same kind at the nearest step, earlier ones first.
    fn nearest_sibling(&self, run: &RunId, key: MapKey) -> Option<(u64, Arc<MapFile>)> {
        let keys = map_keys(&self.data_dir.run(run));
        let siblings = keys.into_iter().filter(|other| key.is_sibling(other));
        let nearest = siblings.min_by_key(|other| (other.step.abs_diff(key.step), other.step))?;
        let file = self.map_file(run, nearest);
        file.ok().map(|file| (nearest.step, file))
    }

    /// Writes the map unless the run went away or its features changed meanwhile.
    fn keep(&self, run: &RunId, key: MapKey, file: &MapFile) -> Result<(), Unmade> {
        self.readable(run)?;
        self.has_features(run, key.step)?;
        let directory = self.data_dir.run(run);
        let folder = directory.maps();
        std::fs::create_dir_all(&folder).map_err(StudioError::io(&folder))?;
        let path = map_path(&directory, key);
        file.write(&path).map_err(StudioError::from)?;
        Ok(())
    }
}

/// Ids of points: a joint map has two points for each sample, first all images, then all texts.
fn distinct(samples: &[u32], space: MapSpace) -> Vec<u32> {
    if space != MapSpace::Joint {
        return samples.to_vec();
    }
    let half = samples.len() / 2;
    let texts = samples.iter().enumerate();
    texts
        .map(|(at, sample)| sample.wrapping_mul(2) + u32::from(at >= half))
        .collect()
}
