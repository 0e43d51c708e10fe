//! The page for what cannot be shown: an unknown address, an absent run, a refusal, a failure.

use askama::Template;
use axum::extract::{FromRequestParts, Request};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::respond::html;
use super::shell::Shell;
use crate::server::{AppError, layers};

#[derive(Debug, Template)]
#[template(path = "pages/problem.html")]
pub(super) struct Problem {
    shell: Shell,
    title: &'static str,
    detail: String,
    status: StatusCode,
}

impl Problem {
    pub(super) fn of(shell: Shell, error: AppError) -> Self {
        let title = match error.status {
            StatusCode::NOT_FOUND => "Not found",
            // The one refusal that a browser meets on a page.
            StatusCode::FORBIDDEN => "Read only",
            StatusCode::CONFLICT => "Not possible now",
            StatusCode::UNPROCESSABLE_ENTITY => "That cannot be used",
            status if status.is_server_error() => "Something failed",
            _ => "That did not work",
        };
        Self {
            shell,
            title,
            detail: error.message,
            status: error.status,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        html(self.status, &self)
    }
}

/// Says as a page that a form was not taken.
pub(crate) async fn refused(request: Request, error: AppError) -> Response {
    let (mut parts, _body) = request.into_parts();
    let Ok(shell) = Shell::from_request_parts(&mut parts, &()).await;
    Problem::of(shell, error).into_response()
}

/// Answers every address that nothing else answers: JSON below `/api`, a page elsewhere.
pub(crate) async fn unknown_address(shell: Shell, uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        return layers::not_found(uri).await.into_response();
    }
    let detail = format!("Nothing is at {}.", uri.path());
    Problem::of(shell, AppError::new(StatusCode::NOT_FOUND, detail)).into_response()
}
