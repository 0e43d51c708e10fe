//! The one pass over a file that finds its usable rows.
//!
//! Rows are read in chunks; the pictures of a chunk are checked in parallel on the current rayon
//! pool, then appended in order. Memory does not grow with anything but the kept numbers.

mod stored;

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader};
use rayon::prelude::*;

use super::columns::Columns;
use super::guarded::Guarded;
use super::table::Table;
use crate::config::DataConfig;
use crate::data::kept_index::IndexBase;
use crate::data::labelling::Classes;
use crate::data::picture_folder::PictureFolder;
use crate::data::shared_pictures::SharedPictures;
use crate::data::{DataError, LabelColumn, OpenProgress, SampleId, SkipReason, SkipReport};

/// Rows checked together.
const CHUNK: usize = 1024;

/// Where the usable rows are and what they are labelled.
#[derive(Debug, Default)]
pub(super) struct Index {
    offsets: Vec<u64>,
    records: Vec<u32>,
    lines: Vec<u32>,
    /// Numbers of the rows' pictures, when some rows share one.
    pictures: Option<Vec<u32>>,
    pub(super) base: IndexBase,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// First byte of the row of a sample.
    pub(super) fn offset(&self, sample: SampleId) -> Option<u64> {
        self.offsets.get(sample as usize).copied()
    }

    /// Number of the row among all rows below the header, from 0.
    pub(super) fn record_number(&self, sample: SampleId) -> u64 {
        self.records
            .get(sample as usize)
            .copied()
            .unwrap_or(u32::MAX)
            .into()
    }

    /// Line of the file on which the row begins, from 1.
    pub(super) fn line(&self, sample: SampleId) -> u64 {
        self.lines
            .get(sample as usize)
            .copied()
            .unwrap_or(u32::MAX)
            .into()
    }

    pub(super) fn labels(&self) -> &[LabelColumn] {
        &self.base.labels
    }

    /// For each sample the number of its picture; `None` when all are different.
    pub(super) fn pictures(&self) -> Option<&[u32]> {
        self.pictures.as_deref()
    }

    pub(super) fn fingerprint(&self) -> &str {
        &self.base.fingerprint
    }
}

/// A reader behind the header row, and the columns that the row names.
fn begin(
    config: &DataConfig,
    table: &Table,
    separator: u8,
) -> Result<(Reader<Guarded<File>>, Columns), DataError> {
    let path = table.path();
    let file = Guarded::hashing(table.beginning()?);
    let mut reader = super::reader(separator).from_reader(file);
    let mut record = ByteRecord::new();
    if !read(&mut reader, &mut record, path)? {
        return Err(DataError::format(
            path.display(),
            "the file is empty; it needs a header row and rows of image path and caption",
        ));
    }
    let columns = Columns::find(config, &record, path)?;
    Ok((reader, columns))
}

/// The columns of the file.
///
/// # Errors
/// When it cannot be read or lacks a column.
pub(super) fn columns(
    config: &DataConfig,
    table: &Table,
    separator: u8,
) -> Result<Columns, DataError> {
    begin(config, table, separator).map(|(_, columns)| columns)
}

/// Reads the file, whose pictures are in `pictures`.
///
/// # Errors
/// When it cannot be read, lacks a column, has a row without end, storage cannot be reached, or
/// `progress` cancels.
pub(super) fn build(
    config: &DataConfig,
    (table, pictures): (&Table, &PictureFolder),
    separator: u8,
    progress: OpenProgress<'_>,
) -> Result<Index, DataError> {
    let (path, total) = (table.path(), table.bytes());
    pictures.look()?;
    let (mut reader, columns) = begin(config, table, separator)?;
    let mut record = ByteRecord::new();
    let mut builder = Builder::new(path, super::folder_of(config), pictures, columns);
    loop {
        let more = builder.read_chunk(&mut reader, &mut record)?;
        builder.append_chunk();
        if !progress(reader.position().byte().min(total), total) {
            return Err(DataError::Cancelled);
        }
        if !more {
            break;
        }
    }
    let hash = reader.get_ref().hash().cloned().unwrap_or_default();
    Ok(builder.finish(hash))
}

fn read(
    reader: &mut Reader<Guarded<File>>,
    record: &mut ByteRecord,
    path: &Path,
) -> Result<bool, DataError> {
    let line = reader.position().line();
    reader.get_mut().next_row();
    reader
        .read_byte_record(record)
        .map_err(|e| DataError::format(path.display(), format!("line {line}: {e}")))
}

/// A row with everything that is needed to keep or skip it.
struct Row {
    offset: u64,
    line: u64,
    number: u32,
    picture: Result<PathBuf, (SkipReason, String)>,
    /// Class of each label column.
    labels: Vec<u32>,
}

