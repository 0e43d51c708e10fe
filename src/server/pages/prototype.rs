//! `/runs/{id}/prototypes/{k}`: one prototype, its samples nearest first, the target that it makes, a
//! sample's way through back translation, its match in the other spaces and its neighbours.

mod absent_prototype;
mod lineage_panel;
pub(super) mod target_panel;
mod translation_panel;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::address::{address, percent};
use super::facts::Fact;
use super::figures::{NONE, figure, grouped};
use super::prototypes::{
    HealthMark, SampleTile, health_marks, prototype_href, share, space_named, words,
};
use super::respond::{answer, html};
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{
    NeighbourView, OverlapView, PrototypeCard, PrototypeDetail, RunId, RunView, StudioError,
    TranslationView, episode_of_prototypes,
};
use absent_prototype::AbsentPrototypePage;
use lineage_panel::LineagePanel;
use target_panel::TargetPanel;
use translation_panel::TranslationPanel;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PlaceQuery {
    space: String,
    step: String,
    /// The sample to follow through back translation; the nearest one unless given.
    sample: String,
    /// `all` shows every sample.
    samples: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/prototype.html")]
struct PrototypePageView {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    id: usize,
    space: &'static str,
    back: String,
    words: String,
    size: String,
    warning: Option<String>,
    health: Vec<HealthMark>,
    samples: Vec<FollowedTile>,
    /// Set when not all samples are shown.
    more: Option<String>,
    more_href: Option<String>,
    target: Option<TargetPanel>,
    lineage: Option<LineagePanel>,
    way: Option<TranslationPanel>,
    /// Why no sample can be followed.
    no_way: Option<String>,
    facts: Vec<Fact>,
    overlaps: Vec<Overlap>,
    neighbours: Vec<Neighbour>,
}

#[derive(Debug)]
struct Overlap {
    space: &'static str,
    href: String,
    words: String,
    shared: String,
    jaccard: String,
    percent: u32,
}

#[derive(Debug)]
struct Neighbour {
    href: String,
    words: String,
    distance: String,
    image: Option<String>,
}

/// A sample that can be followed through back translation.
#[derive(Debug)]
struct FollowedTile {
    tile: SampleTile,
    href: String,
    current: bool,
}

/// Samples of one page unless all are asked for, and then; the API has all.
const FEW: usize = 36;
const SAMPLES: usize = 600;

pub(super) async fn one(
    State(state): State<AppState>,
    shell: Shell,
    Path((id, number)): Path<(String, String)>,
    Query(query): Query<PlaceQuery>,
) -> Response {
    let for_problem = shell.clone();
    let answered = state.ask(move |studio| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        let number: usize = number.parse().map_err(|_| {
            StudioError::NotFound(format!("prototypes have numbers, {number:?} is none"))
        })?;
        let space = space_named(&query.space);
        let step = query.step.parse().ok();
        if let Some(absent) = studio.absent_prototype(&id, step, space, number)? {
            let page = AbsentPrototypePage::new(shell, &view, &absent);
            return Ok(html(StatusCode::NOT_FOUND, &page));
        }
        let detail = studio.prototype(&id, step, space, number)?;
        let target = studio.prototype_target(&id, step, space, number)?;
        let lineage = studio.prototype_lineage(&id, step, space, number)?;
        let sample = query.sample.parse().ok();
        let way = match studio.prototype_translation(&id, step, (space, number), sample) {
            Ok(way) => Ok(way),
            Err(StudioError::NotFound(reason) | StudioError::Conflict(reason)) => Err(reason),
            Err(error) => return Err(error),
        };
        let run = view.id.as_str();
        let page = PrototypePageView::new(shell, &view, &query, detail);
        let page = PrototypePageView {
            lineage: Some(LineagePanel::new(run, &lineage)),
            target: target.map(|target| TargetPanel::new(run, &target)),
            ..page.following(run, way)
        };
        Ok(html(StatusCode::OK, &page))
    });
    answer(for_problem, answered.await)
}

