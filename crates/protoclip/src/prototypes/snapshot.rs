//! One episode's prototypes as a file: what every sample was assigned to, and how far it lies.
//!
//! Written by the trainer after clustering, read by any thread of the studio. Plain vectors, no
//! tensors. The format is safetensors with `k`, `episode` and `step` in its metadata.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use serde::{Deserialize, Serialize};

use crate::data::SampleId;

/// The space whose features were clustered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    Image,
    Text,
    Teacher,
}

impl Space {
    pub const ALL: [Self; 3] = [Self::Image, Self::Text, Self::Teacher];

    /// The name used in files and URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Text => "text",
            Self::Teacher => "teacher",
        }
    }
}

/// Clusters of one space.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SpaceClusters {
    /// Number of prototypes.
    pub count: usize,
    /// Feature dimension.
    pub dim: usize,
    /// `[count, dim]`, row-major.
    pub centroids: Vec<f32>,
    /// `[samples]`: prototype of each sample, aligned with [`PrototypeSnapshot::samples`].
    pub assignments: Vec<u32>,
    /// `[samples]`: Euclidean distance of each sample to its own centroid.
    pub distances: Vec<f32>,
}

/// The prototypes of an episode in all spaces.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PrototypeSnapshot {
    pub episode: u64,
    /// Optimizer steps taken when the features were extracted.
    pub step: u64,
    /// `[samples]`: the episode's samples.
    pub samples: Vec<SampleId>,
    pub image: SpaceClusters,
    pub text: SpaceClusters,
    pub teacher: Option<SpaceClusters>,
}

/// Why a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: not a prototype snapshot: {message}")]
    Format { path: String, message: String },
}

impl SpaceClusters {
    /// Members of each prototype as positions into `samples`, nearest to the centroid first.
    pub fn members(&self) -> Vec<Vec<u32>> {
        let mut members = vec![Vec::new(); self.count];
        for (position, &prototype) in self.assignments.iter().enumerate() {
            if let Some(list) = members.get_mut(prototype as usize) {
                list.push(position as u32);
            }
        }
        for list in &mut members {
            list.sort_by(|&a, &b| {
                let (a, b) = (a as usize, b as usize);
                self.distances[a]
                    .total_cmp(&self.distances[b])
                    .then(a.cmp(&b))
            });
        }
        members
    }

    /// Number of samples of each prototype.
    pub fn sizes(&self) -> Vec<u32> {
        let mut sizes = vec![0; self.count];
        for &prototype in &self.assignments {
            if let Some(size) = sizes.get_mut(prototype as usize) {
                *size += 1;
            }
        }
        sizes
    }

    /// Number of prototypes without a sample.
    pub fn empty(&self) -> usize {
        self.sizes().iter().filter(|&&size| size == 0).count()
    }

    /// Sum of squared distances to the own centroid, the k-means objective.
    pub fn inertia(&self) -> f64 {
        self.distances
            .iter()
            .map(|&d| f64::from(d) * f64::from(d))
            .sum()
    }

    fn is_consistent(&self, samples: usize) -> bool {
        self.centroids.len() == self.count * self.dim
            && self.assignments.len() == samples
            && self.distances.len() == samples
            && self.assignments.iter().all(|&a| (a as usize) < self.count)
    }
}

impl PrototypeSnapshot {
    /// The clusters of a space; `None` for the teacher of a run without one.
    pub fn space(&self, space: Space) -> Option<&SpaceClusters> {
        match space {
            Space::Image => Some(&self.image),
            Space::Text => Some(&self.text),
            Space::Teacher => self.teacher.as_ref(),
        }
    }

    /// Writes the snapshot so that a reader sees all of it or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SnapshotError> {
        let bytes = self.to_bytes().map_err(|e| SnapshotError::Format {
            path: path.display().to_string(),
            message: e.to_string(),
        })?;
        let io = |source| SnapshotError::Io {
            path: path.display().to_string(),
            source,
        };
        let temporary = path.with_extension("tmp");
        std::fs::write(&temporary, bytes).map_err(io)?;
        std::fs::rename(&temporary, path).map_err(io)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// When the file is absent or its tensors disagree with each other.
    pub fn read(path: &Path) -> Result<Self, SnapshotError> {
        let bytes = std::fs::read(path).map_err(|source| SnapshotError::Io {
            path: path.display().to_string(),
            source,
        })?;
        Self::from_bytes(&bytes).map_err(|message| SnapshotError::Format {
            path: path.display().to_string(),
            message,
        })
    }

