//! The prototypes that supervise one episode: clusters of its features and their back translation.

use std::path::Path;

use rustc_hash::FxHashMap;

use super::TrainError;
use super::extract::{EpisodeFeatures, Matrix};
use crate::config::RunConfig;
use crate::data::{PairSource, SampleId};
use crate::prototypes::{
    BackTranslated, BackTranslationError, ExternalTeacher, KMeansConfig, KMeansError,
    KMeansProgress, PrototypeSnapshot, Space, SpaceClusters, back_translate, kmeans,
};
use crate::tensor_file::{TensorFileError, TensorFileReader, TensorFileWriter};

/// Clusters of one episode with everything that its training pass compares students with.
#[derive(Debug, Clone, PartialEq)]
pub struct EpisodePrototypes {
    pub snapshot: PrototypeSnapshot,
    pub translated: Option<TranslatedPrototypes>,
}

/// Prototypes of one space expressed in another: means of the students' features by the teachers'
/// assignments. All `[k, projection_dim]`.
#[derive(Debug, Clone, PartialEq)]
pub struct TranslatedPrototypes {
    pub text_prototypes_in_image_space: BackTranslated,
    pub image_prototypes_in_text_space: BackTranslated,
    pub teacher_prototypes_in_image_space: Option<BackTranslated>,
    pub teacher_prototypes_in_text_space: Option<BackTranslated>,
}

/// Where an episode stands in its run.
#[derive(Debug, Clone, Copy)]
pub(super) struct EpisodePlace {
    pub episode: u64,
    /// Optimizer steps taken before it.
    pub step: u64,
    /// K in force.
    pub count: usize,
}

/// Told about finished clustering iterations; cancels by returning `false`.
pub(super) type ClusterProgress<'a> = &'a dyn Fn(u64, u64) -> bool;

/// Clusters the features of an episode in every space.
///
/// # Errors
/// When a feature is not finite, or the captions for a teacher cannot be read; `Ok(None)` when cancelled.
pub(super) fn cluster_episode(
    config: &RunConfig,
    place: EpisodePlace,
    features: &EpisodeFeatures,
    teacher: Option<(&ExternalTeacher, &dyn PairSource)>,
    progress: ClusterProgress<'_>,
) -> Result<Option<PrototypeSnapshot>, TrainError> {
    let (image, text) = students(features);
    let teacher = match teacher {
        None => None,
        Some(teacher) => match teacher_rows(teacher, &features.samples, progress)? {
            None => return Ok(None),
            rows => rows,
        },
    };
    let spaces = 2 + u64::from(teacher.is_some());
    let cluster = |index: u64, rows: &Matrix| {
        let seed = cluster_seed(config.seed, place.episode, index);
        let report = |done, total| progress(index * total + done, spaces * total);
        cluster_space(config, place.count, seed, rows, &report)
    };
    let Some(image) = cluster(0, image)? else {
        return Ok(None);
    };
    let Some(text) = cluster(1, text)? else {
        return Ok(None);
    };
    let teacher = match &teacher {
        None => None,
        Some(rows) => match cluster(2, rows)? {
            None => return Ok(None),
            clusters => clusters,
        },
    };
    Ok(Some(PrototypeSnapshot {
        episode: place.episode,
        step: place.step,
        samples: features.samples.clone(),
        image,
        text,
        teacher,
    }))
}

/// What is clustered: the projected features `ĥ` where the run trains projection heads, otherwise
/// the tower features `ẑ`, so that a plain CLIP run can be looked at too.
fn students(features: &EpisodeFeatures) -> (&Matrix, &Matrix) {
    if features.projected_image.dim > 0 {
        (&features.projected_image, &features.projected_text)
    } else {
        (&features.image, &features.text)
    }
}

impl EpisodePrototypes {
    /// Translates the clusters of an episode back, where the run does so and trains projection heads.
    ///
    /// # Errors
    /// When clusters and features do not belong together.
    pub fn translated(
        config: &RunConfig,
        snapshot: PrototypeSnapshot,
        features: &EpisodeFeatures,
    ) -> Result<Self, TrainError> {
        let (image, text) = students(features);
        let wanted = features.projected_image.dim > 0 && config.prototypes.back_translation;
        let translated = wanted
            .then(|| TranslatedPrototypes::of(&snapshot, image, text))
            .transpose()
            .map_err(|e| TrainError::Other(format!("back translation: {e}")))?;
        Ok(Self {
            snapshot,
            translated,
        })
    }

    /// Position of each sample in the episode; of several equal ones, the last.
    pub fn positions(&self) -> FxHashMap<SampleId, usize> {
        let samples = self.snapshot.samples.iter().enumerate();
        samples
            .map(|(position, &sample)| (sample, position))
            .collect()
    }

    /// Writes both files of the prototypes into a checkpoint directory.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn save(&self, directory: &Path) -> Result<(), TrainError> {
        self.snapshot.write(&directory.join(SNAPSHOT))?;
        if let Some(translated) = &self.translated {
            translated.write(&directory.join(TRANSLATED))?;
        }
        Ok(())
    }

    /// Reads what [`EpisodePrototypes::save`] wrote; `None` when the checkpoint was made between
    /// two episodes.
    ///
    /// # Errors
    /// When a file is there but cannot be read.
    pub fn load(directory: &Path) -> Result<Option<Self>, TrainError> {
        let path = directory.join(SNAPSHOT);
        if !path.exists() {
            return Ok(None);
        }
        let snapshot = PrototypeSnapshot::read(&path)?;
        let path = directory.join(TRANSLATED);
        let translated = path
            .exists()
            .then(|| TranslatedPrototypes::read(&path))
            .transpose()?;
        Ok(Some(Self {
            snapshot,
            translated,
        }))
    }
}

