//! Rows that belong together: the tokens of one sample among those of a whole batch.

use std::ops::Range;
use std::sync::Arc;

/// Consecutive, non-empty runs of rows, such as the tokens of each caption without padding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// Where each starts, and where the last ends.
    bounds: Arc<[usize]>,
}

impl Segments {
    /// `count` segments of `length` rows each.
    ///
    /// # Panics
    /// When `length` is 0.
    pub fn uniform(count: usize, length: usize) -> Self {
        Self::of_lengths(std::iter::repeat_n(length, count))
    }

    /// Segments of these lengths.
    ///
    /// # Panics
    /// When one is 0.
    pub fn of_lengths(lengths: impl IntoIterator<Item = usize>) -> Self {
        let ends = lengths.into_iter().scan(0, |end, length| {
            assert!(length > 0, "a segment has at least one row");
            *end += length;
            Some(*end)
        });
        Self {
            bounds: std::iter::once(0).chain(ends).collect(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.bounds.len() - 1
    }

    /// Rows of all segments together.
    pub fn rows(&self) -> usize {
        self.bounds[self.count()]
    }

    /// The rows of each segment.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<usize>> + '_ {
        self.bounds.windows(2).map(|pair| pair[0]..pair[1])
    }

    /// Length of each segment.
    pub fn lengths(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        self.iter().map(|rows| rows.len())
    }

    /// Length of the longest; 0 without segments.
    pub fn longest(&self) -> usize {
        self.lengths().max().unwrap_or(0)
    }
}
