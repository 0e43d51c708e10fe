//! `run.db`: the points, events and progress of one run, in SQLite with a write-ahead log.
//!
//! One writer, which is whoever holds the run's lock; any number of readers beside it. Every
//! commit replaces the stored snapshot, so points and progress never disagree.

mod blocks;
mod curve;
mod reading;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use protoclip::train::Tag;
use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction};
use serde_json::json;

use super::StudioError;
use super::run_log::{LogLine, NewLine};
use super::run_snapshot::RunSnapshot;

/// One value of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    pub tag: Tag,
    pub step: u64,
    pub value: f64,
}

/// What one transaction adds.
#[derive(Debug, Default)]
pub struct Batch {
    pub points: Vec<Point>,
    pub lines: Vec<NewLine>,
}

/// The database of one run.
#[derive(Debug)]
pub struct RunStore {
    connection: Connection,
    path: PathBuf,
    /// Format of the file when it was opened.
    format: i64,
    tails: blocks::Tails,
}

/// How long a reader or a second connection waits for a commit.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// Format 1 had no blocks.
const FORMAT: i64 = 2;
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS points(
        tag TEXT NOT NULL, step INTEGER NOT NULL, value REAL,
        PRIMARY KEY(tag, step)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS events(
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        step INTEGER NOT NULL, time TEXT NOT NULL, kind TEXT NOT NULL, json TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;";

impl RunStore {
    /// Opens the database for writing, creating it when absent.
    ///
    /// # Errors
    /// When the file is no database, was written by a newer version, or cannot be written.
    pub fn open(path: &Path) -> Result<Self, StudioError> {
        let error = StudioError::database(path);
        let connection = Connection::open(path).map_err(&error)?;
        connection.busy_timeout(BUSY_LIMIT).map_err(&error)?;
        let mut store = Self::over(connection, path)?;
        store.prepare().map_err(error)?;
        store.format = FORMAT;
        Ok(store)
    }

    /// Opens the database for reading.
    ///
    /// # Errors
    /// When it is absent or unreadable.
    pub fn read(path: &Path) -> Result<Self, StudioError> {
        let error = StudioError::database(path);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(&error)?;
        connection.busy_timeout(BUSY_LIMIT).map_err(error)?;
        Self::over(connection, path)
    }

    fn over(connection: Connection, path: &Path) -> Result<Self, StudioError> {
        let format: i64 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .map_err(StudioError::database(path))?;
        if format > FORMAT {
            return Err(StudioError::format(
                path,
                format!(
                    "written by a newer version (format {format}, known up to {FORMAT}); update the program"
                ),
            ));
        }
        Ok(Self {
            connection,
            path: path.to_owned(),
            format,
            tails: blocks::Tails::default(),
        })
    }

    fn prepare(&self) -> rusqlite::Result<()> {
        self.connection.pragma_update(None, "journal_mode", "WAL")?;
        self.connection
            .pragma_update(None, "synchronous", "NORMAL")?;
        let version = format!("PRAGMA user_version = {FORMAT};");
        self.connection
            .execute_batch(&[SCHEMA, blocks::SCHEMA, &version].concat())
    }

    /// Adds a batch and replaces the snapshot, in one transaction. Gives the lines back numbered.
    ///
    /// A kill of the process loses nothing committed; only [`RunStore::commit_durably`] also
    /// survives a power failure.
    ///
    /// # Errors
    /// When the disk is full or the file was damaged; nothing of the batch is then stored.
    pub fn commit(
        &mut self,
        batch: &Batch,
        snapshot: &RunSnapshot,
    ) -> Result<Vec<LogLine>, StudioError> {
        self.store(batch, snapshot, false)
    }

    /// Everything in one transaction, so that a failure anywhere leaves nothing behind that a second
    /// try would double.
    fn store(
        &mut self,
        batch: &Batch,
        snapshot: &RunSnapshot,
        before_checkpoint: bool,
    ) -> Result<Vec<LogLine>, StudioError> {
        let error = StudioError::database(&self.path);
        let write = |connection: &mut Connection, tails: &mut blocks::Tails| {
            may_fail("begin")?;
            let transaction = connection.transaction()?;
            may_fail("points")?;
            insert_points(&transaction, &batch.points)?;
            tails.follow(&transaction, &batch.points)?;
            may_fail("lines")?;
            let lines = insert_lines(&transaction, &batch.lines)?;
            may_fail("snapshot")?;
            put_snapshot(&transaction, snapshot)?;
            if before_checkpoint {
                may_fail("mark")?;
                mark_checkpoint(&transaction, snapshot.step)?;
            }
            may_fail("commit")?;
            transaction.commit()?;
            Ok(lines)
        };
        let stored = write(&mut self.connection, &mut self.tails);
        if stored.is_err() {
            self.tails = blocks::Tails::default();
        }
        stored.map_err(error)
    }

    /// As [`RunStore::commit`], and on return everything committed so far is on the disk, marked as
    /// what belongs before the checkpoint at the snapshot's step.
    ///
    /// # Errors
    /// As [`RunStore::commit`].
    pub fn commit_durably(
        &mut self,
        batch: &Batch,
        snapshot: &RunSnapshot,
    ) -> Result<Vec<LogLine>, StudioError> {
        self.synchronous("FULL")?;
        let stored = self.store(batch, snapshot, true);
        // What is stored is stored; an error here must not have it stored again.
        if let Err(error) = self.synchronous("NORMAL") {
            tracing::warn!(%error, "commits stay durable, which is slower");
        }
        stored
    }

    fn synchronous(&self, level: &str) -> Result<(), StudioError> {
        self.connection
            .pragma_update(None, "synchronous", level)
            .map_err(StudioError::database(&self.path))
    }

    /// Starts a session at `step`: removes points and events after its checkpoint and stores the
    /// snapshot that `begin` makes of the values that remain, in one transaction.
    ///
    /// # Errors
    /// As [`RunStore::commit`].
    pub fn restart(
        &mut self,
        step: u64,
        line: &NewLine,
        begin: impl FnOnce(BTreeMap<String, f64>) -> RunSnapshot,
    ) -> Result<(RunSnapshot, Vec<LogLine>), StudioError> {
        let error = StudioError::database(&self.path);
        let write = |connection: &mut Connection| {
            may_fail("begin")?;
            let transaction = connection.transaction()?;
            let mark = checkpoint_mark(&transaction, step)?;
            transaction.execute("DELETE FROM points WHERE step > ?1", [step])?;
            blocks::remove_after(&transaction, step)?;
            transaction.execute(
                // A change of K has the step of the checkpoint from before it.
                "DELETE FROM events WHERE step > ?1 OR seq > ?2 OR (kind = 'control_applied'
                 AND json_extract(json, '$.data.before.checkpoint_step') >= ?1)",
                (step, mark),
            )?;
            may_fail("removed")?;
            let snapshot = begin(latest(&transaction)?);
            let lines = insert_lines(&transaction, std::slice::from_ref(line))?;
            put_snapshot(&transaction, &snapshot)?;
            may_fail("commit")?;
            transaction.commit()?;
            Ok((snapshot, lines))
        };
        self.tails = blocks::Tails::default();
        write(&mut self.connection).map_err(error)
    }
}

/// A place in a transaction where tests let SQLite fail.
#[cfg(not(test))]
fn may_fail(_place: &str) -> rusqlite::Result<()> {
    Ok(())
}

#[cfg(test)]
use failures::may_fail;

/// Remembers which events came before the checkpoint at `step`, since later ones can have the same
/// step.
fn mark_checkpoint(transaction: &Transaction<'_>, step: u64) -> rusqlite::Result<()> {
    transaction
        .execute(
            "INSERT OR REPLACE INTO meta(key, value)
             VALUES('checkpoint ' || ?1, (SELECT IFNULL(MAX(seq), 0) FROM events))",
            [step],
        )
        .map(|_| ())
}

/// SQLite stores a NaN as NULL.
fn number(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}

fn insert_points(transaction: &Transaction<'_>, points: &[Point]) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO points(tag, step, value) VALUES(?1, ?2, ?3)
         ON CONFLICT(tag, step) DO UPDATE SET value = excluded.value",
    )?;
    for point in points {
        let value = if point.value.is_nan() {
            SqlValue::Null
        } else {
            SqlValue::Real(point.value)
        };
        insert.execute((point.tag.as_ref(), point.step, value))?;
    }
    Ok(())
}

