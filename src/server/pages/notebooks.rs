//! `/notebooks`: the notebooks of the data directory, and the form that makes one.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::figures::date_time;
use super::respond::{answer, html, page};
use super::shell::Shell;
use crate::server::{AppError, AppState};
use crate::studio::notebooks::{NewNotebook, NotebookListed};
use crate::studio::{Studio, StudioError};

#[derive(Debug, Template)]
#[template(path = "pages/notebooks.html")]
struct NotebooksPage {
    shell: Shell,
    rows: Vec<NotebookRow>,
    templates: Vec<TemplateChoice>,
    typed_name: String,
    name_error: String,
}

/// A notebook in a list, as text.
#[derive(Debug)]
pub(super) struct NotebookRow {
    pub(super) name: String,
    pub(super) title: String,
    cells: usize,
    problems: usize,
    running: bool,
    /// Why it cannot be read; empty otherwise.
    broken: String,
    pub(super) modified: String,
    pub(super) modified_iso: String,
}

#[derive(Debug)]
struct TemplateChoice {
    /// Empty for a notebook without cells.
    name: &'static str,
    title: &'static str,
    about: &'static str,
    chosen: bool,
}

/// What was typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct NewForm {
    name: String,
    template: Option<String>,
}

pub(super) async fn list(State(state): State<AppState>, shell: Shell) -> Response {
    page(state, shell, |studio, shell| {
        NotebooksPage::new(studio, shell, &NewForm::default(), String::new())
    })
    .await
}

/// Makes a notebook and opens it; a wrong name comes back with what is wrong.
pub(super) async fn create(
    State(state): State<AppState>,
    shell: Shell,
    Form(form): Form<NewForm>,
) -> Response {
    let typed = form.clone();
    let new = NewNotebook {
        name: form.name.trim().to_owned(),
        template: form.template.filter(|name| !name.is_empty()),
        text: None,
    };
    let made = state.ask(move |studio| studio.create_notebook(&new)).await;
    match made {
        Ok(view) => Redirect::to(&format!("/notebooks/{}", view.name)).into_response(),
        Err(AppError {
            fields: Some(errors),
            ..
        }) => {
            let for_problem = shell.clone();
            let message: Vec<String> = errors.errors.into_iter().map(|e| e.message).collect();
            let rendered = state.ask(move |studio| {
                let page = NotebooksPage::new(studio, shell, &typed, message.join("; "))?;
                Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
            });
            answer(for_problem, rendered.await)
        }
        Err(error) => answer(shell, Err(error)),
    }
}

impl NotebooksPage {
    fn new(
        studio: &Studio,
        shell: Shell,
        typed: &NewForm,
        name_error: String,
    ) -> Result<Self, StudioError> {
        let rows = studio.notebooks()?;
        Ok(Self {
            shell: shell.in_section("notebooks"),
            rows: rows.into_iter().map(NotebookRow::of).collect(),
            templates: template_choices(studio, typed.template.as_deref()),
            typed_name: typed.name.clone(),
            name_error,
        })
    }
}

impl NotebookRow {
    pub(super) fn of(listed: NotebookListed) -> Self {
        let (modified, modified_iso) = moment(listed.modified);
        Self {
            name: listed.name.to_string(),
            title: listed.title,
            cells: listed.cells,
            problems: listed.problems,
            running: listed.running,
            broken: listed.broken.unwrap_or_default(),
            modified,
            modified_iso,
        }
    }
}

/// A time in milliseconds since 1970, for reading and for machines.
fn moment(milliseconds: u64) -> (String, String) {
    let milliseconds = i64::try_from(milliseconds).unwrap_or_default();
    let time = Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    (date_time(time), time.to_string())
}

/// The first template is chosen unless another one was.
fn template_choices(studio: &Studio, chosen: Option<&str>) -> Vec<TemplateChoice> {
    let known = studio.notebook_templates();
    let chosen = chosen.or_else(|| known.first().map(|template| template.name));
    let empty = TemplateChoice {
        name: "",
        title: "Empty",
        about: "A title and nothing else.",
        chosen: chosen == Some(""),
    };
    let choice = |name, title, about| TemplateChoice {
        name,
        title,
        about,
        chosen: chosen == Some(name),
    };
    let templates = known.iter().map(|t| choice(t.name, t.title, t.about));
    templates.chain([empty]).collect()
}
