//! `/runs/{id}/gap`: the modality gap over training, and what a step's features are worth when the two
//! modalities are moved together or apart. Everything shown is in the address.

mod histogram;
mod rows;

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use self::histogram::Histogram;
use self::rows::{MeasureRow, PrototypeRow, measure_rows, prototype_rows};
use super::address::{address, percent, replaced};
use super::chart_catalogue::{Chart, gap_charts};
use super::figures::{figure, grouped};
use super::prototypes::{Choice, space_named, step_choices};
use super::respond::page;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{GapQuery, GapSort, GapView, MOST_SHIFT, RunId, RunView, StudioError};

/// Prototypes of one page.
const PROTOTYPES: usize = 25;

/// The page's state, all of it in the address.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct GapAddress {
    step: String,
    shift: String,
    space: String,
    sort: String,
    offset: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/run_gap.html")]
struct GapPage {
    shell: Shell,
    tab: &'static str,
    run: RunCard,
    charts: Vec<Chart>,
    waiting: &'static str,
    /// Step of the measured features; -1 when there are none.
    step: String,
    /// Why nothing can be measured.
    absent: Option<String>,
    tools: Tools,
    measures: Option<Measures>,
}

/// The form above the measures.
#[derive(Debug, Default)]
struct Tools {
    steps: Vec<Choice>,
    shift: String,
    most: String,
    space: String,
    sort: String,
}

/// Everything that depends on the shift: a part of the page, and its live update.
#[derive(Debug, Template)]
#[template(path = "partials/gap_measures.html")]
struct Measures {
    shell: Shell,
    summary: String,
    warning: Option<String>,
    shift: String,
    histogram: Histogram,
    rows: Vec<MeasureRow>,
    subject: String,
    spaces: Vec<Link>,
    space: &'static str,
    sorts: Vec<Link>,
    prototypes: Vec<PrototypeRow>,
    range: String,
    previous: Option<String>,
    next: Option<String>,
    /// Query of the exports.
    query: String,
    run: String,
}

#[derive(Debug)]
struct Link {
    name: &'static str,
    title: &'static str,
    href: String,
    current: bool,
    /// How a sorted column runs.
    order: &'static str,
}

pub(super) async fn gap(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(asked): Query<GapAddress>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        match studio.gap(&id, &asked.query()) {
            Ok(found) => Ok(GapPage::new(shell, &view, &asked, &found)),
            Err(StudioError::NotFound(reason)) => Ok(GapPage::absent(shell, &view, reason)),
            Err(error) => Err(error),
        }
    })
    .await
}

/// The measures alone, while the slider moves.
pub(super) async fn measures(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(asked): Query<GapAddress>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let found = studio.gap(&RunId::from(id.as_str()), &asked.query())?;
        Ok(Measures::new(shell, &id, &asked, &found))
    })
    .await
}

impl GapAddress {
    /// What is no number is refused by the studio with the field's name.
    fn query(&self) -> GapQuery {
        let sort = GapSort::ALL.into_iter().find(|s| s.name() == self.sort);
        GapQuery {
            step: self.step.parse().ok(),
            shift: match self.shift.trim() {
                "" => 0.0,
                text => text.parse().unwrap_or(f64::NAN),
            },
            space: space_named(&self.space),
            sort: sort.unwrap_or_default(),
            offset: self.offset.parse().unwrap_or(0),
            limit: PROTOTYPES,
        }
    }

    /// The address of this page with some values replaced.
    fn with(&self, run: &str, changes: &[(&str, &str)]) -> String {
        address(&format!("/runs/{}/gap", percent(run)), &self.pairs(changes))
    }

    fn pairs<'a>(&'a self, changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = [
            ("step", &self.step),
            ("shift", &self.shift),
            ("space", &self.space),
            ("sort", &self.sort),
        ];
        replaced(&own, changes)
    }
}

impl GapPage {
    fn new(shell: Shell, view: &RunView, asked: &GapAddress, found: &GapView) -> Self {
        Self {
            tab: "gap",
            run: RunCard::new(view),
            charts: gap_charts(view),
            waiting: "Not measured in this run",
            step: found.step.to_string(),
            absent: None,
            tools: Tools {
                steps: step_choices(&found.steps, &asked.step),
                shift: found.shifted.shift.to_string(),
                most: MOST_SHIFT.to_string(),
                space: found.space.name().into(),
                sort: asked.query().sort.name().into(),
            },
            measures: Some(Measures::new(shell.clone(), view.id.as_str(), asked, found)),
            shell,
        }
    }

    fn absent(shell: Shell, view: &RunView, reason: String) -> Self {
        Self {
            shell,
            tab: "gap",
            run: RunCard::new(view),
            charts: gap_charts(view),
            waiting: "Waiting for the first point",
            step: "-1".into(),
            absent: Some(reason),
            tools: Tools::default(),
            measures: None,
        }
    }
}

