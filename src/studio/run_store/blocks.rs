//! Copies of a curve's points in blocks, beside their rows: a row costs SQLite 0.3 µs, a point of a
//! block a few nanoseconds.
//!
//! The blocks of a curve are its oldest points without a gap. They change in the transactions that change
//! the rows, so that neither can be seen without the other.

use std::collections::HashMap;

use protoclip::train::Tag;
use rusqlite::{Connection, Transaction};

use super::{Point, number};

/// Points of a block; few in tests, so that all of them meet blocks.
const BLOCK: usize = if cfg!(test) { 16 } else { 4096 };
/// A step and a value, both of eight bytes, lowest first.
const POINT_BYTES: usize = 16;

pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS blocks(
        tag TEXT NOT NULL, last INTEGER NOT NULL, points BLOB NOT NULL, PRIMARY KEY(tag, last));";

/// What the writer knows of each curve, so that a commit need not ask. Forgotten where a transaction
/// fails.
#[derive(Debug, Default)]
pub(super) struct Tails(HashMap<Tag, Tail>);

/// Of the points that are in no block yet.
#[derive(Debug, Clone, Copy)]
struct Tail {
    /// The last step of the last block.
    after: Option<u64>,
    /// At most so many points; some of them may have been written twice.
    points: usize,
}

impl Tails {
    /// Makes blocks of what was inserted, where there is enough, and takes those away that it changed.
    pub(super) fn follow(
        &mut self,
        transaction: &Transaction<'_>,
        inserted: &[Point],
    ) -> rusqlite::Result<()> {
        let mut first_steps: HashMap<&Tag, (u64, usize)> = HashMap::new();
        for point in inserted {
            let (first, points) = first_steps.entry(&point.tag).or_insert((point.step, 0));
            *first = point.step.min(*first);
            *points += 1;
        }
        for (tag, (first, points)) in first_steps {
            let mut tail = match self.0.get(tag) {
                Some(tail) if tail.after.is_none_or(|after| after < first) => Tail {
                    points: tail.points + points,
                    ..*tail
                },
                _ => {
                    remove_from(transaction, tag, first)?;
                    Tail::of(transaction, tag)?
                }
            };
            while tail.points >= BLOCK {
                tail = tail.fold(transaction, tag)?;
            }
            self.0.insert(tag.clone(), tail);
        }
        Ok(())
    }
}

impl Tail {
    fn of(transaction: &Transaction<'_>, tag: &str) -> rusqlite::Result<Self> {
        let after = last_of(transaction, tag)?;
        let points = transaction
            .prepare_cached("SELECT COUNT(*) FROM points WHERE tag = ?1 AND step > ?2")?
            .query_row((tag, before(after)), |row| row.get(0))?;
        Ok(Self { after, points })
    }

    /// What is left after a block was made, or no block where some points were written twice.
    fn fold(self, transaction: &Transaction<'_>, tag: &str) -> rusqlite::Result<Self> {
        let mut block = Vec::with_capacity(BLOCK * POINT_BYTES);
        let mut last = None;
        let mut query = transaction.prepare_cached(
            "SELECT step, value FROM points WHERE tag = ?1 AND step > ?2 ORDER BY step LIMIT ?3",
        )?;
        let mut rows = query.query((tag, before(self.after), BLOCK))?;
        while let Some(row) = rows.next()? {
            let (step, value): (u64, f64) = (row.get(0)?, number(row.get(1)?));
            block.extend_from_slice(&step.to_le_bytes());
            block.extend_from_slice(&value.to_le_bytes());
            last = Some(step);
        }
        let points = block.len() / POINT_BYTES;
        if points < BLOCK {
            return Ok(Self { points, ..self });
        }
        transaction
            .prepare_cached("INSERT OR REPLACE INTO blocks(tag, last, points) VALUES(?1, ?2, ?3)")?
            .execute((tag, last, block))?;
        Ok(Self {
            after: last,
            points: self.points - points,
        })
    }
}

/// Takes away every block with a point after a step.
pub(super) fn remove_after(transaction: &Transaction<'_>, step: u64) -> rusqlite::Result<()> {
    transaction.execute("DELETE FROM blocks WHERE last > ?1", [step])?;
    Ok(())
}

