//! The one pass over all rows that finds the usable ones.
//!
//! Row groups are read in parallel on the current rayon pool and joined in order, some at a time, and
//! within one some rows at a time, so that memory does not grow with the pictures.

mod row_group;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use self::row_group::{GroupScan, scan_group};
use super::Opened;
use super::index::{Index, Located};
use crate::config::DataConfig;
use crate::data::kept_index::IndexBase;
use crate::data::labelling::Classes;
use crate::data::picture_folder::PictureFolder;
use crate::data::{DataError, OpenProgress, SkipReason, SkipReport};

/// Finds the usable rows of all files, whose names are `names`.
///
/// # Errors
/// When `progress` cancels or there are more rows than can be numbered.
pub(super) fn scan(
    (files, names): (&[Result<Opened, String>], &[String]),
    folder: (&Path, &PictureFolder),
    config: &DataConfig,
    progress: OpenProgress<'_>,
) -> Result<Index, DataError> {
    let opened = files.iter().filter_map(|file| file.as_ref().ok());
    let total: u64 = opened
        .flat_map(|o| (0..o.file.metadata.num_row_groups()).map(|g| o.file.rows(g) as u64))
        .sum();
    let done = AtomicU64::new(0);
    let go_on = |rows: u64| {
        let now = done.fetch_add(rows, Ordering::Relaxed) + rows;
        progress(now.min(total), total)
    };
    let mut joined = Joined {
        index: Index::default(),
        classes: config
            .label_columns
            .iter()
            .map(|_| Classes::default())
            .collect(),
        report: SkipReport::default(),
        hash: blake3::Hasher::new(),
    };
    let together = rayon::current_num_threads().max(1) * 2;
    for (number, file) in files.iter().enumerate() {
        let opened = match file {
            Ok(opened) => opened,
            Err(message) => {
                joined.broken_file(names.get(number).map_or("", String::as_str), message);
                continue;
            }
        };
        let groups: Vec<usize> = (0..opened.file.metadata.num_row_groups()).collect();
        for some in groups.chunks(together) {
            let scans: Vec<GroupScan> = some
                .par_iter()
                .map(|&group| scan_group(opened, group, folder, &go_on))
                .collect();
            for (&group, scan) in some.iter().zip(scans) {
                joined.append(opened, (number, group), scan)?;
            }
        }
    }
    if !go_on(0) {
        return Err(DataError::Cancelled);
    }
    Ok(joined.finish(config))
}

/// Row groups joined so far.
struct Joined {
    index: Index,
    classes: Vec<Classes>,
    report: SkipReport,
    hash: blake3::Hasher,
}

impl Joined {
    /// Notes a file that cannot be read at all.
    fn broken_file(&mut self, name: &str, message: &str) {
        self.report.rows += 1;
        self.report
            .note(self.report.rows, name, SkipReason::BrokenShard, message);
    }

    fn append(
        &mut self,
        opened: &Opened,
        (file, group): (usize, usize),
        scan: GroupScan,
    ) -> Result<(), DataError> {
        if scan.cancelled {
            return Err(DataError::Cancelled);
        }
        let name = opened.file.name();
        let first = self.report.rows;
        for row in &scan.usable {
            let record = u32::try_from(first + row.number as u64)
                .map_err(|_| DataError::format(name, "more than 4,294,967,295 rows"))?;
            let located = Located {
                file,
                group,
                row: row.row,
                in_file: row.in_file,
            };
            self.index.push(&located, record, &row.caption, &row.path);
            for part in [row.caption.as_bytes(), row.path.as_bytes()] {
                self.hash.update(&(part.len() as u64).to_le_bytes());
                self.hash.update(part);
            }
            self.hash.update(&row.digest.to_le_bytes());
            for ((classes, local), class) in
                self.classes.iter_mut().zip(&scan.classes).zip(&row.labels)
            {
                let class = classes.index(local.name(*class));
                classes.push(class);
            }
        }
        for (number, row, reason, detail) in scan.skipped {
            let place = super::place(name, group, row);
            self.report
                .note(first + number as u64 + 1, place, reason, detail);
        }
        let read = first + scan.captions as u64;
        self.report.rows = read;
        if let Some((row, message)) = scan.broken {
            let left = opened.file.rows(group).saturating_sub(row) as u64;
            let lost = left.max(1);
            self.report.rows += left;
            let place = super::place(name, group, row);
            let detail = format!("{message}; {lost} rows from here on are lost");
            let reason = SkipReason::BrokenShard;
            self.report.note_many(lost, read + 1, place, reason, detail);
        }
        Ok(())
    }

    /// The fingerprint covers captions, names, and the size and beginning of every usable picture.
    fn finish(mut self, config: &DataConfig) -> Index {
        self.index.find_shared();
        let labels = config.label_columns.iter().zip(self.classes);
        self.index.base = IndexBase {
            fingerprint: self.hash.finalize().to_hex().to_string(),
            labels: labels.map(|(name, classes)| classes.finish(name)).collect(),
            report: self.report,
        };
        self.index
    }
}
