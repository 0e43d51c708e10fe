//! Pictures of neighbouring rows, decoded together and kept while there is room.
//!
//! Passes in the order of the data find the next picture here; random ones pay for a few rows more than
//! they need, which costs little beside the page that must be decoded anyway.

use std::sync::{Arc, Mutex, PoisonError};

use super::columns::Leaf;
use super::file::{Cell, ParquetFile};
use super::index::Located;

/// Rows of a block.
const ROWS: usize = 16;
/// Bytes of all blocks together.
const ROOM: usize = 64 << 20;

/// Number of the file, of the row group, and of the block in it.
type Key = (usize, usize, usize);

#[derive(Debug, Default)]
pub(super) struct Blocks {
    /// The last used one first.
    kept: Mutex<Vec<(Key, Arc<Vec<Cell>>)>>,
}

impl Blocks {
    /// The picture of a row.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn cell(
        &self,
        file: &ParquetFile,
        located: &Located,
        leaf: Leaf,
    ) -> Result<Cell, String> {
        let key = (located.file, located.group, located.row / ROWS);
        let within = located.row % ROWS;
        let block = match self.find(key) {
            Some(block) => block,
            None => {
                let start = key.2 * ROWS;
                let rows = ROWS.min(file.rows(located.group).saturating_sub(start));
                let mut cells = file.column(located.group, leaf)?;
                cells.skip(start)?;
                let block = Arc::new(cells.take(rows)?);
                self.keep(key, &block);
                block
            }
        };
        let cell = block.get(within).cloned();
        cell.ok_or_else(|| "the row group is shorter than it was".into())
    }

    fn find(&self, key: Key) -> Option<Arc<Vec<Cell>>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(|(known, _)| *known == key)?;
        kept[..=at].rotate_right(1);
        Some(Arc::clone(&kept[0].1))
    }

    fn keep(&self, key: Key, block: &Arc<Vec<Cell>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.insert(0, (key, Arc::clone(block)));
        let mut bytes = 0;
        kept.retain(|(_, block)| {
            bytes += block.iter().map(size).sum::<usize>();
            bytes <= ROOM
        });
    }
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Bytes(bytes) => bytes.len() + 64,
        _ => 32,
    }
}
