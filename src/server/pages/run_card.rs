//! A run as every page writes it: finished strings and the buttons its state allows.

use askama::Template;
use protoclip::train::{Phase, tag};

use super::figures::{NONE, date_time, duration, figure, figure_or_none, grouped};
use super::run_changes::difference_address;
use super::run_live::lever_label;
use crate::studio::{CurveOrigin, ForkOrigin, Request, RunState, RunView};

/// A state by word, shape and colour.
#[derive(Debug, Template)]
#[template(path = "partials/state.html")]
pub(super) struct StateBadge {
    name: &'static str,
}

#[derive(Debug)]
pub(super) struct RunCard {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) state: &'static str,
    pub(super) badge: StateBadge,
    pub(super) reason: Option<String>,
    /// The run that it was forked from.
    pub(super) origin: Option<Origin>,
    /// The event files that it was made of, if it was imported.
    pub(super) imported: Option<ImportLine>,
    pub(super) step: String,
    pub(super) total_steps: String,
    /// Counted from 1.
    pub(super) episode: String,
    pub(super) total_episodes: String,
    pub(super) rate: String,
    pub(super) eta: String,
    pub(super) loss: String,
    pub(super) phase: String,
    pub(super) done: u64,
    pub(super) planned: u64,
    pub(super) can_pause: bool,
    pub(super) can_resume: bool,
    pub(super) can_stop: bool,
    pub(super) can_checkpoint: bool,
    pub(super) can_steer: bool,
    pub(super) can_delete: bool,
}

#[derive(Debug)]
pub(super) struct Origin {
    pub(super) run: String,
    pub(super) step: String,
    /// The change that the fork goes on without.
    pub(super) without: Option<String>,
    /// Address of the curves of the difference.
    pub(super) difference: String,
}

/// Where the curves of an imported run come from.
#[derive(Debug)]
pub(super) struct ImportLine {
    pub(super) directory: String,
    pub(super) files: usize,
    /// The names of the files, one a line.
    pub(super) names: String,
    /// When the points were recorded; empty when they do not say.
    pub(super) recorded: String,
}

impl ImportLine {
    fn new(origin: &CurveOrigin) -> Self {
        let recorded = origin
            .recorded
            .map(|(first, last)| format!("{} to {}", date_time(first), date_time(last)));
        Self {
            directory: origin.directory.clone(),
            files: origin.files.len(),
            names: origin.files.join("\n"),
            recorded: recorded.unwrap_or_default(),
        }
    }
}

impl Origin {
    fn new(view: &RunView, fork: &ForkOrigin) -> Self {
        let without = fork.without.as_ref().map(|omitted| {
            format!(
                "{} {} → {} at step {}",
                lever_label(&omitted.change.field),
                figure(omitted.from),
                figure(omitted.to),
                grouped(omitted.change.step)
            )
        });
        Self {
            run: fork.run.to_string(),
            step: grouped(fork.step),
            without,
            difference: difference_address(&view.id, &fork.run),
        }
    }
}

impl RunCard {
    pub(super) fn new(view: &RunView) -> Self {
        let can = |request| !view.external && view.state.decide(request).is_ok();
        Self {
            id: view.id.to_string(),
            name: view.name.clone(),
            state: view.state.name(),
            badge: StateBadge {
                name: view.state.name(),
            },
            reason: reason(view),
            origin: view
                .forked_from
                .as_ref()
                .map(|fork| Origin::new(view, fork)),
            imported: view.imported.as_ref().map(ImportLine::new),
            step: grouped(view.step),
            total_steps: if view.total_steps > 0 {
                grouped(view.total_steps)
            } else {
                NONE.into()
            },
            episode: episodes(view, (view.episode + 1).min(view.total_episodes.max(1))),
            total_episodes: episodes(view, view.total_episodes),
            rate: figure_or_none(view.samples_per_second),
            eta: view
                .eta_seconds
                .filter(|_| view.state == RunState::Running)
                .map_or_else(|| NONE.into(), duration),
            loss: figure_or_none(view.latest.get(tag::LOSS_TOTAL).copied()),
            phase: phase(view),
            done: view.step,
            planned: view.total_steps.max(1),
            can_pause: can(Request::Pause),
            can_resume: can(Request::Resume) && !view.broken,
            can_stop: can(Request::Stop),
            can_checkpoint: can(Request::Checkpoint),
            can_steer: can(Request::Steer),
            can_delete: can(Request::Delete),
        }
    }
}

/// A number of episodes; an imported run knows none.
fn episodes(view: &RunView, count: u64) -> String {
    match view.imported {
        None => grouped(count),
        Some(_) => NONE.into(),
    }
}

/// The newest value of a curve.
pub(super) fn latest(view: &RunView, tag: &str) -> String {
    view.latest
        .get(tag)
        .map_or_else(|| NONE.into(), |v| figure(*v))
}

fn reason(view: &RunView) -> Option<String> {
    if view.external {
        return Some(
            "Another process trains this run; it is shown as that process stores it.".into(),
        );
    }
    match (&view.reason, view.queue_position) {
        (None, Some(place)) if view.state == RunState::Queued => Some(format!(
            "Number {place} in the queue; one run trains at a time."
        )),
        (reason, _) => reason.clone(),
    }
}

fn phase(view: &RunView) -> String {
    let Some(progress) = view.phase.filter(|_| view.state == RunState::Running) else {
        return NONE.into();
    };
    let name = match progress.phase {
        Phase::LoadData => "Reading data",
        Phase::Teacher => "Teacher features",
        Phase::Extract => "Extracting features",
        Phase::Cluster => "Clustering",
        Phase::Train => "Training",
        Phase::Evaluate => "Evaluating",
        Phase::Checkpoint => "Saving checkpoint",
    };
    if progress.total > 0 {
        let percent = (progress.done as f64 / progress.total as f64 * 100.0).floor();
        format!("{name}, {percent} %")
    } else {
        name.into()
    }
}
