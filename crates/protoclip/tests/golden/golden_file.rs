//! Reads the golden fixtures in `tests/golden` (see its README for their origin).

use std::path::PathBuf;

use burn::tensor::{Device, Tensor, TensorData};
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

    /// Shape and values of an i64 tensor.
    pub(crate) fn ints(&self, name: &str) -> (Vec<usize>, Vec<i64>) {
        let (shape, bytes) = self.view(name);
        let numbers = bytes.chunks_exact(8);
        let number = |b: &[u8]| i64::from_le_bytes(b.try_into().expect("8 bytes"));
        (shape, numbers.map(number).collect())
    }

    pub(crate) fn tensor<const D: usize>(&self, name: &str, device: &Device) -> Tensor<D> {
        let (shape, _) = self.view(name);
        Tensor::from_data(TensorData::new(self.floats(name), shape), device)
    }
}
