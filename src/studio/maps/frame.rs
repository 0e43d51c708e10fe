//! The points of a step as one Parquet table for data frames: places, prototypes, captions, labels,
//! where pictures are, and the features themselves where they are wanted.
//!
//! Opens the data set and may compute a map: callers must be allowed to block.

mod parquet_file;

use std::sync::Arc;

use protoclip::analysis::{MapFile, MapMethod, map_to_plane};

use super::super::data_sets::DataSet;
use super::super::{RunId, Studio, StudioError};
use super::thread::Material;
use super::{MapFeatures, MapKey, MapSpace, map_path, no_map};
use parquet_file::{Column, write};

/// What of a step goes into the table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FrameQuery {
    /// The newest step with features when absent.
    pub step: Option<u64>,
    pub space: MapSpace,
    /// When absent the finished t-SNE map, or else PCA.
    pub method: Option<MapMethod>,
    pub features: MapFeatures,
    /// Whether each row holds its feature too.
    pub vectors: bool,
}

/// A table in Parquet's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapFrame {
    /// A file name that says what it is.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Studio {
    /// A row for each point of a map; a joint map has all images, then all texts. Columns: `sample`,
    /// `modality`, `x`, `y`, `SPACE_prototype`, `caption`, `image` (address at this server),
    /// `origin`, `label:NAME`, and with `vectors` the L2-normalised `feature`, a list of floats.
    /// What cannot be known, as captions of a data set that is gone, is null. The file's metadata
    /// names run, step, space, method, features and data.
    ///
    /// # Errors
    /// When the run, its features or prototypes at that step, or a map of the wanted method is
    /// absent; PCA needs no map made before.
    pub fn map_frame(&self, id: &RunId, query: FrameQuery) -> Result<MapFrame, StudioError> {
        let features = self.features(id, query.step)?;
        let key = MapKey {
            step: features.step,
            space: query.space,
            method: MapMethod::default(),
            features: query.features,
        };
        let material = self.material(id, key, &features)?;
        drop(features);
        let (key, points) = self.places(id, key, query.method, &material)?;
        let mut columns = places_columns(key.space, &material.samples, &points);
        self.prototype_columns(id, key, material.samples.len(), &mut columns)?;
        let record = self.readable(id)?;
        let data_set = self.data_sets.register(&record.config.data);
        let set = self.data_sets.get(&data_set).ok();
        data_columns(set.as_deref(), &material.samples, &mut columns);
        if query.vectors {
            columns.push(Column::lists("feature", material.values, material.dim));
        }
        let fingerprint = set.map_or_else(String::new, |set| set.source.fingerprint().to_owned());
        let described = [
            ("run", id.to_string()),
            ("step", key.step.to_string()),
            ("space", key.space.name().to_owned()),
            ("method", key.method.name().to_owned()),
            ("features", key.features.name().to_owned()),
            ("data_fingerprint", fingerprint),
        ];
        let bytes = write(&columns, &described)
            .map_err(|e| StudioError::Other(format!("cannot write the table: {e}")))?;
        Ok(MapFrame {
            name: format!("{id}-{key}.parquet"),
            bytes,
        })
    }

    /// Where the points are, `[rows, 2]`, and which map that is.
    fn places(
        &self,
        id: &RunId,
        key: MapKey,
        method: Option<MapMethod>,
        material: &Material,
    ) -> Result<(MapKey, Vec<f32>), StudioError> {
        let of = |method| MapKey { method, ..key };
        let finished = of(method.unwrap_or_default());
        if map_path(&self.data_dir.run(id), finished).exists() {
            let file: Arc<MapFile> = self.map_file(id, finished)?;
            if file.samples == material.samples {
                return Ok((finished, file.points.clone()));
            }
        }
        if method.is_some_and(|method| method != MapMethod::Pca) {
            let why = "it is not made yet; ask for it with POST …/map, or leave method out";
            return Err(no_map(finished, why));
        }
        let (values, dim) = (&material.values, material.dim);
        let map = map_to_plane(values, dim, MapMethod::Pca, None, &|_| true)
            .map_err(|e| StudioError::Conflict(format!("these features have no PCA: {e}")))?;
        Ok((of(MapMethod::Pca), map.points))
    }

    fn prototype_columns(
        &self,
        id: &RunId,
        key: MapKey,
        rows: usize,
        columns: &mut Vec<Column>,
    ) -> Result<(), StudioError> {
        let (view, _) = self.snapshot(id, Some(key.step))?;
        let samples = rows_of_one(key.space, rows);
        for space in view.spaces() {
            let assigned = &view.clusters(space)?.assignments;
            let of_row = |row: usize| assigned.get(row % samples.max(1)).copied();
            let name = format!("{}_prototype", space.name());
            columns.push(Column::optional_numbers(&name, (0..rows).map(of_row)));
        }
        Ok(())
    }
}

/// Rows of one modality of a map.
fn rows_of_one(space: MapSpace, rows: usize) -> usize {
    match space {
        MapSpace::Joint => rows / 2,
        MapSpace::Image | MapSpace::Text => rows,
    }
}

fn places_columns(space: MapSpace, samples: &[u32], points: &[f32]) -> Vec<Column> {
    let images = rows_of_one(space, samples.len());
    let modality = |row: usize| match space {
        MapSpace::Joint if row < images => MapSpace::Image.name(),
        MapSpace::Joint => MapSpace::Text.name(),
        other => other.name(),
    };
    let axis = |axis: usize| points.iter().skip(axis).step_by(2).copied().collect();
    vec![
        Column::numbers("sample", samples),
        Column::texts(
            "modality",
            (0..samples.len()).map(|r| Some(modality(r).into())),
        ),
        Column::floats("x", axis(0)),
        Column::floats("y", axis(1)),
    ]
}

/// Captions, pictures and labels; all null without a data set, of which then no labels are known.
fn data_columns(set: Option<&DataSet>, samples: &[u32], columns: &mut Vec<Column>) {
    let known = |sample: u32| set.filter(|set| (sample as usize) < set.source.len());
    let caption = |&sample: &u32| known(sample)?.source.caption(sample).ok();
    let image = |&sample: &u32| {
        let set = known(sample)?.id.as_str();
        Some(format!("/api/datasets/{set}/samples/{sample}/image"))
    };
    let origin = |&sample: &u32| Some(known(sample)?.source.origin(sample));
    columns.push(Column::texts("caption", samples.iter().map(caption)));
    columns.push(Column::texts("image", samples.iter().map(image)));
    columns.push(Column::texts("origin", samples.iter().map(origin)));
    for label in set.map_or(&[][..], |set| set.source.labels()) {
        let class = |&sample: &u32| {
            let class = *label.of_sample.get(sample as usize)?;
            label.classes.get(class as usize).cloned()
        };
        let name = format!("label:{}", label.name);
        columns.push(Column::texts(&name, samples.iter().map(class)));
    }
}
