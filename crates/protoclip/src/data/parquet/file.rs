//! One Parquet file, read by position so that any thread can read any part of it.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::columns::Leaf;
use crate::data::data_file::DataFile;
use crate::data::shard_files::{FileStamp, FoundFile};
use crate::data::window::{Span, Window};

/// Bytes of a file by their places.
#[derive(Debug)]
struct Positioned {
    file: Arc<DataFile>,
    bytes: u64,
}

impl Length for Positioned {
    fn len(&self) -> u64 {
        self.bytes
    }
}

impl ChunkReader for Positioned {
    type T = Window;

    fn get_read(&self, start: u64) -> ParquetResult<Window> {
        let span = Span {
            at: start,
            bytes: self.bytes.saturating_sub(start),
        };
        Ok(Window::new(Arc::clone(&self.file), span))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.saturating_add(length as u64) > self.bytes {
            return Err(ParquetError::EOF(format!(
                "the file ends before byte {start} + {length}"
            )));
        }
        let mut buffer = vec![0; length];
        self.file.read_exact_at(&mut buffer, start)?;
        Ok(buffer.into())
    }
}

/// An opened file with what its footer says.
#[derive(Debug)]
pub(super) struct ParquetFile {
    name: String,
    pub(super) metadata: ParquetMetaData,
    reader: Arc<Positioned>,
}

impl ParquetFile {
    /// `file` is the one that was found, or a copy of it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn open(found: &FoundFile, file: File) -> Result<Self, String> {
        let metadata = file.metadata().map_err(|e| e.to_string())?;
        let bytes = metadata.len();
        let own = found.object.is_none() && FileStamp::of(&metadata) != found.stamp;
        if own || bytes != found.stamp.bytes {
            return Err("the file changed since it was listed; open the data set again".into());
        }
        let reader = Positioned {
            file: Arc::new(file.into()),
            bytes,
        };
        let metadata = guarded(|| ParquetMetaDataReader::new().parse_and_finish(&reader))?;
        Ok(Self {
            name: found.name(),
            metadata,
            reader: Arc::new(reader),
        })
    }

    /// Its name without folders.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Rows of a row group.
    pub(super) fn rows(&self, group: usize) -> usize {
        let groups = self.metadata.row_groups();
        groups
            .get(group)
            .map_or(0, |g| g.num_rows().max(0) as usize)
    }

    /// A column of a row group, to be read from its beginning.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn column(&self, group: usize, leaf: Leaf) -> Result<Cells, String> {
        guarded(|| {
            let groups = self.metadata.row_groups();
            let group = groups.get(group).ok_or_else(|| absent("row group"))?;
            let columns = group.columns();
            let chunk = columns.get(leaf.place).ok_or_else(|| absent("column"))?;
            let rows = group.num_rows().max(0) as usize;
            let pages = SerializedPageReader::new(Arc::clone(&self.reader), chunk, rows, None)?;
            Ok(Cells {
                reader: get_column_reader(chunk.column_descr_ptr(), Box::new(pages)),
                depth: chunk.column_descr().max_def_level(),
            })
        })
    }
}

fn absent(what: &str) -> ParquetError {
    ParquetError::General(format!("there is no such {what}"))
}

/// What a value of a column is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Bytes(Bytes),
    Number(f64),
    Flag(bool),
}

/// Values of a column, one after the other.
pub(super) struct Cells {
    reader: ColumnReader,
    depth: i16,
}

impl Cells {
    /// Passes over rows without decoding more than the page they end in.
    pub(super) fn skip(&mut self, rows: usize) -> Result<(), String> {
        let skipped = guarded(|| match &mut self.reader {
            ColumnReader::BoolColumnReader(r) => r.skip_records(rows),
            ColumnReader::Int32ColumnReader(r) => r.skip_records(rows),
            ColumnReader::Int64ColumnReader(r) => r.skip_records(rows),
            ColumnReader::FloatColumnReader(r) => r.skip_records(rows),
            ColumnReader::DoubleColumnReader(r) => r.skip_records(rows),
            ColumnReader::ByteArrayColumnReader(r) => r.skip_records(rows),
            _ => Err(absent("type of column")),
        })?;
        match skipped == rows {
            true => Ok(()),
            false => Err(format!(
                "the column ends after {skipped} more rows, wanted {rows}"
            )),
        }
    }

