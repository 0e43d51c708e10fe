//! What is measured of one step's features after both modalities were moved.

use protoclip::analysis::{
    AnalysisError, GapShift, PairCosines, PrototypeGap, Student, StudentGrouping, TeacherTarget,
    modality_gap, pair_cosines, prototype_gaps, student_grouping,
};
use protoclip::config::{RunConfig, TargetKind};
use protoclip::eval::{PairFeatures, RetrievalScores, retrieval};
use protoclip::prototypes::{FeatureSnapshot, Space, SpaceClusters, back_translate};
use serde::Serialize;

use super::super::StudioError;
use super::super::prototypes::SnapshotView;

/// Multiply-adds of one direction of retrieval, from which its number of pairs follows.
const RETRIEVAL_WORK: usize = 1_500_000_000;
/// Multiply-adds of the scores of one student, from which its number of samples follows.
const GROUPING_WORK: usize = 400_000_000;
/// Samples that are scored whatever that costs.
const FEWEST_SCORED: usize = 1_000;

/// Everything of a step that does not depend on the shift.
#[derive(Debug)]
pub(super) struct Frame {
    dim: usize,
    /// Tower features, each picture once.
    pairs: PairFeatures,
    /// As many of them as are ranked.
    ranked: PairFeatures,
    tower: GapShift,
    clustered: GapShift,
    settings: Settings,
}

/// How the run scores its students.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    target: TargetKind,
    teacher_target: TargetKind,
    /// τ_y.
    target_temperature: f64,
    /// exp(logit_scale_proto).
    scale: f64,
}

/// All measures at one shift.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GapMeasures {
    /// λ: image features become `normalise(x − λΔ)`, text features `normalise(y + λΔ)`.
    pub shift: f64,
    /// ‖mean image − mean text‖ of the tower features, each picture counted once.
    pub gap: f64,
    /// The same of the features that are clustered.
    pub clustered_gap: f64,
    pub cosines: PairCosines,
    pub retrieval: RetrievalView,
    /// One per student and teacher.
    pub groupings: Vec<GroupingView>,
    /// For each space, gaps of its prototypes.
    #[serde(skip)]
    pub(super) prototypes: Vec<(Space, Vec<PrototypeGap>)>,
}

/// Recall among some of the pairs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetrievalView {
    /// Captions ranked; recall depends on their number.
    pub captions: usize,
    pub pictures: usize,
    pub scores: RetrievalScores,
    /// Mean of the six recalls.
    pub mean: f64,
}

/// A student compared with a teacher.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupingView {
    /// Whose features are assigned.
    pub student: Space,
    /// Whose assignments are the truth.
    pub teacher: Space,
    /// Against the teacher's clusters translated back into the student's space.
    pub translated: StudentGrouping,
    /// Against the teacher's own centroids, as without back translation; absent where these have
    /// another dimension.
    pub untranslated: Option<StudentGrouping>,
}

impl Settings {
    pub(super) fn new(config: &RunConfig, target_temperature: f64, scale: f64) -> Self {
        Self {
            target: config.prototypes.target,
            teacher_target: config.teacher.target,
            target_temperature,
            scale,
        }
    }
}

impl Frame {
    /// # Errors
    /// When the features cannot be measured.
    pub(super) fn new(
        features: &FeatureSnapshot,
        view: &SnapshotView,
        settings: Settings,
    ) -> Result<Self, StudioError> {
        let pairs = pairs(features, view);
        let clustered = features.clustered();
        let between = |a: &[f32], b: &[f32], dim| GapShift::between(a, b, dim).map_err(failed);
        Ok(Self {
            dim: clustered.dim,
            tower: between(&pairs.images, &pairs.texts, pairs.dim)?,
            clustered: between(&clustered.image, &clustered.text, clustered.dim)?,
            ranked: ranked(&pairs),
            pairs,
            settings,
        })
    }

    /// Measures everything at one shift.
    ///
    /// # Errors
    /// When prototypes and features do not belong together.
    pub(super) fn measure(
        &self,
        features: &FeatureSnapshot,
        view: &SnapshotView,
        shift: f64,
    ) -> Result<GapMeasures, StudioError> {
        let images = self.tower.images(&self.pairs.images, shift);
        let texts = self.tower.texts(&self.pairs.texts, shift);
        let (image, text) = (&features.clustered().image, &features.clustered().text);
        let image = self.clustered.images(image, shift);
        let text = self.clustered.texts(text, shift);
        let of = &self.pairs.image_of_text;
        Ok(GapMeasures {
            shift,
            gap: modality_gap(&images, &texts, self.pairs.dim).map_err(failed)?,
            clustered_gap: modality_gap(&image, &text, self.dim).map_err(failed)?,
            cosines: pair_cosines(&images, &texts, self.pairs.dim, of).map_err(failed)?,
            retrieval: self.retrieval(shift)?,
            groupings: self.groupings(view, &image, &text)?,
            prototypes: self.prototypes(features, view, shift)?,
        })
    }

    fn retrieval(&self, shift: f64) -> Result<RetrievalView, StudioError> {
        let part = &self.ranked;
        let images = self.tower.images(&part.images, shift);
        let texts = self.tower.texts(&part.texts, shift);
        let scores = retrieval(&images, &texts, part.dim, &part.image_of_text, &|_, _| true)
            .map_err(|e| StudioError::Other(format!("retrieval: {e}")))?;
        Ok(RetrievalView {
            captions: part.text_samples.len(),
            pictures: part.image_samples.len(),
            scores,
            mean: scores.mean(),
        })
    }

