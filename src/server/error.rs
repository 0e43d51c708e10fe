//! Failures as HTTP: a 4xx says what to fix, a 5xx says little and is logged in full.

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protoclip::config::ConfigErrors;
use serde_json::{Value, json};

use crate::studio::StudioError;

/// An answer that is an error. As a response it is JSON: `{"error": …}`, or
/// `{"errors": [{"field", "message"}]}` when settings are wrong.
#[derive(Debug, Clone)]
pub struct AppError {
    pub status: StatusCode,
    /// What a person reads.
    pub message: String,
    /// The settings that are wrong, for status 422.
    pub fields: Option<ConfigErrors>,
}

impl AppError {
    /// An error with a status and a message for the client.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            fields: None,
        }
    }

    /// A failure of ours: logged in full, told briefly.
    pub fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the studio could not do this; its log says why",
        )
    }

    fn body(&self) -> Value {
        match &self.fields {
            Some(fields) => json!({"errors": fields.errors}),
            None => json!({"error": self.message}),
        }
    }
}

impl From<StudioError> for AppError {
    fn from(error: StudioError) -> Self {
        match error {
            StudioError::NotFound(message) => Self::new(StatusCode::NOT_FOUND, message),
            StudioError::Conflict(message) => Self::new(StatusCode::CONFLICT, message),
            StudioError::Invalid(fields) => fields.into(),
            // What the user named cannot be used; the message names it and the fix.
            StudioError::Data(error) => Self::new(StatusCode::CONFLICT, error.to_string()),
            other => Self::internal(other),
        }
    }
}

impl From<ConfigErrors> for AppError {
    fn from(fields: ConfigErrors) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            message: fields.to_string(),
            fields: Some(fields),
        }
    }
}

impl From<JsonRejection> for AppError {
    fn from(rejection: JsonRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for AppError {
    fn from(rejection: QueryRejection) -> Self {
        Self::new(rejection.status(), rejection.body_text())
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let soon = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, soon);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_failures_tell_nothing_of_their_insides() {
        let secret = StudioError::Other("/home/me/secret".into());
        let error = AppError::from(secret);
        assert_eq!(error.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert!(!error.body().to_string().contains("secret"));
    }

    #[test]
    fn wrong_settings_are_listed_by_field() {
        let error = AppError::from(ConfigErrors::one("seed", "is odd"));
        assert_eq!(error.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            error.body(),
            json!({"errors": [{"field": "seed", "message": "is odd"}]})
        );
    }
}
