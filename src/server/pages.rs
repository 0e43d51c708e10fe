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
mod facts;
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

use axum::handler::Handler;

use super::AppState;
use super::route::{Route, RouteKind};

pub(super) use compare::{grouping_table, measures_table, settings_table};
pub(super) use imported::without_training;
pub(super) use problem::{refused, unknown_address};
pub(super) use run_evaluate::run_measures_table;
pub(super) use shell::chosen;

/// The routes of all pages.
pub(super) fn routes() -> Vec<Route> {
    let mut all = shelves();
    all.extend(runs_and_their_tabs());
    all
}

fn shelves() -> Vec<Route> {
    vec![
        get("/", home::home),
        get("/fragments/active-runs", home::active_runs),
        get("/fragments/runs", runs::table),
        get("/checkpoints", checkpoints::list),
        post("/checkpoints/import", checkpoints::import),
        get("/checkpoints/{id}", checkpoint::one),
        post("/checkpoints/{id}/{action}", checkpoint::act),
        get("/datasets", data_sets::list),
        post("/datasets/add", data_sets::add),
        get("/datasets/{id}", data_set::one),
        post("/datasets/{id}/open", data_sets::open),
        post("/datasets/{id}/pictures", data_sets::compare_pictures),
        post("/datasets/{id}/relink", data_sets::relink),
        post("/datasets/{id}/teacher", data_set::make_teacher),
        get("/notebooks", notebooks::list),
        post("/notebooks", notebooks::create),
        get("/notebooks/{name}", notebook::one),
        get("/notebooks/{name}/parts", notebook::parts),
        post("/notebooks/{name}/run", notebook::run),
        post("/notebooks/{name}/cancel", notebook::cancel),
        post("/notebooks/{name}/cells/{id}/set", notebook::set),
        post("/notebooks/{name}/rename", notebook::rename),
        post("/notebooks/{name}/delete", notebook::delete),
        get("/learn", learn::learn),
        get("/settings", settings::settings),
        post("/settings", settings::save).sets_cookies_alone(),
        post("/settings/trash/empty", settings::empty_trash),
        post("/settings/exports/remove", settings::remove_exports),
        get("/fragments/work", work_list::list),
        post("/work/{id}/cancel", work_list::cancel),
        get("/compare", compare::compare),
        post("/demo", run_actions::start_demo),
        get("/runs", runs::list),
        post("/runs/import", runs::import),
        get("/runs/new", new_run::form),
        post("/runs/new", new_run::submit),
        get("/fragments/augmentation", new_run::augmentation),
    ]
}

/// Pages of one run, which [`without_training`] goes before.
pub(super) const OF_A_RUN: &str = "/runs/{id}";

fn runs_and_their_tabs() -> Vec<Route> {
    vec![
        get(OF_A_RUN, run_live::live),
        get("/runs/{id}/head", run_live::head),
        get("/runs/{id}/prototypes", prototypes::grid),
        get("/runs/{id}/prototypes/disagreement", disagreement::board),
        get("/runs/{id}/prototypes/groups", prototype_groups::groups),
        get("/runs/{id}/prototypes/over-time", over_time::over_time),
        get("/runs/{id}/prototypes/{k}", prototype::one),
        get("/runs/{id}/space", run_space::space),
        post("/runs/{id}/space", run_space::make),
        get("/runs/{id}/evaluate", run_evaluate::evaluate),
        get("/runs/{id}/evaluate/tables", run_evaluate::tables),
        get("/runs/{id}/gap", run_gap::gap),
        get("/runs/{id}/batch", run_batch::batch),
        get("/runs/{id}/gap/measures", run_gap::measures),
        get("/runs/{id}/config", run_config::config),
        get("/runs/{id}/log", run_log::log),
        post("/runs/{id}/controls", run_actions::steer),
        get("/runs/{id}/changes", run_changes::changes),
        post(
            "/runs/{id}/changes/{step}/{field}/{action}",
            run_changes::act,
        ),
        post("/runs/{id}/rename", run_actions::rename),
        post("/runs/{id}/{action}", run_actions::act),
    ]
}

fn get<H, T>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, AppState>,
    T: 'static,
{
    Route::get(RouteKind::Page, path, handler)
}

fn post<H, T>(path: &'static str, handler: H) -> Route
where
    H: Handler<T, AppState>,
    T: 'static,
{
    Route::post(RouteKind::Page, path, handler)
}
