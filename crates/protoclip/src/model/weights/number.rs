//! How a file stores numbers, and the way to f32.

use half::{bf16, f16};

/// Type of a stored tensor's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberType {
    F16,
    BF16,
    F32,
    F64,
    /// A type that holds no weights, by the name that the file gives it.
    Other(String),
}

impl NumberType {
    /// Bytes of one number; `None` for types that are never read.
    pub fn bytes(&self) -> Option<usize> {
        match self {
            Self::F16 | Self::BF16 => Some(2),
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::Other(_) => None,
        }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        match self {
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Other(name) => name,
        }
    }

    /// One little-endian number as f32, exact but for f64, which is rounded. `bytes` has the length
    /// that [`NumberType::bytes`] says.
    pub(super) fn widen(&self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f32(),
            (Self::BF16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f32(),
            (Self::F32, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]),
            (Self::F64, &[a, b, c, d, e, f, g, h]) => {
                f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32
            }
            _ => f32::NAN,
        }
    }

    /// Numbers that lie one after the other; `None` for types that are never read.
    pub(super) fn widen_all(&self, bytes: &[u8]) -> Option<Vec<f32>> {
        let numbers = bytes.chunks_exact(self.bytes()?);
        Some(numbers.map(|number| self.widen(number)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_becomes_the_same_number() {
        let cases: [(NumberType, Vec<u8>); 4] = [
            (NumberType::F16, f16::from_f32(-1.5).to_le_bytes().to_vec()),
            (
                NumberType::BF16,
                bf16::from_f32(-1.5).to_le_bytes().to_vec(),
            ),
            (NumberType::F32, (-1.5f32).to_le_bytes().to_vec()),
            (NumberType::F64, (-1.5f64).to_le_bytes().to_vec()),
        ];
        for (kind, bytes) in cases {
            let twice = [bytes.clone(), bytes].concat();
            assert_eq!(kind.widen_all(&twice), Some(vec![-1.5, -1.5]), "{kind:?}");
        }
        assert_eq!(NumberType::Other("I64".into()).widen_all(&[0; 8]), None);
    }
}
