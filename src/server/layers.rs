//! What happens around every handler, outermost first: security headers, caught panics, trace, own
//! host, own origin, token, read-only, size of the body, time, permits of the route.
//!
//! Security headers come first so that refusals and failures carry them too. Event streams have no
//! time limit.

pub(super) mod permits;
mod sign_in;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

use super::{AppError, AppState, all_routes, pages};

/// Largest request body; the largest honest one is a form of settings.
const BODY_LIMIT: usize = 1 << 20;
/// Longest time of a request; the event stream has none.
const TIME_LIMIT: Duration = Duration::from_secs(60);

const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
         connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Limits for handlers that answer and are done.
pub(super) fn limited(router: Router<AppState>) -> Router<AppState> {
    router
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            TIME_LIMIT,
        ))
}

/// What surrounds everything, outermost last.
pub(super) fn guarded(router: Router<AppState>, state: &AppState) -> Router<AppState> {
    router
        .layer(RequestBodyLimitLayer::new(BODY_LIMIT))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(middleware::from_fn_with_state(
            (state.clone(), forms_that_write_nothing()),
            writable,
        ))
        .layer(middleware::from_fn_with_state(
            state.clone(),
            sign_in::signed_in,
        ))
        .layer(middleware::from_fn_with_state(state.clone(), own_origin))
        .layer(middleware::from_fn_with_state(state.clone(), own_host))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(security_headers))
}

/// Without the query, which may hold the token.
fn span(request: &Request) -> Span {
    tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        // The form for the token brings a policy of its own, which allows less.
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

async fn own_host(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let host = host_of(&request);
    if host.is_some_and(|host| state.hosts.accept(host)) {
        return next.run(request).await;
    }
    let message = "this server answers only under its own address; open the one it printed, or \
                   start it with --allow-host and the name you use";
    AppError::new(StatusCode::MISDIRECTED_REQUEST, message).into_response()
}

fn host_of(request: &Request) -> Option<&str> {
    let named = request.headers().get(header::HOST);
    match named {
        Some(host) => host.to_str().ok(),
        None => request
            .uri()
            .authority()
            .map(|authority| authority.as_str()),
    }
}

async fn own_origin(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if only_reads(request.method()) || from_own_page(&state, &request) {
        return next.run(request).await;
    }
    let message = "requests that change something are accepted only from the studio's own pages";
    AppError::new(StatusCode::FORBIDDEN, message).into_response()
}

/// No route changes anything for these.
fn only_reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// A browser says where a request comes from; a command-line client says nothing and is no browser.
fn from_own_page(state: &AppState, request: &Request) -> bool {
    let said = |name: &str| {
        let value = request.headers().get(name)?;
        Some(value.to_str().unwrap_or("?"))
    };
    said("origin").is_none_or(|origin| state.hosts.accept_origin(origin))
        && said("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"))
}

/// Marks requests to a studio that may not be changed; pages then have no buttons.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadOnly;

/// Paths of forms that may be sent to a studio that may not be changed.
type Harmless = Arc<[&'static str]>;

fn forms_that_write_nothing() -> Harmless {
    let routes = all_routes().into_iter();
    routes
        .filter(|route| !only_reads(&route.method) && !route.writes)
        .map(|route| route.path)
        .collect()
}

async fn writable(
    State((state, harmless)): State<(AppState, Harmless)>,
    mut request: Request,
    next: Next,
) -> Response {
    if !state.access.is_read_only() {
        return next.run(request).await;
    }
    request.extensions_mut().insert(ReadOnly);
    let path = request.uri().path();
    if only_reads(request.method()) || harmless.contains(&path) {
        return next.run(request).await;
    }
    let message = "This studio was started with --read-only: it shows runs and changes nothing.";
    let error = AppError::new(StatusCode::FORBIDDEN, message);
    match wants_page(&request) {
        true => pages::refused(request, error).await,
        false => error.into_response(),
    }
}

/// Whether a browser asks for something to show: a page, or what a form leads to.
fn wants_page(request: &Request) -> bool {
    let accept = request.headers().get(header::ACCEPT);
    accept.is_some_and(|value| value.as_bytes().starts_with(b"text/html"))
        && !request.uri().path().starts_with("/api/")
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature that the layer asks for"
)]
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message");
    AppError::internal(format!("a handler panicked: {message}")).into_response()
}

/// The answer for an address that nothing lives at.
pub(super) async fn not_found(uri: Uri) -> AppError {
    AppError::new(
        StatusCode::NOT_FOUND,
        format!(
            "nothing is at {}; /api/openapi.json lists the API",
            uri.path()
        ),
    )
}

/// The answer for an address that does not know the method.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> AppError {
    AppError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {method}", uri.path()),
    )
}
