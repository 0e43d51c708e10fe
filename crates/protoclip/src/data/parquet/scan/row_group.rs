//! The rows of one row group.

use std::path::Path;

use crate::data::SkipReason;
use crate::data::decode::check_header_of;
use crate::data::labelling::Classes;
use crate::data::parquet::Opened;
use crate::data::parquet::columns::Label;
use crate::data::parquet::file::{Cell, Cells};
use crate::data::picture_folder::PictureFolder;

/// Rows read together.
const ROWS: usize = 64;
/// Bytes of a picture that its digest covers, beside its size.
const DIGESTED: usize = 4096;

/// What was found in one row group.
#[derive(Debug, Default)]
pub(super) struct GroupScan {
    pub(super) usable: Vec<UsableRow>,
    /// Number among the captions of the group, row, reason and detail.
    pub(super) skipped: Vec<(usize, usize, SkipReason, String)>,
    /// Captions of the rows that were read; a row without any counts as one.
    pub(super) captions: usize,
    /// Classes of each label column, numbered within the group.
    pub(super) classes: Vec<Classes>,
    /// The row from which on nothing can be read, and why.
    pub(super) broken: Option<(usize, String)>,
    pub(super) cancelled: bool,
}

#[derive(Debug)]
pub(super) struct UsableRow {
    /// Within the row group, from 0.
    pub(super) row: usize,
    /// Number among the captions of the group, from 0; the row itself where each has one caption.
    pub(super) number: usize,
    pub(super) caption: String,
    pub(super) path: String,
    pub(super) in_file: bool,
    pub(super) digest: u64,
    pub(super) labels: Vec<u32>,
}

/// The columns of one row group, at the same row.
struct Readers {
    caption: Cells,
    captions_are_lists: bool,
    bytes: Option<Cells>,
    path: Option<Cells>,
    labels: Vec<Cells>,
}

/// Looks at every row of a group; `go_on` is told how many more were done and may cancel.
pub(super) fn scan_group(
    opened: &Opened,
    group: usize,
    folder: (&Path, &PictureFolder),
    go_on: &(dyn Fn(u64) -> bool + Sync),
) -> GroupScan {
    let labels = &opened.columns.labels;
    let mut scan = GroupScan {
        classes: labels.iter().map(|_| Classes::default()).collect(),
        ..GroupScan::default()
    };
    let rows = opened.file.rows(group);
    let mut readers = match Readers::open(opened, group) {
        Ok(readers) => readers,
        Err(message) => {
            scan.broken = Some((0, message));
            return scan;
        }
    };
    for start in (0..rows).step_by(ROWS) {
        let count = ROWS.min(rows - start);
        match readers.take(count) {
            Ok(cells) => scan.look_at(start, cells, folder, labels),
            Err(message) => {
                scan.broken = Some((start, message));
                return scan;
            }
        }
        if !go_on(count as u64) {
            scan.cancelled = true;
            return scan;
        }
    }
    scan
}

impl Readers {
    fn open(opened: &Opened, group: usize) -> Result<Self, String> {
        let column = |leaf| opened.file.column(group, leaf);
        let columns = &opened.columns;
        Ok(Self {
            caption: column(columns.caption)?,
            captions_are_lists: columns.captions_are_lists,
            bytes: columns.bytes.map(column).transpose()?,
            path: columns.path.map(column).transpose()?,
            labels: columns
                .labels
                .iter()
                .map(|label| column(label.leaf))
                .collect::<Result<_, _>>()?,
        })
    }

