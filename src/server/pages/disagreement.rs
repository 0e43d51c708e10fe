//! `/runs/{id}/prototypes/disagreement`: samples whose student would choose another prototype than
//! their teacher says, the most confident first. What is shown is in the address.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use protoclip::prototypes::Space;
use serde::Deserialize;

use super::address::{address, percent, replaced};
use super::figures::{figure, grouped, percent_of};
use super::prototype::target_panel::{percent_figure, supervision_notes};
use super::prototypes::{Choice, prototype_href, step_choices, words};
use super::respond::page;
use super::run_card::RunCard;
use super::shell::Shell;
use crate::server::AppState;
use crate::studio::{
    DisagreementPage, DisagreementQuery, DisagreementRow, PrototypeNode, RunId, RunView,
    StudioError,
};

/// The board's state. Whatever makes no sense takes its default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct BoardQuery {
    pair: String,
    step: String,
    q: String,
    offset: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/disagreement.html")]
struct BoardPage {
    shell: Shell,
    tab: &'static str,
    views: &'static str,
    run: RunCard,
    absent: Option<String>,
    warning: Option<String>,
    notes: Vec<String>,
    pair: String,
    pairs: Vec<PairLink>,
    steps: Vec<Choice>,
    q: String,
    summary: String,
    rows: Vec<Row>,
    range: String,
    previous: Option<String>,
    next: Option<String>,
    csv: String,
    clear: String,
}

#[derive(Debug)]
struct PairLink {
    name: String,
    href: String,
    hue: &'static str,
    current: bool,
}

#[derive(Debug)]
struct Row {
    image: String,
    caption: String,
    sample: u32,
    teacher: Side,
    choice: Side,
}

/// A prototype with the student's probability of it.
#[derive(Debug)]
struct Side {
    href: String,
    montage: String,
    words: String,
    size: String,
    probability: String,
    width: String,
}

/// Student and teacher, by their word in the address.
const PAIRS: [(&str, Space, Space); 4] = [
    ("image-by-text", Space::Image, Space::Text),
    ("text-by-image", Space::Text, Space::Image),
    ("image-by-teacher", Space::Image, Space::Teacher),
    ("text-by-teacher", Space::Text, Space::Teacher),
];
const ROWS: usize = 40;

pub(super) async fn board(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Query(query): Query<BoardQuery>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let id = RunId::from(id.as_str());
        let view = studio.run(&id)?;
        let shell = shell.in_section("runs");
        match studio.disagreements(&id, &query.parsed()) {
            Ok(found) => Ok(BoardPage::new(shell, &view, &query, found)),
            Err(StudioError::NotFound(reason)) => {
                Ok(BoardPage::absent(shell, &view, &query, reason))
            }
            Err(error) => Err(error),
        }
    })
    .await
}

impl BoardQuery {
    fn chosen(&self) -> (&'static str, Space, Space) {
        let known = PAIRS.into_iter().find(|pair| pair.0 == self.pair);
        known.unwrap_or(PAIRS[0])
    }

    fn parsed(&self) -> DisagreementQuery {
        let (_, student, teacher) = self.chosen();
        DisagreementQuery {
            step: self.step.parse().ok(),
            student,
            teacher,
            text: self.q.trim().to_owned(),
            offset: self.offset.parse().unwrap_or(0),
            limit: ROWS,
        }
    }

    fn with(&self, run: &str, changes: &[(&str, &str)]) -> String {
        let own = [("pair", &self.pair), ("step", &self.step), ("q", &self.q)];
        address(
            &format!("/runs/{}/prototypes/disagreement", percent(run)),
            &replaced(&own, changes),
        )
    }
}

