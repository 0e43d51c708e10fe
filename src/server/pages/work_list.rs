//! Background work about one checkpoint or data set, or about all: progress, elapsed time, cancel, outcome.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::address::percent;
use super::figures::{bytes, duration, grouped};
use super::respond::{answer, page};
use super::run_actions::came_from;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{Studio, WorkKind, WorkState, WorkView};

/// The list alone, for its live update.
#[derive(Debug, Template)]
#[template(path = "partials/work_list.html")]
pub(super) struct WorkList {
    shell: Shell,
    pub(super) pieces: Vec<Piece>,
}

#[derive(Debug)]
pub(super) struct Piece {
    id: u64,
    kind: WorkKind,
    title: &'static str,
    subject: String,
    /// Address of what it is about.
    href: String,
    pub(super) running: bool,
    /// `good`, `bad`, or nothing.
    tone: &'static str,
    /// What it does or how it ended, in words.
    text: String,
    done: u64,
    total: u64,
    seconds: String,
}

/// Pieces that a list shows.
const SHOWN: usize = 5;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct WorkQuery {
    subject: String,
    kind: Option<WorkKind>,
}

impl WorkList {
    /// Work about one checkpoint or data set; about any when `subject` is empty.
    pub(super) fn new(studio: &Studio, shell: Shell, subject: &str) -> Self {
        Self::of(studio, shell, |view| {
            subject.is_empty() || view.subject == subject
        })
    }

    /// Whether features of a teacher are being made.
    pub(super) fn is_making_teacher(&self) -> bool {
        let making = |piece: &Piece| piece.running && piece.kind == WorkKind::MakeTeacher;
        self.pieces.iter().any(making)
    }

    /// Work of one kind.
    pub(super) fn of_kind(studio: &Studio, shell: Shell, kind: WorkKind) -> Self {
        Self::of(studio, shell, |view| view.kind == kind)
    }

    fn of(studio: &Studio, shell: Shell, shown: impl Fn(&WorkView) -> bool) -> Self {
        let all = studio.work().into_iter();
        let shown = all.filter(|view| shown(view));
        Self {
            shell,
            pieces: shown.take(SHOWN).map(Piece::of).collect(),
        }
    }
}

impl Piece {
    fn of(view: WorkView) -> Self {
        let title = match view.kind {
            WorkKind::Verify => "Verify",
            WorkKind::Evaluate => "Evaluate",
            WorkKind::Export => "Export",
            WorkKind::Import => "Import",
            WorkKind::ImportCurves => "Import curves",
            WorkKind::OpenData => "Open",
            WorkKind::ComparePictures => "Compare pictures",
            WorkKind::MakeTeacher => "Teacher features",
        };
        let running = view.state == WorkState::Running;
        let message = view.message.clone().unwrap_or_default();
        Self {
            id: view.id,
            kind: view.kind,
            title,
            href: match view.kind {
                WorkKind::OpenData | WorkKind::ComparePictures | WorkKind::MakeTeacher => {
                    format!("/datasets/{}", percent(&view.subject))
                }
                WorkKind::ImportCurves => "/runs".into(),
                _ => format!("/checkpoints/{}", percent(&view.subject)),
            },
            running,
            tone: match view.state {
                WorkState::Done => "good",
                WorkState::Failed => "bad",
                WorkState::Running | WorkState::Cancelled => "",
            },
            text: match (view.state, view.field) {
                (WorkState::Running, _) => progress(&view),
                (WorkState::Done, _) => message,
                (WorkState::Failed, Some(field)) => format!("{field}: {message}"),
                (WorkState::Failed, None) => message,
                (WorkState::Cancelled, _) => "cancelled".into(),
            },
            done: view.done,
            total: view.total,
            seconds: duration(view.seconds),
            subject: view.subject,
        }
    }
}

fn progress(view: &WorkView) -> String {
    let amount = match view.phase.as_str() {
        "reading files" => bytes,
        _ => grouped,
    };
    match view.total {
        0 => view.phase.clone(),
        total => {
            let speed = match view.per_second {
                Some(speed) if speed >= 0.5 => format!(", {} per second", amount(speed as u64)),
                _ => String::new(),
            };
            let (done, total) = (amount(view.done), amount(total));
            format!("{}, {done} of {total}{speed}", view.phase)
        }
    }
}

pub(super) async fn list(
    State(state): State<AppState>,
    shell: Shell,
    Query(query): Query<WorkQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        Ok(match query.kind {
            Some(kind) => WorkList::of_kind(studio, shell, kind),
            None => WorkList::new(studio, shell, &query.subject),
        })
    })
    .await
}

/// Cancels a piece and goes back to the page with the button.
pub(super) async fn cancel(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<u64>,
    headers: HeaderMap,
) -> Response {
    let after = came_from(&headers).unwrap_or_else(|| "/checkpoints".into());
    let done = state.ask(move |studio| studio.cancel_work(id)).await;
    answer(shell, done.map(|()| Redirect::to(&after).into_response()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(phase: &str, done: u64, total: u64) -> WorkView {
        WorkView {
            id: 1,
            kind: WorkKind::Verify,
            subject: "@RN50".into(),
            state: WorkState::Running,
            phase: phase.into(),
            done,
            total,
            per_second: None,
            seconds: 1.0,
            message: None,
            field: None,
        }
    }

    #[test]
    fn progress_has_the_unit_of_its_phase() {
        assert_eq!(progress(&view("starting", 0, 0)), "starting");
        assert_eq!(
            progress(&view("reading files", 512, 2048)),
            "reading files, 512 B of 2.0 KiB"
        );
        assert_eq!(progress(&view("retrieval", 5, 10)), "retrieval, 5 of 10");
        let fast = WorkView {
            per_second: Some(1640.4),
            ..view("encoding captions", 5, 10)
        };
        let told = "encoding captions, 5 of 10, 1\u{202f}640 per second";
        assert_eq!(progress(&fast), told);
    }
}
