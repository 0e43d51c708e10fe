//! The features of external teachers on the page of a data set, and the form that makes them.

use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use protoclip::config::FieldError;
use serde::Deserialize;

use super::super::address::address;
use super::super::figures::{date_time, duration, grouped};
use super::super::respond::{answer, html};
use super::super::shell::Shell;
use super::{BrowseQuery, DataSetPage};
use crate::server::{AppError, AppState};
use crate::studio::{DataSetId, Studio, StudioError, TeacherRequest, TeacherView};

/// What was typed, and what is wrong with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub(in crate::server::pages) struct TeacherForm {
    pub(super) model: String,
    pub(super) dim: String,
    #[serde(skip)]
    pub(super) model_error: String,
    #[serde(skip)]
    pub(super) dim_error: String,
}

/// Features of the captions.
#[derive(Debug)]
pub(super) struct Teacher {
    pub(super) encoder: String,
    pub(super) model: String,
    pub(super) path: String,
    /// As in `64 of 384`.
    pub(super) dim: String,
    /// What the form takes to go on.
    pub(super) asked_dim: usize,
    pub(super) rows: String,
    pub(super) variance: String,
    pub(super) made: String,
    pub(super) made_iso: String,
    pub(super) seconds: String,
    /// The form of a new run with it; empty until it is finished.
    pub(super) new_run: String,
}

impl Default for TeacherForm {
    fn default() -> Self {
        Self {
            model: String::new(),
            dim: TeacherRequest::default().dim.to_string(),
            model_error: String::new(),
            dim_error: String::new(),
        }
    }
}

impl TeacherForm {
    fn request(&self) -> Result<TeacherRequest, FieldError> {
        let dim = match self.dim.trim() {
            "" => Ok(TeacherRequest::default().dim),
            typed => typed.parse().map_err(|_| FieldError {
                field: "dim".into(),
                message: format!("{typed:?} is no whole number; type one such as 64, or 0 for all"),
            }),
        };
        Ok(TeacherRequest {
            model: self.model.clone(),
            dim: dim?,
        })
    }

    fn with(mut self, errors: &[FieldError]) -> Self {
        let of = |field: &str| {
            let own = errors.iter().filter(|error| error.field == field);
            let messages: Vec<&str> = own.map(|error| error.message.as_str()).collect();
            messages.join("; ")
        };
        self.dim_error = of("dim");
        self.model_error = of("model");
        let others = errors
            .iter()
            .filter(|e| !matches!(e.field.as_str(), "model" | "dim"));
        for error in others {
            self.model_error += &format!("{}: {}", error.field, error.message);
        }
        self
    }
}

impl Teacher {
    pub(super) fn read(studio: &Studio, id: &DataSetId) -> Result<Vec<Self>, StudioError> {
        let found = studio.teachers(id)?;
        Ok(found.into_iter().map(|view| Self::of(id, view)).collect())
    }

    fn of(id: &DataSetId, view: TeacherView) -> Self {
        let path = view.path.display().to_string();
        let finished = view.finished.as_ref();
        let dim = match view.dim {
            0 => view.encoder_dim,
            dim => dim,
        };
        let pairs = [("data_set", id.as_str()), ("teacher", &path)];
        Self {
            encoder: view.encoder(),
            model: view.model.display().to_string(),
            dim: format!("{dim} of {}", view.encoder_dim),
            asked_dim: view.dim,
            rows: match finished {
                Some(_) => grouped(view.rows as u64),
                None => format!(
                    "{} of {}",
                    grouped(view.rows_done as u64),
                    grouped(view.rows as u64)
                ),
            },
            variance: finished.map_or_else(String::new, |made| {
                format!("{:.1} %", 100.0 * made.explained_variance)
            }),
            made: finished.map_or_else(String::new, |made| date_time(made.written)),
            made_iso: finished.map_or_else(String::new, |made| made.written.to_string()),
            seconds: finished.map_or_else(String::new, |made| duration(made.seconds)),
            new_run: match finished {
                Some(_) => address("/runs/new", &pairs),
                None => String::new(),
            },
            path,
        }
    }
}

/// Starts to make features; a wrong form comes back with its values and errors.
pub(in crate::server::pages) async fn make(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Form(form): Form<TeacherForm>,
) -> Response {
    let id = DataSetId::from(id.as_str());
    let (asked, typed) = (id.clone(), form.clone());
    let begun = state.ask(move |studio| {
        studio.known_data_set(&asked)?;
        let request = typed
            .request()
            .map_err(|error| protoclip::config::ConfigErrors {
                errors: vec![error],
            })?;
        studio.make_teacher(&asked, &request)
    });
    match begun.await {
        Ok(_) => Redirect::to(&format!("/datasets/{id}")).into_response(),
        Err(AppError {
            fields: Some(errors),
            ..
        }) => {
            let for_problem = shell.clone();
            let rendered = state.ask(move |studio| {
                let form = form.with(&errors.errors);
                let page = DataSetPage::new(studio, shell, &id, BrowseQuery::default(), form)?;
                Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
            });
            answer(for_problem, rendered.await)
        }
        Err(error) => answer(shell, Err(error)),
    }
}
