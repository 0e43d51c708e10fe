//! Encoded pictures as answers.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::studio::Thumbnail;

/// For addresses whose content never changes.
pub(super) const IMMUTABLE: &str = "private, max-age=31536000, immutable";

pub(super) fn answer(picture: Thumbnail) -> Response {
    let described = [(header::CONTENT_TYPE, picture.content_type)];
    (described, Body::from(picture.bytes.to_vec())).into_response()
}