const SNAPSHOT: &str = "prototypes.safetensors";
const TRANSLATED: &str = "translated_prototypes.safetensors";

impl TranslatedPrototypes {
    fn of(
        snapshot: &PrototypeSnapshot,
        image: &Matrix,
        text: &Matrix,
    ) -> Result<Self, BackTranslationError> {
        let translate = |features: &Matrix, clusters: &SpaceClusters| {
            back_translate(&features.values, &clusters.assignments, clusters.count)
        };
        let teacher = snapshot.teacher.as_ref();
        let of_teacher = |features| teacher.map(|c| translate(features, c)).transpose();
        Ok(Self {
            text_prototypes_in_image_space: translate(image, &snapshot.text)?,
            image_prototypes_in_text_space: translate(text, &snapshot.image)?,
            teacher_prototypes_in_image_space: of_teacher(image)?,
            teacher_prototypes_in_text_space: of_teacher(text)?,
        })
    }

    fn write(&self, path: &Path) -> Result<(), TensorFileError> {
        let mut file = TensorFileWriter::default();
        let mut add = |name: &str, prototypes: &BackTranslated| {
            let count = prototypes.counts.len();
            let shape = vec![count, prototypes.centroids.len() / count.max(1)];
            file.f32(name.to_owned(), shape, &prototypes.centroids);
            file.u32(format!("{name}.counts"), &prototypes.counts);
        };
        add(TEXT_IN_IMAGE, &self.text_prototypes_in_image_space);
        add(IMAGE_IN_TEXT, &self.image_prototypes_in_text_space);
        if let Some(prototypes) = &self.teacher_prototypes_in_image_space {
            add(TEACHER_IN_IMAGE, prototypes);
        }
        if let Some(prototypes) = &self.teacher_prototypes_in_text_space {
            add(TEACHER_IN_TEXT, prototypes);
        }
        file.write(path)
    }

    fn read(path: &Path) -> Result<Self, TensorFileError> {
        TensorFileReader::read(path, |file| {
            let get = |name: &str| -> Result<BackTranslated, String> {
                let (_, _, centroids) = file.matrix(name)?;
                let counts = file.u32(&format!("{name}.counts"))?;
                Ok(BackTranslated { centroids, counts })
            };
            let optional = |name: &str| file.contains(name).then(|| get(name)).transpose();
            Ok(Self {
                text_prototypes_in_image_space: get(TEXT_IN_IMAGE)?,
                image_prototypes_in_text_space: get(IMAGE_IN_TEXT)?,
                teacher_prototypes_in_image_space: optional(TEACHER_IN_IMAGE)?,
                teacher_prototypes_in_text_space: optional(TEACHER_IN_TEXT)?,
            })
        })
    }
}

const TEXT_IN_IMAGE: &str = "text_prototypes_in_image_space";
const IMAGE_IN_TEXT: &str = "image_prototypes_in_text_space";
const TEACHER_IN_IMAGE: &str = "teacher_prototypes_in_image_space";
const TEACHER_IN_TEXT: &str = "teacher_prototypes_in_text_space";

/// The teacher's features of the episode's samples; `None` when cancelled.
fn teacher_rows(
    (teacher, source): (&ExternalTeacher, &dyn PairSource),
    samples: &[SampleId],
    progress: ClusterProgress<'_>,
) -> Result<Option<Matrix>, TrainError> {
    let values = teacher
        .features(source, samples, &|| progress(0, 1))
        .map_err(|error| TrainError::Other(error.to_string()))?;
    let dim = teacher.dim();
    Ok(values.map(|values| Matrix { dim, values }))
}

fn cluster_space(
    config: &RunConfig,
    count: usize,
    seed: u64,
    rows: &Matrix,
    report: KMeansProgress<'_>,
) -> Result<Option<SpaceClusters>, TrainError> {
    let settings = KMeansConfig {
        count,
        iterations: config.prototypes.iterations,
        restarts: config.prototypes.restarts,
        seed,
    };
    match kmeans(&rows.values, rows.dim, &settings, None, report) {
        Ok(result) => Ok(Some(result.into())),
        Err(KMeansError::Cancelled) => Ok(None),
        Err(error) => Err(TrainError::Other(format!("clustering: {error}"))),
    }
}

/// A seed of its own for every space of every episode.
fn cluster_seed(seed: u64, episode: u64, space: u64) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(b"k-means");
    for part in [seed, episode, space] {
        hash.update(&part.to_le_bytes());
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// The path of an episode's snapshot, relative to the run directory.
pub fn snapshot_file(step: u64) -> String {
    format!("artifacts/prototypes/{step:08}.safetensors")
}

/// Steps for which a run directory holds a snapshot, oldest first.
pub fn snapshot_steps(run_directory: &Path) -> Vec<u64> {
    steps_in(&run_directory.join("artifacts/prototypes"))
}

/// Steps that the files of a folder are named after, ascending.
pub(super) fn steps_in(folder: &Path) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut steps: Vec<u64> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            name.to_str()?.strip_suffix(".safetensors")?.parse().ok()
        })
        .collect();
    steps.sort_unstable();
    steps
}

/// The label of a batch's samples in one space.
pub(super) fn batch_labels(
    prototypes: &EpisodePrototypes,
    positions: &FxHashMap<SampleId, usize>,
    space: Space,
    samples: &[SampleId],
) -> Result<Vec<u32>, TrainError> {
    let Some(clusters) = prototypes.snapshot.space(space) else {
        return Ok(Vec::new());
    };
    let missing = |sample| TrainError::Other(format!("sample {sample} is not in its own episode"));
    samples
        .iter()
        .map(|sample| {
            let position = positions.get(sample).ok_or_else(|| missing(*sample))?;
            Ok(clusters.assignments[*position])
        })
        .collect()
}
