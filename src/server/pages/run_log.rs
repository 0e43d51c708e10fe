//! `/runs/{id}/log`: what happened to a run, newest first.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use protoclip::train::LogLevel;
use serde::Deserialize;

use super::figures::{clock, grouped};
use super::respond::page;
use super::run_card::RunCard;
use super::run_changes::ChangeActions;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{LineKind, LogLine, RunId, RunView, Studio, StudioError};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LogQuery {
    kind: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/run_log.html")]
struct LogPage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    kinds: Vec<KindOption>,
    note: String,
    log: LogTable,
}

#[derive(Debug)]
struct KindOption {
    value: &'static str,
    label: String,
}

/// Rows of a log with what its island needs to go on.
#[derive(Debug)]
pub(super) struct LogTable {
    pub(super) lines: Vec<LineView>,
    /// Number of the newest line of the run, shown or not.
    pub(super) last: i64,
    /// Rows that the table keeps.
    pub(super) most: usize,
    /// Only lines of this kind; empty for all.
    pub(super) kind: String,
    total: usize,
}

#[derive(Debug)]
pub(super) struct LineView {
    pub(super) level: &'static str,
    pub(super) iso: String,
    pub(super) clock: String,
    pub(super) step: String,
    pub(super) kind: String,
    pub(super) message: String,
    /// What can be done about it, where it is a change of settings.
    pub(super) actions: Option<ChangeActions>,
}

const KINDS: [LineKind; 10] = [
    LineKind::Started,
    LineKind::EpisodeStarted,
    LineKind::Prototypes,
    LineKind::ControlAccepted,
    LineKind::ControlApplied,
    LineKind::Checkpoint,
    LineKind::Paused,
    LineKind::Resumed,
    LineKind::State,
    LineKind::Message,
];

/// Rows of the page; all lines are at the API.
const ROWS: usize = 1000;
/// Lines read of a log; longer logs show their first part only.
const MOST_READ: usize = 1_000_000;

pub(super) async fn log(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        let log = LogTable::newest(studio, &shell, &view, ROWS, &query.kind)?;
        Ok(LogPage {
            shell,
            tab: "log",
            run: RunCard::new(&view),
            kinds: KINDS.map(KindOption::new).into(),
            note: note(&log),
            log,
        })
    })
    .await
}

fn note(log: &LogTable) -> String {
    if log.total > log.lines.len() {
        format!(
            "The newest {} of {} lines.",
            grouped(log.lines.len() as u64),
            grouped(log.total as u64)
        )
    } else if log.total == 1 {
        "One line.".into()
    } else {
        format!("{} lines, newest first.", grouped(log.total as u64))
    }
}

impl LogTable {
    /// The newest `most` lines of a kind; a run that cannot be read has none.
    pub(super) fn newest(
        studio: &Studio,
        shell: &Shell,
        run: &RunView,
        most: usize,
        kind: &str,
    ) -> Result<Self, StudioError> {
        let lines = if run.broken {
            Vec::new()
        } else {
            studio.log(&run.id, 0, MOST_READ)?
        };
        let last = lines.last().map_or(0, |line| line.seq);
        let wanted = |line: &&LogLine| kind.is_empty() || line.kind.name() == kind;
        let total = lines.iter().filter(wanted).count();
        let newest = lines.iter().rev().filter(wanted).take(most);
        let changes = if run.broken {
            Vec::new()
        } else {
            studio.changes(&run.id)?
        };
        let actions = |line: &LogLine| {
            let change = changes.iter().find(|change| change.is_of(line))?;
            Some(ChangeActions::new(shell, "log", &run.id, change))
        };
        Ok(Self {
            lines: newest.map(|l| LineView::new(l, actions(l))).collect(),
            last,
            most,
            kind: kind.to_owned(),
            total,
        })
    }
}

impl LineView {
    fn new(line: &LogLine, actions: Option<ChangeActions>) -> Self {
        Self {
            level: match line.level {
                LogLevel::Info => "info",
                LogLevel::Warning => "warning",
                LogLevel::Error => "error",
            },
            iso: line.time.to_string(),
            clock: clock(line.time),
            step: grouped(line.step),
            kind: line.kind.name().replace('_', " "),
            message: line.message.clone(),
            actions,
        }
    }
}

impl KindOption {
    fn new(kind: LineKind) -> Self {
        Self {
            value: kind.name(),
            label: kind.name().replace('_', " "),
        }
    }
}
