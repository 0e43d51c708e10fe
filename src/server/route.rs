//! One route of the site, in the one table that the router is made of and that tests walk.

use std::sync::Arc;

use axum::handler::Handler;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodFilter, MethodRouter, on};
use tokio::sync::Semaphore;

use super::AppState;
use super::endpoint::Endpoint;
use super::layers::permits::with_permit;

/// What a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteKind {
    /// JSON and files, described by `/api/openapi.json`.
    Api,
    /// HTML and its forms.
    Page,
    /// Files of the program itself.
    Asset,
    /// Answers without an end, and so without a time limit.
    Stream,
}

/// A method at a path.
pub struct Route {
    pub method: Method,
    /// With parameters in braces.
    pub path: &'static str,
    pub kind: RouteKind,
    /// Requests answered at the same time; one more is answered 503.
    pub permits: usize,
    /// Changes something on this machine, or may; refused where the studio is read-only.
    pub writes: bool,
    handler: MethodRouter<AppState>,
}

/// Requests to one route at the same time, unless it says otherwise. A browser sends six.
pub(super) const PERMITS: usize = 64;

impl Route {
    pub(super) fn get<H, T>(kind: RouteKind, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Self::new(kind, (Method::GET, path), on(MethodFilter::GET, handler))
    }

    pub(super) fn post<H, T>(kind: RouteKind, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, AppState>,
        T: 'static,
    {
        Self::new(kind, (Method::POST, path), on(MethodFilter::POST, handler))
    }

    fn new(
        kind: RouteKind,
        (method, path): (Method, &'static str),
        handler: MethodRouter<AppState>,
    ) -> Self {
        let writes = !matches!(method, Method::GET | Method::HEAD);
        Self {
            method,
            path,
            kind,
            permits: PERMITS,
            writes,
            handler,
        }
    }

    pub(super) fn permits(mut self, permits: usize) -> Self {
        self.permits = permits;
        self
    }

    /// Of a form whose answer is kept by the browser alone.
    pub(super) fn sets_cookies_alone(mut self) -> Self {
        self.writes = false;
        self
    }

    /// What answers, within its permits.
    pub(super) fn into_handler(self) -> MethodRouter<AppState> {
        let permits = Arc::new(Semaphore::new(self.permits));
        self.handler
            .layer(middleware::from_fn_with_state(permits, with_permit))
    }
}

impl From<Endpoint> for Route {
    fn from(endpoint: Endpoint) -> Self {
        let place = (endpoint.method, endpoint.path);
        Self::new(RouteKind::Api, place, endpoint.handler).permits(endpoint.permits)
    }
}
