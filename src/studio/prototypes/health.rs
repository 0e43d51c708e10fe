//! What may be wrong with a prototype.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::PicturesCompared;
use super::snapshot_view::SnapshotView;

/// A sign that a prototype does not stand for a group of different pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// No sample.
    Dead,
    /// More than [`OVERFULL`] times the mean size N/K.
    Overfull,
    /// Several samples, all with one caption (but for case and spaces at the ends).
    SingleCaption,
    /// Two different samples show the same picture, pixel for pixel after decoding.
    DuplicateImages,
}

/// Prototypes that show a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HealthCount {
    pub health: Health,
    pub prototypes: usize,
}

/// Times the mean size from which a prototype is overfull.
pub const OVERFULL: f64 = 4.0;

/// How long a page waits for pictures that were never compared.
const PATIENCE: Duration = Duration::from_millis(600);

impl Health {
    pub const ALL: [Self; 4] = [
        Self::Dead,
        Self::Overfull,
        Self::SingleCaption,
        Self::DuplicateImages,
    ];

    /// The word used in addresses.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Overfull => "overfull",
            Self::SingleCaption => "single-caption",
            Self::DuplicateImages => "duplicate-images",
        }
    }
}

/// Compares the pictures of a snapshot as far as there is time.
pub(super) fn compare_pictures(view: &SnapshotView) -> PicturesCompared {
    view.data().map_or_else(PicturesCompared::default, |set| {
        set.pictures.look(&set.source, view.samples(), PATIENCE)
    })
}

/// The signs of a prototype of `count` with these positions.
pub(super) fn signs(view: &SnapshotView, members: &[u32], count: usize) -> Vec<Health> {
    let mean = view.samples().len() as f64 / count.max(1) as f64;
    let shows = |health| match health {
        Health::Dead => members.is_empty(),
        Health::Overfull => members.len() as f64 > OVERFULL * mean,
        Health::SingleCaption => {
            view.data().is_some() && one_caption(members.iter().map(|&p| view.caption(p)))
        }
        Health::DuplicateImages => duplicates(view, members) > 0,
    };
    let all = Health::ALL.into_iter();
    all.filter(|health| shows(*health)).collect()
}

/// Samples whose picture an earlier one of the prototype has too, as far as pictures are known.
pub(super) fn duplicates(view: &SnapshotView, members: &[u32]) -> usize {
    let Some(set) = view.data() else {
        return 0;
    };
    let samples = members.iter().map(|&p| view.samples()[p as usize]);
    repeated(samples.filter_map(|sample| Some((sample, set.pictures.of(sample)?))))
}

/// The prototypes of each sign.
pub(super) fn counts<'a>(signs: impl Iterator<Item = &'a [Health]>) -> Vec<HealthCount> {
    let mut counts = Health::ALL.map(|health| HealthCount {
        health,
        prototypes: 0,
    });
    for shown in signs {
        for count in counts.iter_mut().filter(|c| shown.contains(&c.health)) {
            count.prototypes += 1;
        }
    }
    counts.into()
}

fn one_caption<'a>(mut captions: impl Iterator<Item = &'a str>) -> bool {
    let Some(first) = captions.next().map(plain) else {
        return false;
    };
    let mut others = captions.peekable();
    others.peek().is_some() && others.all(|caption| plain(caption) == first)
}

fn plain(caption: &str) -> String {
    caption.trim().to_lowercase()
}

/// Samples with the picture of an earlier, different one.
fn repeated(pictures: impl Iterator<Item = (u32, u64)>) -> usize {
    let mut first = HashMap::new();
    let mut samples: Vec<(u32, u64)> = pictures.collect();
    samples.sort_unstable();
    samples.dedup();
    let known = |&&(sample, hash): &&(u32, u64)| *first.entry(hash).or_insert(sample) != sample;
    samples.iter().filter(known).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caption_takes_two_samples_and_no_other_caption() {
        let of = |captions: &[&str]| one_caption(captions.iter().copied());
        assert!(of(&["a fox", "A fox ", "a FOX"]));
        assert!(!of(&["a fox", "a fox", "a dog"]));
        assert!(!of(&["a fox"]), "one sample has one caption by nature");
        assert!(!of(&[]));
    }

    #[test]
    fn a_sample_drawn_twice_is_no_duplicate_of_itself() {
        let of = |pictures: &[(u32, u64)]| repeated(pictures.iter().copied());
        assert_eq!(of(&[(3, 70), (3, 70), (4, 80)]), 0);
        assert_eq!(of(&[(3, 70), (4, 70), (5, 70), (6, 80)]), 2);
        assert_eq!(of(&[]), 0);
    }

    #[test]
    fn every_sign_is_counted() {
        let shown = [
            vec![Health::Dead],
            vec![],
            vec![Health::Overfull, Health::DuplicateImages],
            vec![Health::Dead],
        ];
        let counts = counts(shown.iter().map(Vec::as_slice));
        let numbers: Vec<usize> = counts.iter().map(|count| count.prototypes).collect();
        assert_eq!(numbers, [2, 1, 0, 1]);
        for health in Health::ALL {
            let json = serde_json::to_value(health).expect("serialises");
            assert_eq!(json, health.name());
        }
    }
}
