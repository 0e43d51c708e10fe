//! Pages for people, one file each.

mod home;

use axum::Router;
use axum::routing::get;

use super::AppState;

/// All pages.
pub fn router() -> Router<AppState> {
    Router::new().route("/", get(home::home))
}
