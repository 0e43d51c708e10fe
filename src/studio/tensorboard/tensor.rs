//! The one number that a `TensorProto` holds, of the kinds that people log curves in.
//!
//! ```text
//! TensorProto { 1: dtype, 2: shape, 4: bytes content, and repeated 5: float, 6: double, 7: int32,
//!               10: int64, 11: bool, 13: half, 16: uint32, 17: uint64 }
//! Shape       { 2: repeated Dim { 1: int64 size } }
//! ```

use super::wire::{Field, Fields, Malformed, taken, varint};

/// The number of a tensor that has exactly one; `None` for other tensors and other kinds.
pub(super) fn number(tensor: &[u8]) -> Result<Option<f64>, Malformed> {
    let mut kind = 0;
    let mut one = true;
    let mut content: Option<&[u8]> = None;
    let mut listed = None;
    for field in Fields::of(tensor) {
        match field? {
            (1, Field::Varint(dtype)) => kind = dtype,
            (2, Field::Bytes(shape)) => one = has_one(shape)?,
            (4, Field::Bytes(bytes)) => content = Some(bytes),
            (place, field) if listed.is_none() => listed = first(field).map(|raw| (place, raw)),
            _ => {}
        }
    }
    if !one {
        return Ok(None);
    }
    let from_content = content
        .filter(|bytes| !bytes.is_empty())
        .map(|bytes| of_content(kind, bytes));
    Ok(match from_content {
        Some(number) => number,
        None => match listed {
            Some((place, raw)) => of_list(kind, place, raw)?,
            None => None,
        },
    })
}

/// Whether all dimensions have the size 1, or there are none.
fn has_one(shape: &[u8]) -> Result<bool, Malformed> {
    let mut one = true;
    for field in Fields::of(shape) {
        if let (2, Field::Bytes(dimension)) = field? {
            let mut size = 0;
            for field in Fields::of(dimension) {
                if let (1, Field::Varint(value)) = field? {
                    size = value;
                }
            }
            one &= size == 1;
        }
    }
    Ok(one)
}

fn of_content(kind: u64, mut bytes: &[u8]) -> Option<f64> {
    let bytes = &mut bytes;
    let number = match kind {
        1 => f64::from(f32::from_le_bytes(taken(bytes).ok()?)),
        2 => f64::from_le_bytes(taken(bytes).ok()?),
        3 => f64::from(i32::from_le_bytes(taken(bytes).ok()?)),
        4 | 10 => f64::from(u8::from_le_bytes(taken(bytes).ok()?)),
        5 => f64::from(i16::from_le_bytes(taken(bytes).ok()?)),
        6 => f64::from(i8::from_le_bytes(taken(bytes).ok()?)),
        9 => i64::from_le_bytes(taken(bytes).ok()?) as f64,
        14 => bfloat16(u16::from_le_bytes(taken(bytes).ok()?)),
        17 => f64::from(u16::from_le_bytes(taken(bytes).ok()?)),
        19 => half(u16::from_le_bytes(taken(bytes).ok()?)),
        22 => f64::from(u32::from_le_bytes(taken(bytes).ok()?)),
        23 => u64::from_le_bytes(taken(bytes).ok()?) as f64,
        _ => return None,
    };
    bytes.is_empty().then_some(number)
}

/// The bytes of a list of numbers, written alone or one after the other.
fn first(field: Field<'_>) -> Option<Raw<'_>> {
    match field {
        Field::Bytes([]) => None,
        Field::Bytes(bytes) => Some(Raw::Packed(bytes)),
        Field::Varint(number) => Some(Raw::Varint(number)),
        Field::Fixed32(bytes) => Some(Raw::Fixed32(bytes)),
        Field::Fixed64(bytes) => Some(Raw::Fixed64(bytes)),
    }
}

#[derive(Debug, Clone, Copy)]
enum Raw<'a> {
    Packed(&'a [u8]),
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
}

impl Raw<'_> {
    fn varint(self) -> Result<u64, Malformed> {
        match self {
            Self::Varint(number) => Ok(number),
            Self::Packed(mut bytes) => varint(&mut bytes),
            _ => Err(Malformed),
        }
    }

    fn float(self) -> Result<f64, Malformed> {
        let bytes = match self {
            Self::Fixed32(bytes) => bytes,
            Self::Packed(mut bytes) => taken(&mut bytes)?,
            _ => return Err(Malformed),
        };
        Ok(f64::from(f32::from_le_bytes(bytes)))
    }

    fn double(self) -> Result<f64, Malformed> {
        let bytes = match self {
            Self::Fixed64(bytes) => bytes,
            Self::Packed(mut bytes) => taken(&mut bytes)?,
            _ => return Err(Malformed),
        };
        Ok(f64::from_le_bytes(bytes))
    }
}

fn of_list(kind: u64, place: u64, raw: Raw<'_>) -> Result<Option<f64>, Malformed> {
    Ok(Some(match (place, kind) {
        (5, _) => raw.float()?,
        (6, _) => raw.double()?,
        // Signed numbers are written as 64 bits.
        (7 | 10, _) => raw.varint()? as i64 as f64,
        (11, _) => f64::from(u8::from(raw.varint()? != 0)),
        (13, 14) => bfloat16(raw.varint()? as u16),
        (13, _) => half(raw.varint()? as u16),
        (16 | 17, _) => raw.varint()? as f64,
        _ => return Ok(None),
    }))
}

/// A number of 16 bits: sign, 5 bits of exponent, 10 of fraction.
fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match bits >> 10 & 0x1f {
        0 => fraction * 2f64.powi(-24),
        0x1f if bits & 0x3ff == 0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2f64.powi(i32::from(exponent) - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The upper half of a number of 32 bits.
fn bfloat16(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_read_to_the_last_bit() {
        for (bits, want) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x0001, 5.960_464_477_539_063e-8),
            (0x7bff, 65504.0),
            (0x7c00, f64::INFINITY),
        ] {
            assert_eq!(half(bits), want, "{bits:x}");
        }
        assert!(half(0x7e00).is_nan());
        assert_eq!(bfloat16(0x4049), 3.140_625);
    }

    #[test]
    fn a_number_is_found_in_content_and_in_lists() {
        let content = [&[0x08, 1, 0x12, 0, 0x22, 4][..], &1.5f32.to_le_bytes()].concat();
        assert_eq!(number(&content), Ok(Some(1.5)));
        let packed = [&[0x08, 2, 0x32, 8][..], &2.5f64.to_le_bytes()].concat();
        assert_eq!(number(&packed), Ok(Some(2.5)));
        let alone = [&[0x08, 1, 0x2d][..], &3.5f32.to_le_bytes()].concat();
        assert_eq!(number(&alone), Ok(Some(3.5)));
        assert_eq!(number(&[0x08, 3, 0x3a, 1, 7]), Ok(Some(7.0)));
        assert_eq!(number(&[0x08, 19, 0x68, 0x80, 0x78]), Ok(Some(1.0)));
    }

    #[test]
    fn tensors_of_more_or_no_numbers_are_no_points() {
        let two = [
            0x08, 1, 0x12, 4, 0x12, 2, 0x08, 2, 0x22, 8, 0, 0, 0, 0, 0, 0, 0, 0,
        ];
        assert_eq!(number(&two), Ok(None));
        let text = [0x08, 7, 0x42, 2, b'h', b'i'];
        assert_eq!(number(&text), Ok(None));
        assert_eq!(number(&[]), Ok(None));
        assert_eq!(number(&[0x08]), Err(Malformed));
    }
}
