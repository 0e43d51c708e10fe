//! A connection that only reads, for a limited time, and answers with a table.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use super::super::super::output::{Table, number};
use super::super::CellFailure;

/// Virtual-machine instructions of SQLite between two looks at the clock.
const BETWEEN_LOOKS: i32 = 20_000;
/// Characters of a value; more are cut.
const LONGEST_VALUE: usize = 2_000;
/// Bytes of any text while a query works.
const LONGEST_TEXT: i32 = 4 << 20;
/// Columns of a result.
const MOST_COLUMNS: usize = 64;

/// See the module.
pub(super) struct Reader {
    connection: Connection,
    limit: Duration,
    cancelled: Arc<AtomicBool>,
}

impl Reader {
    /// Takes a connection's freedom: from here on it only reads, and stops when `limit` is over or
    /// `cancelled` set.
    ///
    /// # Errors
    /// When SQLite refuses.
    pub(super) fn new(
        mut connection: Connection,
        limit: Duration,
        cancelled: Arc<AtomicBool>,
    ) -> Result<Self, CellFailure> {
        let failed = |error: rusqlite::Error| CellFailure::Failed(format!("sql: {error}"));
        connection.authorizer(Some(authorize)).map_err(failed)?;
        connection
            .set_limit(Limit::SQLITE_LIMIT_LENGTH, LONGEST_TEXT)
            .map_err(failed)?;
        let (began, flag) = (Instant::now(), Arc::clone(&cancelled));
        let over = move || began.elapsed() > limit || flag.load(Ordering::Relaxed);
        connection
            .progress_handler(BETWEEN_LOOKS, Some(over))
            .map_err(failed)?;
        Ok(Self {
            connection,
            limit,
            cancelled,
        })
    }

    /// The first rows of one statement.
    ///
    /// # Errors
    /// When it is none, writes, takes too long, or was cancelled.
    pub(super) fn table(&self, sql: &str, limit: usize) -> Result<Table, CellFailure> {
        let failed = |error| self.failure(&error);
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        if !(1..=MOST_COLUMNS).contains(&columns.len()) {
            let count = columns.len();
            let message = format!("sql: a result of {count} columns; it has 1 to {MOST_COLUMNS}");
            return Err(message.into());
        }
        let mut table = Table {
            columns,
            ..Table::default()
        };
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            if table.rows.len() == limit {
                let note = format!("The first {limit} rows; there are more. Raise limit.");
                table.note = Some(note);
                break;
            }
            let cells = (0..table.columns.len()).map(|at| row.get_ref(at).map(shown));
            table
                .rows
                .push(cells.collect::<Result<_, _>>().map_err(failed)?);
        }
        Ok(table)
    }

    fn failure(&self, error: &rusqlite::Error) -> CellFailure {
        if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) {
            return match self.cancelled.load(Ordering::Relaxed) {
                true => CellFailure::Cancelled,
                false => CellFailure::Failed(format!(
                    "sql: took more than {} s; ask for less",
                    self.limit.as_secs()
                )),
            };
        }
        // A refused function is an error of another code.
        let refused = error.sqlite_error_code() == Some(ErrorCode::AuthorizationForStatementDenied)
            || error.to_string().contains("not authorized");
        let hint = if refused {
            "; a query can only read"
        } else {
            ""
        };
        CellFailure::Failed(format!("sql: {error}{hint}"))
    }
}

fn authorize(asked: AuthContext<'_>) -> Authorization {
    match asked.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => {
            Authorization::Allow
        }
        AuthAction::Function { function_name } if function_name != "load_extension" => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

fn shown(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(whole) => whole.to_string(),
        ValueRef::Real(real) => number(real),
        ValueRef::Text(text) => String::from_utf8_lossy(text)
            .chars()
            .take(LONGEST_VALUE)
            .collect(),
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(limit: Duration) -> Reader {
        let connection = Connection::open_in_memory().expect("opens");
        let setup = "CREATE TABLE t(a, b); INSERT INTO t VALUES(1, 'x'), (2.5, NULL);";
        connection.execute_batch(setup).expect("fills");
        Reader::new(connection, limit, Arc::default()).expect("restricts")
    }

    fn error(sql: &str) -> String {
        let found = reader(Duration::from_secs(9)).table(sql, 9);
        found.expect_err(sql).to_string()
    }

    #[test]
    fn rows_are_shown_up_to_a_limit() {
        let table = reader(Duration::from_secs(9))
            .table("SELECT * FROM t", 1)
            .expect("reads");
        assert_eq!(table.columns, ["a", "b"]);
        assert_eq!(table.rows, [["1", "x"]]);
        assert!(
            table
                .note
                .is_some_and(|note| note.contains("there are more"))
        );
        let all = reader(Duration::from_secs(9))
            .table("SELECT b, a FROM t", 2)
            .expect("reads");
        assert_eq!(all.rows[1], ["", "2.5"]);
        assert_eq!(all.note, None);
    }

    #[test]
    fn nothing_but_reading_is_allowed() {
        for sql in [
            "DELETE FROM t",
            "INSERT INTO t VALUES(1, 2)",
            "UPDATE t SET a = 1",
            "DROP TABLE t",
            "CREATE TABLE u(a)",
            "ATTACH DATABASE '/tmp/x' AS x",
            "PRAGMA journal_mode = DELETE",
            "PRAGMA database_list",
            "SELECT load_extension('x')",
            "BEGIN",
        ] {
            let message = error(sql);
            assert!(message.contains("only read"), "{sql}: {message}");
        }
        // Prepared by SQLite, but never stepped.
        for sql in [
            "VACUUM INTO '/tmp/x'",
            "",
            "SELECT 1; SELECT 2",
            "SELECT nothing FROM t",
            "SELECT zeroblob(99999999)",
        ] {
            assert!(error(sql).starts_with("sql: "), "{sql}");
        }
    }

    #[test]
    fn endless_queries_end_when_the_time_is_over_or_nobody_waits() {
        let endless = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c";
        let over = reader(Duration::from_millis(20)).table(endless, 1);
        assert!(
            over.expect_err("ends")
                .to_string()
                .contains("took more than")
        );
        let waiting = reader(Duration::from_secs(60));
        waiting.cancelled.store(true, Ordering::Relaxed);
        assert_eq!(waiting.table(endless, 1), Err(CellFailure::Cancelled));
    }
}
