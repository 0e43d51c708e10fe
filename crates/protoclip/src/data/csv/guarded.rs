//! A reader that hashes what passes, sees which line ends are used, and ends rows that never end.

use std::io::{self, Read, Seek, SeekFrom};

/// Longest accepted row, in bytes. Beyond it a quote is surely never closed, and reading on would
/// put the rest of the file into memory.
pub(super) const LONGEST_ROW: u64 = 4 << 20;

#[derive(Debug)]
pub(super) struct Guarded<R> {
    inner: R,
    hash: Option<blake3::Hasher>,
    read_in_row: u64,
    line_end: LineEnd,
}

/// What precedes the first line feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    /// None was seen yet; the last byte was a carriage return or not.
    Unknown {
        after_return: bool,
    },
    Feed,
    ReturnFeed,
}

impl<R> Guarded<R> {
    /// Guards row length alone.
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            hash: None,
            read_in_row: 0,
            line_end: LineEnd::Unknown {
                after_return: false,
            },
        }
    }

    /// Also hashes everything that is read.
    pub(super) fn hashing(inner: R) -> Self {
        Self {
            hash: Some(blake3::Hasher::new()),
            ..Self::new(inner)
        }
    }

    /// A row was finished.
    pub(super) fn next_row(&mut self) {
        self.read_in_row = 0;
    }

    /// Whether lines end in carriage return and line feed, judged by the first one. The csv reader
    /// then places the start of a row before the line feed, on the line above.
    pub(super) fn has_crlf(&self) -> bool {
        self.line_end == LineEnd::ReturnFeed
    }

    fn look_for_line_end(&mut self, bytes: &[u8]) {
        let LineEnd::Unknown { after_return } = self.line_end else {
            return;
        };
        self.line_end = match bytes.iter().position(|&b| b == b'\n') {
            Some(0) if after_return => LineEnd::ReturnFeed,
            Some(at) if at > 0 && bytes[at - 1] == b'\r' => LineEnd::ReturnFeed,
            Some(_) => LineEnd::Feed,
            None => LineEnd::Unknown {
                after_return: bytes.last().map_or(after_return, |&b| b == b'\r'),
            },
        };
    }

    /// Hash of the bytes so far.
    pub(super) fn hash(&self) -> Option<&blake3::Hasher> {
        self.hash.as_ref()
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read_in_row > LONGEST_ROW {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "a row is longer than {} MiB; probably a quotation mark that opens a field is never closed, or data.separator is wrong",
                    LONGEST_ROW >> 20
                ),
            ));
        }
        let count = self.inner.read(buffer)?;
        self.read_in_row += count as u64;
        self.look_for_line_end(&buffer[..count]);
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        Ok(count)
    }
}

impl<R: Seek> Seek for Guarded<R> {
    /// Begins a row.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.next_row();
        self.inner.seek(to)
    }
}
