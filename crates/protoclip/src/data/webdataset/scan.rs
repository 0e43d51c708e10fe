//! The one pass over the headers of all shards that finds their usable pairs.
//!
//! Shards are looked through in parallel on the current rayon pool and joined in order, some at a time,
//! so that memory grows with the pairs that are kept alone. Texts are read whole, pictures as far as
//! their header.

mod shard;

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use self::shard::{ShardScan, scan_shard};
use super::archives::Archives;
use super::index::{Index, Located, PICTURES};
use super::json_fields::JsonFields;
use crate::data::kept_index::IndexBase;
use crate::data::labelling::Classes;
use crate::data::{DataError, OpenProgress, SkipReason, SkipReport};

/// Finds the usable pairs of all shards.
///
/// # Errors
/// When `progress` cancels, storage cannot be reached, or there are more pairs than can be numbered.
pub(super) fn scan(
    archives: &Archives,
    fields: &JsonFields,
    progress: OpenProgress<'_>,
) -> Result<Index, DataError> {
    let total = archives.bytes();
    let done = AtomicU64::new(0);
    let go_on = |more: u64| {
        let now = done.fetch_add(more, Ordering::Relaxed) + more;
        progress(now.min(total), total)
    };
    let mut joined = Joined::new(fields);
    let together = rayon::current_num_threads().max(1) * 2;
    for start in (0..archives.len()).step_by(together) {
        let end = (start + together).min(archives.len());
        let scans: Vec<Result<ShardScan, DataError>> = (start..end)
            .into_par_iter()
            .map(|shard| scan_shard(archives, shard, fields, &go_on))
            .collect();
        for (shard, scan) in (start..end).zip(scans) {
            joined.append(archives, shard, scan?)?;
        }
    }
    Ok(joined.finish())
}

/// Shards joined so far.
struct Joined<'a> {
    fields: &'a JsonFields,
    index: Index,
    classes: Vec<Classes>,
    report: SkipReport,
    hash: blake3::Hasher,
}

impl<'a> Joined<'a> {
    fn new(fields: &'a JsonFields) -> Self {
        Self {
            fields,
            index: Index::default(),
            classes: fields.labels().iter().map(|_| Classes::default()).collect(),
            report: SkipReport::default(),
            hash: blake3::Hasher::new(),
        }
    }

    fn append(
        &mut self,
        archives: &Archives,
        shard: usize,
        scan: ShardScan,
    ) -> Result<(), DataError> {
        let name = archives.name(shard);
        for (key, mut group) in scan.groups {
            let record = u32::try_from(self.report.rows)
                .map_err(|_| DataError::format(name, "more than 4,294,967,295 pairs"))?;
            self.report.rows += 1;
            match group.resolve(self.fields) {
                Ok(usable) => {
                    let located = Located {
                        shard,
                        picture: usable.picture.span,
                        caption: usable.caption.span,
                        caption_in_json: usable.caption_in_json,
                        extension: "",
                    };
                    let extension = usize::from(usable.extension).min(PICTURES.len() - 1);
                    self.index.push(&located, extension, &key, record);
                    if let Some(caption) = group.kept_caption(&usable) {
                        self.index.keep_caption(caption);
                    }
                    self.hash.update(key.as_bytes());
                    for member in [usable.picture, usable.caption] {
                        self.hash.update(&member.span.bytes.to_le_bytes());
                        self.hash.update(&member.digest.to_le_bytes());
                    }
                    for (column, classes) in self.classes.iter_mut().enumerate() {
                        let local = group.labels.get(column).copied();
                        let text = local.map_or("", |class| scan.classes[column].name(class));
                        let class = classes.index(text);
                        classes.push(class);
                    }
                }
                Err(problem) => {
                    let (ending, reason, detail) = *problem;
                    let place = format!("{name}!{key}.{ending}");
                    let row = u64::from(record) + 1;
                    self.report.note(row, place, reason, detail);
                }
            }
        }
        for (member, reason, detail) in scan.others {
            self.report.rows += 1;
            let place = match member.is_empty() {
                true => name.to_owned(),
                false => format!("{name}!{member}"),
            };
            self.report.note(self.report.rows, place, reason, detail);
        }
        if let Some(problem) = scan.broken {
            self.report.rows += 1;
            let row = self.report.rows;
            self.report
                .note(row, name, SkipReason::BrokenShard, problem);
        }
        Ok(())
    }

    /// The fingerprint covers keys, captions, and the size and beginning of every usable picture; not
    /// the names of the shards.
    fn finish(mut self) -> Index {
        let names = self.fields.labels().iter();
        let labels = names.zip(self.classes);
        self.index.base = IndexBase {
            fingerprint: self.hash.finalize().to_hex().to_string(),
            labels: labels.map(|(name, classes)| classes.finish(name)).collect(),
            report: self.report,
        };
        self.index
    }
}
