//! What is known of each point beside its place: prototypes, labels, distances, and how alike image
//! and text are. One answer for all maps of a step, whatever their method.

use std::sync::Arc;

use protoclip::prototypes::Space;
use serde::Serialize;

use super::super::{RunId, Studio, StudioError};
use super::packed::head;
use super::{MapFeatures, rows_of};

/// What begins packed columns.
const MAGIC: &[u8; 4] = b"PCOL";

#[derive(Serialize)]
struct Header {
    step: u64,
    episode: u64,
    /// Values of each column.
    rows: usize,
    /// Samples of the episode, of which the rows are the first.
    samples: usize,
    columns: Vec<Column>,
}

#[derive(Serialize)]
struct Column {
    name: String,
    /// `u32` or `f32`, little-endian.
    r#type: &'static str,
    /// Prototypes of a space, or classes of a label column.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<String>>,
}

#[derive(Default)]
struct Table {
    columns: Vec<Column>,
    bytes: Vec<u8>,
}

impl Table {
    fn whole(&mut self, name: String, count: Option<usize>, values: impl Iterator<Item = u32>) {
        self.columns.push(Column {
            name,
            r#type: "u32",
            count,
            classes: None,
        });
        self.bytes.extend(values.flat_map(u32::to_le_bytes));
    }

    fn real(&mut self, name: String, values: impl Iterator<Item = f32>) {
        self.columns.push(Column {
            name,
            r#type: "f32",
            count: None,
            classes: None,
        });
        self.bytes.extend(values.flat_map(f32::to_le_bytes));
    }
}

impl Studio {
    /// Everything known of the points of a step's maps: `sample`; `image`, `text` and `teacher`, the
    /// prototypes of a sample; `image_distance` and the like, the distance to its centroid;
    /// `similarity`, the cosine of its image and its text; `label:NAME`, its class (`u32::MAX` for
    /// none). Packed as a map is, with whole columns after the header.
    ///
    /// # Errors
    /// When there is no such run or it kept no features at that step.
    pub fn map_columns(
        &self,
        id: &RunId,
        step: u64,
        kind: MapFeatures,
    ) -> Result<Vec<u8>, StudioError> {
        let features = self.features(id, Some(step))?;
        let (view, _) = self.snapshot(id, Some(step))?;
        let pair = rows_of(&features, kind);
        let rows = pair.rows();
        let mut table = Table::default();
        let samples = &features.samples[..rows];
        table.whole("sample".into(), None, samples.iter().copied());
        for space in view.spaces() {
            let clusters = view.clusters(space)?;
            let name = space.name();
            let assigned = clusters.assignments.iter().take(rows).copied();
            table.whole(name.into(), Some(clusters.count), assigned);
            if space != Space::Teacher {
                let distances = clusters.distances.iter().take(rows).copied();
                table.real(format!("{name}_distance"), distances);
            }
        }
        let pairs = pair.image.chunks_exact(pair.dim);
        let cosines = pairs.zip(pair.text.chunks_exact(pair.dim)).map(cosine);
        table.real("similarity".into(), cosines);
        self.add_labels(id, samples, &mut table)?;
        let header = Header {
            step,
            episode: features.episode,
            rows,
            samples: view.samples().len(),
            columns: table.columns,
        };
        let mut bytes = head(MAGIC, &header);
        bytes.extend(table.bytes);
        Ok(bytes)
    }

    /// A data set that is gone has no labels; everything else can be shown.
    fn add_labels(
        &self,
        id: &RunId,
        samples: &[u32],
        table: &mut Table,
    ) -> Result<(), StudioError> {
        let record = self.readable(id)?;
        let data_set = self.data_sets.register(&record.config.data);
        let Ok(set) = self.data_sets.get(&data_set) else {
            return Ok(());
        };
        let set = Arc::clone(&set);
        for column in set.source.labels() {
            let classes = samples.iter().map(|&sample| {
                let class = column.of_sample.get(sample as usize);
                class.copied().unwrap_or(u32::MAX)
            });
            table.whole(format!("label:{}", column.name), None, classes);
            if let Some(last) = table.columns.last_mut() {
                last.count = Some(column.classes.len());
                last.classes = Some(column.classes.clone());
            }
        }
        Ok(())
    }
}

fn cosine((a, b): (&[f32], &[f32])) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 {
        dot(a, b) / lengths
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_ignore_length_and_survive_a_zero_row() {
        let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
        assert!(near(cosine((&[2.0, 0.0], &[3.0, 3.0])), 0.5_f32.sqrt()));
        assert!(near(cosine((&[0.0, 0.0], &[3.0, 3.0])), 0.0));
    }
}