fn remove_from(transaction: &Transaction<'_>, tag: &str, step: u64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("DELETE FROM blocks WHERE tag = ?1 AND last >= ?2")?
        .execute((tag, step))?;
    Ok(())
}

/// The points of a curve that are in blocks, ascending.
pub(super) fn read(connection: &Connection, tag: &str) -> rusqlite::Result<Vec<(u64, f64)>> {
    let mut query =
        connection.prepare_cached("SELECT points FROM blocks WHERE tag = ?1 ORDER BY last")?;
    let mut rows = query.query([tag])?;
    let mut points = Vec::new();
    while let Some(row) = rows.next()? {
        let block = row.get_ref(0)?.as_blob()?;
        let (words, _) = block.as_chunks::<8>();
        let (pairs, _) = words.as_chunks::<2>();
        points.reserve(pairs.len());
        let point =
            |[step, value]: &[[u8; 8]; 2]| (u64::from_le_bytes(*step), f64::from_le_bytes(*value));
        points.extend(pairs.iter().map(point));
    }
    Ok(points)
}

/// How many points of a curve are in blocks, and the step of the last of them.
pub(super) fn extent(connection: &Connection, tag: &str) -> rusqlite::Result<(u64, Option<u64>)> {
    connection
        .prepare_cached(
            "SELECT COALESCE(SUM(LENGTH(points)), 0), MAX(last) FROM blocks WHERE tag = ?1",
        )?
        .query_row([tag], |row| {
            let bytes: u64 = row.get(0)?;
            Ok((bytes / POINT_BYTES as u64, row.get(1)?))
        })
}

fn last_of(connection: &Connection, tag: &str) -> rusqlite::Result<Option<u64>> {
    connection
        .prepare_cached("SELECT MAX(last) FROM blocks WHERE tag = ?1")?
        .query_row([tag], |row| row.get(0))
}

