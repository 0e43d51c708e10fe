//! TFRecord framing: length, masked CRC-32C of the length, data, masked CRC-32C of the data.
//!
//! A file may end anywhere, since its writer may have died or still be writing, and its disk may
//! have lost a part. Where the frames cannot be told apart any more, the rest is left out.

use std::io::{self, Read};

use super::event_file::masked;

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Whole(&'a [u8]),
    /// The data is not what its checksum says; the next record can be read.
    Damaged,
    /// These last bytes are no whole record.
    Torn(u64),
    End,
}

/// Reads one record after the other.
#[derive(Debug)]
pub(super) struct Records<R> {
    input: R,
    /// Bytes of the file that were not read yet.
    left: u64,
    data: Vec<u8>,
}

/// Bytes before the data: length and checksum.
const HEAD: u64 = 12;
/// Bytes after the data: its checksum.
const TAIL: u64 = 4;

impl<R: Read> Records<R> {
    /// Records of a file that has `length` bytes.
    pub(super) fn of(input: R, length: u64) -> Self {
        Self {
            input,
            left: length,
            data: Vec::new(),
        }
    }

    /// Bytes that are still to be read.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// The next record; after `Torn` and `End` always `End`.
    pub(super) fn next(&mut self) -> io::Result<Record<'_>> {
        if self.left == 0 {
            return Ok(Record::End);
        }
        if self.left < HEAD + TAIL {
            return Ok(self.torn());
        }
        let (mut length, mut checksum) = ([0; 8], [0; 4]);
        self.input.read_exact(&mut length)?;
        self.input.read_exact(&mut checksum)?;
        let size = u64::from_le_bytes(length);
        let fits = size <= self.left - HEAD - TAIL;
        if masked(&length) != u32::from_le_bytes(checksum) || !fits {
            return Ok(self.torn());
        }
        self.data.clear();
        // Bounded by the bytes that the file has.
        let read = (&mut self.input).take(size).read_to_end(&mut self.data)?;
        if (read as u64) < size {
            return Ok(self.torn());
        }
        self.input.read_exact(&mut checksum)?;
        self.left -= HEAD + size + TAIL;
        Ok(if masked(&self.data) == u32::from_le_bytes(checksum) {
            Record::Whole(&self.data)
        } else {
            Record::Damaged
        })
    }

    fn torn(&mut self) -> Record<'_> {
        Record::Torn(std::mem::take(&mut self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::super::event_file::write_record;
    use super::*;

    fn file(records: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            write_record(&mut bytes, record).expect("writes");
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<String> {
        let mut records = Records::of(bytes, bytes.len() as u64);
        let mut found = Vec::new();
        loop {
            match records.next().expect("reads") {
                Record::Whole(data) => found.push(String::from_utf8_lossy(data).into_owned()),
                Record::Damaged => found.push("damaged".into()),
                Record::Torn(bytes) => found.push(format!("torn {bytes}")),
                Record::End => return found,
            }
        }
    }

    #[test]
    fn records_come_as_they_were_written() {
        assert_eq!(read(&file(&[b"one", b"", b"three"])), ["one", "", "three"]);
        assert!(read(&[]).is_empty());
    }

    #[test]
    fn a_record_with_a_wrong_byte_is_left_out_and_the_next_one_read() {
        let mut bytes = file(&[b"one", b"two"]);
        bytes[12] ^= 1;
        assert_eq!(read(&bytes), ["damaged", "two"]);
    }

    #[test]
    fn without_a_length_that_can_be_trusted_the_rest_is_left_out() {
        let mut bytes = file(&[b"one", b"two", b"three"]);
        bytes[19] ^= 1;
        let rest = bytes.len() - 19;
        assert_eq!(read(&bytes), ["one".to_owned(), format!("torn {rest}")]);
    }

    #[test]
    fn a_file_may_end_anywhere() {
        let whole = file(&[b"one", b"two"]);
        for end in 20..whole.len() {
            let torn = format!("torn {}", end - 19);
            assert_eq!(read(&whole[..end]), ["one".to_owned(), torn], "{end}");
        }
    }
}