impl PrototypePageView {
    fn new(shell: Shell, view: &RunView, query: &PlaceQuery, detail: PrototypeDetail) -> Self {
        let run = view.id.as_str();
        let (space, step) = (detail.space.name(), detail.step.to_string());
        let card = &detail.prototype;
        let most = if query.samples == "all" { SAMPLES } else { FEW };
        let shown = card.samples.len().min(most);
        let place = |extra: &[(&str, &str)]| {
            let path = format!("/runs/{}/prototypes/{}", percent(run), card.id);
            address(
                &path,
                &[&[("space", space), ("step", step.as_str())], extra].concat(),
            )
        };
        Self {
            shell,
            tab: "prototypes",
            run: RunCard::new(view),
            id: card.id,
            space,
            back: address(
                &format!("/runs/{}/prototypes", percent(run)),
                &[("space", space), ("step", &step)],
            ),
            words: words(&card.words, card.id),
            size: grouped(card.size as u64),
            warning: detail.data_error.clone(),
            health: health_marks(&card.health, card.duplicates),
            samples: card
                .samples
                .iter()
                .take(most)
                .map(|sample| {
                    let number = sample.sample.to_string();
                    let samples = ("samples", query.samples.as_str());
                    FollowedTile {
                        tile: SampleTile::new(sample),
                        href: place(&[samples, ("sample", &number)]) + "#translation",
                        current: false,
                    }
                })
                .collect(),
            more_href: (most == FEW && shown < card.samples.len())
                .then(|| place(&[("samples", "all"), ("sample", &query.sample)])),
            target: None,
            lineage: None,
            way: None,
            no_way: None,
            more: (shown < card.samples.len()).then(|| {
                format!(
                    "The nearest {} of {} samples; the API has all.",
                    grouped(shown as u64),
                    grouped(card.samples.len() as u64)
                )
            }),
            facts: facts(&detail, card, view.total_episodes),
            overlaps: detail
                .overlaps
                .iter()
                .map(|overlap| Overlap::new(run, detail.step, overlap))
                .collect(),
            neighbours: detail
                .neighbours
                .iter()
                .map(|near| Neighbour::new(run, space, detail.step, near))
                .collect(),
        }
    }
}

impl PrototypePageView {
    /// With the way of a sample, or the reason why there is none.
    fn following(mut self, run: &str, way: Result<TranslationView, String>) -> Self {
        match way {
            Ok(way) => {
                let number = format!("sample={}#", way.sample);
                for tile in &mut self.samples {
                    tile.current = tile.href.contains(&number);
                }
                self.way = Some(TranslationPanel::new(run, &way));
            }
            Err(reason) => self.no_way = Some(reason),
        }
        self
    }
}

fn facts(detail: &PrototypeDetail, card: &PrototypeCard, episodes: u64) -> Vec<Fact> {
    let fact = |name, value| Fact { name, value };
    let number = |value: Option<f32>| {
        value.map_or_else(|| NONE.to_owned(), |value| figure(f64::from(value)))
    };
    vec![
        fact("Space", detail.space.name().to_owned()),
        fact("Made", episode_of_prototypes(detail.episode, episodes)),
        fact("Step", grouped(detail.step)),
        fact("Samples", grouped(card.size as u64)),
        fact("Tightness", number(card.tightness)),
        fact(
            "Change since last episode",
            card.change.map_or_else(|| NONE.into(), share),
        ),
        fact(
            "Was number",
            card.predecessor
                .map_or_else(|| NONE.into(), |id| id.to_string()),
        ),
        fact("All words", card.words.join(", ")),
    ]
}

impl Overlap {
    fn new(run: &str, step: u64, overlap: &OverlapView) -> Self {
        let id = overlap.prototype as usize;
        Self {
            space: overlap.space.name(),
            href: prototype_href(run, id, overlap.space.name(), step),
            words: words(&overlap.words, id),
            shared: match overlap.shared {
                1 => "1 shared sample".into(),
                n => format!("{} shared samples", grouped(u64::from(n))),
            },
            jaccard: share(overlap.jaccard),
            percent: (overlap.jaccard * 100.0).round() as u32,
        }
    }
}

impl Neighbour {
    fn new(run: &str, space: &str, step: u64, near: &NeighbourView) -> Self {
        Self {
            href: prototype_href(run, near.prototype, space, step),
            words: words(&near.words, near.prototype),
            distance: figure(f64::from(near.distance)),
            image: near.image_url.clone(),
        }
    }
}
