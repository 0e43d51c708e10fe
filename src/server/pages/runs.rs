//! `/runs`: every run, filtered and sorted by its address, and the form that imports curves.

mod import_form;

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use protoclip::train::tag;
use serde::{Deserialize, Serialize};

use self::import_form::ImportForm;
use super::address::address;
use super::figures::date_time;
use super::respond::{answer, html, page};
use super::run_card::{RunCard, latest};
use super::shell::Shell;
use super::work_list::WorkList;
use crate::server::{AppError, AppState};
use crate::studio::{CurveRequest, RunState, RunView, Studio, WorkKind};

/// The list's state, all of it in the address.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct ListQuery {
    q: String,
    state: String,
    /// A column's key, with `-` before it for descending.
    sort: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/runs.html")]
struct RunsPage {
    shell: Shell,
    query: ListQuery,
    states: Vec<&'static str>,
    fragment: String,
    total: usize,
    shown: usize,
    rows: Vec<Row>,
    columns: Vec<Column>,
    work: WorkList,
    import: ImportForm,
}

#[derive(Debug, Template)]
#[template(path = "partials/run_table.html")]
struct RunTable {
    shell: Shell,
    rows: Vec<Row>,
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Row {
    run: RunCard,
    ami: String,
    created: String,
    created_iso: String,
}

#[derive(Debug)]
struct Column {
    title: &'static str,
    numeric: bool,
    /// `ascending` or `descending` when the list is sorted by it.
    sorted: Option<&'static str>,
    href: String,
}

const COLUMNS: [(&str, &str, bool); 7] = [
    ("name", "Name", false),
    ("state", "State", false),
    ("episode", "Episode", true),
    ("step", "Step", true),
    ("loss", "Total loss", true),
    ("ami", "AMI × 100", true),
    ("created", "Created", false),
];

pub(super) async fn list(
    State(state): State<AppState>,
    shell: Shell,
    Query(query): Query<ListQuery>,
) -> Response {
    page(state, shell, |studio, shell| {
        let form = ImportForm::new(&CurveRequest::default(), &[]);
        Ok(RunsPage::new(studio, shell, query, form))
    })
    .await
}

/// Starts to import curves; a wrong form comes back with its values and errors.
pub(super) async fn import(
    State(state): State<AppState>,
    shell: Shell,
    Form(request): Form<CurveRequest>,
) -> Response {
    let typed = request.clone();
    match state
        .ask(move |studio| studio.import_curves(&request))
        .await
    {
        Ok(_) => Redirect::to("/runs").into_response(),
        Err(AppError {
            fields: Some(errors),
            ..
        }) => {
            let for_problem = shell.clone();
            let rendered = state.ask(move |studio| {
                let form = ImportForm::new(&typed, &errors.errors);
                let page = RunsPage::new(studio, shell, ListQuery::default(), form);
                Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
            });
            answer(for_problem, rendered.await)
        }
        Err(error) => answer(shell, Err(error)),
    }
}

impl RunsPage {
    fn new(studio: &Studio, shell: Shell, query: ListQuery, import: ImportForm) -> Self {
        let rows = rows(studio, &query);
        Self {
            work: WorkList::of_kind(studio, shell.clone(), WorkKind::ImportCurves),
            shell: shell.in_section("runs"),
            states: RunState::ALL.map(RunState::name).to_vec(),
            fragment: with_query("/fragments/runs", &query),
            total: studio.runs().len(),
            shown: rows.len(),
            rows,
            columns: columns(&query),
            query,
            import,
        }
    }
}

/// The table alone, for the page's live update.
pub(super) async fn table(
    State(state): State<AppState>,
    shell: Shell,
    Query(query): Query<ListQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        Ok(RunTable {
            shell,
            rows: rows(studio, &query),
            columns: columns(&query),
        })
    })
    .await
}

fn rows(studio: &Studio, query: &ListQuery) -> Vec<Row> {
    let wanted = query.q.to_lowercase();
    let mut runs = studio.runs();
    runs.retain(|run| {
        let found =
            run.name.to_lowercase().contains(&wanted) || run.id.to_string().contains(&wanted);
        found && (query.state.is_empty() || query.state == run.state.name())
    });
    sort(&mut runs, &query.sort);
    runs.iter().map(Row::new).collect()
}

impl Row {
    fn new(run: &RunView) -> Self {
        Self {
            ami: latest(run, tag::EVAL_AMI),
            created: date_time(run.created),
            created_iso: run.created.to_string(),
            run: RunCard::new(run),
        }
    }
}

/// Sorts by a column; unknown ones keep the newest run first.
fn sort(runs: &mut [RunView], by: &str) {
    let key = by.trim_start_matches('-');
    let value = |run: &RunView, tag: &str| run.latest.get(tag).copied().unwrap_or(f64::NAN);
    runs.sort_by(|a, b| match key {
        "name" => a.name.to_lowercase().cmp(&b.name.to_lowercase()),
        "state" => a.state.cmp(&b.state),
        "episode" => a.episode.cmp(&b.episode),
        "step" => a.step.cmp(&b.step),
        "loss" => value(a, tag::LOSS_TOTAL).total_cmp(&value(b, tag::LOSS_TOTAL)),
        "ami" => value(a, tag::EVAL_AMI).total_cmp(&value(b, tag::EVAL_AMI)),
        "created" => a.created.cmp(&b.created),
        _ => std::cmp::Ordering::Equal,
    });
    if by.starts_with('-') {
        runs.reverse();
    }
}

fn columns(query: &ListQuery) -> Vec<Column> {
    let current = if query.sort.is_empty() {
        "-created"
    } else {
        &query.sort
    };
    COLUMNS
        .map(|(key, title, numeric)| {
            let sorted = (current.trim_start_matches('-') == key).then(|| {
                if current.starts_with('-') {
                    "descending"
                } else {
                    "ascending"
                }
            });
            let next = ListQuery {
                sort: next_sort(key, sorted),
                ..query.clone()
            };
            Column {
                title,
                numeric,
                sorted,
                href: with_query("/runs", &next),
            }
        })
        .into()
}

/// Numbers and dates are first sorted with the largest on top; a second choice turns the order.
fn next_sort(key: &str, sorted: Option<&str>) -> String {
    let descending = match sorted {
        Some(direction) => direction == "ascending",
        None => !matches!(key, "name" | "state"),
    };
    format!("{}{key}", if descending { "-" } else { "" })
}

fn with_query(path: &str, query: &ListQuery) -> String {
    let pairs = [
        ("q", query.q.as_str()),
        ("state", &query.state),
        ("sort", &query.sort),
    ];
    address(path, &pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_choice_of_a_column_turns_the_order() {
        assert_eq!(next_sort("step", None), "-step");
        assert_eq!(next_sort("step", Some("descending")), "step");
        assert_eq!(next_sort("name", None), "name");
        assert_eq!(next_sort("name", Some("ascending")), "-name");
    }
}
