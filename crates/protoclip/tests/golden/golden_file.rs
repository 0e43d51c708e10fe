//! Reads the golden fixtures in `tests/golden` (see its README for their origin).

use std::path::PathBuf;

use burn::tensor::{Device, Int, Tensor, TensorData};
use safetensors::SafeTensors;

/// A fixture, held in memory.
#[derive(Debug)]
pub(crate) struct GoldenFile {
    bytes: Vec<u8>,
}

impl GoldenFile {
    pub(crate) fn path(name: &str) -> PathBuf {
        [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name]
            .iter()
            .collect()
    }

    pub(crate) fn open(name: &str) -> Self {
        let bytes = std::fs::read(Self::path(name)).expect(name);
        Self { bytes }
    }

    fn view(&self, name: &str) -> (Vec<usize>, Vec<u8>) {
        let file = SafeTensors::deserialize(&self.bytes).expect("safetensors");
        let view = file.tensor(name).expect(name);
        (view.shape().to_vec(), view.data().to_vec())
    }

    pub(crate) fn floats(&self, name: &str) -> Vec<f32> {
        let (_, bytes) = self.view(name);
        let quads = bytes.chunks_exact(4);
        quads
            .map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")))
            .collect()
    }

    pub(crate) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (shape, _) = self.view(name);
        Tensor::from_data(TensorData::new(self.floats(name), shape), device)
    }

    pub(crate) fn ints<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D, Int> {
        let (shape, bytes) = self.view(name);
        let numbers: Vec<i64> = bytes
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().expect("8 bytes")))
            .collect();
        Tensor::from_data(TensorData::new(numbers, shape), device)
    }
}

/// Largest absolute difference over the largest wanted magnitude.
pub(crate) fn worst_relative<const D: usize>(wanted: &[f32], ours: Tensor<D>) -> f32 {
    let ours: Vec<f32> = ours.into_data().try_to_vec().expect("f32");
    assert_eq!(wanted.len(), ours.len());
    let size = wanted.iter().fold(1e-12f32, |m, w| m.max(w.abs()));
    let pairs = wanted.iter().zip(&ours);
    pairs.fold(0.0, |m: f32, (w, o)| {
        assert!(o.is_finite());
        m.max((w - o).abs())
    }) / size
}
