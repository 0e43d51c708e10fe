//! One snapshot with everything that pages derive from it, each derived when first asked for.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use protoclip::data::PairSource;
use protoclip::prototypes::{Hierarchy, PrototypeSnapshot, Space, SpaceClusters, prototype_words};

use super::super::{DataSet, DataSetId, DataSets, StudioError};
use super::overlap::ABSENT;

/// A snapshot, its captions and its groups.
#[derive(Debug)]
pub(crate) struct SnapshotView {
    snapshot: PrototypeSnapshot,
    data_set: DataSetId,
    data: OnceLock<Arc<DataSet>>,
    data_error: Mutex<Option<String>>,
    captions: OnceLock<Vec<String>>,
    groups: [OnceLock<Groups>; 3],
    hierarchies: [OnceLock<Result<Hierarchy, String>>; 3],
}

/// The prototypes of one space as lists of samples.
#[derive(Debug)]
pub(in super::super) struct Groups {
    /// For each prototype, positions into the snapshot's samples, nearest to the centroid first.
    pub(in super::super) members: Vec<Vec<u32>>,
    /// For each prototype, mean distance of its samples to the centroid; none when empty.
    pub(in super::super) tightness: Vec<Option<f32>>,
}

/// Nearest captions from which the words of a prototype are chosen.
const WORD_CAPTIONS: usize = 64;
const WORDS: usize = 5;

impl SnapshotView {
    pub(in super::super) fn read(path: &Path, data_set: DataSetId) -> Result<Self, StudioError> {
        Ok(Self {
            snapshot: PrototypeSnapshot::read(path)?,
            data_set,
            data: OnceLock::new(),
            data_error: Mutex::new(None),
            captions: OnceLock::new(),
            groups: [const { OnceLock::new() }; 3],
            hierarchies: [const { OnceLock::new() }; 3],
        })
    }

    /// Opens the data set of the samples, unless it is. A data set that is gone leaves captions and
    /// pictures out, nothing else.
    pub(in super::super) fn attach(&self, data_sets: &DataSets) {
        if self.data.get().is_some() {
            return;
        }
        let error = match data_sets.get(&self.data_set) {
            Ok(set) => {
                self.data.get_or_init(|| set);
                None
            }
            Err(error) => Some(error.to_string()),
        };
        *self.error() = error;
    }

    /// The data set, when it could be opened.
    pub(in super::super) fn data(&self) -> Option<&DataSet> {
        self.data.get().map(Arc::as_ref)
    }

    pub(in super::super) fn step(&self) -> u64 {
        self.snapshot.step
    }

    pub(in super::super) fn episode(&self) -> u64 {
        self.snapshot.episode
    }

    pub(in super::super) fn samples(&self) -> &[u32] {
        &self.snapshot.samples
    }

    pub(in super::super) fn data_set(&self) -> &DataSetId {
        &self.data_set
    }

    /// Why captions and pictures are absent, if they are.
    pub(in super::super) fn data_error(&self) -> Option<String> {
        self.error().clone()
    }

    fn error(&self) -> MutexGuard<'_, Option<String>> {
        self.data_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Version of the data set's content, for addresses of pictures.
    pub(in super::super) fn data_version(&self) -> &str {
        self.data.get().map_or("0", |set| {
            let fingerprint = set.source.fingerprint();
            fingerprint.get(..8).unwrap_or(fingerprint)
        })
    }

    /// The spaces that this snapshot has.
    pub(in super::super) fn spaces(&self) -> Vec<Space> {
        let spaces = Space::ALL.into_iter();
        spaces
            .filter(|space| self.snapshot.space(*space).is_some())
            .collect()
    }

    pub(in super::super) fn clusters(&self, space: Space) -> Result<&SpaceClusters, StudioError> {
        self.snapshot.space(space).ok_or_else(|| {
            StudioError::NotFound("this run has no external teacher; look at image or text".into())
        })
    }

    pub(in super::super) fn groups(&self, space: Space) -> Result<&Groups, StudioError> {
        let clusters = self.clusters(space)?;
        Ok(self.groups[place(space)].get_or_init(|| Groups::of(clusters)))
    }

    /// The order in which the prototypes of a space join.
    pub(super) fn hierarchy(&self, space: Space) -> Result<&Hierarchy, StudioError> {
        let clusters = self.clusters(space)?;
        let found = self.hierarchies[place(space)].get_or_init(|| {
            let sizes = clusters.sizes();
            Hierarchy::of(&clusters.centroids, clusters.dim, &sizes).map_err(|e| e.to_string())
        });
        found.as_ref().map_err(|e| StudioError::Other(e.clone()))
    }

