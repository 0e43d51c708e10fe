//! What the buttons of the pages do where no script runs: change something, then redirect (303).

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use protoclip::config::{ConfigErrors, Preset};
use protoclip::train::ControlChange;
use serde::Deserialize;

use super::respond::answer;
use super::shell::Shell;
use crate::server::{AppError, AppState};
use crate::studio::{RunEdit, RunId, Studio, StudioError};

/// Name of the run that the home page starts.
pub(super) const DEMO_NAME: &str = "Emoji demo";

/// Starts the built-in demo.
pub(super) async fn start_demo(State(state): State<AppState>, shell: Shell) -> Response {
    let created = state.ask(|studio| {
        let mut config = Preset::ProtoclipTeacher.config();
        config.name = DEMO_NAME.into();
        studio.create(config)
    });
    let to_run = |id: RunId| Redirect::to(&format!("/runs/{id}")).into_response();
    answer(shell, created.await.map(to_run))
}

/// Pauses, resumes, stops, checkpoints or deletes a run.
pub(super) async fn act(
    State(state): State<AppState>,
    shell: Shell,
    Path((id, action)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let id = RunId::from(id.as_str());
    let after = if action == "delete" {
        "/runs".into()
    } else {
        came_from(&headers).unwrap_or_else(|| format!("/runs/{id}"))
    };
    let done = state.ask(move |studio| perform(studio, &id, &action));
    redirect(shell, done.await, &after)
}

fn perform(studio: &Studio, id: &RunId, action: &str) -> Result<(), StudioError> {
    match action {
        "pause" => studio.pause(id),
        "resume" => studio.resume(id),
        "stop" => studio.stop(id),
        "checkpoint" => studio.checkpoint(id),
        "delete" => studio.delete(id),
        other => Err(StudioError::NotFound(format!(
            "a run has no action {other}"
        ))),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct NewName {
    #[serde(rename = "json:name")]
    name: String,
}

pub(super) async fn rename(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Form(NewName { name }): Form<NewName>,
) -> Response {
    let edit = RunEdit {
        name: Some(name),
        tags: None,
    };
    let done = state.ask(move |studio| studio.edit(&RunId::from(id.as_str()), edit).map(|_| ()));
    redirect(shell, done.await, "/runs")
}

/// Steers a run with the values that were typed; blank ones stay.
pub(super) async fn steer(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Form(typed): Form<Vec<(String, String)>>,
) -> Response {
    let id = RunId::from(id.as_str());
    let after = format!("/runs/{id}");
    let done = state.ask(move |studio| {
        let change = change_of(&typed)?;
        studio.steer(&id, &change).map(|_| ())
    });
    redirect(shell, done.await, &after)
}

fn change_of(typed: &[(String, String)]) -> Result<ControlChange, ConfigErrors> {
    let mut change = ControlChange::default();
    for (field, text) in typed {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let no_number = || {
            ConfigErrors::one(
                field,
                format!("{text:?} is no number; type one such as 0.25"),
            )
        };
        let number = || text.parse::<f64>().map_err(|_| no_number());
        match field.as_str() {
            "prototype_count" => {
                change.prototype_count = Some(text.parse().map_err(|_| no_number())?);
            }
            "external_weight" => change.external_weight = Some(number()?),
            "proto_weight" => change.proto_weight = Some(number()?),
            "target_temperature" => change.target_temperature = Some(number()?),
            "learning_rate_factor" => change.learning_rate_factor = Some(number()?),
            _ => return Err(ConfigErrors::one(field, "cannot be steered")),
        }
    }
    Ok(change)
}

fn redirect(shell: Shell, done: Result<(), AppError>, after: &str) -> Response {
    answer(shell, done.map(|()| Redirect::to(after).into_response()))
}

/// The page of this studio that the button was on.
pub(super) fn came_from(headers: &HeaderMap) -> Option<String> {
    let referer = headers.get(header::REFERER)?.to_str().ok()?;
    let uri: Uri = referer.parse().ok()?;
    let path = uri.path_and_query()?.as_str();
    // A path that begins with two slashes would lead to another host.
    (path.starts_with('/') && !path.starts_with("//")).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        let list = list.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        list.collect()
    }

    #[test]
    fn blank_levers_stay_and_others_change() {
        let change = change_of(&pairs(&[("prototype_count", "256"), ("proto_weight", " ")]));
        let expected = ControlChange {
            prototype_count: Some(256),
            ..ControlChange::default()
        };
        assert_eq!(change.expect("valid"), expected);
    }

    #[test]
    fn what_is_no_number_is_named() {
        let errors = change_of(&pairs(&[("prototype_count", "2.5")])).expect_err("not whole");
        assert_eq!(errors.errors[0].field, "prototype_count");
    }

    #[test]
    fn a_redirect_never_leaves_the_studio() {
        let with = |referer: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::REFERER, referer.parse().expect("header"));
            came_from(&headers)
        };
        assert_eq!(
            with("http://127.0.0.1:7878/runs?q=a"),
            Some("/runs?q=a".into())
        );
        assert_eq!(with("http://evil.example//other.example/"), None);
    }
}
