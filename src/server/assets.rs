//! Files of `static/`, compiled into the program.

use axum::extract::{OriginalUri, Path};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use include_dir::{Dir, include_dir};

use super::AppError;

static FILES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/static");

/// An address with a version never changes its content.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";
const REVALIDATE: &str = "no-cache";

/// `GET /static/{path}`, cached for ever when asked with `?v=`.
pub(super) async fn asset(
    Path(path): Path<String>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Result<Response, AppError> {
    let file = FILES
        .get_file(&path)
        .ok_or_else(|| AppError::new(StatusCode::NOT_FOUND, format!("there is no file {path}")))?;
    let etag = format!("\"{}\"", version(file.contents()));
    let versioned = uri.query().is_some_and(|query| query.starts_with("v="));
    let cache = if versioned { IMMUTABLE } else { REVALIDATE };
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        let kept = [(header::ETAG, etag), (header::CACHE_CONTROL, cache.into())];
        return Ok((StatusCode::NOT_MODIFIED, kept).into_response());
    }
    let described = [
        (header::CONTENT_TYPE, content_type(&path).to_owned()),
        (header::CACHE_CONTROL, cache.to_owned()),
        (header::ETAG, etag),
    ];
    Ok((described, file.contents()).into_response())
}

/// The address of an asset with its version, such as `/static/dist/app.js?v=0123456789abcdef`.
/// A file that does not exist keeps its plain address.
pub fn asset_url(path: &str) -> String {
    match FILES.get_file(path) {
        Some(file) => format!("/static/{path}?v={}", version(file.contents())),
        None => format!("/static/{path}"),
    }
}

fn version(content: &[u8]) -> String {
    blake3::hash(content).to_hex()[..16].to_owned()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
