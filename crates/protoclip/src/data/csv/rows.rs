//! Rows of an opened file, read back by where they begin.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use csv::{ByteRecord, Position, Reader};

use super::guarded::Guarded;

/// One reader for all rows: making another for each would take twenty times as long as the row.
#[derive(Debug)]
pub(super) struct Rows<R = File> {
    reader: Reader<Guarded<R>>,
}

impl<R: Read + Seek> Rows<R> {
    pub(super) fn new(file: R, separator: u8) -> Self {
        Self {
            reader: super::reader(separator).from_reader(Guarded::new(file)),
        }
    }

    /// The row that begins at `offset`; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read, or the row does not end.
    pub(super) fn read(&mut self, offset: u64) -> Result<Option<ByteRecord>, csv::Error> {
        let mut position = Position::new();
        position.set_byte(offset);
        self.reader.seek_raw(SeekFrom::Start(offset), position)?;
        let mut record = ByteRecord::new();
        let found = self.reader.read_byte_record(&mut record)?;
        Ok(found.then_some(record))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_read_in_any_order_are_those_of_one_pass(
            fields in prop::collection::vec(prop::collection::vec("[a-zé,\"\r\n ]{0,9}", 2..4), 1..12),
            returns in any::<bool>(),
            order in prop::collection::vec(any::<prop::sample::Index>(), 1..30),
        ) {
            let ends = if returns { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new().flexible(true).terminator(ends).from_writer(Vec::new());
            for row in &fields {
                writer.write_record(row).expect("writes");
            }
            let bytes = writer.into_inner().expect("flushes");
            let mut once = super::super::reader(b',').from_reader(&bytes[..]);
            let (mut offsets, mut expected) = (Vec::new(), Vec::new());
            let mut record = ByteRecord::new();
            while once.read_byte_record(&mut record).expect("reads") {
                offsets.push(record.position().expect("has one").byte());
                expected.push(record.clone());
            }
            let mut rows = Rows::new(Cursor::new(&bytes), b',');
            for index in order {
                let place = index.index(offsets.len());
                let found = rows.read(offsets[place]).expect("reads");
                prop_assert_eq!(found.as_ref(), Some(&expected[place]));
            }
            prop_assert_eq!(rows.read(bytes.len() as u64).expect("reads"), None);
        }
    }

    #[test]
    fn a_row_without_end_leaves_the_others_readable() {
        let mut bytes = b"a,b\nc,d\n\"".to_vec();
        let endless = bytes.len() as u64 - 1;
        bytes.resize(bytes.len() + 5 * (1 << 20), b'x');
        let mut rows = Rows::new(Cursor::new(bytes), b',');
        for _ in 0..2 {
            let error = rows.read(endless).expect_err("does not end");
            assert!(error.to_string().contains("longer than 4 MiB"), "{error}");
            let row = rows.read(4).expect("reads").expect("is there");
            assert_eq!(row, ByteRecord::from(vec!["c", "d"]));
        }
    }
}
