//! `/`: the runs of this studio.

use askama::Template;
use axum::extract::State;
use axum::response::Html;

use super::super::{AppError, AppState};
use crate::studio::RunView;

#[derive(Template)]
#[template(path = "pages/home.html")]
struct Home {
    runs: Vec<RunView>,
}

pub(super) async fn home(State(state): State<AppState>) -> Result<Html<String>, AppError> {
    let page = Home {
        runs: state.studio.runs(),
    };
    page.render().map(Html).map_err(AppError::internal)
}
