//! One route of the API together with its description, so that neither can exist without the other.

use axum::extract::FromRequestParts;
use axum::extract::rejection::QueryRejection;
use axum::handler::Handler;
use axum::http::Method;
use axum::http::request::Parts;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde::de::DeserializeOwned;

use super::route::PERMITS;
use super::{AppError, AppState};

/// Requests to one route at the same time where each takes seconds.
const HEAVY_PERMITS: usize = 4;

/// A route, what it means, and what answers it.
pub struct Endpoint {
    pub method: Method,
    /// With parameters in braces.
    pub path: &'static str,
    pub summary: &'static str,
    /// Names and meanings of query parameters.
    pub query: &'static [(&'static str, &'static str)],
    /// Whether its answer is drawn in the colours of the settings, or those that `palette` names.
    pub drawn: bool,
    /// Name of the schema of its JSON body.
    pub body: Option<&'static str>,
    /// Content type of its body, where that is a text.
    pub text_body: Option<&'static str>,
    /// Status and content type of its success.
    pub success: (u16, &'static str),
    /// Statuses of its failures, besides those of every route.
    pub failures: &'static [u16],
    /// Requests answered at the same time; one more is answered 503.
    pub permits: usize,
    pub(super) handler: MethodRouter<AppState>,
}

impl Endpoint {
    pub(super) fn get<H, T>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Self::new(Method::GET, MethodFilter::GET, path, summary, handler)
    }

    pub(super) fn post<H, T>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Self::new(Method::POST, MethodFilter::POST, path, summary, handler)
    }

    pub(super) fn patch<H, T>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Self::new(Method::PATCH, MethodFilter::PATCH, path, summary, handler)
    }

    pub(super) fn put<H, T>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Self::new(Method::PUT, MethodFilter::PUT, path, summary, handler)
    }

    pub(super) fn delete<H, T>(path: &'static str, summary: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Self::new(Method::DELETE, MethodFilter::DELETE, path, summary, handler)
    }

    fn new<H, T>(
        method: Method,
        filter: MethodFilter,
        path: &'static str,
        summary: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Self {
            method,
            path,
            summary,
            query: &[],
            drawn: false,
            body: None,
            text_body: None,
            success: (200, "application/json"),
            failures: &[],
            permits: PERMITS,
            handler: on(filter, handler),
        }
    }

    pub(super) fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    pub(super) fn drawn(mut self, drawn: bool) -> Self {
        self.drawn = drawn;
        self
    }

    pub(super) fn body(mut self, schema: &'static str) -> Self {
        self.body = Some(schema);
        self
    }

    pub(super) fn text_body(mut self, content_type: &'static str) -> Self {
        self.text_body = Some(content_type);
        self
    }

    pub(super) fn success(mut self, status: u16, content_type: &'static str) -> Self {
        self.success = (status, content_type);
        self
    }

    /// For answers that read or compute much: only a few at the same time.
    pub(super) fn heavy(mut self) -> Self {
        self.permits = HEAVY_PERMITS;
        self
    }

    pub(super) fn failures(mut self, failures: &'static [u16]) -> Self {
        self.failures = failures;
        self
    }
}

/// Query parameters whose errors are ours.
pub(super) struct ApiQuery<T>(pub(super) T);

impl<T, S> FromRequestParts<S> for ApiQuery<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, AppError> {
        let found: Result<axum::extract::Query<T>, QueryRejection> =
            axum::extract::Query::try_from_uri(&parts.uri);
        Ok(Self(found?.0))
    }
}
