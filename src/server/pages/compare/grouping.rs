//! How alike the first run and each other group the same samples.

use super::super::figures::{grouped, percent_of};
use super::ComparedRun;
use crate::studio::{GroupingAgreement, RunView, Studio};

/// The first run against every other.
#[derive(Debug)]
pub(super) struct Groupings {
    pub(super) rows: Vec<Row>,
    /// Runs that cannot be matched with the first, and why.
    pub(super) absent: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) place: usize,
    pub(super) space: &'static str,
    pub(super) href: String,
    pub(super) steps: String,
    pub(super) ami: String,
    pub(super) ari: String,
    pub(super) matched: String,
    pub(super) samples: String,
}

impl Groupings {
    pub(super) fn read(studio: &Studio, views: &[RunView], runs: &[ComparedRun]) -> Self {
        let (mut rows, mut absent) = (Vec::new(), Vec::new());
        let Some(first) = views.first() else {
            return Self { rows, absent };
        };
        for (view, run) in views.iter().zip(runs).skip(1) {
            match studio.match_prototypes(&first.id, &view.id) {
                Ok(matching) => rows.extend(matching.spaces.iter().map(|agreement| {
                    let (own, other) = matching.steps;
                    Row {
                        steps: format!("{} and {}", grouped(own), grouped(other)),
                        ..Row::of(agreement, view, run)
                    }
                })),
                Err(error) => absent.push(format!("{}: {error}", run.label)),
            }
        }
        Self { rows, absent }
    }
}

impl Row {
    fn of(agreement: &GroupingAgreement, view: &RunView, run: &ComparedRun) -> Self {
        let space = agreement.space.name();
        Self {
            label: run.label.clone(),
            place: run.place,
            space,
            href: format!("/runs/{}/prototypes?space={space}", view.id),
            steps: String::new(),
            ami: format!("{:.2}", 100.0 * agreement.ami),
            ari: format!("{:.2}", 100.0 * agreement.ari),
            matched: format!(
                "{} of {} ({})",
                grouped(agreement.matched as u64),
                grouped(agreement.prototypes as u64),
                percent_of(agreement.matched, agreement.prototypes)
            ),
            samples: grouped(agreement.samples as u64),
        }
    }
}