impl Measures {
    fn new(shell: Shell, run: &str, asked: &GapAddress, found: &GapView) -> Self {
        let (before, after) = (&found.unshifted, &found.shifted);
        let at = |offset: usize| asked.with(run, &[("offset", &offset.to_string())]);
        let end = found.offset + found.prototypes.len();
        let step = found.step.to_string();
        let query = address("", &asked.pairs(&[("step", &step)]));
        Self {
            shell,
            summary: summary(found),
            warning: found.data_error.clone(),
            shift: figure(after.shift),
            histogram: Histogram::of(&after.cosines),
            rows: measure_rows(before, after),
            subject: subject(found),
            spaces: space_links(run, asked, found),
            space: found.space.name(),
            sorts: sort_links(run, asked),
            prototypes: prototype_rows(run, found),
            range: format!(
                "{}–{} of {}",
                grouped((found.offset + 1).min(found.count) as u64),
                grouped(end as u64),
                grouped(found.count as u64)
            ),
            previous: (found.offset > 0).then(|| at(found.offset.saturating_sub(PROTOTYPES))),
            next: (end < found.count).then(|| at(end)),
            query,
            run: run.to_owned(),
        }
    }
}

fn summary(found: &GapView) -> String {
    let (before, after) = (&found.unshifted, &found.shifted);
    let episodes = match found.episode {
        0 => "Before training".to_owned(),
        1 => "After 1 episode".to_owned(),
        n => format!("After {} episodes", grouped(n)),
    };
    let place = format!("{episodes}, step {}", grouped(found.step));
    if after.shift == 0.0 {
        return format!(
            "{place}: gap {}, mean recall {} %.",
            figure(before.gap),
            figure(before.retrieval.mean)
        );
    }
    format!(
        "{place}, moved by λ = {}: gap {} (was {}), mean recall {} % (was {} %).",
        figure(after.shift),
        figure(after.gap),
        figure(before.gap),
        figure(after.retrieval.mean),
        figure(before.retrieval.mean)
    )
}

/// What was measured, so that nobody compares recalls among different numbers of captions.
fn subject(found: &GapView) -> String {
    let retrieval = &found.shifted.retrieval;
    let scored = found.shifted.groupings.first();
    format!(
        "Retrieval among {} pictures and {} captions; grouping of {} samples, prototype scale {}, target temperature {}.",
        grouped(retrieval.pictures as u64),
        grouped(retrieval.captions as u64),
        grouped(scored.map_or(0, |g| g.translated.samples) as u64),
        figure(found.scale),
        figure(found.target_temperature)
    )
}

fn space_links(run: &str, asked: &GapAddress, found: &GapView) -> Vec<Link> {
    let link = |space: &protoclip::prototypes::Space| Link {
        name: space.name(),
        title: "",
        href: asked.with(run, &[("space", space.name())]),
        current: *space == found.space,
        order: "",
    };
    found.spaces.iter().map(link).collect()
}

fn sort_links(run: &str, asked: &GapAddress) -> Vec<Link> {
    let current = asked.query().sort;
    let link = |(sort, name, title): (GapSort, &'static str, &'static str)| Link {
        name,
        title,
        href: asked.with(run, &[("sort", sort.name())]),
        current: sort == current,
        order: match sort {
            GapSort::Gap | GapSort::Size => "descending",
            GapSort::Alignment | GapSort::Cosine | GapSort::Id => "ascending",
        },
    };
    [
        (GapSort::Id, "Prototype", "By number"),
        (GapSort::Size, "Samples", "Samples of the episode assigned to the prototype; most first"),
        (GapSort::Gap, "Gap", "Distance between the mean image and the mean text feature of its samples; widest first"),
        (GapSort::Alignment, "Alignment", "Cosine between its gap and the gap of all samples: 1 when it points where the gap points everywhere; least first"),
        (GapSort::Cosine, "Matched cosine", "Mean cosine of its pictures with their own captions; least first"),
    ]
    .map(link)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_the_shift_and_forget_the_page() {
        let asked = GapAddress {
            step: "26".into(),
            shift: "0.5".into(),
            offset: "25".into(),
            ..GapAddress::default()
        };
        assert_eq!(
            asked.with("r-1", &[("sort", "size")]),
            "/runs/r-1/gap?step=26&shift=0.5&sort=size"
        );
        assert_eq!(asked.query().shift, 0.5);
    }

    #[test]
    fn a_shift_that_is_no_number_reaches_the_check() {
        let asked = GapAddress {
            shift: "left".into(),
            ..GapAddress::default()
        };
        assert!(asked.query().shift.is_nan());
    }
}