fn insert_lines(
    transaction: &Transaction<'_>,
    lines: &[NewLine],
) -> rusqlite::Result<Vec<LogLine>> {
    let mut insert = transaction
        .prepare_cached("INSERT INTO events(step, time, kind, json) VALUES(?1, ?2, ?3, ?4)")?;
    let mut numbered = Vec::with_capacity(lines.len());
    for line in lines {
        let body = json!({"level": line.level, "message": line.message, "data": line.data});
        let time = line.time.to_string();
        insert.execute((line.step, time, line.kind.name(), body.to_string()))?;
        numbered.push(LogLine {
            seq: transaction.last_insert_rowid(),
            step: line.step,
            time: line.time,
            kind: line.kind,
            level: line.level,
            message: line.message.clone(),
            data: line.data.clone(),
        });
    }
    Ok(numbered)
}

fn put_snapshot(transaction: &Transaction<'_>, snapshot: &RunSnapshot) -> rusqlite::Result<()> {
    let text = serde_json::to_string(snapshot)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?;
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta(key, value) VALUES('snapshot', ?1)")?
        .execute([text])?;
    Ok(())
}

/// Number of the last event before the checkpoint at `step`; the largest number when unknown.
fn checkpoint_mark(connection: &Connection, step: u64) -> rusqlite::Result<i64> {
    let mark: Option<String> = connection
        .query_row(
            "SELECT value FROM meta WHERE key = 'checkpoint ' || ?1",
            [step],
            |row| row.get(0),
        )
        .optional()?;
    Ok(mark.and_then(|m| m.parse().ok()).unwrap_or(i64::MAX))
}

fn latest(transaction: &Transaction<'_>) -> rusqlite::Result<BTreeMap<String, f64>> {
    let mut query = transaction
        .prepare("SELECT tag, MAX(step), value FROM points WHERE value IS NOT NULL GROUP BY tag")?;
    let rows = query.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, number(row.get(2)?)))
    })?;
    rows.collect()
}

#[cfg(test)]
mod failures;
#[cfg(test)]
mod tests;
