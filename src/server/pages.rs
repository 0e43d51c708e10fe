//! The pages: handlers that build a view from the studio and render it with askama.
//!
//! Every page works without script; forms post to routes here and are redirected (303). Handlers
//! read files and SQLite, so each builds and renders its page on a blocking thread. Nothing here
//! changes state on a GET.

mod address;
mod chart_catalogue;
mod checkpoint;
mod checkpoints;
mod compare;
mod data_set;
mod data_sets;
mod disagreement;
mod figures;
mod home;
mod imported;
mod learn;
mod measure_catalogue;
mod new_run;
mod notebook;
mod notebooks;
mod over_time;
mod problem;
mod prototype;
mod prototype_groups;
mod prototypes;
mod respond;
mod run_actions;
mod run_batch;
mod run_card;
mod run_changes;
mod run_config;
mod run_evaluate;
mod run_gap;
mod run_live;
mod run_log;
mod run_space;
mod runs;
mod settings;
mod shell;
mod work_list;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use super::AppState;

pub(super) use problem::unknown_address;

/// The routes of all pages.
pub fn router(state: &AppState) -> Router<AppState> {
    let of_imported = from_fn_with_state(state.clone(), imported::without_training);
    shelves().merge(runs_and_their_tabs().route_layer(of_imported))
}

fn shelves() -> Router<AppState> {
    Router::new()
        .route("/", get(home::home))
        .route("/fragments/active-runs", get(home::active_runs))
        .route("/fragments/runs", get(runs::table))
        .route("/checkpoints", get(checkpoints::list))
        .route("/checkpoints/import", post(checkpoints::import))
        .route("/checkpoints/{id}", get(checkpoint::one))
        .route("/checkpoints/{id}/{action}", post(checkpoint::act))
        .route("/datasets", get(data_sets::list))
        .route("/datasets/add", post(data_sets::add))
        .route("/datasets/{id}", get(data_set::one))
        .route("/datasets/{id}/open", post(data_sets::open))
        .route("/notebooks", get(notebooks::list).post(notebooks::create))
        .route("/notebooks/{name}", get(notebook::one))
        .route("/notebooks/{name}/parts", get(notebook::parts))
        .route("/notebooks/{name}/run", post(notebook::run))
        .route("/notebooks/{name}/cancel", post(notebook::cancel))
        .route("/notebooks/{name}/cells/{id}/set", post(notebook::set))
        .route("/notebooks/{name}/rename", post(notebook::rename))
        .route("/notebooks/{name}/delete", post(notebook::delete))
        .route("/learn", get(learn::learn))
        .route("/settings", get(settings::settings).post(settings::save))
        .route("/settings/trash/empty", post(settings::empty_trash))
        .route("/settings/exports/remove", post(settings::remove_exports))
        .route("/fragments/work", get(work_list::list))
        .route("/work/{id}/cancel", post(work_list::cancel))
        .route("/compare", get(compare::compare))
        .route("/demo", post(run_actions::start_demo))
        .route("/runs", get(runs::list))
        .route("/runs/import", post(runs::import))
        .route("/runs/new", get(new_run::form).post(new_run::submit))
}

fn runs_and_their_tabs() -> Router<AppState> {
    Router::new()
        .route("/runs/{id}", get(run_live::live))
        .route("/runs/{id}/head", get(run_live::head))
        .route("/runs/{id}/prototypes", get(prototypes::grid))
        .route(
            "/runs/{id}/prototypes/disagreement",
            get(disagreement::board),
        )
        .route(
            "/runs/{id}/prototypes/groups",
            get(prototype_groups::groups),
        )
        .route("/runs/{id}/prototypes/over-time", get(over_time::over_time))
        .route("/runs/{id}/prototypes/{k}", get(prototype::one))
        .route(
            "/runs/{id}/space",
            get(run_space::space).post(run_space::make),
        )
        .route("/runs/{id}/evaluate", get(run_evaluate::evaluate))
        .route("/runs/{id}/evaluate/tables", get(run_evaluate::tables))
        .route("/runs/{id}/gap", get(run_gap::gap))
        .route("/runs/{id}/batch", get(run_batch::batch))
        .route("/runs/{id}/gap/measures", get(run_gap::measures))
        .route("/runs/{id}/config", get(run_config::config))
        .route("/runs/{id}/log", get(run_log::log))
        .route("/runs/{id}/controls", post(run_actions::steer))
        .route("/runs/{id}/changes", get(run_changes::changes))
        .route(
            "/runs/{id}/changes/{step}/{field}/{action}",
            post(run_changes::act),
        )
        .route("/runs/{id}/rename", post(run_actions::rename))
        .route("/runs/{id}/{action}", post(run_actions::act))
}