struct Builder<'a> {
    path: &'a Path,
    picture_folder: &'a PictureFolder,
    folder: PathBuf,
    columns: Columns,
    chunk: Vec<Row>,
    offsets: Vec<u64>,
    records: Vec<u32>,
    lines: Vec<u32>,
    classes: Vec<Classes>,
    pictures: SharedPictures,
    report: SkipReport,
}

impl<'a> Builder<'a> {
    fn new(
        path: &'a Path,
        folder: PathBuf,
        picture_folder: &'a PictureFolder,
        columns: Columns,
    ) -> Self {
        Self {
            path,
            picture_folder,
            folder,
            classes: columns.labels.iter().map(|_| Classes::default()).collect(),
            columns,
            chunk: Vec::with_capacity(CHUNK),
            offsets: Vec::new(),
            records: Vec::new(),
            lines: Vec::new(),
            pictures: SharedPictures::default(),
            report: SkipReport::default(),
        }
    }

    /// Reads rows into the chunk; false when the file ended.
    fn read_chunk(
        &mut self,
        reader: &mut Reader<Guarded<File>>,
        record: &mut ByteRecord,
    ) -> Result<bool, DataError> {
        for _ in 0..CHUNK {
            if !read(reader, record, self.path)? {
                return Ok(false);
            }
            let number = u32::try_from(self.report.rows).map_err(|_| {
                DataError::format(self.path.display(), "more than 4,294,967,295 rows")
            })?;
            self.report.rows += 1;
            let position = record.position();
            let below = u64::from(reader.get_ref().has_crlf());
            let row = Row {
                offset: position.map_or(0, csv::Position::byte),
                line: position.map_or(0, |p| p.line() + below),
                number,
                picture: self.picture(record),
                labels: self.labels(record),
            };
            self.chunk.push(row);
        }
        Ok(true)
    }

    /// The picture's path, or why the row is unusable before its picture is looked at.
    fn picture(&self, record: &ByteRecord) -> Result<PathBuf, (SkipReason, String)> {
        let columns = [&self.columns.image, &self.columns.caption];
        let mut texts = [""; 2];
        for (text, column) in texts.iter_mut().zip(columns) {
            let bytes = record.get(column.position).ok_or_else(|| {
                let detail = format!("{} fields, none for {:?}", record.len(), column.name);
                (SkipReason::MissingColumn, detail)
            })?;
            *text = std::str::from_utf8(bytes)
                .map_err(|e| (SkipReason::BadUtf8, format!("{:?}: {e}", column.name)))?
                .trim();
        }
        let [image, caption] = texts;
        if caption.is_empty() {
            return Err((SkipReason::EmptyCaption, image.to_owned()));
        }
        if image.is_empty() {
            let detail = format!("{:?} is empty", self.columns.image.name);
            return Err((SkipReason::MissingFile, detail));
        }
        Ok(self.folder.join(image))
    }

    fn labels(&mut self, record: &ByteRecord) -> Vec<u32> {
        self.columns
            .labels
            .iter()
            .zip(&mut self.classes)
            .map(|(column, classes)| {
                let bytes = record.get(column.position).unwrap_or_default();
                classes.index(&String::from_utf8_lossy(bytes))
            })
            .collect()
    }

    /// Checks the pictures of the chunk and keeps or skips its rows.
    fn append_chunk(&mut self) {
        let folder = self.picture_folder;
        self.chunk.par_iter_mut().for_each(|row| {
            if let Ok(path) = &row.picture
                && let Err((reason, message)) = folder.check(path)
            {
                row.picture = Err((reason, format!("{}: {message}", path.display())));
            }
        });
        for row in self.chunk.drain(..) {
            match row.picture {
                Ok(path) => {
                    self.pictures.add(&path);
                    self.offsets.push(row.offset);
                    self.records.push(row.number);
                    self.lines.push(u32::try_from(row.line).unwrap_or(u32::MAX));
                    for (classes, class) in self.classes.iter_mut().zip(row.labels) {
                        classes.push(class);
                    }
                }
                Err((reason, detail)) => {
                    let place = format!("line {}", row.line);
                    self.report.note(row.line, place, reason, detail);
                }
            }
        }
    }

    /// The fingerprint covers the file, the columns in use and which rows are usable; the pictures
    /// themselves are not read.
    fn finish(self, mut hash: blake3::Hasher) -> Index {
        for column in [&self.columns.image, &self.columns.caption] {
            hash.update(&(column.position as u64).to_le_bytes());
        }
        for offset in &self.offsets {
            hash.update(&offset.to_le_bytes());
        }
        let labels = self
            .columns
            .labels
            .iter()
            .zip(self.classes)
            .map(|(column, classes)| classes.finish(&column.name))
            .collect();
        Index {
            offsets: self.offsets,
            records: self.records,
            lines: self.lines,
            pictures: self.pictures.shared(),
            base: IndexBase {
                fingerprint: hash.finalize().to_hex().to_string(),
                labels,
                report: self.report,
            },
        }
    }
}
