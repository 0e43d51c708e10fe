//! `query`: SQL over the databases of runs, read-only, within limits of time and rows.
//!
//! Tables: `points(run, tag, step, value)`, `events(run, seq, step, time, kind, json)` and
//! `runs(run, name, state, preset, step, seed)`.

mod reader;

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};

use super::super::super::{RunView, Studio};
use super::super::output::{Made, MadeBlock};
use super::values::Values;
use super::{CellFailure, Context, provenance};
use reader::Reader;

/// Most databases of one query, which is what SQLite attaches.
const MOST_RUNS: usize = 10;
const ROWS: u64 = 200;
const MOST_ROWS: u64 = 10_000;
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The runs that a query looks at: those it names, or all if they are few.
fn runs_of(studio: &Studio, values: Values<'_>) -> Result<Vec<RunView>, String> {
    let mut runs = values.runs(studio)?;
    if runs.is_empty() {
        runs = studio
            .runs()
            .into_iter()
            .filter(|run| !run.broken)
            .collect();
    }
    match runs.len() {
        0 => Err("there are no runs yet".into()),
        1..=MOST_RUNS => Ok(runs),
        more => Err(format!(
            "{more} runs; a query looks at {MOST_RUNS} at most: name them with runs: [ID, …]"
        )),
    }
}

pub(super) fn inputs(studio: &Studio, values: Values<'_>) -> Result<Value, CellFailure> {
    let runs = runs_of(studio, values)?;
    Ok(runs
        .iter()
        .map(|run| json!([run.id, run.name, run.state.name(), run.step]))
        .collect())
}

pub(super) fn make(context: &Context<'_>) -> Result<Made, CellFailure> {
    let (studio, values) = (context.studio, context.values);
    let runs = runs_of(studio, values)?;
    let sql = values.text("sql")?.unwrap_or_default();
    if sql.trim().is_empty() {
        return Err("sql: is missing; give for example SELECT * FROM runs"
            .to_owned()
            .into());
    }
    let limit = values.whole("limit")?.unwrap_or(ROWS);
    if !(1..=MOST_ROWS).contains(&limit) {
        return Err(format!("limit: {limit} is not from 1 to {MOST_ROWS}").into());
    }
    let connection = open(studio, &runs)?;
    let reader = Reader::new(connection, TIME_LIMIT, Arc::clone(&context.cancelled))?;
    let table = reader.table(sql, usize::try_from(limit).unwrap_or(0))?;
    let mut provenances = Vec::new();
    for run in &runs {
        provenances.push(provenance(studio, run, run.step)?);
    }
    let mut fields = Map::new();
    fields.insert("rows".into(), table.rows.len().into());
    if let Some(first) = table.rows.first() {
        let plain = |text: &String| match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(whole), _) => json!(whole),
            (Err(_), Ok(number)) if number.is_finite() => json!(number),
            _ => json!(text),
        };
        for (column, value) in table.columns.iter().zip(first) {
            fields.insert(column.clone(), plain(value));
        }
    }
    Ok(Made {
        summary: format!(
            "{} rows of {} columns.",
            table.rows.len(),
            table.columns.len()
        ),
        blocks: vec![MadeBlock::Table(table)],
        fields,
        links: Vec::new(),
        provenance: provenances,
    })
}

/// A connection of its own, in memory, that sees the databases through views.
fn open(studio: &Studio, runs: &[RunView]) -> Result<Connection, CellFailure> {
    let mut setup = String::from(
        "CREATE TEMP TABLE runs(run TEXT, name TEXT, state TEXT, preset TEXT, step INTEGER, seed INTEGER);",
    );
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let failed = |error: rusqlite::Error| CellFailure::Failed(format!("sql: {error}"));
    let connection = Connection::open_with_flags(":memory:", flags).map_err(failed)?;
    connection
        .busy_timeout(Duration::from_secs(5))
        .map_err(failed)?;
    let (mut points, mut events) = (Vec::new(), Vec::new());
    for (at, run) in runs.iter().enumerate() {
        let Some(path) = studio.database(&run.id)? else {
            continue;
        };
        let address = format!("file:{}?mode=ro", uri_path(&path.display().to_string()));
        connection
            .execute(&format!("ATTACH DATABASE ?1 AS r{at}"), [address])
            .map_err(failed)?;
        let id = run.id.as_str().replace('\'', "''");
        points.push(format!(
            "SELECT '{id}' AS run, tag, step, value FROM r{at}.points"
        ));
        events.push(format!(
            "SELECT '{id}' AS run, seq, step, time, kind, json FROM r{at}.events"
        ));
    }
    if points.is_empty() {
        return Err("these runs have no database yet".to_owned().into());
    }
    setup.push_str(&format!(
        "CREATE TEMP VIEW points AS {}; CREATE TEMP VIEW events AS {};",
        points.join(" UNION ALL "),
        events.join(" UNION ALL ")
    ));
    connection.execute_batch(&setup).map_err(failed)?;
    for run in runs {
        // An imported run has no settings.
        let seed = match run.imported {
            None => Some(studio.config(&run.id)?.seed),
            Some(_) => None,
        };
        connection
            .execute(
                "INSERT INTO runs VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    run.id.as_str(),
                    &run.name,
                    run.state.name(),
                    run.preset.map(|preset| preset.name()),
                    run.step,
                    seed.map(|seed| i64::from_ne_bytes(seed.to_ne_bytes())),
                ),
            )
            .map_err(failed)?;
    }
    Ok(connection)
}

fn uri_path(path: &str) -> String {
    let mut written = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => {
                written.push(char::from(byte));
            }
            other => written.push_str(&format!("%{other:02x}")),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_any_character_become_addresses() {
        assert_eq!(uri_path("/a b/ü?#.db"), "/a%20b/%c3%bc%3f%23.db");
    }
}
