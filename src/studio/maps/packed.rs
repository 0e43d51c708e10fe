//! A map as bytes for the browser: a header in JSON, then the points as 16-bit integers.
//!
//! `PMAP`, the header's length in bytes as a little-endian `u32`, the header padded with spaces to a
//! multiple of four, then x and y of each point as little-endian `i16`. A place is
//! `offset + scale · value`. Points are in the order of the episode, which is random, so that the
//! first ones are a fair sample of all; a joint map alternates image and text of each sample.

use protoclip::analysis::{MapFile, MapQuality};
use serde::Serialize;

use super::super::RunId;
use super::{MapKey, MapMaking, MapSpace};

/// What begins a packed map.
const MAGIC: &[u8; 4] = b"PMAP";

/// A packed map.
#[derive(Debug, Clone, PartialEq)]
pub struct PackedMap {
    pub bytes: Vec<u8>,
    /// Whether it will not change any more.
    pub finished: bool,
}

/// A point in the plane of a map and the sample that it stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlacedPoint {
    pub sample: u32,
    pub x: f32,
    pub y: f32,
}

#[derive(Serialize)]
struct Header<'a> {
    run: &'a RunId,
    #[serde(flatten)]
    key: MapKey,
    points: usize,
    scale: f32,
    offset: [f32; 2],
    finished: bool,
    /// Grows with every picture of an unfinished map.
    version: u64,
    #[serde(flatten)]
    making: MapMaking,
}

impl PackedMap {
    pub(super) fn finished(run: &RunId, key: MapKey, file: &MapFile) -> Self {
        let making = MapMaking {
            quality: file.quality,
            after: file.after,
            seconds: file.milliseconds as f64 / 1e3,
        };
        Self::pack(run, key, &file.points, (true, 0), making)
    }

    pub(super) fn draft(run: &RunId, key: MapKey, points: &[f32], version: u64) -> Self {
        let making = MapMaking {
            quality: None::<MapQuality>,
            after: None,
            seconds: 0.0,
        };
        Self::pack(run, key, points, (false, version), making)
    }

    fn pack(
        run: &RunId,
        key: MapKey,
        points: &[f32],
        (finished, version): (bool, u64),
        making: MapMaking,
    ) -> Self {
        let (pairs, _) = points.as_chunks::<2>();
        let range = Range::of(pairs);
        let header = Header {
            run,
            key,
            points: pairs.len(),
            scale: range.scale,
            offset: range.offset,
            finished,
            version,
            making,
        };
        let mut bytes = head(MAGIC, &header);
        bytes.reserve(pairs.len() * 4);
        let half = pairs.len() / 2;
        for at in 0..pairs.len() {
            // A joint map's file has all images, then all texts.
            let from = match key.space {
                MapSpace::Joint => at / 2 + (at % 2) * half,
                MapSpace::Image | MapSpace::Text => at,
            };
            for (axis, &value) in pairs[from].iter().enumerate() {
                bytes.extend(range.pack(value, axis).to_le_bytes());
            }
        }
        Self { bytes, finished }
    }
}

/// Magic, length and header, padded so that what follows can be read as numbers of four bytes.
pub(super) fn head(magic: &[u8; 4], header: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec(header).unwrap_or_default();
    text.resize(text.len().next_multiple_of(4), b' ');
    let mut bytes = magic.to_vec();
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text);
    bytes
}

/// What turns places into integers: one scale for both axes.
struct Range {
    offset: [f32; 2],
    scale: f32,
}

impl Range {
    fn of(points: &[[f32; 2]]) -> Self {
        let mut low = [f32::INFINITY; 2];
        let mut high = [f32::NEG_INFINITY; 2];
        for point in points {
            for axis in 0..2 {
                low[axis] = low[axis].min(point[axis]);
                high[axis] = high[axis].max(point[axis]);
            }
        }
        if points.is_empty() {
            return Self {
                offset: [0.0; 2],
                scale: 1.0,
            };
        }
        let half = (0..2).map(|a| (high[a] - low[a]) / 2.0).fold(0.0, f32::max);
        Self {
            offset: [0, 1].map(|a| f32::midpoint(low[a], high[a])),
            scale: if half > 0.0 {
                half / f32::from(i16::MAX)
            } else {
                1.0
            },
        }
    }

    fn pack(&self, value: f32, axis: usize) -> i16 {
        // Saturates, and only rounding could exceed the range.
        ((value - self.offset[axis]) / self.scale).round() as i16
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn unpack(packed: &PackedMap) -> (Value, Vec<[f32; 2]>) {
        let bytes = &packed.bytes;
        assert_eq!(&bytes[..4], MAGIC);
        let length = u32::from_le_bytes(bytes[4..8].try_into().expect("four")) as usize;
        assert_eq!(length % 4, 0);
        let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
        let number = |value: &Value| value.as_f64().expect("number") as f32;
        let scale = number(&header["scale"]);
        let offset = [0, 1].map(|axis| number(&header["offset"][axis]));
        let places = bytes[8 + length..]
            .chunks_exact(4)
            .map(|b| {
                let x = i16::from_le_bytes([b[0], b[1]]);
                let y = i16::from_le_bytes([b[2], b[3]]);
                [
                    offset[0] + scale * f32::from(x),
                    offset[1] + scale * f32::from(y),
                ]
            })
            .collect();
        (header, places)
    }

    fn file(points: Vec<f32>) -> MapFile {
        MapFile {
            samples: vec![0; points.len() / 2],
            points,
            quality: Some(MapQuality::Kl(1.5)),
            after: Some(20),
            milliseconds: 1500,
        }
    }

    #[test]
    fn places_come_back_to_a_thirty_thousandth_of_the_range() {
        let points: Vec<f32> = (0..20)
            .map(|i| (i as f32 * 1.7).sin() * 40.0 + 3.0)
            .collect();
        let key = MapKey::default();
        let packed = PackedMap::finished(&RunId::from("r"), key, &file(points.clone()));
        let (header, places) = unpack(&packed);
        for (place, point) in places.as_flattened().iter().zip(&points) {
            assert!((place - point).abs() < 80.0 / 30_000.0);
        }
        assert_eq!(header["points"], 10);
        assert_eq!(header["quality"]["kl"], 1.5);
        assert_eq!(header["after"], 20);
        assert_eq!(header["method"], "tsne");
        assert!(packed.finished && header["finished"] == true);
    }

    #[test]
    fn a_joint_map_alternates_images_and_texts() {
        let key = MapKey {
            space: MapSpace::Joint,
            ..MapKey::default()
        };
        let points = vec![0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0];
        let (_, places) = unpack(&PackedMap::finished(&RunId::from("r"), key, &file(points)));
        let x: Vec<f32> = places.iter().map(|p| p[0].round()).collect();
        assert_eq!(x, [0.0, 2.0, 1.0, 3.0]);
    }

    #[test]
    fn maps_without_extent_can_be_packed() {
        for points in [vec![], vec![2.0; 6]] {
            let packed = PackedMap::draft(&RunId::from("r"), MapKey::default(), &points, 3);
            let (header, places) = unpack(&packed);
            assert_eq!(places.len() * 2, points.len());
            assert!(places.iter().all(|p| *p == [2.0, 2.0]));
            assert_eq!(
                (header["version"].as_u64(), packed.finished),
                (Some(3), false)
            );
        }
    }
}