    /// Gaps per prototype of each space, of the tower features pair by pair.
    fn prototypes(
        &self,
        features: &FeatureSnapshot,
        view: &SnapshotView,
        shift: f64,
    ) -> Result<Vec<(Space, Vec<PrototypeGap>)>, StudioError> {
        let tower = &features.tower;
        let images = self.tower.images(&tower.image, shift);
        let texts = self.tower.texts(&tower.text, shift);
        let of = |space: Space| {
            let clusters = view.clusters(space)?;
            let own = assignments(clusters, tower.rows())?;
            let gaps = prototype_gaps(&images, &texts, tower.dim, own, clusters.count);
            Ok((space, gaps.map_err(failed)?))
        };
        view.spaces().into_iter().map(of).collect()
    }

    fn groupings(
        &self,
        view: &SnapshotView,
        image: &[f32],
        text: &[f32],
    ) -> Result<Vec<GroupingView>, StudioError> {
        let mut found = Vec::new();
        let tasks = [
            (Space::Image, Space::Text),
            (Space::Text, Space::Image),
            (Space::Image, Space::Teacher),
            (Space::Text, Space::Teacher),
        ];
        let spaces = view.spaces();
        for (student, teacher) in tasks.into_iter().filter(|t| spaces.contains(&t.1)) {
            let rows = if student == Space::Image { image } else { text };
            let taught_by = match teacher {
                Space::Image => Some(image),
                Space::Text => Some(text),
                Space::Teacher => None,
            };
            found.push(self.grouping(view, (student, rows), (teacher, taught_by))?);
        }
        Ok(found)
    }

    /// One student; the teacher's own features are those of a modality, which moves with the shift,
    /// or an external teacher's, of which only the centroids are known.
    fn grouping(
        &self,
        view: &SnapshotView,
        (student, rows): (Space, &[f32]),
        (teacher, taught_by): (Space, Option<&[f32]>),
    ) -> Result<GroupingView, StudioError> {
        let clusters = view.clusters(teacher)?;
        let labels = assignments(clusters, rows.len() / self.dim)?;
        let translate = |rows: &[f32]| {
            back_translate(rows, labels, clusters.count)
                .map_err(|e| StudioError::Other(format!("back translation: {e}")))
        };
        let translated = translate(rows)?;
        let own = taught_by.map(translate).transpose()?;
        let (own_centroids, own_dim) = match &own {
            Some(own) => (own.centroids.as_slice(), self.dim),
            None => (clusters.centroids.as_slice(), clusters.dim),
        };
        let occupied: Vec<bool> = translated.counts.iter().map(|&count| count > 0).collect();
        let scored = scored(labels.len(), clusters.count, self.dim);
        let kind = match teacher {
            Space::Teacher => self.settings.teacher_target,
            Space::Image | Space::Text => self.settings.target,
        };
        let target = match kind {
            TargetKind::Hard => TeacherTarget::Hard,
            TargetKind::Soft => TeacherTarget::Soft {
                centroids: own_centroids,
                dim: own_dim,
                temperature: self.settings.target_temperature,
            },
        };
        let judged = |centroids: &[f32]| {
            let student = Student {
                features: &rows[..scored * self.dim],
                dim: self.dim,
                centroids,
                occupied: &occupied,
                teacher_assignments: &labels[..scored],
                scale: self.settings.scale,
            };
            student_grouping(&student, target).map_err(failed)
        };
        Ok(GroupingView {
            student,
            teacher,
            translated: judged(&translated.centroids)?,
            untranslated: own.as_ref().map(|own| judged(&own.centroids)).transpose()?,
        })
    }
}

/// Tower features with each picture once; without the data set, every pair counts as its own picture.
fn pairs(features: &FeatureSnapshot, view: &SnapshotView) -> PairFeatures {
    let tower = &features.tower;
    let samples = &features.samples[..tower.rows()];
    let rows = (tower.image.clone(), tower.text.clone());
    match view.source() {
        Some(source) => PairFeatures::of_pairs(source, samples, rows, tower.dim),
        None => PairFeatures {
            dim: tower.dim,
            image_samples: samples.to_vec(),
            images: rows.0,
            text_samples: samples.to_vec(),
            texts: rows.1,
            image_of_text: (0..samples.len() as u32).collect(),
            broken: 0,
        },
    }
}

/// The first pictures with their captions, as many as can be ranked while a person waits.
fn ranked(pairs: &PairFeatures) -> PairFeatures {
    let most = (RETRIEVAL_WORK / pairs.dim.max(1)).isqrt().max(1);
    let keep: Vec<bool> = (0..pairs.image_samples.len())
        .map(|row| row < most)
        .collect();
    pairs.of_pictures(&keep)
}

/// Samples whose scores are computed, of `rows`.
fn scored(rows: usize, prototypes: usize, dim: usize) -> usize {
    let affordable = GROUPING_WORK / (prototypes * dim).max(1);
    rows.min(affordable.max(FEWEST_SCORED))
}

fn assignments(clusters: &SpaceClusters, rows: usize) -> Result<&[u32], StudioError> {
    clusters.assignments.get(..rows).ok_or_else(|| {
        StudioError::Other(format!(
            "{rows} features but {} assignments were kept",
            clusters.assignments.len()
        ))
    })
}

fn failed(error: AnalysisError) -> StudioError {
    StudioError::Other(format!("the features cannot be measured: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_set_is_scored_whole_and_a_large_one_in_part() {
        assert_eq!(scored(1_664, 128, 128), 1_664);
        assert_eq!(scored(200_000, 1_000, 128), 3_125);
        assert_eq!(scored(200_000, 20_000, 128), FEWEST_SCORED);
    }
}