    fn to_bytes(&self) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let mut raw: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = vec![(
            "samples".into(),
            Dtype::U32,
            vec![self.samples.len()],
            u32_bytes(&self.samples),
        )];
        for space in Space::ALL {
            let Some(clusters) = self.space(space) else {
                continue;
            };
            let name = |part: &str| format!("{}.{part}", space.name());
            let samples = self.samples.len();
            raw.push((
                name("centroids"),
                Dtype::F32,
                vec![clusters.count, clusters.dim],
                f32_bytes(&clusters.centroids),
            ));
            raw.push((
                name("assignments"),
                Dtype::U32,
                vec![samples],
                u32_bytes(&clusters.assignments),
            ));
            raw.push((
                name("distances"),
                Dtype::F32,
                vec![samples],
                f32_bytes(&clusters.distances),
            ));
        }
        let views = raw
            .iter()
            .map(|(name, dtype, shape, bytes)| {
                Ok((
                    name.as_str(),
                    TensorView::new(*dtype, shape.clone(), bytes)?,
                ))
            })
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        let metadata = HashMap::from([
            ("episode".to_owned(), self.episode.to_string()),
            ("step".to_owned(), self.step.to_string()),
        ]);
        serialize(views, Some(metadata))
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let number = |key: &str| -> Result<u64, String> {
            header
                .metadata()
                .as_ref()
                .and_then(|m| m.get(key))
                .and_then(|v| v.parse().ok())
                .ok_or_else(|| format!("metadata {key:?} is absent or no number"))
        };
        let samples = u32_values(&file, "samples")?;
        let has_teacher = file.tensor("teacher.centroids").is_ok();
        let snapshot = Self {
            episode: number("episode")?,
            step: number("step")?,
            image: clusters(&file, Space::Image, samples.len())?,
            text: clusters(&file, Space::Text, samples.len())?,
            teacher: has_teacher
                .then(|| clusters(&file, Space::Teacher, samples.len()))
                .transpose()?,
            samples,
        };
        Ok(snapshot)
    }
}

fn clusters(file: &SafeTensors<'_>, space: Space, samples: usize) -> Result<SpaceClusters, String> {
    let name = |part: &str| format!("{}.{part}", space.name());
    let view = file.tensor(&name("centroids")).map_err(|e| e.to_string())?;
    let &[count, dim] = view.shape() else {
        return Err(format!(
            "{} has shape {:?}, wanted [k, dim]",
            name("centroids"),
            view.shape()
        ));
    };
    let clusters = SpaceClusters {
        count,
        dim,
        centroids: f32_values(file, &name("centroids"))?,
        assignments: u32_values(file, &name("assignments"))?,
        distances: f32_values(file, &name("distances"))?,
    };
    if clusters.is_consistent(samples) {
        Ok(clusters)
    } else {
        Err(format!("the {} tensors disagree in size", space.name()))
    }
}

fn u32_bytes(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn words<'a>(
    file: &'a SafeTensors<'_>,
    name: &str,
    dtype: Dtype,
) -> Result<impl Iterator<Item = [u8; 4]> + 'a, String> {
    let view = file.tensor(name).map_err(|e| e.to_string())?;
    if view.dtype() != dtype {
        return Err(format!("{name} is {:?}, wanted {dtype:?}", view.dtype()));
    }
    Ok(view
        .data()
        .chunks_exact(4)
        .map(|b| [b[0], b[1], b[2], b[3]])
        .collect::<Vec<_>>()
        .into_iter())
}

fn u32_values(file: &SafeTensors<'_>, name: &str) -> Result<Vec<u32>, String> {
    Ok(words(file, name, Dtype::U32)?
        .map(u32::from_le_bytes)
        .collect())
}

fn f32_values(file: &SafeTensors<'_>, name: &str) -> Result<Vec<f32>, String> {
    Ok(words(file, name, Dtype::F32)?
        .map(f32::from_le_bytes)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot() -> PrototypeSnapshot {
        let image = SpaceClusters {
            count: 3,
            dim: 2,
            centroids: vec![0.0, 1.0, 1.0, 0.0, 0.5, 0.5],
            assignments: vec![0, 1, 0, 1],
            distances: vec![0.3, 0.2, 0.1, 0.2],
        };
        PrototypeSnapshot {
            episode: 4,
            step: 60,
            samples: vec![9, 2, 7, 1],
            text: image.clone(),
            teacher: Some(image.clone()),
            image,
        }
    }

    #[test]
    fn members_come_nearest_first_with_ties_by_position() {
        let members = snapshot().image.members();
        assert_eq!(members, vec![vec![2, 0], vec![1, 3], vec![]]);
        assert_eq!(snapshot().image.empty(), 1);
    }

    #[test]
    fn what_is_written_reads_back_equal() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("p.safetensors");
        for teacher in [true, false] {
            let mut written = snapshot();
            if !teacher {
                written.teacher = None;
            }
            written.write(&path).expect("writes");
            assert_eq!(PrototypeSnapshot::read(&path).expect("reads"), written);
        }
    }

    #[test]
    fn a_truncated_or_inconsistent_file_is_an_error_naming_it() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("p.safetensors");
        snapshot().write(&path).expect("writes");
        let bytes = std::fs::read(&path).expect("reads");
        for cut in [0, 7, 40, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..cut]).expect("writes");
            let message = PrototypeSnapshot::read(&path)
                .expect_err("truncated")
                .to_string();
            assert!(message.contains("p.safetensors"), "{message}");
        }
        let mut wrong = snapshot();
        wrong.image.assignments[0] = 3;
        wrong.write(&path).expect("writes");
        assert!(PrototypeSnapshot::read(&path).is_err());
    }
}