    /// Samples of a prototype nearest to its centroid.
    pub(in super::super) fn nearest(
        &self,
        space: Space,
        prototype: usize,
        limit: usize,
    ) -> Result<Vec<u32>, StudioError> {
        let members = self.groups(space)?.members.get(prototype);
        let members = members.ok_or_else(|| self.no_such(space, prototype))?;
        let positions = members.iter().take(limit);
        Ok(positions
            .map(|&position| self.snapshot.samples[position as usize])
            .collect())
    }

    pub(in super::super) fn no_such(&self, space: Space, prototype: usize) -> StudioError {
        let count = self.snapshot.space(space).map_or(0, |c| c.count);
        StudioError::NotFound(format!(
            "there is no prototype {prototype} at step {}: they are numbered from 0 to {}",
            self.step(),
            count.saturating_sub(1)
        ))
    }

    /// The data set, if it could be opened.
    pub(crate) fn source(&self) -> Option<&dyn PairSource> {
        self.data.get().map(|set| &*set.source)
    }

    /// The words that describe a prototype.
    pub(crate) fn words_of(
        &self,
        space: Space,
        prototype: usize,
    ) -> Result<Vec<String>, StudioError> {
        let members = self.groups(space)?.members.get(prototype);
        Ok(self.words(members.ok_or_else(|| self.no_such(space, prototype))?))
    }

    /// The caption at a position; a dash when it cannot be read.
    pub(in super::super) fn caption(&self, position: u32) -> &str {
        self.captions()
            .get(position as usize)
            .map_or("—", String::as_str)
    }

    fn captions(&self) -> &[String] {
        let Some(set) = self.data.get() else {
            return &[];
        };
        self.captions.get_or_init(|| {
            let read = |&sample: &u32| {
                let caption = set.source.caption(sample);
                caption.unwrap_or_else(|error| format!("({error})"))
            };
            self.snapshot.samples.iter().map(read).collect()
        })
    }

    /// The words that describe a group of positions.
    pub(in super::super) fn words(&self, positions: &[u32]) -> Vec<String> {
        let Some(set) = self.data.get() else {
            return Vec::new();
        };
        let captions = positions
            .iter()
            .take(WORD_CAPTIONS)
            .map(|&position| self.caption(position));
        prototype_words(captions, set.statistics(), WORDS)
    }

    /// The most common label of a group of positions in the first label column, with its share; ties
    /// go to the label listed first.
    pub(in super::super) fn commonest_label(&self, positions: &[u32]) -> Option<(String, f64)> {
        let column = self.data.get()?.source.labels().first()?;
        let mut counts = vec![0_u32; column.classes.len()];
        for &position in positions {
            let sample = *self.snapshot.samples.get(position as usize)?;
            let class = *column.of_sample.get(sample as usize)?;
            *counts.get_mut(class as usize)? += 1;
        }
        let most = *counts.iter().max().filter(|&&most| most > 0)?;
        let class = counts.iter().position(|&count| count == most)?;
        let share = f64::from(most) / positions.len() as f64;
        Some((column.classes[class].clone(), share))
    }

    /// The groups that another snapshot put these samples in, in the order of these samples.
    pub(in super::super) fn assignments_in(&self, other: &Self, space: Space) -> Vec<u32> {
        let Some(clusters) = other.snapshot.space(space) else {
            return vec![ABSENT; self.snapshot.samples.len()];
        };
        let theirs: HashMap<u32, u32> = other
            .snapshot
            .samples
            .iter()
            .copied()
            .zip(clusters.assignments.iter().copied())
            .collect();
        let own = self.snapshot.samples.iter();
        own.map(|sample| theirs.get(sample).copied().unwrap_or(ABSENT))
            .collect()
    }
}

/// A space's place in tables by space.
pub(super) fn place(space: Space) -> usize {
    match space {
        Space::Image => 0,
        Space::Text => 1,
        Space::Teacher => 2,
    }
}

impl Groups {
    fn of(clusters: &SpaceClusters) -> Self {
        let members = clusters.members();
        let tightness = members
            .iter()
            .map(|list| {
                let sum: f32 = list.iter().map(|&p| clusters.distances[p as usize]).sum();
                (!list.is_empty()).then(|| sum / list.len() as f32)
            })
            .collect();
        Self { members, tightness }
    }
}
