//! The curves in the event files of one run, as TensorBoard would show them.
//!
//! Files are read in the order of their names, which begin with the time of their start. Where steps
//! begin anew, in a later file or after a restart, what was recorded of later steps before is void.
//! Reads whole files: callers must be allowed to block.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::event::{Content, Event, Value};
use super::records::{Record, Records};

/// Everything that was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Curves {
    /// Steps and values by tag; steps ascend, each once.
    pub(crate) points: BTreeMap<String, Vec<(u64, f64)>>,
    /// Seconds since 1970 of the first and the last point.
    pub(crate) recorded: Option<(f64, f64)>,
    pub(crate) skipped: Skipped,
    /// Tags that say themselves that they are curves.
    declared: BTreeSet<String>,
}

/// What was left out, in numbers and words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Skipped {
    /// Points that a restart made void.
    pub(crate) superseded: u64,
    /// Pictures, histograms, texts and other values that are no points.
    pub(crate) other: u64,
    /// Points of steps below zero.
    pub(crate) negative: u64,
    /// One sentence for each file with records that cannot be read.
    pub(crate) damage: Vec<String>,
}

/// Hears how many more bytes were read; answers whether to go on.
pub(super) type GoOn<'a> = dyn Fn(u64) -> bool + 'a;

/// Records between two words to the listener.
const RECORDS_PER_WORD: u64 = 1000;

impl Curves {
    /// Reads all files of a run, the earliest first; `None` when it was told not to go on.
    pub(crate) fn read(files: &[PathBuf], go_on: &GoOn<'_>) -> io::Result<Option<Self>> {
        let mut curves = Self::default();
        for path in files {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            let mut records = Records::of(BufReader::new(file), length);
            if !curves.read_file(path, &mut records, go_on)? {
                return Ok(None);
            }
        }
        Ok(Some(curves))
    }

    fn read_file<R: io::Read>(
        &mut self,
        path: &Path,
        records: &mut Records<R>,
        go_on: &GoOn<'_>,
    ) -> io::Result<bool> {
        let (mut damaged, mut torn, mut read, mut left) = (0_u64, 0_u64, 0_u64, records.left());
        loop {
            match records.next()? {
                Record::Whole(data) => match Event::read(data) {
                    Ok(event) => self.take(event),
                    Err(_) => damaged += 1,
                },
                Record::Damaged => damaged += 1,
                Record::Torn(bytes) => torn = bytes,
                Record::End => break,
            }
            read += 1;
            if read % RECORDS_PER_WORD == 0 {
                if !go_on(left - records.left()) {
                    return Ok(false);
                }
                left = records.left();
            }
        }
        self.skipped.note(path, damaged, torn);
        Ok(go_on(left))
    }

    fn take(&mut self, event: Event) {
        if event.begins_session {
            self.begin_at(event.step);
        }
        for value in event.values {
            self.take_value(event.wall_time, event.step, value);
        }
    }

    fn take_value(&mut self, wall_time: f64, step: i64, value: Value) {
        if value.claims_curve {
            self.declared.insert(value.tag.clone());
        }
        let number = match value.content {
            Content::Number(number) => number,
            Content::Tensor(number) if self.declared.contains(&value.tag) => number,
            Content::Tensor(_) | Content::Other => {
                self.skipped.other += 1;
                return;
            }
        };
        let Ok(step) = u64::try_from(step) else {
            self.skipped.negative += 1;
            return;
        };
        let curve = self.points.entry(value.tag).or_default();
        self.skipped.superseded += cut(curve, step);
        curve.push((step, number));
        if wall_time.is_finite() {
            let (first, last) = self.recorded.unwrap_or((wall_time, wall_time));
            self.recorded = Some((first.min(wall_time), last.max(wall_time)));
        }
    }

    /// Forgets what was recorded of a step and of later ones.
    fn begin_at(&mut self, step: i64) {
        let step = u64::try_from(step).unwrap_or(0);
        for curve in self.points.values_mut() {
            self.skipped.superseded += cut(curve, step);
        }
        self.points.retain(|_, curve| !curve.is_empty());
    }

    pub(crate) fn count(&self) -> usize {
        self.points.values().map(Vec::len).sum()
    }

    pub(crate) fn last_step(&self) -> u64 {
        let last = |curve: &Vec<(u64, f64)>| curve.last().map_or(0, |point| point.0);
        self.points.values().map(last).max().unwrap_or(0)
    }
}

/// Removes the points from `step` on; answers with how many.
fn cut(curve: &mut Vec<(u64, f64)>, step: u64) -> u64 {
    let kept = curve.partition_point(|point| point.0 < step);
    let removed = curve.len() - kept;
    curve.truncate(kept);
    removed as u64
}

impl Skipped {
    fn note(&mut self, path: &Path, damaged: u64, torn: u64) {
        let mut parts = Vec::new();
        if damaged > 0 {
            parts.push(format!(
                "{damaged} {} left out, since the checksum or the content is wrong",
                if damaged == 1 {
                    "record was"
                } else {
                    "records were"
                }
            ));
        }
        if torn > 0 {
            parts.push(format!(
                "the last {torn} bytes are no whole record and were left out"
            ));
        }
        if !parts.is_empty() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.damage.push(format!("{name}: {}", parts.join("; ")));
        }
    }

    /// What was left out, a sentence each.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let counted = [
            (
                self.superseded,
                "points were recorded again after a restart; the newest count",
            ),
            (
                self.other,
                "values are no points of curves and were left out",
            ),
            (self.negative, "points of steps below zero were left out"),
        ];
        let counted = counted.into_iter().filter(|(count, _)| *count > 0);
        let counted = counted.map(|(count, what)| format!("{count} {what}"));
        counted.chain(self.damage.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests;
