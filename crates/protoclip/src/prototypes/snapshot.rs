//! One episode's prototypes as a file: what every sample was assigned to, and how far it lies.
//!
//! Written by the trainer after clustering, read by any thread of the studio. Plain vectors, no
//! tensors. The format is safetensors with `k`, `episode` and `step` in its metadata.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::SampleId;
use crate::tensor_file::{TensorFileError, TensorFileReader, TensorFileWriter};

/// The space whose features were clustered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    #[default]
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
    pub fn write(&self, path: &Path) -> Result<(), TensorFileError> {
        let mut file = TensorFileWriter::default();
        file.number("episode", self.episode);
        file.number("step", self.step);
        file.u32("samples".into(), &self.samples);
        for space in Space::ALL {
            let Some(clusters) = self.space(space) else {
                continue;
            };
            let name = |part: &str| format!("{}.{part}", space.name());
            let shape = vec![clusters.count, clusters.dim];
            file.f32(name("centroids"), shape, &clusters.centroids);
            file.u32(name("assignments"), &clusters.assignments);
            let samples = vec![self.samples.len()];
            file.f32(name("distances"), samples, &clusters.distances);
        }
        file.write(path)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    /// When the file is absent or its tensors disagree with each other.
    pub fn read(path: &Path) -> Result<Self, TensorFileError> {
        TensorFileReader::read(path, Self::from_file)
    }

    fn from_file(file: &TensorFileReader<'_>) -> Result<Self, String> {
        let samples = file.u32("samples")?;
        let teacher = file
            .contains("teacher.centroids")
            .then(|| clusters(file, Space::Teacher, samples.len()))
            .transpose()?;
        Ok(Self {
            episode: file.number("episode")?,
            step: file.number("step")?,
            image: clusters(file, Space::Image, samples.len())?,
            text: clusters(file, Space::Text, samples.len())?,
            teacher,
            samples,
        })
    }
}

fn clusters(
    file: &TensorFileReader<'_>,
    space: Space,
    samples: usize,
) -> Result<SpaceClusters, String> {
    let name = |part: &str| format!("{}.{part}", space.name());
    let (count, dim, centroids) = file.matrix(&name("centroids"))?;
    let clusters = SpaceClusters {
        count,
        dim,
        centroids,
        assignments: file.u32(&name("assignments"))?,
        distances: file.f32(&name("distances"))?,
    };
    if clusters.is_consistent(samples) {
        Ok(clusters)
    } else {
        Err(format!("the {} tensors disagree in size", space.name()))
    }
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
