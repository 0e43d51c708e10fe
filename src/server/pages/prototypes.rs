//! `/runs/{id}/prototypes`: the prototypes of a snapshot as a grid like the paper's Figure 2. What is
//! shown is in the address; without a step it is the newest snapshot at the time of the request.

mod health_filter;
mod take_along;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::address::{address, percent, replaced};
use super::figures::{NONE, figure, grouped};
use super::respond::page;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{
    PrototypeCard, PrototypePage, PrototypeQuery, PrototypeSort, RunId, RunView, SampleView,
    StepAgreement, StudioError, episode_of_prototypes,
};
use health_filter::{HealthLink, health_links, health_named, pictures_note};
pub(super) use health_filter::{HealthMark, health_marks};
use take_along::TakeAlong;

/// The grid's state, all of it in the address. Whatever makes no sense takes its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct GridQuery {
    space: String,
    step: String,
    sort: String,
    q: String,
    health: String,
    offset: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/prototypes.html")]
struct PrototypesPage {
    shell: Shell,
    tab: &'static str,
    views: &'static str,
    run: RunCard,
    /// Step of what is shown, −1 for nothing; newer ones are announced.
    step: i64,
    absent: Option<Absent>,
    warning: Option<String>,
    space: &'static str,
    q: String,
    spaces: Vec<SpaceLink>,
    steps: Vec<Choice>,
    sorts: Vec<Choice>,
    /// The sign that is filtered by, as in the address.
    health: String,
    healths: Vec<HealthLink>,
    pictures_note: Option<String>,
    /// How alike the spaces of this step group, in a sentence.
    agreement: Option<String>,
    summary: String,
    latest_href: String,
    take_along: TakeAlong,
    cards: Vec<Card>,
    previous: Option<String>,
    next: Option<String>,
    range: String,
}

/// Why there is nothing to show.
#[derive(Debug)]
struct Absent {
    title: &'static str,
    detail: String,
}

#[derive(Debug)]
pub(super) struct SpaceLink {
    pub(super) name: &'static str,
    pub(super) href: String,
    pub(super) current: bool,
}

#[derive(Debug)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) label: String,
    pub(super) current: bool,
}

#[derive(Debug)]
struct Card {
    id: usize,
    href: String,
    words: String,
    size: String,
    tightness: String,
    change: Option<String>,
    health: Vec<HealthMark>,
    /// The first four samples.
    montage: Vec<SampleTile>,
    /// The next ones, with their captions.
    strip: Vec<SampleTile>,
}

#[derive(Debug)]
pub(super) struct SampleTile {
    pub(super) image: String,
    pub(super) caption: String,
    pub(super) distance: String,
}

const CARDS: usize = 48;
const MONTAGE: usize = 4;

pub(super) async fn grid(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(query): Query<GridQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        match studio.prototypes(&id, &query.parsed()) {
            Ok(found) => {
                let agreement = studio.agreement_at(&id, found.step)?;
                Ok(PrototypesPage {
                    agreement: agreed(&agreement),
                    ..PrototypesPage::new(shell, &view, &query, found)
                })
            }
            Err(StudioError::NotFound(detail)) => {
                Ok(PrototypesPage::absent(shell, &view, &query, detail))
            }
            Err(error) => Err(error),
        }
    })
    .await
}

/// A space by its name; image for anything else.
pub(super) fn space_named(name: &str) -> Space {
    let known = Space::ALL.into_iter().find(|space| space.name() == name);
    known.unwrap_or(Space::Image)
}

impl GridQuery {
    fn parsed(&self) -> PrototypeQuery {
        PrototypeQuery {
            space: space_named(&self.space),
            step: self.step.parse().ok(),
            sort: self.sort(),
            text: self.q.trim().to_owned(),
            health: health_named(&self.health),
            offset: self.offset.parse().unwrap_or(0),
            limit: CARDS,
        }
    }

