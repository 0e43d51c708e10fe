//! The pictures that more than one pair of a data set has.

use super::super::figures::grouped;
use crate::studio::{DataSetId, RepeatedPicture, Studio, StudioError};

#[derive(Debug)]
pub(super) struct Repeats {
    /// How many pictures were compared and what came of it, in a sentence.
    pub(super) summary: String,
    /// Whether pictures remain to be compared.
    pub(super) open: bool,
    pub(super) pictures: Vec<Repeat>,
    /// How many are not listed; empty when all are.
    pub(super) more: String,
}

/// A picture and its pairs.
#[derive(Debug)]
pub(super) struct Repeat {
    pub(super) image: String,
    pub(super) pairs: String,
    /// Captions of the first pairs.
    pub(super) captions: Vec<String>,
    pub(super) origins: String,
}

/// Pictures that the page lists; the CSV file has more.
const LISTED: usize = 24;

impl Repeats {
    pub(super) fn read(studio: &Studio, id: &DataSetId) -> Result<Self, StudioError> {
        let found = studio.repeated_pictures(id, LISTED)?;
        let (done, total) = (found.compared.done, found.compared.total);
        let compared = match done {
            0 => "No pictures were compared yet.".to_owned(),
            done if done < total => format!(
                "{} of {} pictures were compared so far.",
                grouped(done as u64),
                grouped(total as u64)
            ),
            _ => format!("All {} pictures were compared.", grouped(total as u64)),
        };
        let repeats = match (done, found.pictures) {
            (0, _) => String::new(),
            (_, 0) => " No two are the same.".into(),
            (_, pictures) => format!(
                " {} belong to more than one pair, {} pairs in all.",
                grouped(pictures as u64),
                grouped(found.pairs as u64)
            ),
        };
        Ok(Self {
            summary: compared + &repeats,
            open: done < total,
            more: match found.pictures.saturating_sub(LISTED) {
                0 => String::new(),
                more => format!(
                    "and {} more, up to a thousand in the CSV file",
                    grouped(more as u64)
                ),
            },
            pictures: found.listed.iter().map(Repeat::of).collect(),
        })
    }
}

impl Repeat {
    fn of(picture: &RepeatedPicture) -> Self {
        let first = picture.shown.first();
        let origins = picture.shown.iter().map(|pair| pair.origin.as_str());
        Self {
            image: first.map_or_else(String::new, |pair| pair.image_url.clone()),
            pairs: grouped(picture.pairs as u64),
            captions: picture
                .shown
                .iter()
                .map(|pair| pair.caption.clone())
                .collect(),
            origins: origins.collect::<Vec<_>>().join(", "),
        }
    }
}
