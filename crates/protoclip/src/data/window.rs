//! A stretch of a file as a stream of its own, read by position.
//!
//! Several windows may look at one file at once, since none moves a cursor of the file. A budget bounds
//! what may be read before it is renewed, so that a header that claims a huge name cannot fill the
//! memory. Of an object, large blocks are fetched while they are read through, and small ones while
//! large stretches are passed over.

use std::cell::Cell;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;
use std::sync::Arc;

use super::data_file::DataFile;

/// Bytes of a file fetched at a time.
const BLOCK: usize = 32 << 10;
/// Bytes of an object fetched first.
const FIRST_BLOCK: usize = 256 << 10;
/// The least of an object that is worth a request.
const SMALLEST_BLOCK: usize = 64 << 10;
const LARGEST_BLOCK: usize = 8 << 20;
/// Fetching so much for nothing takes no longer than another request.
const WORTH_A_REQUEST: u64 = 1 << 20;

/// A place in a file, or in the stretch of it that a shard takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct Window {
    file: Arc<DataFile>,
    span: Span,
    /// Position within the span.
    at: u64,
    block: Vec<u8>,
    /// Bytes of the next block.
    block_size: usize,
    /// Position within the span of the block's first byte.
    block_at: u64,
    budget: Rc<Cell<u64>>,
}

impl Window {
    pub(super) fn new(file: Arc<DataFile>, span: Span) -> Self {
        Self {
            block_size: match file.is_remote() {
                true => FIRST_BLOCK,
                false => BLOCK,
            },
            file,
            span,
            at: 0,
            block: Vec::new(),
            block_at: 0,
            budget: Rc::new(Cell::new(u64::MAX)),
        }
    }

    pub(super) fn length(&self) -> u64 {
        self.span.bytes
    }

    /// What may still be read; whoever holds it can renew it.
    pub(super) fn budget(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.budget)
    }

    fn fetch(&mut self) -> io::Result<()> {
        if self.file.is_remote() && !self.block.is_empty() {
            let end = self.block_at + self.block.len() as u64;
            self.block_size = next_block(self.block_size, self.at.checked_sub(end));
        }
        let left = self.span.bytes.saturating_sub(self.at);
        self.block
            .resize(left.min(self.block_size as u64) as usize, 0);
        self.block_at = self.at;
        let place = self.span.at + self.at;
        let result = self.file.read_exact_at(&mut self.block, place);
        if result.is_err() {
            self.block.clear();
        }
        result
    }
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.span.bytes || buffer.is_empty() {
            return Ok(0);
        }
        let inside = |window: &Self| {
            let into = window.at.checked_sub(window.block_at)?;
            usize::try_from(into)
                .ok()
                .filter(|&i| i < window.block.len())
        };
        if inside(self).is_none() {
            self.fetch()?;
        }
        let from = inside(self).unwrap_or(0);
        let count = buffer.len().min(self.block.len() - from);
        let budget = self.budget.get().checked_sub(count as u64);
        self.budget
            .set(budget.ok_or_else(|| io::Error::other("a header claims to be far too long"))?);
        buffer[..count].copy_from_slice(&self.block[from..from + count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Window {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.span.bytes.checked_add_signed(by),
        };
        self.at = target.ok_or_else(|| io::Error::other("a place outside of the file"))?;
        Ok(self.at)
    }
}

/// How much of an object to fetch next, after a block of `size` bytes and `passed_over` bytes behind it
/// that nobody read; none when the way leads back.
fn next_block(size: usize, passed_over: Option<u64>) -> usize {
    let through = passed_over.is_some_and(|gap| gap <= WORTH_A_REQUEST.max(size as u64));
    match through {
        true => (size * 2).min(LARGEST_BLOCK),
        false => (size / 4).max(SMALLEST_BLOCK),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_window_shows_its_stretch_and_nothing_else() {
        let mut file = tempfile::tempfile().expect("file");
        let bytes: Vec<u8> = (0..100_000_u32).map(|i| (i % 251) as u8).collect();
        file.write_all(&bytes).expect("writes");
        let span = Span {
            at: 10,
            bytes: 80_000,
        };
        let mut window = Window::new(Arc::new(file.into()), span);
        let mut all = Vec::new();
        window.read_to_end(&mut all).expect("reads");
        assert_eq!(all, bytes[10..80_010]);
        window.seek(SeekFrom::Start(70_000)).expect("seeks");
        let mut four = [0; 4];
        window.read_exact(&mut four).expect("reads");
        assert_eq!(four, bytes[70_010..70_014]);
        window.seek(SeekFrom::Current(1 << 40)).expect("seeks");
        assert_eq!(window.read(&mut four).expect("past the end"), 0);
        assert!(window.seek(SeekFrom::Current(i64::MIN)).is_err());
        window.budget().set(3);
        window.seek(SeekFrom::Start(0)).expect("seeks");
        assert!(window.read_exact(&mut four).is_err());
    }

    #[test]
    fn blocks_grow_along_a_stream_and_shrink_over_gaps() {
        let mut size = FIRST_BLOCK;
        for _ in 0..9 {
            size = next_block(size, Some(700_000));
        }
        assert_eq!(size, LARGEST_BLOCK);
        for _ in 0..9 {
            size = next_block(size, Some(20 << 20));
        }
        assert_eq!(size, SMALLEST_BLOCK);
        assert_eq!(next_block(FIRST_BLOCK, None), SMALLEST_BLOCK);
    }
}
