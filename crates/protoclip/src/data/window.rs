//! A stretch of a file as a stream of its own, read by position.
//!
//! Several windows may look at one file at once, since none moves a cursor of the file. A budget bounds
//! what may be read before it is renewed, so that a header that claims a huge name cannot fill the
//! memory.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::rc::Rc;
use std::sync::Arc;

/// Bytes fetched at a time.
const BLOCK: usize = 32 << 10;

/// A place in a file, or in the stretch of it that a shard takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    pub(super) at: u64,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct Window {
    file: Arc<File>,
    span: Span,
    /// Position within the span.
    at: u64,
    block: Vec<u8>,
    /// Position within the span of the block's first byte.
    block_at: u64,
    budget: Rc<Cell<u64>>,
}

impl Window {
    pub(super) fn new(file: Arc<File>, span: Span) -> Self {
        Self {
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
        let left = self.span.bytes.saturating_sub(self.at);
        self.block.resize(left.min(BLOCK as u64) as usize, 0);
        self.block_at = self.at;
        let place = self.span.at + self.at;
        let result = read_exact_at(&self.file, &mut self.block, place);
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

/// Fills `buffer` from a place of a file without moving its cursor.
#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

/// Fills `buffer` from a place of a file; every reader names its place, so a moved cursor is harmless.
#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, buffer, at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[count..];
        at += count as u64;
    }
    Ok(())
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
        let mut window = Window::new(Arc::new(file), span);
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
}