/// A step below all that come after the last block.
pub(super) fn before(after: Option<u64>) -> i64 {
    after.map_or(-1, |step| step.cast_signed())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use protoclip::config::RunConfig;

    use super::super::failures::fail_at;
    use super::super::{Batch, Point, RunStore};
    use crate::studio::RunState;
    use crate::studio::recorder::state_line;
    use crate::studio::run_snapshot::RunSnapshot;

    const TAGS: [&str; 2] = ["a", "b"];

    #[derive(Debug, Clone)]
    enum Change {
        /// Tag, first step relative to the last one, number of points.
        Write(usize, i64, u64),
        /// The same, and the transaction fails at its end.
        Fail(usize, i64, u64),
        /// Back to a share of the last step, in percent.
        Restart(u64),
        Reopen,
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let points = || (0..TAGS.len(), -40_i64..5, 1_u64..60);
        let change = prop_oneof![
            8 => (0..TAGS.len(), 1_u64..60).prop_map(|(tag, many)| Change::Write(tag, 1, many)),
            2 => points().prop_map(|(tag, from, many)| Change::Write(tag, from, many)),
            2 => points().prop_map(|(tag, from, many)| Change::Fail(tag, from, many)),
            1 => (0_u64..100).prop_map(Change::Restart),
            1 => Just(Change::Reopen),
        ];
        prop::collection::vec(change, 1..24)
    }

    type Curves = [BTreeMap<u64, f64>; 2];

    fn last(curves: &Curves, tag: usize) -> u64 {
        curves[tag].last_key_value().map_or(0, |point| *point.0)
    }

    fn batch(curves: &Curves, tag: usize, from: i64, many: u64, value: f64) -> Batch {
        let first = last(curves, tag).saturating_add_signed(from);
        let point = |step| Point {
            tag: TAGS[tag].into(),
            step,
            value: value + step as f64,
        };
        Batch {
            points: (first..first + many).map(point).collect(),
            lines: Vec::new(),
        }
    }

    fn blocks(store: &RunStore) -> u64 {
        let count = store
            .connection
            .query_row("SELECT COUNT(*) FROM blocks", [], |row| row.get(0));
        count.expect("counts")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_curve_of_blocks_is_the_curve_of_rows_whatever_is_written(changes in changes()) {
            let folder = tempfile::tempdir().expect("folder");
            let path = folder.path().join("run.db");
            let mut store = RunStore::open(&path).expect("opens");
            let snapshot = RunSnapshot::queued(&RunConfig::default());
            let mut curves = Curves::default();
            for (turn, change) in changes.into_iter().enumerate() {
                match change {
                    Change::Write(tag, from, many) => {
                        let batch = batch(&curves, tag, from, many, turn as f64 / 64.0);
                        store.commit(&batch, &snapshot).expect("stores");
                        curves[tag].extend(batch.points.iter().map(|p| (p.step, p.value)));
                    }
                    Change::Fail(tag, from, many) => {
                        let batch = batch(&curves, tag, from, many, -1.0);
                        fail_at("commit");
                        prop_assert!(store.commit(&batch, &snapshot).is_err());
                    }
                    Change::Restart(percent) => {
                        let step = last(&curves, 0).max(last(&curves, 1)) * percent / 100;
                        let line = state_line(step, RunState::Running, None);
                        store.restart(step, &line, |_| snapshot.clone()).expect("restarts");
                        curves.iter_mut().for_each(|curve| drop(curve.split_off(&(step + 1))));
                    }
                    Change::Reopen => store = RunStore::open(&path).expect("opens"),
                }
                let read = RunStore::read(&path).expect("opens");
                for (tag, curve) in TAGS.into_iter().zip(&curves) {
                    let wanted: Vec<(u64, f64)> = curve.iter().map(|(s, v)| (*s, *v)).collect();
                    prop_assert_eq!(&store.curve(tag).expect("reads"), &wanted);
                    prop_assert_eq!(read.curve(tag).expect("reads"), wanted);
                }
                let names = TAGS.into_iter().zip(&curves).filter(|(_, curve)| !curve.is_empty());
                let wanted: Vec<(String, u64)> =
                    names.map(|(tag, curve)| (tag.to_owned(), curve.len() as u64)).collect();
                prop_assert_eq!(read.tags().expect("reads"), wanted);
                let full: usize = curves.iter().map(|curve| curve.len() / super::BLOCK).sum();
                prop_assert!(blocks(&store) <= full as u64);
            }
        }
    }

    #[test]
    fn a_file_of_before_blocks_gets_them_with_its_next_point_and_is_read_without() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("run.db");
        let snapshot = RunSnapshot::queued(&RunConfig::default());
        let mut curves = Curves::default();
        let mut write = |store: &mut RunStore, many| {
            let batch = batch(&curves, 0, 1, many, 0.5);
            store.commit(&batch, &snapshot).expect("stores");
            curves[0].extend(batch.points.iter().map(|p| (p.step, p.value)));
            curves[0].iter().map(|(s, v)| (*s, *v)).collect::<Vec<_>>()
        };
        let mut store = RunStore::open(&path).expect("opens");
        let wanted = write(&mut store, 100);
        store
            .connection
            .execute_batch("DROP TABLE blocks; PRAGMA user_version = 1;")
            .expect("takes blocks away");
        drop(store);
        let read = RunStore::read(&path).expect("opens");
        assert_eq!(read.curve(TAGS[0]).expect("reads"), wanted);
        assert_eq!(read.tags().expect("reads"), [(TAGS[0].to_owned(), 100)]);
        let mut store = RunStore::open(&path).expect("opens");
        assert_eq!(blocks(&store), 0);
        let wanted = write(&mut store, 1);
        assert_eq!(blocks(&store), 6);
        assert_eq!(store.curve(TAGS[0]).expect("reads"), wanted);
        let not_a_number = Point {
            tag: TAGS[0].into(),
            step: 102,
            value: f64::NAN,
        };
        let rest = batch(&curves, 0, 3, 40, 0.5).points;
        let points = std::iter::once(not_a_number).chain(rest).collect();
        store
            .commit(
                &Batch {
                    points,
                    lines: Vec::new(),
                },
                &snapshot,
            )
            .expect("stores");
        assert_eq!(blocks(&store), 8);
        assert!(store.curve(TAGS[0]).expect("reads")[101].1.is_nan());
    }
}
