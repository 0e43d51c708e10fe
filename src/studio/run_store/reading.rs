//! The reading half of a run's database. Every answer is one query, consistent in itself.

use jiff::Timestamp;
use protoclip::train::LogLevel;
use rusqlite::{OptionalExtension, Row};
use serde_json::Value;

use super::super::StudioError;
use super::super::run_log::{LineKind, LogLine, NewLine};
use super::super::run_snapshot::RunSnapshot;
use super::{RunStore, checkpoint_mark, number};

impl RunStore {
    /// The snapshot of the last commit; `None` before the first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn snapshot(&self) -> Result<Option<RunSnapshot>, StudioError> {
        let text: Option<String> = self
            .connection
            .query_row("SELECT value FROM meta WHERE key = 'snapshot'", [], |row| {
                row.get(0)
            })
            .optional()
            .map_err(StudioError::database(&self.path))?;
        text.map(|t| serde_json::from_str(&t).map_err(|e| StudioError::format(&self.path, e)))
            .transpose()
    }

    /// Log lines numbered above `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn lines(&self, after: i64, limit: usize) -> Result<Vec<LogLine>, StudioError> {
        let read = || {
            let mut query = self.connection.prepare_cached(
                "SELECT seq, step, time, kind, json FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2",
            )?;
            let rows = query.query_map((after, limit), line_of)?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(StudioError::database(&self.path))
    }

    /// Calls `each` with step and value of every point of a curve in `from..=to`, ascending.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn each_point(
        &self,
        tag: &str,
        (from, to): (u64, u64),
        mut each: impl FnMut(u64, f64),
    ) -> Result<(), StudioError> {
        let mut read = || {
            let mut query = self.connection.prepare_cached(
                "SELECT step, value FROM points WHERE tag = ?1 AND step BETWEEN ?2 AND ?3 ORDER BY step",
            )?;
            let largest = i64::MAX as u64;
            let mut rows = query.query((tag, from.min(largest), to.min(largest)))?;
            while let Some(row) = rows.next()? {
                each(row.get(0)?, number(row.get(1)?));
            }
            Ok(())
        };
        read().map_err(StudioError::database(&self.path))
    }

    /// All log lines up to a step, and before its checkpoint where there is one, without their
    /// numbers, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn lines_until(&self, step: u64) -> Result<Vec<NewLine>, StudioError> {
        let mark = checkpoint_mark(&self.connection, step);
        let mark = mark.map_err(StudioError::database(&self.path))?;
        let lines = self.lines(0, i64::MAX as usize)?;
        let wanted = lines
            .into_iter()
            .filter(|line| line.step <= step && line.seq <= mark && !is_applied_after(line, step));
        Ok(wanted.map(NewLine::from).collect())
    }

    /// Number of the newest log line; 0 before the first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn last_line(&self) -> Result<i64, StudioError> {
        self.connection
            .query_row("SELECT IFNULL(MAX(seq), 0) FROM events", [], |row| {
                row.get(0)
            })
            .map_err(StudioError::database(&self.path))
    }
}

/// Whether a line is about a change that took effect just after the checkpoint at `step` or later.
fn is_applied_after(line: &LogLine, step: u64) -> bool {
    line.kind == LineKind::ControlApplied
        && line.data["before"]["checkpoint_step"]
            .as_u64()
            .is_some_and(|saved| saved >= step)
}

fn line_of(row: &Row<'_>) -> rusqlite::Result<LogLine> {
    let (kind, body): (String, String) = (row.get(3)?, row.get(4)?);
    let wrong = |column: usize| {
        move |e: serde_json::Error| {
            rusqlite::Error::FromSqlConversionFailure(
                column,
                rusqlite::types::Type::Text,
                Box::new(e),
            )
        }
    };
    let body: Value = serde_json::from_str(&body).map_err(wrong(4))?;
    let time: String = row.get(2)?;
    Ok(LogLine {
        seq: row.get(0)?,
        step: row.get(1)?,
        time: time.parse().unwrap_or(Timestamp::UNIX_EPOCH),
        kind: serde_json::from_value(Value::String(kind)).map_err(wrong(3))?,
        level: serde_json::from_value(body["level"].clone()).unwrap_or(LogLevel::Info),
        message: body["message"].as_str().unwrap_or_default().to_owned(),
        data: body["data"].clone(),
    })
}
