//! What of a data set cannot be used: counted by reason, the first ones listed with their place.
//!
//! Filled while a source is opened and, by [`Failures`], by every thread that later meets a broken
//! picture.

use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use super::SampleId;
use crate::config::DataConfig;

/// Rows that were skipped, counted by reason, the first ones listed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkipReport {
    /// All rows seen, usable or not.
    pub rows: u64,
    pub skipped: u64,
    pub by_reason: Vec<(SkipReason, u64)>,
    /// At most [`SkipReport::LISTED`] of them.
    pub listed: Vec<SkippedRow>,
}

/// One unusable row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedRow {
    /// Line of a text file; otherwise the number among all rows. From 1.
    pub row: u64,
    /// Where a person finds it: `line 7`, `shard.tar!key.png`, `row group 2, row 5`.
    #[serde(default)]
    pub place: String,
    pub reason: SkipReason,
    /// The path, or the decoder's message.
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    MissingFile,
    BrokenImage,
    BadUtf8,
    EmptyCaption,
    MissingColumn,
    BrokenShard,
    BrokenMember,
    BadJson,
    OutsideFolder,
}

impl SkipReason {
    /// What a person reads.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::MissingFile => "missing file",
            Self::BrokenImage => "broken image",
            Self::BadUtf8 => "text that is not UTF-8",
            Self::EmptyCaption => "empty caption",
            Self::MissingColumn => "too few columns",
            Self::BrokenShard => "broken shard",
            Self::BrokenMember => "broken member",
            Self::BadJson => "broken JSON",
            Self::OutsideFolder => "file outside the data set's folder",
        }
    }
}

impl SkipReport {
    /// Rows that a report lists one by one.
    pub const LISTED: usize = 1000;
    /// Characters kept of a detail.
    const DETAIL: usize = 300;

    /// Counts an unusable row and lists it while there is room.
    pub(super) fn note(
        &mut self,
        row: u64,
        place: impl Into<String>,
        reason: SkipReason,
        detail: impl Into<String>,
    ) {
        self.note_many(1, row, place, reason, detail);
    }

    /// Counts `rows` unusable ones with one cause, the first of them `row`, and lists them as one.
    pub(super) fn note_many(
        &mut self,
        rows: u64,
        row: u64,
        place: impl Into<String>,
        reason: SkipReason,
        detail: impl Into<String>,
    ) {
        self.skipped += rows;
        match self.by_reason.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, count)) => *count += rows,
            None => self.by_reason.push((reason, rows)),
        }
        if self.listed.len() < Self::LISTED {
            self.listed.push(SkippedRow {
                row,
                place: shortened(place.into()),
                reason,
                detail: shortened(detail.into()),
            });
        }
    }

    /// Whether pictures that lie beside the data set's own files were skipped, so that the report can
    /// change while those files do not.
    pub(super) fn blames_pictures(&self) -> bool {
        let blamed = |(reason, _): &(SkipReason, u64)| {
            matches!(
                reason,
                SkipReason::MissingFile | SkipReason::BrokenImage | SkipReason::OutsideFolder
            )
        };
        self.by_reason.iter().any(blamed)
    }

    /// Why a data set with this report is refused, if it is: nothing usable, or more unusable than
    /// `max_broken_share` allows. `what` are its rows: `rows`, `pictures`.
    pub(super) fn refusal(&self, config: &DataConfig, what: &str, usable: usize) -> Option<String> {
        let message = if usable == 0 {
            format!("none of the {} {what} is usable", self.rows)
        } else if self.skipped as f64 > config.max_broken_share * self.rows as f64 {
            format!(
                "{} of {} {what} are unusable, more than data.max_broken_share = {} allows; repair them or raise it",
                self.skipped, self.rows, config.max_broken_share
            )
        } else {
            return None;
        };
        Some(message + &self.first_lines())
    }

    /// The first listed rows as text for an error message, or nothing.
    fn first_lines(&self) -> String {
        let lines = self.listed.iter().take(5).map(|r| {
            let reason = r.reason.describe();
            format!("\n  {}: {reason}: {}", r.place, r.detail)
        });
        lines.collect()
    }
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(SkipReport::DETAIL) {
        Some((end, _)) => text[..end].to_owned(),
        None => text,
    }
}

/// A report that grows while the data is in use; each sample joins it once.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<(SkipReport, FxHashSet<SampleId>)>);

impl Failures {
    pub(super) fn new(report: SkipReport) -> Self {
        Self(Mutex::new((report, FxHashSet::default())))
    }

    /// Notes that a sample turned out to be unusable.
    pub(super) fn note(
        &self,
        sample: SampleId,
        row: u64,
        place: impl Into<String>,
        reason: SkipReason,
        detail: impl Into<String>,
    ) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.1.insert(sample) {
            known.0.note(row, place, reason, detail);
        }
    }

    pub(super) fn report(&self) -> SkipReport {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.0.clone()
    }
}
