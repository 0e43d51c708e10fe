//! TensorBoard's file format: a sequence of records, each a protobuf message `Event`.
//!
//! A record is its length (u64, little-endian), the masked CRC-32C of the length, the message, and
//! the masked CRC-32C of the message (TensorFlow's `record_writer.cc`). Of `event.proto` and
//! `summary.proto` only what a scalar needs is written:
//!
//! ```text
//! Event      { 1: double wall_time, 2: int64 step, 3: string file_version, 5: Summary summary,
//!              7: SessionLog session_log }
//! Summary    { 1: repeated Value { 1: string tag, 2: float simple_value } }
//! SessionLog { 1: enum status, 1 for START }
//! ```

use std::io::{self, Write};

/// What the first record of a file says it is.
const VERSION: &str = "brain.Event:2";
const MASK_DELTA: u32 = 0xa282_ead8;

/// Kinds of a protobuf field.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// An event file that is being written.
#[derive(Debug)]
pub(super) struct EventFile<W> {
    out: W,
}

impl<W: Write> EventFile<W> {
    /// Writes the head of a file; `wall_time` in seconds since 1970.
    pub(super) fn begin(out: W, wall_time: f64) -> io::Result<Self> {
        let mut file = Self { out };
        let mut event = timed(wall_time);
        text(&mut event, 3, VERSION);
        file.record(&event)?;
        Ok(file)
    }

    /// Writes one point of a curve.
    pub(super) fn scalar(
        &mut self,
        wall_time: f64,
        step: u64,
        tag: &str,
        value: f32,
    ) -> io::Result<()> {
        let mut point = Vec::new();
        text(&mut point, 1, tag);
        key(&mut point, 2, FIXED_32);
        point.extend(value.to_le_bytes());
        let mut summary = Vec::new();
        message(&mut summary, 1, &point);
        let mut event = timed(wall_time);
        key(&mut event, 2, VARINT);
        varint(&mut event, step);
        message(&mut event, 5, &summary);
        self.record(&event)
    }

    /// Says that a session begins: what earlier files have of `step` and later ones is void.
    pub(super) fn begin_session(&mut self, wall_time: f64, step: u64) -> io::Result<()> {
        let mut event = timed(wall_time);
        key(&mut event, 2, VARINT);
        varint(&mut event, step);
        message(&mut event, 7, &[0x08, 1]);
        self.record(&event)
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn record(&mut self, event: &[u8]) -> io::Result<()> {
        write_record(&mut self.out, event)
    }
}

/// Writes one record of a file.
pub(super) fn write_record(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked(&length).to_le_bytes())?;
    out.write_all(data)?;
    out.write_all(&masked(data).to_le_bytes())
}

/// TensorFlow rotates a checksum and adds a constant, since checksums of data that hold checksums
/// are weak.
pub(super) fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(MASK_DELTA)
}

fn timed(wall_time: f64) -> Vec<u8> {
    let mut event = Vec::new();
    key(&mut event, 1, FIXED_64);
    event.extend(wall_time.to_le_bytes());
    event
}

fn text(out: &mut Vec<u8>, field: u64, value: &str) {
    message(out, field, value.as_bytes());
}

fn message(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend(value);
}

fn key(out: &mut Vec<u8>, field: u64, kind: u64) {
    varint(out, field << 3 | kind);
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What TensorBoard's own `RecordWriter` makes of the same two events.
    const PEER: &str = concat!(
        "1800000000000000a37f4b220900001040fc54d9411a0d627261696e2e4576656e743a32338d2fe9",
        "2700000000000000bbe1b1460900006040fc54d94110ac022a190a170a10747261696e2f6c6f7373",
        "5f746f74616c150000403fc6cec5fa",
    );

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_file_is_byte_for_byte_that_of_tensorboard() {
        let mut bytes = Vec::new();
        let mut file = EventFile::begin(&mut bytes, 1_700_000_000.25).expect("writes");
        file.scalar(1_700_000_001.5, 300, "train/loss_total", 0.75)
            .expect("writes");
        assert_eq!(hex(&bytes), PEER);
    }

    #[test]
    fn numbers_of_any_size_are_written_in_groups_of_seven_bits() {
        for (value, want) in [
            (0, "00"),
            (127, "7f"),
            (128, "8001"),
            (300, "ac02"),
            (u64::MAX, "ffffffffffffffffff01"),
        ] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!(hex(&out), want, "{value}");
        }
    }
}
