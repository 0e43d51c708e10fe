//! `/runs/{id}/prototypes/over-time`: the prototypes from snapshot to snapshot. How alike the spaces
//! group, what was born, split, merged and died, and where the samples went.

mod agreement_chart;
mod river_drawing;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::address::{address, percent};
use super::figures::{NONE, grouped};
use super::prototypes::{Choice, SpaceLink, share, space_named, step_choices};
use super::respond::page;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{PrototypesOverTime, River, RunId, RunView, StepChanges, StudioError};
use agreement_chart::AgreementChart;
use river_drawing::RiverDrawing;

/// The page's state. Whatever makes no sense takes its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct TimeQuery {
    space: String,
    /// Last step of the river.
    step: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/over_time.html")]
struct OverTimePage {
    shell: Shell,
    tab: &'static str,
    views: &'static str,
    run: RunCard,
    absent: Option<String>,
    space: &'static str,
    spaces: Vec<SpaceLink>,
    steps: Vec<Choice>,
    /// Said while older snapshots were not looked at.
    progress: Option<String>,
    again: String,
    agreement: Option<AgreementChart>,
    changes: Vec<Change>,
    river: Option<RiverDrawing>,
    files: Files,
}

/// Addresses of the files.
#[derive(Debug, Default)]
struct Files {
    agreement: ChartFiles,
    changes_csv: String,
    river: ChartFiles,
}

#[derive(Debug, Default)]
struct ChartFiles {
    csv: String,
    svg: String,
    png: String,
}

#[derive(Debug)]
struct Change {
    step: String,
    href: String,
    continued: String,
    births: String,
    deaths: String,
    splits: String,
    merges: String,
    churn: String,
    /// Of 100.
    width: String,
    common: String,
}

pub(super) async fn over_time(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(query): Query<TimeQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        let space = space_named(&query.space);
        let found = studio.prototypes_over_time(&id, space).and_then(|found| {
            let river = studio.prototype_river(&id, query.step.parse().ok(), space)?;
            Ok((found, river))
        });
        match found {
            Ok((found, river)) => Ok(OverTimePage::new(shell, &view, &query, &found, &river)),
            Err(StudioError::NotFound(reason)) => Ok(OverTimePage::absent(shell, &view, reason)),
            Err(error) => Err(error),
        }
    })
    .await
}

impl OverTimePage {
    fn new(
        shell: Shell,
        view: &RunView,
        query: &TimeQuery,
        found: &PrototypesOverTime,
        river: &River,
    ) -> Self {
        let run = view.id.as_str();
        let space = found.space.name();
        let path = format!("/runs/{}/prototypes/over-time", percent(run));
        let links = found.spaces.iter().map(|&other| SpaceLink {
            name: other.name(),
            href: address(&path, &[("space", other.name()), ("step", &query.step)]),
            current: other == found.space,
        });
        let file = |name: &str| {
            address(
                &format!("/api/runs/{}/prototypes/{name}", percent(run)),
                &[("space", space), ("step", &query.step)],
            )
        };
        let chart = |name: &str| ChartFiles {
            csv: file(&format!("{name}.csv")),
            svg: file(&format!("{name}.svg")),
            png: file(&format!("{name}.png")),
        };
        Self {
            absent: None,
            space,
            spaces: links.collect(),
            steps: step_choices(&found.steps, &query.step),
            progress: (found.done < found.steps.len()).then(|| {
                format!(
                    "The newest {} of {} snapshots; the others take another look.",
                    grouped(found.done as u64),
                    grouped(found.steps.len() as u64)
                )
            }),
            again: address(&path, &[("space", space), ("step", &query.step)]),
            agreement: AgreementChart::new(&found.agreement),
            changes: found
                .changes
                .iter()
                .rev()
                .map(|change| Change::new(run, space, change))
                .collect(),
            river: (river.columns.len() > 1).then(|| RiverDrawing::new(run, river)),
            files: Files {
                agreement: chart("agreement"),
                changes_csv: file("changes.csv"),
                river: chart("river"),
            },
            ..Self::absent(shell, view, String::new())
        }
    }

    fn absent(shell: Shell, view: &RunView, reason: String) -> Self {
        Self {
            shell,
            tab: "prototypes",
            views: "over-time",
            run: RunCard::new(view),
            absent: Some(reason),
            space: "image",
            spaces: Vec::new(),
            steps: Vec::new(),
            progress: None,
            again: String::new(),
            agreement: None,
            changes: Vec::new(),
            river: None,
            files: Files::default(),
        }
    }
}

impl Change {
    fn new(run: &str, space: &str, change: &StepChanges) -> Self {
        let number = |count: usize| grouped(count as u64);
        Self {
            step: number(change.step as usize),
            href: address(
                &format!("/runs/{}/prototypes", percent(run)),
                &[
                    ("space", space),
                    ("step", &change.step.to_string()),
                    ("sort", "change"),
                ],
            ),
            continued: number(change.continued),
            births: number(change.births),
            deaths: number(change.deaths),
            splits: number(change.splits),
            merges: number(change.merges),
            churn: change.churn.map_or_else(|| NONE.into(), share),
            width: format!("{:.2}", 100.0 * change.churn.unwrap_or(0.0)),
            common: format!("{} ({})", number(change.common), share(change.common_share)),
        }
    }
}
