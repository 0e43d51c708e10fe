//! `/runs/{id}/prototypes/groups`: the prototypes gathered into any number of groups. The cut is in
//! the address.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::address::{address, percent};
use super::figures::{grouped, percent_of};
use super::prototypes::{Choice, SpaceLink, prototype_href, space_named, step_choices, words};
use super::respond::page;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{GroupedPrototype, PrototypeCut, PrototypeGroup, RunId, RunView, StudioError};

/// The cut's place. Whatever makes no sense takes its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct CutQuery {
    space: String,
    step: String,
    cut: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/prototype_groups.html")]
struct GroupsPage {
    shell: Shell,
    tab: &'static str,
    views: &'static str,
    run: RunCard,
    absent: Option<String>,
    warning: Option<String>,
    note: Option<String>,
    space: &'static str,
    spaces: Vec<SpaceLink>,
    steps: Vec<Choice>,
    cut: usize,
    most: usize,
    summary: String,
    groups: Vec<Group>,
    csv: String,
    json: String,
}

#[derive(Debug)]
struct Group {
    words: String,
    samples: String,
    share: String,
    /// Of 100.
    width: String,
    prototypes: String,
    pictures: Vec<Picture>,
    more: Option<String>,
}

#[derive(Debug)]
struct Picture {
    href: String,
    image: String,
    title: String,
}

/// Groups of one page; the files have all.
const SHOWN: usize = 120;

pub(super) async fn groups(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(query): Query<CutQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        let (step, space) = (query.step.parse().ok(), space_named(&query.space));
        match studio.prototype_cut(&id, step, space, query.cut.parse().ok()) {
            Ok(found) => Ok(GroupsPage::new(shell, &view, &query, &found)),
            Err(StudioError::NotFound(reason)) => Ok(GroupsPage::absent(shell, &view, reason)),
            Err(error) => Err(error),
        }
    })
    .await
}

impl GroupsPage {
    fn new(shell: Shell, view: &RunView, query: &CutQuery, found: &PrototypeCut) -> Self {
        let run = view.id.as_str();
        let (cut, step) = (found.cut.to_string(), found.step.to_string());
        let samples: usize = found.groups.iter().map(|group| group.samples).sum();
        let space = found.space.name();
        let file = |name: &str| {
            address(
                &format!("/api/runs/{}/prototypes/{name}", percent(run)),
                &[("space", space), ("step", &step), ("cut", &cut)],
            )
        };
        let links = found.spaces.iter().map(|&other| SpaceLink {
            name: other.name(),
            href: address(
                &format!("/runs/{}/prototypes/groups", percent(run)),
                &[
                    ("space", other.name()),
                    ("step", &query.step),
                    ("cut", &cut),
                ],
            ),
            current: other == found.space,
        });
        let groups = found.groups.iter().take(SHOWN);
        Self {
            absent: None,
            warning: found.data_error.clone(),
            note: note(found),
            space,
            spaces: links.collect(),
            steps: step_choices(&found.steps, &query.step),
            cut: found.cut,
            most: found.most,
            summary: format!(
                "Step {}: {} prototypes with samples in {} groups",
                grouped(found.step),
                grouped(found.most as u64),
                grouped(found.groups.len() as u64)
            ),
            groups: groups
                .map(|group| Group::new(run, (space, found.step), group, samples))
                .collect(),
            csv: file("groups.csv"),
            json: file("groups"),
            ..Self::absent(shell, view, String::new())
        }
    }

    fn absent(shell: Shell, view: &RunView, reason: String) -> Self {
        Self {
            shell,
            tab: "prototypes",
            views: "groups",
            run: RunCard::new(view),
            absent: Some(reason),
            warning: None,
            note: None,
            space: "image",
            spaces: Vec::new(),
            steps: Vec::new(),
            cut: 0,
            most: 0,
            summary: String::new(),
            groups: Vec::new(),
            csv: String::new(),
            json: String::new(),
        }
    }
}

fn note(found: &PrototypeCut) -> Option<String> {
    if found.groups.len() > SHOWN {
        Some(format!(
            "The {SHOWN} largest of {} groups; the files have all.",
            grouped(found.groups.len() as u64)
        ))
    } else if !found.exact {
        Some("With this many prototypes, k-means bundles them first; groups inside a bundle are approximate.".into())
    } else {
        None
    }
}

impl Group {
    fn new(run: &str, (space, step): (&str, u64), group: &PrototypeGroup, samples: usize) -> Self {
        let shown = group.largest.len();
        let picture = |one: &GroupedPrototype| Picture {
            href: prototype_href(run, one.prototype, space, step),
            image: one.image_url.clone(),
            title: format!(
                "Prototype {}: {}, {} samples",
                one.prototype,
                words(&one.words, one.prototype),
                grouped(one.size as u64)
            ),
        };
        Self {
            words: match group.words.is_empty() {
                true => "no words".into(),
                false => group.words.join(", "),
            },
            samples: grouped(group.samples as u64),
            share: percent_of(group.samples, samples),
            width: format!(
                "{:.2}",
                100.0 * group.samples as f64 / samples.max(1) as f64
            ),
            prototypes: match group.prototypes {
                1 => "1 prototype".into(),
                n => format!("{} prototypes", grouped(n as u64)),
            },
            pictures: group.largest.iter().map(picture).collect(),
            more: (shown < group.prototypes)
                .then(|| format!("and {} smaller", grouped((group.prototypes - shown) as u64))),
        }
    }
}
