//! What happens around every handler: security headers, caught panics, refused hosts and origins,
//! limits.

use std::any::Any;
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

use super::{AppError, AppState};

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
        .layer(middleware::from_fn_with_state(state.clone(), own_origin))
        .layer(middleware::from_fn_with_state(state.clone(), own_host))
        .layer(tower_http::trace::TraceLayer::new_for_http())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(security_headers))
}

async fn security_headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in SECURITY_HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn own_host(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let host = host_of(&request);
    if host.is_some_and(|host| state.hosts.accept(host)) {
        return next.run(request).await;
    }
    let message = "this server answers only under its own address; open the one it printed";
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
    if matches!(*request.method(), Method::GET | Method::HEAD) || from_own_page(&state, &request) {
        return next.run(request).await;
    }
    let message = "requests that change something are accepted only from the studio's own pages";
    AppError::new(StatusCode::FORBIDDEN, message).into_response()
}

/// A browser says where a request comes from; a command-line client says nothing and is no browser.
fn from_own_page(state: &AppState, request: &Request) -> bool {
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|v| v.to_str().unwrap_or("?"))
    };
    match (text("origin"), text("sec-fetch-site")) {
        (Some(origin), _) => state.hosts.accept_origin(origin),
        (None, Some(site)) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
    }
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
