//! From a view to a response, on a blocking thread.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::shell::Shell;
use crate::server::{AppError, AppState};
use crate::studio::{Studio, StudioError};

/// Builds and renders a page away from the async threads.
pub(super) async fn page<T, F>(state: AppState, shell: Shell, build: F) -> Response
where
    T: Template,
    F: FnOnce(&Studio, Shell) -> Result<T, StudioError> + Send + 'static,
{
    let for_problem = shell.clone();
    let rendered = state.ask(move |studio| Ok(html(StatusCode::OK, &build(studio, shell)?)));
    answer(for_problem, rendered.await)
}

/// A response, or the page of its failure.
pub(super) fn answer(shell: Shell, result: Result<Response, AppError>) -> Response {
    result.unwrap_or_else(|error| Problem::of(shell, error).into_response())
}

/// A rendered template; live pages are never taken from a cache.
pub(super) fn html(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(text) => {
            let headers = [
                (header::CONTENT_TYPE, "text/html; charset=utf-8"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (status, headers, text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a template did not render");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