    fn sort(&self) -> PrototypeSort {
        match self.sort.as_str() {
            "tightness" => PrototypeSort::Tightness,
            "change" => PrototypeSort::Change,
            "id" => PrototypeSort::Id,
            _ => PrototypeSort::Size,
        }
    }

    /// The address of this grid with some values replaced.
    fn with(&self, run: &str, changes: &[(&str, &str)]) -> String {
        let own = [
            ("space", &self.space),
            ("step", &self.step),
            ("sort", &self.sort),
            ("q", &self.q),
            ("health", &self.health),
        ];
        address(
            &format!("/runs/{}/prototypes", percent(run)),
            &replaced(&own, changes),
        )
    }
}

impl PrototypesPage {
    fn new(shell: Shell, view: &RunView, query: &GridQuery, found: PrototypePage) -> Self {
        let run = view.id.as_str();
        let space = found.space.name();
        let end = found.offset + found.prototypes.len();
        let at = |offset: usize| query.with(run, &[("offset", &offset.to_string())]);
        Self {
            shell,
            tab: "prototypes",
            views: "grid",
            run: RunCard::new(view),
            step: i64::try_from(found.step).unwrap_or(i64::MAX),
            absent: None,
            warning: found.data_error.clone(),
            space,
            q: query.q.clone(),
            spaces: space_links(run, query, &found.spaces, found.space),
            steps: step_choices(&found.steps, &query.step),
            sorts: sort_choices(query.sort()),
            health: query.health.clone(),
            healths: health_links(run, query, &found),
            pictures_note: pictures_note(&found),
            agreement: None,
            summary: summary(&found, view.total_episodes),
            latest_href: query.with(run, &[("step", "")]),
            take_along: TakeAlong::new(run, query, &found),
            previous: (found.offset > 0).then(|| at(found.offset.saturating_sub(CARDS))),
            next: (end < found.matching).then(|| at(end)),
            range: format!(
                "{}–{} of {}",
                grouped(found.offset as u64 + 1),
                grouped(end as u64),
                grouped(found.matching as u64)
            ),
            cards: found
                .prototypes
                .iter()
                .map(|card| Card::new(run, space, found.step, card))
                .collect(),
        }
    }

    fn absent(shell: Shell, view: &RunView, query: &GridQuery, detail: String) -> Self {
        let none_yet = view.prototypes_step.is_none();
        let absent = Absent {
            title: if none_yet {
                "No prototypes yet"
            } else {
                "No such prototypes"
            },
            detail,
        };
        Self {
            shell,
            tab: "prototypes",
            views: "grid",
            run: RunCard::new(view),
            step: if none_yet { -1 } else { i64::MAX },
            absent: Some(absent),
            warning: None,
            space: space_named(&query.space).name(),
            q: query.q.clone(),
            spaces: Vec::new(),
            steps: Vec::new(),
            sorts: Vec::new(),
            health: String::new(),
            healths: Vec::new(),
            pictures_note: None,
            agreement: None,
            summary: String::new(),
            latest_href: query.with(view.id.as_str(), &[("step", ""), ("space", "")]),
            take_along: TakeAlong::default(),
            cards: Vec::new(),
            previous: None,
            next: None,
            range: String::new(),
        }
    }
}

fn space_links(run: &str, query: &GridQuery, spaces: &[Space], current: Space) -> Vec<SpaceLink> {
    let links = spaces.iter().map(|&space| SpaceLink {
        name: space.name(),
        href: query.with(run, &[("space", space.name())]),
        current: space == current,
    });
    links.collect()
}

/// Newest first, after the choice that follows the run.
pub(super) fn step_choices(steps: &[u64], chosen: &str) -> Vec<Choice> {
    let follow = Choice {
        value: String::new(),
        label: "newest".into(),
        current: chosen.is_empty(),
    };
    let steps = steps.iter().rev().map(|&step| Choice {
        value: step.to_string(),
        label: format!("step {}", grouped(step)),
        current: chosen.parse() == Ok(step),
    });
    std::iter::once(follow).chain(steps).collect()
}

