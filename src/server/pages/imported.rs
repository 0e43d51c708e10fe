//! What the tabs of an imported run show that only a run trained here can fill.

use std::collections::HashMap;

use askama::Template;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;

use super::respond::html;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{RunId, RunView};

#[derive(Debug, Template)]
#[template(path = "pages/run_imported.html")]
struct ImportedPage {
    shell: Shell,
    tab: &'static str,
    title: &'static str,
    what: &'static str,
    run: RunCard,
}

/// Tabs by the word of their address: title, and what they would need.
const TABS: [(&str, &str, &str); 6] = [
    ("prototypes", "Prototypes", "prototypes of its episodes"),
    ("space", "Space", "features of its samples"),
    ("gap", "Gap", "features of its samples"),
    ("batch", "Batch", "a model and its data"),
    ("evaluate", "Evaluate", "a model and its data"),
    ("config", "Config", "settings that it was started with"),
];

/// Answers for the tabs that an imported run cannot fill; lets everything else pass.
pub(in crate::server) async fn without_training(
    State(state): State<AppState>,
    shell: Shell,
    Path(parts): Path<HashMap<String, String>>,
    request: Request,
    next: Next,
) -> Response {
    let id = parts.get("id").map(|id| RunId::from(id.as_str()));
    let run = id.and_then(|id| state.studio.run(&id).ok());
    let imported = run.filter(|run| run.imported.is_some());
    let (Some(run), &Method::GET) = (imported, request.method()) else {
        return next.run(request).await;
    };
    let word = request.uri().path().split('/').nth(3).unwrap_or_default();
    match TABS.iter().find(|(tab, ..)| *tab == word) {
        Some(tab) => html(StatusCode::OK, &ImportedPage::new(shell, &run, tab)),
        None => next.run(request).await,
    }
}

impl ImportedPage {
    fn new(shell: Shell, run: &RunView, tab: &(&'static str, &'static str, &'static str)) -> Self {
        Self {
            shell: shell.in_section("runs"),
            tab: tab.0,
            title: tab.1,
            what: tab.2,
            run: RunCard::new(run),
        }
    }
}
