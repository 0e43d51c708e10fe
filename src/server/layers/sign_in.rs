//! Asks visitors of a locked server for its token, and nobody else.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::wants_page;
use crate::server::access::Lock;
use crate::server::{AppError, AppState};

/// A form for the token; with a style of its own, since the studio's is behind the lock.
#[derive(Debug, Template)]
#[template(path = "pages/sign_in.html")]
struct SignIn {
    style: &'static str,
    /// A token was given and is not the studio's.
    wrong: bool,
}

const STYLE: &str = include_str!("../../../templates/pages/sign_in.css");

/// Allows that style by its hash, the form, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'"
    )
});

pub(super) async fn signed_in(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let Some(lock) = state.access.lock() else {
        return next.run(request).await;
    };
    if let Some((token, rest)) = token_in(request.method(), request.uri()) {
        return match lock.takes_token(token) {
            true => welcome(lock, request.uri().path(), &rest),
            false => refuse(&request, true),
        };
    }
    if lock.takes(request.headers()) {
        return next.run(request).await;
    }
    refuse(&request, false)
}

/// The `token=` of an address that is only read, and the rest of its query.
fn token_in<'a>(method: &Method, uri: &'a Uri) -> Option<(&'a str, String)> {
    if *method != Method::GET {
        return None;
    }
    let query = uri.query()?;
    let token = query
        .split('&')
        .find_map(|part| part.strip_prefix("token="))?;
    let rest: Vec<&str> = query
        .split('&')
        .filter(|part| !part.starts_with("token="))
        .collect();
    Some((token, rest.join("&")))
}

/// Leads to the same address without the token, so that it stays in no history.
fn welcome(lock: &Lock, path: &str, rest: &str) -> Response {
    // A path that begins with two slashes would lead to another host.
    let elsewhere = !path.starts_with('/') || path[1..].starts_with(['/', '\\']);
    let path = if elsewhere { "/" } else { path };
    let to = if rest.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{rest}")
    };
    let headers = [
        (header::LOCATION, to),
        (header::SET_COOKIE, lock.set_cookie()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn refuse(request: &Request, wrong: bool) -> Response {
    let style = STYLE;
    let form = wants_page(request).then(|| SignIn { style, wrong }.render());
    let body = if let Some(Ok(form)) = form {
        let policy = [(header::CONTENT_SECURITY_POLICY, POLICY.as_str())];
        (StatusCode::UNAUTHORIZED, policy, Html(form)).into_response()
    } else {
        let message = "this studio asks for its token: send the header `Authorization: Bearer TOKEN`, \
                       or open the address with ?token=TOKEN that it printed when it started";
        AppError::new(StatusCode::UNAUTHORIZED, message).into_response()
    };
    let headers = [
        (header::WWW_AUTHENTICATE, "Bearer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_leaves_the_rest_of_the_query() {
        let found = |method: Method, text: &'static str| {
            let uri = Uri::from_static(text);
            token_in(&method, &uri).map(|(token, rest)| format!("{token} {rest}"))
        };
        let get = |text| found(Method::GET, text);
        assert_eq!(get("/runs?a=1&token=x&b=2").as_deref(), Some("x a=1&b=2"));
        assert_eq!(get("/?token=").as_deref(), Some(" "));
        assert_eq!(get("/?tokens=x"), None);
        assert_eq!(get("/"), None);
        assert_eq!(found(Method::POST, "/?token=x"), None);
    }
}
