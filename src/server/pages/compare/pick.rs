//! The runs to choose from.

use askama::Template;

use super::super::figures::date_time;
use super::super::run_card::RunCard;
use super::super::shell::Shell;
use crate::studio::{FEWEST_COMPARED, MOST_COMPARED, RunId, Studio};

#[derive(Debug, Template)]
#[template(path = "pages/compare_pick.html")]
pub(super) struct PickPage {
    shell: Shell,
    rows: Vec<Row>,
    fewest: usize,
    most: usize,
    /// What is wrong with the choice that came; empty before one.
    problem: String,
}

#[derive(Debug)]
struct Row {
    run: RunCard,
    created: String,
    created_iso: String,
    data: String,
    chosen: bool,
}

impl PickPage {
    pub(super) fn new(studio: &Studio, shell: Shell, chosen: &[RunId]) -> Self {
        let row = |view: &crate::studio::RunView| Row {
            created: date_time(view.created),
            created_iso: view.created.to_string(),
            data: view.data.clone(),
            chosen: chosen.contains(&view.id),
            run: RunCard::new(view),
        };
        Self {
            shell,
            rows: studio
                .runs()
                .iter()
                .filter(|v| !v.broken)
                .map(row)
                .collect(),
            fewest: FEWEST_COMPARED,
            most: MOST_COMPARED,
            problem: if chosen.len() > MOST_COMPARED {
                format!(
                    "{} runs were chosen; a comparison takes at most {MOST_COMPARED}.",
                    chosen.len()
                )
            } else {
                String::new()
            },
        }
    }
}