    /// The next `rows` values.
    pub(super) fn take(&mut self, rows: usize) -> Result<Vec<Cell>, String> {
        let depth = self.depth;
        let cells = guarded(|| match &mut self.reader {
            ColumnReader::BoolColumnReader(r) => {
                taken::<BoolType>(r, rows, depth, |v| Cell::Flag(*v))
            }
            ColumnReader::Int32ColumnReader(r) => {
                taken::<Int32Type>(r, rows, depth, |v| Cell::Number(f64::from(*v)))
            }
            ColumnReader::Int64ColumnReader(r) => {
                taken::<Int64Type>(r, rows, depth, |v| Cell::Number(*v as f64))
            }
            ColumnReader::FloatColumnReader(r) => {
                taken::<FloatType>(r, rows, depth, |v| Cell::Number(f64::from(*v)))
            }
            ColumnReader::DoubleColumnReader(r) => {
                taken::<DoubleType>(r, rows, depth, |v| Cell::Number(*v))
            }
            ColumnReader::ByteArrayColumnReader(r) => {
                taken::<ByteArrayType>(r, rows, depth, |v| {
                    // Cut loose from its page, which would stay in memory otherwise.
                    Cell::Bytes(Bytes::copy_from_slice(v.data()))
                })
            }
            _ => Err(absent("type of column")),
        })?;
        match cells.len() == rows {
            true => Ok(cells),
            false => Err(format!(
                "the column ends after {} more rows, wanted {rows}",
                cells.len()
            )),
        }
    }
}

impl Cells {
    /// The next `rows` rows of a column of lists of text: for each its texts, none where there is no list
    /// or an empty one.
    pub(super) fn take_lists(&mut self, rows: usize) -> Result<Vec<Vec<Cell>>, String> {
        let depth = self.depth;
        let lists = guarded(|| match &mut self.reader {
            ColumnReader::ByteArrayColumnReader(r) => taken_lists(r, rows, depth),
            _ => Err(absent("type of column")),
        })?;
        match lists.len() == rows {
            true => Ok(lists),
            false => Err(format!(
                "the column ends after {} more rows, wanted {rows}",
                lists.len()
            )),
        }
    }
}

fn taken_lists(
    reader: &mut ColumnReaderImpl<ByteArrayType>,
    rows: usize,
    depth: i16,
) -> ParquetResult<Vec<Vec<Cell>>> {
    let (mut levels, mut repeats, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (more, ..) = reader.read_records(
            rows - read,
            Some(&mut levels),
            Some(&mut repeats),
            &mut values,
        )?;
        if more == 0 {
            break;
        }
        read += more;
    }
    let mut values = values.iter();
    let mut lists: Vec<Vec<Cell>> = Vec::with_capacity(read);
    for (&level, &repeat) in levels.iter().zip(&repeats) {
        if repeat == 0 {
            lists.push(Vec::new());
        }
        let text = (level == depth).then(|| values.next()).flatten();
        if let (Some(text), Some(list)) = (text, lists.last_mut()) {
            list.push(Cell::Bytes(Bytes::copy_from_slice(text.data())));
        }
    }
    Ok(lists)
}

fn taken<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    depth: i16,
    cell: impl Fn(&T::T) -> Cell,
) -> ParquetResult<Vec<Cell>> {
    let (mut levels, mut values, mut read) = (Vec::new(), Vec::new(), 0);
    while read < rows {
        let (more, ..) = reader.read_records(rows - read, Some(&mut levels), None, &mut values)?;
        if more == 0 {
            break;
        }
        read += more;
    }
    let mut values = values.iter();
    let next = |values: &mut std::slice::Iter<'_, T::T>| values.next().map_or(Cell::Null, &cell);
    if depth == 0 {
        return Ok((0..read).map(|_| next(&mut values)).collect());
    }
    let cells = levels.iter().map(|&level| match level == depth {
        true => next(&mut values),
        false => Cell::Null,
    });
    Ok(cells.collect())
}

/// Runs the decoder; damage that makes it panic becomes an error like any other.
fn guarded<T>(work: impl FnOnce() -> ParquetResult<T>) -> Result<T, String> {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    match ended {
        Ok(result) => result.map_err(|e| e.to_string()),
        Err(_) => Err("the decoder gave up on damaged data".into()),
    }
}
