//! One sample followed through prototype back translation, hop by hop.

use std::sync::Arc;

use protoclip::prototypes::{FeatureSnapshot, Space};
use serde::Serialize;

use super::super::{RunId, Studio, StudioError, Supervision};
use super::page::image_url;
use super::snapshot_view::SnapshotView;
use super::student_side::{StudentPrototypes, StudentSide};

/// A sample of a prototype on its way into the students' spaces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TranslationView {
    pub step: u64,
    pub space: Space,
    pub prototype: usize,
    pub sample: u32,
    pub caption: String,
    pub image_url: String,
    /// Samples whose features were kept; translated centroids are means over these.
    pub kept: usize,
    /// Samples of the episode.
    pub samples: usize,
    pub supervision: Supervision,
    pub directions: Vec<TranslationDirection>,
}

/// From a student's feature by its teacher's prototype back into the student's space.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TranslationDirection {
    pub student: Space,
    pub teacher: Space,
    /// The prototype that the teacher gives the sample.
    pub teacher_prototype: PrototypeNode,
    /// The sample's prototype in the student's own space.
    pub own_prototype: PrototypeNode,
    pub hops: Vec<Hop>,
    /// The student's verdict on the teacher's prototype, translated.
    pub translated: Verdict,
    /// The same against the teacher's own centroids; none for an external teacher.
    pub untranslated: Option<Verdict>,
}

/// A prototype that a hop leads to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PrototypeNode {
    pub space: Space,
    pub prototype: u32,
    pub size: usize,
    pub words: Vec<String>,
}

/// What lies at the two ends of a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HopKind {
    /// The sample's feature in the student's space and in the teacher's.
    Pair,
    /// Its feature in the teacher's space and the teacher's centroid.
    Teacher,
    /// The teacher's centroid and its back translation.
    Translation,
    /// The student's feature and the back-translated centroid: what the loss compares.
    Translated,
    /// The student's feature and the teacher's own centroid: what it would compare without.
    Untranslated,
    /// The student's feature and the centroid of its own prototype.
    Own,
    /// The back-translated centroid and that own centroid.
    Apart,
}

/// One hop.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hop {
    pub kind: HopKind,
    /// Euclidean.
    pub distance: f64,
    /// In [−1, 1]; none where one end is not known, only its distance.
    pub cosine: Option<f64>,
}

/// How a student ranks its teacher's prototype.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verdict {
    /// 1 is the best of `of`.
    pub rank: usize,
    pub of: usize,
    /// By the softmax of the loss, in [0, 1].
    pub probability: f64,
}

impl Studio {
    /// Follows a sample of a prototype; the one nearest to the centroid when none is named.
    ///
    /// # Errors
    /// As [`Studio::prototype`], when the step's features were not kept, or when the sample is not in
    /// the prototype.
    pub fn prototype_translation(
        &self,
        id: &RunId,
        step: Option<u64>,
        (space, prototype): (Space, usize),
        sample: Option<u32>,
    ) -> Result<TranslationView, StudioError> {
        let (view, _) = self.snapshot(id, step)?;
        let members = view.groups(space)?.members.get(prototype);
        let members = members.ok_or_else(|| view.no_such(space, prototype))?;
        let features = self.features(id, Some(view.step()))?;
        let kept = features.clustered().rows();
        let position = chosen(&view, members, kept, sample)?;
        let supervision = self.supervision(id, (view.episode(), view.step()))?;
        let pairs = match space {
            Space::Image | Space::Text => {
                [(Space::Image, Space::Text), (Space::Text, Space::Image)]
            }
            Space::Teacher => [
                (Space::Image, Space::Teacher),
                (Space::Text, Space::Teacher),
            ],
        };
        let follow = |pair| direction(&view, &features, &supervision, pair, position);
        let sample = view.samples()[position];
        Ok(TranslationView {
            step: view.step(),
            space,
            prototype,
            sample,
            caption: view.caption(position as u32).to_owned(),
            image_url: image_url(&view, sample),
            kept,
            samples: view.samples().len(),
            directions: pairs.into_iter().map(follow).collect::<Result<_, _>>()?,
            supervision,
        })
    }
}

/// Position of the sample to follow.
fn chosen(
    view: &SnapshotView,
    members: &[u32],
    kept: usize,
    sample: Option<u32>,
) -> Result<usize, StudioError> {
    let mut positions = members.iter().map(|&position| position as usize);
    let place = match sample {
        None => positions.find(|&position| position < kept),
        Some(sample) => {
            let place = positions.find(|&position| view.samples()[position] == sample);
            if place.is_none() {
                return Err(StudioError::NotFound(format!(
                    "sample {sample} is not in this prototype at step {}; choose one of its samples",
                    view.step()
                )));
            }
            place.filter(|&position| position < kept)
        }
    };
    place.ok_or_else(|| {
        StudioError::NotFound(match members.is_empty() {
            true => "this prototype has no sample to follow".into(),
            false => {
                format!("only the features of the first {kept} samples were kept; choose another")
            }
        })
    })
}

