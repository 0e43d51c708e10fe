//! Pairs that share a picture, pixel for pixel after decoding.
//!
//! Decoding every picture takes long, so it is background work that a person starts and may cancel;
//! what it has seen by then stays known while the program runs.

use serde::Serialize;

use super::super::work::{self, WorkFailure, WorkKind, WorkView};
use super::super::{PicturesCompared, Studio, StudioError};
use super::DataSetId;
use super::browser::{PairView, pair};

/// Pictures that more than one pair has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepeatedPictures {
    /// How many pictures were looked at; the rest may repeat too.
    pub compared: PicturesCompared,
    /// Pictures with more than one pair.
    pub pictures: usize,
    /// Pairs whose picture another pair has too.
    pub pairs: usize,
    /// The most repeated ones first, at most as many as were asked for.
    pub listed: Vec<RepeatedPicture>,
}

/// One picture and the pairs that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepeatedPicture {
    pub pairs: usize,
    /// The first of them.
    pub shown: Vec<PairView>,
}

/// Most pictures of one answer.
pub const MOST_REPEATS: usize = 1000;
/// Pairs that are shown of one picture.
const SHOWN: usize = 12;

impl Studio {
    /// Starts to compare all pictures of a data set, in the background.
    ///
    /// # Errors
    /// When the data set is not known or cannot be opened, or too much work is under way.
    pub fn compare_pictures(&self, id: &DataSetId) -> Result<WorkView, StudioError> {
        let set = self.data_sets.get(id)?;
        self.work
            .begin(WorkKind::ComparePictures, id.as_str(), move |progress| {
                let report = |done, total| progress.report("comparing pictures", done, total);
                let pool = work::pool()?;
                let looked = pool.install(|| set.pictures.look_at_all(&*set.source, &report));
                match looked.map_err(WorkFailure::of)? {
                    false => Err(WorkFailure::Cancelled),
                    true => Ok(match set.pictures.groups().len() {
                        0 => "no two pictures are the same".to_owned(),
                        1 => "1 picture belongs to more than one pair".to_owned(),
                        count => format!("{count} pictures belong to more than one pair"),
                    }),
                }
            })
    }

    /// The pictures that more than one pair has, among those that were looked at.
    ///
    /// # Errors
    /// When the data set is not known or cannot be opened.
    pub fn repeated_pictures(
        &self,
        id: &DataSetId,
        limit: usize,
    ) -> Result<RepeatedPictures, StudioError> {
        let set = self.data_sets.get(id)?;
        let groups = set.pictures.groups();
        let listed = groups.iter().take(limit.min(MOST_REPEATS));
        Ok(RepeatedPictures {
            compared: set.pictures.compared(),
            pictures: groups.len(),
            pairs: groups.iter().map(Vec::len).sum(),
            listed: listed
                .map(|group| RepeatedPicture {
                    pairs: group.len(),
                    shown: group.iter().take(SHOWN).map(|&s| pair(&set, s)).collect(),
                })
                .collect(),
        })
    }
}
