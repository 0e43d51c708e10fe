//! The features of one step as the two tables that TensorBoard's projector reads: vectors, and what
//! each of them is.
//!
//! Opens the data set for captions: callers must be allowed to block.

use std::fmt::Write;

use protoclip::prototypes::{FeaturePair, Space};
use serde::Deserialize;

use super::{RunId, Studio, StudioError};

/// Which features.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeatureKind {
    /// Those that are clustered: projected ones where the run trains projection heads.
    #[default]
    Clustered,
    /// The outputs of the towers.
    Tower,
}

/// Which features of which step; all features are L2-normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingQuery {
    /// The newest when absent.
    pub step: Option<u64>,
    /// Image or text.
    pub space: Space,
    pub kind: FeatureKind,
}

impl Studio {
    /// One line per sample, its feature as numbers separated by tabs, `[rows, dim]`, no header.
    ///
    /// # Errors
    /// When the run, the step or the space has no features.
    pub fn embedding_vectors(
        &self,
        id: &RunId,
        query: EmbeddingQuery,
    ) -> Result<String, StudioError> {
        let features = self.features(id, query.step)?;
        let pair = pair_of(&features, query.kind);
        let values = match query.space {
            Space::Image => &pair.image,
            Space::Text => &pair.text,
            Space::Teacher => return Err(no_teacher_features()),
        };
        let mut text = String::with_capacity(values.len() * 10);
        for row in values.chunks_exact(pair.dim.max(1)) {
            for (at, value) in row.iter().enumerate() {
                let separator = if at == 0 { "" } else { "\t" };
                // Writing to a string cannot fail.
                let _ok = write!(text, "{separator}{value}");
            }
            text.push('\n');
        }
        Ok(text)
    }

    /// The same samples in the same order: a header, then sample, caption and its prototype in each
    /// space, separated by tabs.
    ///
    /// # Errors
    /// As [`Studio::embedding_vectors`], or when the prototypes of the step cannot be read.
    pub fn embedding_metadata(
        &self,
        id: &RunId,
        query: EmbeddingQuery,
    ) -> Result<String, StudioError> {
        if query.space == Space::Teacher {
            return Err(no_teacher_features());
        }
        let features = self.features(id, query.step)?;
        let rows = pair_of(&features, query.kind).rows();
        let (view, _) = self.snapshot(id, Some(features.step))?;
        let spaces = view.spaces();
        let mut text = String::from("sample\tcaption");
        for space in &spaces {
            text += &format!("\t{} prototype", space.name());
        }
        text.push('\n');
        for (position, sample) in (0_u32..).zip(&features.samples).take(rows) {
            let caption = view.caption(position).replace(['\t', '\n', '\r'], " ");
            text += &format!("{sample}\t{caption}");
            for &space in &spaces {
                let prototype = view.clusters(space)?.assignments[position as usize];
                text += &format!("\t{prototype}");
            }
            text.push('\n');
        }
        Ok(text)
    }
}

fn pair_of(features: &protoclip::prototypes::FeatureSnapshot, kind: FeatureKind) -> &FeaturePair {
    match kind {
        FeatureKind::Clustered => features.clustered(),
        FeatureKind::Tower => &features.tower,
    }
}

fn no_teacher_features() -> StudioError {
    StudioError::NotFound(
        "features are kept of the image and the text space; the teacher's come from its own file"
            .into(),
    )
}