    fn take(&mut self, rows: usize) -> Result<Taken, String> {
        let optional = |cells: &mut Option<Cells>| match cells {
            Some(cells) => cells.take(rows),
            None => Ok(vec![Cell::Null; rows]),
        };
        Ok(Taken {
            captions: match self.captions_are_lists {
                true => self.caption.take_lists(rows)?,
                false => {
                    let cells = self.caption.take(rows)?.into_iter();
                    cells.map(|cell| vec![cell]).collect()
                }
            },
            bytes: optional(&mut self.bytes)?,
            paths: optional(&mut self.path)?,
            labels: self
                .labels
                .iter_mut()
                .map(|cells| cells.take(rows))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Some rows, column by column.
struct Taken {
    /// Those of each row.
    captions: Vec<Vec<Cell>>,
    bytes: Vec<Cell>,
    paths: Vec<Cell>,
    labels: Vec<Vec<Cell>>,
}

impl GroupScan {
    fn look_at(
        &mut self,
        start: usize,
        taken: Taken,
        folder: (&Path, &PictureFolder),
        labels: &[Label],
    ) {
        let pictures = taken.bytes.iter().zip(&taken.paths);
        for (at, (captions, (bytes, path))) in taken.captions.iter().zip(pictures).enumerate() {
            let row = start + at;
            // A row without a caption is one that cannot be used.
            let captions = match captions.is_empty() {
                true => &[Cell::Null],
                false => &captions[..],
            };
            for caption in captions {
                let number = self.captions;
                self.captions += 1;
                match usable((row, number), caption, (bytes, path), folder) {
                    Ok(mut usable) => {
                        let columns = labels.iter().zip(&mut self.classes).zip(&taken.labels);
                        usable.labels = columns
                            .map(|((label, classes), cells)| {
                                classes.index(&class(label, &cells[at]))
                            })
                            .collect();
                        self.usable.push(usable);
                    }
                    Err((reason, detail)) => self.skipped.push((number, row, reason, detail)),
                }
            }
        }
    }
}

fn usable(
    (row, number): (usize, usize),
    caption: &Cell,
    (bytes, path): (&Cell, &Cell),
    (folder, pictures): (&Path, &PictureFolder),
) -> Result<UsableRow, (SkipReason, String)> {
    let caption = text(caption, "caption")?;
    if caption.is_empty() {
        return Err((SkipReason::EmptyCaption, "no text".into()));
    }
    let path = text(path, "path")?;
    let mut digest = 0;
    let in_file = match bytes {
        Cell::Bytes(bytes) => {
            check_header_of(bytes).map_err(|message| (SkipReason::BrokenImage, message))?;
            digest = self::digest(bytes);
            true
        }
        _ if path.is_empty() => {
            let detail = "the row has neither bytes nor a path".to_owned();
            return Err((SkipReason::MissingFile, detail));
        }
        _ => {
            let file = folder.join(&path);
            pictures.check(&file).map_err(|(reason, message)| {
                let detail = format!("{}: {message}", file.display());
                (reason, detail)
            })?;
            false
        }
    };
    Ok(UsableRow {
        row,
        number,
        caption,
        path,
        in_file,
        digest,
        labels: Vec::new(),
    })
}

/// Trimmed text; empty for what is absent.
fn text(cell: &Cell, what: &str) -> Result<String, (SkipReason, String)> {
    match cell {
        Cell::Bytes(bytes) => std::str::from_utf8(bytes)
            .map(|text| text.trim().to_owned())
            .map_err(|e| (SkipReason::BadUtf8, format!("{what}: {e}"))),
        _ => Ok(String::new()),
    }
}

fn class(label: &Label, cell: &Cell) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Cell::Flag(flag) => flag.to_string(),
        Cell::Number(number) => {
            let named = (*number >= 0.0 && number.fract() == 0.0)
                .then(|| label.classes.get(*number as usize))
                .flatten();
            named.cloned().unwrap_or_else(|| number.to_string())
        }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let mut hash = blake3::Hasher::new();
    hash.update(&(bytes.len() as u64).to_le_bytes());
    hash.update(&bytes[..bytes.len().min(DIGESTED)]);
    let hash = hash.finalize();
    let (words, _) = hash.as_bytes().as_chunks::<8>();
    words.first().map_or(0, |&word| u64::from_le_bytes(word))
}