fn direction(
    view: &SnapshotView,
    features: &Arc<FeatureSnapshot>,
    supervision: &Supervision,
    (student, teacher): (Space, Space),
    position: usize,
) -> Result<TranslationDirection, StudioError> {
    let side = StudentSide::new(view, Arc::clone(features), student)?;
    let (taught, own) = (view.clusters(teacher)?, view.clusters(student)?);
    let (label, own_label) = (taught.assignments[position], own.assignments[position]);
    let translated = side.translated(view, teacher, supervision)?;
    let untranslated = side.untranslated(view, teacher, supervision)?;
    let dim = side.dim();
    let feature = side.feature(position).unwrap_or_default();
    let row = |centroids: &'_ [f32], id: u32| centroids[id as usize * dim..][..dim].to_vec();
    let there = row(&translated.centroids, label);
    let mine = row(&own.centroids, own_label);
    let mut hops = Vec::new();
    if let Some(plain) = &untranslated {
        let theirs = row(&plain.centroids, label);
        let other = StudentSide::new(view, Arc::clone(features), teacher)?;
        let pair = other.feature(position).unwrap_or_default();
        hops.push(hop(HopKind::Pair, feature, pair));
        hops.push(hop(HopKind::Teacher, pair, &theirs));
        hops.push(hop(HopKind::Translation, &theirs, &there));
        hops.push(hop(HopKind::Translated, feature, &there));
        hops.push(hop(HopKind::Untranslated, feature, &theirs));
    } else {
        hops.push(Hop {
            kind: HopKind::Teacher,
            distance: f64::from(taught.distances[position]),
            cosine: None,
        });
        hops.push(hop(HopKind::Translated, feature, &there));
    }
    hops.push(hop(HopKind::Own, feature, &mine));
    hops.push(hop(HopKind::Apart, &there, &mine));
    let verdict = |of: &StudentPrototypes| verdict(of, feature, label as usize, supervision.scale);
    Ok(TranslationDirection {
        student,
        teacher,
        teacher_prototype: node(view, teacher, label)?,
        own_prototype: node(view, student, own_label)?,
        translated: verdict(&translated),
        untranslated: untranslated.as_ref().map(verdict),
        hops,
    })
}

/// A prototype by its number.
pub(super) fn node(
    view: &SnapshotView,
    space: Space,
    prototype: u32,
) -> Result<PrototypeNode, StudioError> {
    let members = &view.groups(space)?.members[prototype as usize];
    Ok(PrototypeNode {
        space,
        prototype,
        size: members.len(),
        words: view.words(members),
    })
}

fn hop(kind: HopKind, from: &[f32], to: &[f32]) -> Hop {
    let both = || {
        from.iter()
            .zip(to)
            .map(|(&a, &b)| (f64::from(a), f64::from(b)))
    };
    let squares: f64 = both().map(|(a, b)| (a - b) * (a - b)).sum();
    let product: f64 = both().map(|(a, b)| a * b).sum();
    let length = |row: &[f32]| {
        row.iter()
            .map(|&v| f64::from(v).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    let lengths = length(from) * length(to);
    Hop {
        kind,
        distance: squares.sqrt(),
        cosine: (lengths > 0.0).then(|| (product / lengths).clamp(-1.0, 1.0)),
    }
}

/// The softmax of the loss over all prototypes that take part, for one feature.
fn verdict(of: &StudentPrototypes, feature: &[f32], label: usize, scale: f64) -> Verdict {
    let rows = of.centroids.chunks_exact(feature.len().max(1));
    let score = |row: &[f32]| -> f64 {
        let products = row.iter().zip(feature);
        scale
            * products
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum::<f64>()
    };
    let scores: Vec<f64> = rows.map(score).collect();
    let own = scores.get(label).copied().unwrap_or(f64::NEG_INFINITY);
    let others = || {
        let all = scores.iter().zip(&of.takes_part);
        all.filter(|(_, takes_part)| **takes_part)
            .map(|(&score, _)| score)
    };
    Verdict {
        rank: 1 + others().filter(|&score| score > own).count(),
        of: others().count(),
        probability: 1.0 / others().map(|score| (score - own).exp()).sum::<f64>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_measures_distance_and_angle() {
        let right = hop(HopKind::Pair, &[1.0, 0.0], &[0.0, 1.0]);
        assert!((right.distance - 2f64.sqrt()).abs() < 1e-9);
        assert_eq!(right.cosine, Some(0.0));
        let nowhere = hop(HopKind::Own, &[0.0, 0.0], &[3.0, 4.0]);
        assert_eq!((nowhere.distance, nowhere.cosine), (5.0, None));
    }

    #[test]
    fn a_verdict_ranks_among_those_that_take_part() {
        let prototypes = StudentPrototypes {
            centroids: vec![1.0, 0.0, 0.8, 0.0, 0.0, 1.0],
            takes_part: vec![true, true, true],
        };
        let found = verdict(&prototypes, &[1.0, 0.0], 1, 10.0);
        assert_eq!((found.rank, found.of), (2, 3));
        let wanted = 8f64.exp() / (10f64.exp() + 8f64.exp() + 1.0);
        assert!((found.probability - wanted).abs() < 1e-6);
        let masked = StudentPrototypes {
            takes_part: vec![false, true, true],
            ..prototypes
        };
        assert_eq!(verdict(&masked, &[1.0, 0.0], 1, 10.0).rank, 1);
    }
}
