//! `/runs/{id}/config`: every setting beside its preset's value, and the file to run again.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;

use super::new_run::{FieldSpec, GROUPS, as_json};
use super::respond::page;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::RunId;

#[derive(Debug, Template)]
#[template(path = "pages/run_config.html")]
struct ConfigPage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    preset: &'static str,
    /// Settings that differ from the preset.
    changed: usize,
    groups: Vec<Group>,
    toml: String,
}

#[derive(Debug)]
struct Group {
    key: &'static str,
    title: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    help: &'static str,
    paper: &'static str,
    value: String,
    preset: String,
    changed: bool,
}

pub(super) async fn config(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let config = studio.config(&id)?;
        let (own, preset) = (as_json(&config), as_json(&config.preset.config()));
        let row = |field: &FieldSpec| {
            let (value, preset) = (field.shown_in(&own), field.shown_in(&preset));
            Row {
                name: field.name,
                help: field.help,
                paper: field.paper,
                changed: value != preset && field.name != "name",
                value,
                preset,
            }
        };
        let groups: Vec<Group> = GROUPS
            .iter()
            .map(|group| Group {
                key: group.key,
                title: group.title,
                rows: group.fields.iter().map(row).collect(),
            })
            .collect();
        let rows = groups.iter().flat_map(|group| &group.rows);
        Ok(ConfigPage {
            shell: shell.in_section("runs"),
            tab: "config",
            run: RunCard::new(&view),
            preset: config.preset.title(),
            changed: rows.filter(|row| row.changed).count(),
            groups,
            toml: config.to_toml()?,
        })
    })
    .await
}