fn sort_choices(current: PrototypeSort) -> Vec<Choice> {
    let all = [
        (PrototypeSort::Size, "size", "size"),
        (PrototypeSort::Tightness, "tightness", "tightness"),
        (PrototypeSort::Change, "change", "change since last episode"),
        (PrototypeSort::Id, "id", "number"),
    ];
    all.map(|(sort, value, label)| Choice {
        value: value.into(),
        label: label.into(),
        current: sort == current,
    })
    .into()
}

/// AMI and ARI × 100 of image and text prototypes.
fn agreed(agreement: &StepAgreement) -> Option<String> {
    let pair = agreement.pairs.first()?;
    Some(format!(
        "{} and {} prototypes group alike: AMI × 100 {:.2}, ARI × 100 {:.2} (100 same, 0 chance)",
        pair.spaces.0.name(),
        pair.spaces.1.name(),
        100.0 * pair.ami,
        100.0 * pair.ari
    ))
}

fn summary(found: &PrototypePage, episodes: u64) -> String {
    let empty = match found.empty {
        0 => String::new(),
        n => format!(", {} empty", grouped(n as u64)),
    };
    format!(
        "Step {}, {}: {} prototypes of {} samples{empty}",
        grouped(found.step),
        episode_of_prototypes(found.episode, episodes),
        grouped(found.count as u64),
        grouped(found.samples as u64)
    )
}

impl Card {
    fn new(run: &str, space: &str, step: u64, card: &PrototypeCard) -> Self {
        let tiles = || card.samples.iter().map(SampleTile::new);
        Self {
            id: card.id,
            href: prototype_href(run, card.id, space, step),
            words: words(&card.words, card.id),
            size: grouped(card.size as u64),
            tightness: card
                .tightness
                .map_or_else(|| NONE.into(), |value| figure(f64::from(value))),
            change: card.change.map(share),
            health: health_marks(&card.health, card.duplicates),
            montage: tiles().take(MONTAGE).collect(),
            strip: tiles().skip(MONTAGE).collect(),
        }
    }
}

impl SampleTile {
    pub(super) fn new(sample: &SampleView) -> Self {
        Self {
            image: sample.image_url.clone(),
            caption: sample.caption.clone(),
            distance: figure(f64::from(sample.distance)),
        }
    }
}

/// The address of one prototype.
pub(super) fn prototype_href(run: &str, id: usize, space: &str, step: u64) -> String {
    let path = format!("/runs/{}/prototypes/{id}", percent(run));
    address(&path, &[("space", space), ("step", &step.to_string())])
}

/// The first three words, or the number of a prototype that has none.
pub(super) fn words(words: &[String], id: usize) -> String {
    if words.is_empty() {
        format!("prototype {id}")
    } else {
        let few: Vec<&str> = words.iter().take(3).map(String::as_str).collect();
        few.join(", ")
    }
}

/// A share in [0, 1] as percent.
pub(super) fn share(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_is_not_replaced() {
        let query = GridQuery {
            space: "text".into(),
            q: "red & blue".into(),
            ..GridQuery::default()
        };
        assert_eq!(
            query.with("r-1", &[("offset", "48")]),
            "/runs/r-1/prototypes?space=text&q=red%20%26%20blue&offset=48"
        );
        assert_eq!(
            query.with("r-1", &[("space", "image"), ("q", "")]),
            "/runs/r-1/prototypes?space=image"
        );
    }

    #[test]
    fn nonsense_in_the_address_takes_the_defaults() {
        let query = GridQuery {
            space: "sound".into(),
            step: "latest".into(),
            sort: "colour".into(),
            offset: "-1".into(),
            ..GridQuery::default()
        };
        let parsed = query.parsed();
        assert_eq!(parsed.space, Space::Image);
        assert_eq!((parsed.step, parsed.offset), (None, 0));
        assert_eq!(parsed.sort, PrototypeSort::Size);
    }
}
