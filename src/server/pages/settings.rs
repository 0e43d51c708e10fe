//! `/settings`: how the pages look, what the disk holds, what the program runs on.
//!
//! Preferences are cookies, so that the server renders them: no flash while a page loads, and they
//! work without script.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::facts::{Fact, machine};
use super::figures::{bytes, grouped};
use super::respond::{answer, page};
use super::shell::{Shell, preferences};
use crate::server::AppState;
use crate::studio::Studio;

#[derive(Debug, Template)]
#[template(path = "pages/settings.html")]
struct SettingsPage {
    shell: Shell,
    groups: Vec<Group>,
    machine: Vec<Fact>,
    runs: Vec<RunRow>,
    total: String,
    imported: String,
    exports: String,
    has_exports: bool,
    trash: String,
    trashed_runs: String,
    has_trash: bool,
}

/// One preference with its choices.
#[derive(Debug)]
struct Group {
    name: &'static str,
    title: &'static str,
    help: &'static str,
    choices: Vec<Choice>,
}

#[derive(Debug)]
struct Choice {
    value: &'static str,
    title: &'static str,
    chosen: bool,
}

#[derive(Debug)]
struct RunRow {
    id: String,
    name: String,
    checkpoints: String,
    artifacts: String,
    database: String,
    total: String,
}

/// A year.
const KEPT_SECONDS: u32 = 31_536_000;

pub(super) async fn settings(State(state): State<AppState>, shell: Shell) -> Response {
    page(state, shell, |studio, shell| {
        Ok(SettingsPage::new(studio, shell))
    })
    .await
}

/// What the form of the preferences sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Preferences {
    theme: String,
    palette: String,
    motion: String,
}

/// Keeps the preferences in cookies; a value that does not exist takes the first.
pub(super) async fn save(Form(chosen): Form<Preferences>) -> Response {
    let mut response = Redirect::to("/settings").into_response();
    let typed = [chosen.theme, chosen.palette, chosen.motion];
    for (preference, typed) in preferences::ALL.iter().zip(typed) {
        let value = preference.value(&typed).unwrap_or(preference.first());
        let cookie = format!(
            "{}={value}; Path=/; Max-Age={KEPT_SECONDS}; SameSite=Strict",
            preference.name
        );
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    response
}

pub(super) async fn empty_trash(State(state): State<AppState>, shell: Shell) -> Response {
    let done = state.ask(Studio::empty_trash).await;
    answer(
        shell,
        done.map(|()| Redirect::to("/settings").into_response()),
    )
}

pub(super) async fn remove_exports(State(state): State<AppState>, shell: Shell) -> Response {
    let done = state.ask(Studio::remove_exports).await;
    answer(
        shell,
        done.map(|()| Redirect::to("/settings").into_response()),
    )
}

impl SettingsPage {
    fn new(studio: &Studio, shell: Shell) -> Self {
        let storage = studio.storage();
        let rows = storage.runs.iter().map(|run| RunRow {
            id: run.run.to_string(),
            name: run.name.clone(),
            checkpoints: bytes(run.checkpoints),
            artifacts: bytes(run.artifacts),
            database: bytes(run.database),
            total: bytes(run.bytes()),
        });
        Self {
            groups: groups(&shell),
            machine: machine(studio),
            runs: rows.collect(),
            total: bytes(storage.runs.iter().map(|run| run.bytes()).sum()),
            imported: bytes(storage.imported),
            exports: bytes(storage.exports),
            has_exports: storage.exports > 0,
            trash: bytes(storage.trash),
            trashed_runs: grouped(storage.trashed_runs as u64),
            has_trash: storage.trashed_runs > 0,
            shell: shell.in_section("settings"),
        }
    }
}

fn groups(shell: &Shell) -> Vec<Group> {
    let group = |preference: &'static preferences::Preference| {
        let current = shell.preference(preference.name);
        let choice = |&(value, title): &(&'static str, &'static str)| Choice {
            value,
            title,
            chosen: value == current.unwrap_or(preference.first()),
        };
        Group {
            name: preference.name,
            title: preference.title,
            help: preference.help,
            choices: preference.choices.iter().map(choice).collect(),
        }
    };
    preferences::ALL.iter().map(group).collect()
}