impl BoardPage {
    fn new(shell: Shell, view: &RunView, query: &BoardQuery, found: DisagreementPage) -> Self {
        let run = view.id.as_str();
        let end = found.offset + found.rows.len();
        let at = |offset: usize| query.with(run, &[("offset", &offset.to_string())]);
        let step = found.step.to_string();
        Self {
            absent: None,
            warning: found.data_error.clone(),
            notes: notes(&found),
            pairs: pair_links(run, query, found.has_teacher),
            steps: step_choices(&found.steps, &query.step),
            summary: summary(&found),
            range: format!(
                "{}–{} of {}",
                grouped(found.offset as u64 + 1),
                grouped(end as u64),
                grouped(found.matching as u64)
            ),
            previous: (found.offset > 0).then(|| at(found.offset.saturating_sub(ROWS))),
            next: (end < found.matching).then(|| at(end)),
            csv: address(
                &format!("/api/runs/{}/disagreements.csv", percent(run)),
                &[
                    ("student", found.student.name()),
                    ("teacher", found.teacher.name()),
                    ("step", &step),
                    ("q", &query.q),
                ],
            ),
            rows: found
                .rows
                .iter()
                .map(|row| Row::new(run, found.step, row))
                .collect(),
            ..Self::absent(shell, view, query, String::new())
        }
    }

    fn absent(shell: Shell, view: &RunView, query: &BoardQuery, reason: String) -> Self {
        Self {
            shell,
            tab: "prototypes",
            views: "disagreement",
            run: RunCard::new(view),
            absent: Some(reason),
            warning: None,
            notes: Vec::new(),
            pair: query.chosen().0.into(),
            pairs: Vec::new(),
            steps: Vec::new(),
            q: query.q.clone(),
            summary: String::new(),
            rows: Vec::new(),
            range: String::new(),
            previous: None,
            next: None,
            csv: String::new(),
            clear: query.with(view.id.as_str(), &[("q", "")]),
        }
    }
}

impl Row {
    fn new(run: &str, step: u64, row: &DisagreementRow) -> Self {
        Self {
            image: row.image_url.clone(),
            caption: row.caption.clone(),
            sample: row.sample,
            teacher: Side::new(run, step, &row.teacher, row.teacher_probability),
            choice: Side::new(run, step, &row.choice, row.probability),
        }
    }
}

impl Side {
    fn new(run: &str, step: u64, node: &PrototypeNode, probability: f32) -> Self {
        let (space, id) = (node.space.name(), node.prototype as usize);
        let sheet = format!("/api/runs/{}/prototypes/{id}/montage.png", percent(run));
        Self {
            href: prototype_href(run, id, space, step),
            montage: address(&sheet, &[("space", space), ("step", &step.to_string())]),
            words: words(&node.words, id),
            size: grouped(node.size as u64),
            probability: percent_figure(f64::from(probability)),
            width: format!("{:.2}", 100.0 * probability),
        }
    }
}

fn pair_links(run: &str, query: &BoardQuery, has_teacher: bool) -> Vec<PairLink> {
    let offered = PAIRS.into_iter();
    let offered = offered.filter(|pair| has_teacher || pair.2 != Space::Teacher);
    let links = offered.map(|(word, student, teacher)| PairLink {
        name: format!("{} by {}", student.name(), teacher.name()),
        href: query.with(run, &[("pair", word)]),
        hue: student.name(),
        current: query.chosen().0 == word,
    });
    links.collect()
}

fn summary(found: &DisagreementPage) -> String {
    format!(
        "Step {}: the {} student disagrees with its {} teacher on {} of {} samples ({})",
        grouped(found.step),
        found.student.name(),
        found.teacher.name(),
        grouped(found.disagreeing as u64),
        grouped(found.scored as u64),
        percent_of(found.disagreeing, found.scored)
    )
}

fn notes(found: &DisagreementPage) -> Vec<String> {
    let mut notes = supervision_notes(&found.supervision, found.teacher);
    if found.scored < found.samples {
        notes.push(format!(
            "The first {} of {} samples were scored; more would take too long for a page.",
            grouped(found.scored as u64),
            grouped(found.samples as u64)
        ));
    }
    if !found.supervision.back_translation {
        notes.push(
            "This run trains without back translation, so the student is compared with the \
             teacher’s own centroids."
                .into(),
        );
    }
    notes.push(format!(
        "Scores as in the loss: students when these prototypes were made, prototype temperature {}.",
        figure(1.0 / found.supervision.scale)
    ));
    notes
}
