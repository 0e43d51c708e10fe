//! A cell of a notebook as the page writes it: where it stands, what it is set to, what it showed.

use askama::Template;
use serde_json::Value;

use super::super::figures::duration;
use super::output::Output;
use crate::studio::notebooks::{
    CellClass, CellKind, CellState, CellStatus, CellView, Control, ControlKind,
};

/// Where a cell stands, by word, shape and colour.
#[derive(Debug, Template)]
#[template(path = "partials/cell_state.html")]
pub(super) struct CellBadge {
    name: &'static str,
    words: &'static str,
}

#[derive(Debug)]
pub(super) struct Cell {
    /// Empty when it has none.
    pub(super) id: String,
    pub(super) kind: &'static str,
    pub(super) class: &'static str,
    pub(super) state: &'static str,
    pub(super) badge: CellBadge,
    pub(super) busy: bool,
    pub(super) running: bool,
    pub(super) phase: String,
    pub(super) done: u64,
    /// 0 while unknown.
    pub(super) total: u64,
    pub(super) seconds: f64,
    pub(super) elapsed: String,
    /// Why it is stale or has no result.
    pub(super) reason: String,
    /// What its button says; empty when it has none.
    pub(super) run_word: &'static str,
    pub(super) run_icon: &'static str,
    /// What an effect does, for the person who is asked; empty for other cells.
    pub(super) effect: String,
    pub(super) control: Option<ControlForm>,
    pub(super) output: Option<Output>,
    pub(super) body: String,
    /// What other cells can refer to, with the value.
    pub(super) fields: Vec<(String, String)>,
    /// Ids of the runs that the output comes from, separated by spaces.
    pub(super) runs: String,
}

/// An input for a control.
#[derive(Debug)]
pub(super) struct ControlForm {
    pub(super) kind: &'static str,
    pub(super) label: String,
    pub(super) value: String,
    pub(super) on: bool,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) step: String,
    pub(super) choices: Vec<ChoiceOption>,
}

#[derive(Debug)]
pub(super) struct ChoiceOption {
    pub(super) json: String,
    pub(super) text: String,
    pub(super) chosen: bool,
}

/// Longest value that is shown beside a field.
const LONGEST_VALUE: usize = 40;

impl Cell {
    pub(super) fn of(notebook: &str, view: CellView) -> Self {
        let id = view.id.unwrap_or_default();
        let state = view.status.state;
        let runnable = view
            .class
            .filter(|_| view.cell_kind != Some(CellKind::Control));
        let fields = view
            .output
            .as_ref()
            .map(|output| fields_of(&id, &output.fields));
        let mut runs: Vec<String> = Vec::new();
        for source in view.output.iter().flat_map(|output| &output.provenance) {
            let run = source.run.to_string();
            if !runs.contains(&run) {
                runs.push(run);
            }
        }
        let effect = match runnable {
            Some(CellClass::Effect) => effect_of(&view.body),
            _ => String::new(),
        };
        let CellStatus {
            phase,
            done,
            total,
            seconds,
            reason,
            ..
        } = view.status;
        Self {
            kind: view.cell_kind.map_or("not understood", CellKind::name),
            class: view.class.map_or("", class_name),
            state: state.name(),
            badge: CellBadge {
                name: state.name(),
                words: words_of(state),
            },
            busy: matches!(state, CellState::Queued | CellState::Running),
            running: state == CellState::Running,
            phase: phase.unwrap_or_default(),
            done: done.unwrap_or_default(),
            total: total.unwrap_or_default(),
            seconds: seconds.unwrap_or_default(),
            elapsed: duration(seconds.unwrap_or_default()),
            reason: reason.unwrap_or_default(),
            run_word: runnable.map_or("", |class| run_word(class, state)),
            run_icon: match runnable {
                Some(CellClass::View) => "refresh-cw",
                _ => "play",
            },
            effect,
            control: view.control.map(ControlForm::of),
            output: view.output.map(|output| Output::of(notebook, &id, output)),
            body: view.body,
            fields: fields.unwrap_or_default(),
            runs: runs.join(" "),
            id,
        }
    }

