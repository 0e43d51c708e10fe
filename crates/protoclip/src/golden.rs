//! Reads golden values, computed elsewhere, for unit tests. Fixtures lie in `tests/golden/`.

use std::path::PathBuf;

use safetensors::SafeTensors;

/// The path of a fixture.
pub(crate) fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// A safetensors fixture.
pub(crate) struct Golden {
    name: String,
    bytes: Vec<u8>,
}

impl Golden {
    pub(crate) fn open(name: &str) -> Self {
        Self {
            name: name.into(),
            bytes: std::fs::read(fixture(name)).expect(name),
        }
    }

    /// Shape of a tensor.
    pub(crate) fn shape(&self, tensor: &str) -> Vec<usize> {
        self.file().tensor(tensor).expect(tensor).shape().to_vec()
    }

    pub(crate) fn f32(&self, tensor: &str) -> Vec<f32> {
        self.values(tensor, f32::from_le_bytes)
    }

    /// An i64 tensor of labels.
    pub(crate) fn labels(&self, tensor: &str) -> Vec<u32> {
        self.values(tensor, |bytes| {
            u32::try_from(i64::from_le_bytes(bytes)).expect("a label")
        })
    }

    fn file(&self) -> SafeTensors<'_> {
        SafeTensors::deserialize(&self.bytes).expect(&self.name)
    }

    fn values<T, const BYTES: usize>(&self, tensor: &str, of: impl Fn([u8; BYTES]) -> T) -> Vec<T> {
        let file = self.file();
        let view = file.tensor(tensor).expect(tensor);
        let (values, rest) = view.data().as_chunks::<BYTES>();
        assert!(rest.is_empty(), "{tensor} holds values of another width");
        values.iter().map(|&bytes| of(bytes)).collect()
    }
}
