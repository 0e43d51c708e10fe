//! One finished map as a file.
//!
//! Written by the studio's map thread, read by any of its threads. Points are kept in full precision
//! because the map of the next episode goes on from them.

use std::path::Path;

use super::plane::MapQuality;
use crate::tensor_file::{TensorFileError, TensorFileReader, TensorFileWriter};

/// A map and what it shows.
#[derive(Debug, Clone, PartialEq)]
pub struct MapFile {
    /// Sample of each point. A map of both spaces together holds every sample twice: all images,
    /// then all texts.
    pub samples: Vec<u32>,
    /// `[points, 2]`, row-major.
    pub points: Vec<f32>,
    pub quality: Option<MapQuality>,
    /// Step of the map that this one goes on from.
    pub after: Option<u64>,
    /// Time that it took.
    pub milliseconds: u64,
}

impl MapFile {
    /// Writes the map so that a reader sees all of it or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), TensorFileError> {
        let mut file = TensorFileWriter::default();
        file.u32("samples".into(), &self.samples);
        file.f32("points".into(), vec![self.samples.len(), 2], &self.points);
        file.number("milliseconds", self.milliseconds);
        if let Some(after) = self.after {
            file.number("after", after);
        }
        match self.quality {
            Some(MapQuality::Kl(value)) => file.number("kl_bits", value.to_bits()),
            Some(MapQuality::Variance(value)) => file.number("variance_bits", value.to_bits()),
            None => (),
        }
        file.write(path)
    }

    /// Reads a map.
    ///
    /// # Errors
    /// When the file is absent, its parts disagree, or a point is not finite.
    pub fn read(path: &Path) -> Result<Self, TensorFileError> {
        TensorFileReader::read(path, |file| {
            let (rows, columns, points) = file.matrix("points")?;
            let samples = file.u32("samples")?;
            if columns != 2 || rows != samples.len() {
                return Err("points and samples disagree in number".into());
            }
            if points.iter().any(|v| !v.is_finite()) {
                return Err("a point is NaN or infinite".into());
            }
            let bits = |key| file.number(key).ok().map(f64::from_bits);
            let variance = bits("variance_bits").map(MapQuality::Variance);
            Ok(Self {
                samples,
                points,
                quality: bits("kl_bits").map(MapQuality::Kl).or(variance),
                after: file.number("after").ok(),
                milliseconds: file.number("milliseconds")?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_map_reads_back_equal_and_a_broken_one_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("m.safetensors");
        let qualities = [
            Some(MapQuality::Kl(1.25)),
            Some(MapQuality::Variance(0.1)),
            None,
        ];
        for quality in qualities {
            let written = MapFile {
                samples: vec![4, 1],
                points: vec![0.5, -1.0, 2.0, 1e-8],
                quality,
                after: quality.map(|_| 40),
                milliseconds: 12,
            };
            written.write(&path).expect("writes");
            assert_eq!(MapFile::read(&path).expect("reads"), written);
        }
        let broken = MapFile {
            samples: vec![4],
            points: vec![f32::NAN, 0.0],
            quality: None,
            after: None,
            milliseconds: 0,
        };
        broken.write(&path).expect("writes");
        let message = MapFile::read(&path).expect_err("broken").to_string();
        assert!(message.contains("m.safetensors"), "{message}");
    }
}
