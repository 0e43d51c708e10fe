//! Whole curves.

use std::thread;

use rusqlite::Connection;

use super::super::StudioError;
use super::{RunStore, blocks};

/// Curves over fewer steps are read by one connection.
const SHORT: u64 = 50_000;
/// Most connections that read one curve.
const MOST_READERS: usize = 8;

type Points = Vec<(u64, f64)>;

/// Names of all curves, ascending: one look at the index for each, however many points it has.
const NAMES: &str = "
    WITH RECURSIVE names(tag) AS (
        SELECT MIN(tag) FROM points
        UNION ALL
        SELECT (SELECT MIN(tag) FROM points WHERE points.tag > names.tag) FROM names WHERE names.tag IS NOT NULL)
    SELECT tag FROM names WHERE tag IS NOT NULL";

impl RunStore {
    /// Names of all curves, sorted, each with its number of points.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn tags(&self) -> Result<Vec<(String, u64)>, StudioError> {
        let read = || {
            // One moment for blocks and rows, so that nothing is between them.
            let moment = self.connection.unchecked_transaction()?;
            let names = moment
                .prepare_cached(NAMES)?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<String>>>()?;
            let counted = names.into_iter().map(|tag| {
                let (in_blocks, last) = match self.format {
                    1 => (0, None),
                    _ => blocks::extent(&moment, &tag)?,
                };
                let rest: u64 = moment
                    .prepare_cached("SELECT COUNT(*) FROM points WHERE tag = ?1 AND step > ?2")?
                    .query_row((&tag, blocks::before(last)), |row| row.get(0))?;
                Ok((tag, in_blocks + rest))
            });
            counted.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(StudioError::database(&self.path))
    }

    /// Step and value of every point of a curve, ascending: those in blocks, then the newer ones.
    ///
    /// # Errors
    /// When they cannot be read.
    pub(crate) fn curve(&self, tag: &str) -> Result<Points, StudioError> {
        let read = || {
            // One moment for both, so that nothing is between them.
            let moment = self.connection.unchecked_transaction()?;
            let points = match self.format {
                1 => Vec::new(),
                _ => blocks::read(&moment, tag)?,
            };
            let after = points.last().map_or(0, |point| point.0 + 1);
            let rest = ends(&moment, tag, after)?;
            Ok((points, after, rest, moment))
        };
        let (mut points, after, rest, moment) =
            read().map_err(StudioError::database(&self.path))?;
        match rest {
            None => {}
            Some((first, last)) if last - first < SHORT => {
                self.each_point(tag, (after, u64::MAX), |step, value| {
                    points.push((step, value));
                })?;
            }
            Some(steps) => points.append(&mut self.in_parts(tag, steps)?),
        }
        drop(moment);
        Ok(points)
    }

    /// Points that are in no block, as in files of before there were any. One connection reads some three
    /// million a second; many are read in as many parts as there are processors.
    fn in_parts(&self, tag: &str, (first, last): (u64, u64)) -> Result<Points, StudioError> {
        let readers = thread::available_parallelism().map_or(1, |n| n.get().min(MOST_READERS));
        let size = (last - first) / readers as u64 + 1;
        let starts: Vec<u64> = (0..readers as u64).map(|n| first + n * size).collect();
        // Points that come meanwhile are behind all others.
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([u64::MAX]);
        let parts: Vec<(u64, u64)> = starts.iter().copied().zip(ends).collect();
        let [mine, others @ ..] = &parts[..] else {
            return Ok(Vec::new());
        };
        let path = &self.path;
        thread::scope(|scope| {
            let started: Vec<_> = others
                .iter()
                .map(|part| scope.spawn(|| Self::read(path)?.part(tag, *part)))
                .collect();
            let mut points = self.part(tag, *mine)?;
            for other in started {
                let part = other
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                points.append(&mut part?);
            }
            Ok(points)
        })
    }

    fn part(&self, tag: &str, steps: (u64, u64)) -> Result<Points, StudioError> {
        let mut points = Vec::new();
        self.each_point(tag, steps, |step, value| points.push((step, value)))?;
        Ok(points)
    }
}

/// The first and the last step of a curve from a step on; nothing where it has no points there.
fn ends(connection: &Connection, tag: &str, from: u64) -> rusqlite::Result<Option<(u64, u64)>> {
    let ends = connection.query_row(
        "SELECT (SELECT min(step) FROM points WHERE tag = ?1 AND step >= ?2),
                (SELECT max(step) FROM points WHERE tag = ?1 AND step >= ?2)",
        (tag, from.min(i64::MAX as u64)),
        |row| Ok((row.get::<_, Option<u64>>(0)?, row.get::<_, Option<u64>>(1)?)),
    );
    ends.map(|(first, last)| first.zip(last))
}

#[cfg(test)]
mod tests {
    use protoclip::config::RunConfig;

    use super::super::{Batch, Point};
    use super::*;
    use crate::studio::run_snapshot::RunSnapshot;

    #[test]
    fn a_curve_in_parts_is_the_curve_in_one_piece() {
        let folder = tempfile::tempdir().expect("folder");
        let mut store = RunStore::open(&folder.path().join("run.db")).expect("opens");
        let point = |tag: &'static str, step: u64| Point {
            tag: tag.into(),
            step,
            value: step as f64 * 0.5,
        };
        let mut points = vec![point("single", 9)];
        // The first steps are far apart, so that parts are of very different sizes.
        points.extend([1, 90_000, 180_000].map(|step| point("long", step)));
        points.extend((200_000..203_000).map(|step| point("long", step)));
        let lines = Vec::new();
        store
            .commit(
                &Batch { points, lines },
                &RunSnapshot::queued(&RunConfig::default()),
            )
            .expect("stores");
        let long = store.curve("long").expect("reads");
        assert_eq!(long.len(), 3003);
        assert_eq!(long, store.part("long", (0, u64::MAX)).expect("reads"));
        assert!(long.is_sorted_by_key(|point| point.0));
        assert_eq!(store.curve("single").expect("reads"), [(9, 4.5)]);
        assert_eq!(store.curve("absent").expect("reads"), []);
    }
}
