//! One student of an episode: its features, and the prototypes that it is compared with.

use std::sync::Arc;

use protoclip::prototypes::{FeatureSnapshot, Space, back_translate};

use super::super::{StudioError, Supervision};
use super::snapshot_view::SnapshotView;

/// A student's features beside the snapshot of the same step.
#[derive(Debug)]
pub(super) struct StudentSide {
    features: Arc<FeatureSnapshot>,
    student: Space,
}

/// A teacher's prototypes where a student is compared with them.
#[derive(Debug)]
pub(super) struct StudentPrototypes {
    /// `[k, dim]`, row-major.
    pub(super) centroids: Vec<f32>,
    /// `[k]`: whether it takes part in the softmax.
    pub(super) takes_part: Vec<bool>,
}

impl StudentSide {
    /// Takes the features of `student`, which is the image or the text space.
    pub(super) fn new(
        view: &SnapshotView,
        features: Arc<FeatureSnapshot>,
        student: Space,
    ) -> Result<Self, StudioError> {
        let same = view.samples().get(..features.clustered().rows());
        if same.is_none() || same != features.samples.get(..features.clustered().rows()) {
            return Err(StudioError::Conflict(format!(
                "the features kept at step {} are of other samples than its prototypes",
                view.step()
            )));
        }
        Ok(Self { features, student })
    }

    /// Samples whose features were kept: the first ones of the snapshot.
    pub(super) fn rows(&self) -> usize {
        self.features.clustered().rows()
    }

    pub(super) fn dim(&self) -> usize {
        self.features.clustered().dim
    }

    /// `[rows, dim]`.
    pub(super) fn features(&self) -> &[f32] {
        match self.student {
            Space::Text => &self.features.clustered().text,
            Space::Image | Space::Teacher => &self.features.clustered().image,
        }
    }

    /// The feature of the sample at a position; none when it was not kept.
    pub(super) fn feature(&self, position: usize) -> Option<&[f32]> {
        self.features().chunks_exact(self.dim()).nth(position)
    }

    /// A teacher's prototypes translated into this student's space, as means of the kept features
    /// (method, loss 3).
    pub(super) fn translated(
        &self,
        view: &SnapshotView,
        teacher: Space,
        supervision: &Supervision,
    ) -> Result<StudentPrototypes, StudioError> {
        let clusters = view.clusters(teacher)?;
        let assignments = &clusters.assignments[..self.rows()];
        let translated = back_translate(self.features(), assignments, clusters.count)
            .map_err(|e| StudioError::Other(format!("back translation: {e}")))?;
        Ok(StudentPrototypes {
            takes_part: in_the_softmax(supervision, &translated.counts),
            centroids: translated.centroids,
        })
    }

    /// A teacher's own centroids, which a run without back translation compares with; none when they
    /// have another dimension.
    pub(super) fn untranslated(
        &self,
        view: &SnapshotView,
        teacher: Space,
        supervision: &Supervision,
    ) -> Result<Option<StudentPrototypes>, StudioError> {
        let clusters = view.clusters(teacher)?;
        let same_space = teacher != Space::Teacher && clusters.dim == self.dim();
        Ok(same_space.then(|| StudentPrototypes {
            takes_part: in_the_softmax(supervision, &clusters.sizes()),
            centroids: clusters.centroids.clone(),
        }))
    }

    /// What this student is compared with in this run.
    pub(super) fn prototypes(
        &self,
        view: &SnapshotView,
        teacher: Space,
        supervision: &Supervision,
    ) -> Result<StudentPrototypes, StudioError> {
        let plain = match supervision.back_translation {
            true => None,
            false => self.untranslated(view, teacher, supervision)?,
        };
        match plain {
            Some(prototypes) => Ok(prototypes),
            None => self.translated(view, teacher, supervision),
        }
    }
}

/// Prototypes that the softmax of a run runs over.
pub(super) fn in_the_softmax(supervision: &Supervision, sizes: &[u32]) -> Vec<bool> {
    let in_it = |&size: &u32| size > 0 || !supervision.masks_empty;
    sizes.iter().map(in_it).collect()
}