    /// What a person calls it.
    pub(super) fn label(&self) -> String {
        let id = if self.id.is_empty() {
            "without a name"
        } else {
            &self.id
        };
        format!("Cell {id}, {}", self.kind)
    }
}

impl ControlForm {
    fn of(control: Control) -> Self {
        let value = plain(&control.value);
        let chosen = control.value;
        Self {
            kind: control.kind.name(),
            label: control.label,
            on: control.kind == ControlKind::Switch && chosen == Value::Bool(true),
            min: control.min.unwrap_or(0.0),
            max: control.max.unwrap_or(1.0),
            step: control
                .step
                .map_or_else(|| "any".into(), |step| step.to_string()),
            choices: control
                .choices
                .into_iter()
                .map(|choice| ChoiceOption {
                    json: choice.value.to_string(),
                    chosen: choice.value == chosen,
                    text: choice.label,
                })
                .collect(),
            value,
        }
    }

    /// The value as words, for those who cannot set it.
    pub(super) fn shown(&self) -> &str {
        let chosen = self.choices.iter().find(|choice| choice.chosen);
        match (chosen, self.kind) {
            (Some(choice), _) => &choice.text,
            (None, "switch") if self.on => "on",
            (None, "switch") => "off",
            (None, _) => &self.value,
        }
    }
}

const fn class_name(class: CellClass) -> &'static str {
    match class {
        CellClass::View => "view",
        CellClass::Compute => "compute",
        CellClass::Effect => "effect",
    }
}

const fn words_of(state: CellState) -> &'static str {
    match state {
        CellState::Never => "not run yet",
        CellState::Fresh => "up to date",
        CellState::Stale => "out of date",
        CellState::Queued => "waiting",
        CellState::Running => "running",
        CellState::Failed => "failed",
        CellState::Cancelled => "cancelled",
    }
}

const fn run_word(class: CellClass, state: CellState) -> &'static str {
    match (class, state) {
        (CellClass::View, _) => "Refresh",
        (_, CellState::Never | CellState::Stale) => "Run",
        _ => "Run again",
    }
}

/// What an effect does, with its settings.
fn effect_of(body: &str) -> String {
    let action = body.lines().find_map(|line| line.strip_prefix("action:"));
    let does = match action.map(str::trim) {
        None | Some("start") => "This starts a training run",
        Some("fork") => "This forks a run and trains the fork",
        Some("change") => "This changes the settings of a run",
        Some("pause") => "This pauses a run",
        Some("resume") => "This resumes a run",
        Some("stop") => "This stops a run",
        Some("delete") => "This moves a run to the trash",
        Some(_) => "This changes a run",
    };
    let settings: Vec<&str> = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if settings.is_empty() {
        format!("{does}.")
    } else {
        format!("{does}: {}.", settings.join("; "))
    }
}

fn fields_of(id: &str, fields: &serde_json::Map<String, Value>) -> Vec<(String, String)> {
    let shown = fields.iter().map(|(name, value)| {
        let text = plain(value);
        let short: String = text.chars().take(LONGEST_VALUE).collect();
        let more = if short.len() < text.len() { "…" } else { "" };
        (format!("${{{id}.{name}}}"), format!("{short}{more}"))
    });
    shown.collect()
}

/// A value as a person writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_says_what_it_does_before_it_does_it() {
        let start = effect_of("preset: clip\nconfig:\n  episodes: 2\n");
        assert_eq!(
            start,
            "This starts a training run: preset: clip; config:; episodes: 2."
        );
        assert!(effect_of("action: delete\nrun: a\n").starts_with("This moves a run to the trash"));
        assert_eq!(effect_of(""), "This starts a training run.");
    }

    #[test]
    fn fields_are_shown_as_they_are_referred_to() {
        let mut fields = serde_json::Map::new();
        fields.insert("id".into(), "x".repeat(50).into());
        fields.insert("last".into(), 0.5.into());
        let shown = fields_of("a", &fields);
        assert_eq!(shown[0].0, "${a.id}");
        assert!(shown[0].1.ends_with("x…"));
        assert_eq!(shown[1], ("${a.last}".into(), "0.5".into()));
    }
}
