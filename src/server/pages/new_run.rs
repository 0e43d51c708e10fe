//! `/runs/new`: the form of a new run. Works as a plain post: errors come back beside their fields,
//! success redirects to the run. A caller that asks for JSON gets `{"id"}` or `{"errors"}`.

mod augmentation;
mod field_spec;
mod form_values;

use std::collections::BTreeMap;

use askama::Template;
use axum::Json;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use protoclip::config::{FieldError, Preset, RunConfig, TeacherKind};
use protoclip::model::ClipConfig;
use serde_json::{Value, json};

pub(super) use augmentation::fragment as augmentation;
pub(super) use field_spec::{FieldSpec, GROUPS, Kind, all_fields, as_json, number};

use super::figures::{figure, grouped};
use super::respond::{answer, html, page};
use super::shell::Shell;
use crate::server::{AppError, AppState};
use crate::studio::{DataSetId, RunId, Studio, StudioError};
use augmentation::Preview;
use field_spec::FILE_SOURCES;
use form_values::FormValues;

#[derive(Debug, Template)]
#[template(path = "pages/new_run.html")]
struct NewRunPage {
    shell: Shell,
    summary: String,
    presets: Vec<PresetCard>,
    groups: Vec<Group>,
    /// JSON: preset, then field, to what the preset sets it to.
    preset_values: String,
    /// Samples of one episode on the built-in data.
    samples: u64,
    file_sources: String,
    ratio: String,
    /// Names of models that need no file.
    models: Vec<String>,
    preview: Preview,
}

#[derive(Debug)]
struct PresetCard {
    value: &'static str,
    title: &'static str,
    text: &'static str,
    chosen: bool,
}

#[derive(Debug)]
struct Group {
    key: &'static str,
    title: &'static str,
    text: &'static str,
    open: bool,
    /// Whether one of its fields asks to be seen.
    unfolded: bool,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    paper: &'static str,
    preset: String,
    value: String,
    error: Option<String>,
    numeric: bool,
    suggestions: bool,
    /// Attribute by which the browser hides a setting of other sources.
    /// Sources of data that the field is for; empty for all.
    sources: String,
    choices: Vec<Choice>,
}

#[derive(Debug)]
struct Choice {
    value: String,
    label: String,
}

pub(super) async fn form(
    State(state): State<AppState>,
    shell: Shell,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    page(state, shell, move |studio, shell| {
        let values = filled(studio, &FormValues::of(pairs))?;
        NewRunPage::new(studio, shell, &values, &[])
    })
    .await
}

pub(super) async fn submit(
    State(state): State<AppState>,
    shell: Shell,
    headers: HeaderMap,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Response {
    let values = FormValues::of(pairs);
    let typed = values.clone();
    let created = state.ask(move |studio| studio.create(typed.to_config()?.into_inner()));
    let json = wants_json(&headers);
    match created.await {
        Ok(id) if json => (StatusCode::CREATED, Json(json!({"id": id}))).into_response(),
        Ok(id) => Redirect::to(&format!("/runs/{id}")).into_response(),
        Err(error) if json => error.into_response(),
        Err(AppError {
            fields: Some(errors),
            ..
        }) => again(state, shell, values, errors.errors).await,
        Err(error) => answer(shell, Err(error)),
    }
}

/// The form as it was sent, with its errors.
async fn again(
    state: AppState,
    shell: Shell,
    values: FormValues,
    errors: Vec<FieldError>,
) -> Response {
    let for_problem = shell.clone();
    let rendered = state.ask(move |studio| {
        let page = NewRunPage::new(studio, shell, &values, &errors)?;
        Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
    });
    answer(for_problem, rendered.await)
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok());
    accept.is_some_and(|text| text.contains("application/json"))
}

/// What the form is filled with: the settings of a run, `from`, or a known data set, `data_set`, with a file
/// with features of its captions, `teacher`; then what the address says of single fields.
fn filled(studio: &Studio, asked: &FormValues) -> Result<FormValues, StudioError> {
    let mut values = if !asked.get("from").is_empty() {
        FormValues::of_config(&*studio.config(&RunId::from(asked.get("from")))?)
    } else if !asked.get("data_set").is_empty() || !asked.get("teacher").is_empty() {
        FormValues::of_config(&with_data(studio, asked)?)
    } else {
        FormValues::default()
    };
    values.take(asked);
    Ok(values)
}

/// A preset on a known data set, with a teacher where one is given.
fn with_data(studio: &Studio, asked: &FormValues) -> Result<RunConfig, StudioError> {
    let (data_set, teacher) = (asked.get("data_set"), asked.get("teacher"));
    let mut config = match teacher {
        "" => asked.preset().config(),
        _ => Preset::ProtoclipTeacher.config(),
    };
    if !data_set.is_empty() {
        config.data = studio.known_data_set(&DataSetId::from(data_set))?;
    }
    if !teacher.is_empty() {
        config.teacher.kind = TeacherKind::Npy;
        config.teacher.path = Some(teacher.into());
    }
    Ok(config)
}

impl NewRunPage {
    fn new(
        studio: &Studio,
        shell: Shell,
        values: &FormValues,
        errors: &[FieldError],
    ) -> Result<Self, StudioError> {
        let preset = as_json(&values.preset().config());
        let samples = studio.builtin_facts()?.balanced_pairs as u64;
        let count = values
            .get("prototypes.count")
            .parse()
            .unwrap_or_else(|_| values.preset().config().prototypes.count as u64);
        Ok(Self {
            preview: Preview::new(studio, shell.clone(), values),
            shell: shell.in_section("runs"),
            summary: summary(errors),
            presets: Preset::ALL
                .map(|p| PresetCard::new(p, values.preset()))
                .into(),
            groups: groups(values, &preset, errors),
            preset_values: preset_values(),
            samples,
            file_sources: FILE_SOURCES.join(" "),
            ratio: ratio(samples, count),
            models: ClipConfig::names(),
        })
    }
}

fn ratio(samples: u64, count: u64) -> String {
    let each = samples as f64 / count.max(1) as f64;
    format!(
        "N/K = {} / {} = {} samples per prototype",
        grouped(samples),
        grouped(count),
        figure(each)
    )
}

/// What the fields cannot say: how many errors there are, and those without a field.
fn summary(errors: &[FieldError]) -> String {
    if errors.is_empty() {
        return String::new();
    }
    let loose = errors
        .iter()
        .filter(|error| field_spec::spec(&error.field).is_none())
        .map(|error| format!(" {}: {}", error.field, error.message));
    let count = match errors.len() {
        1 => "One setting".to_owned(),
        n => format!("{n} settings"),
    };
    format!("{count} cannot be used.{}", loose.collect::<String>())
}

fn groups(values: &FormValues, preset: &Value, errors: &[FieldError]) -> Vec<Group> {
    GROUPS
        .iter()
        .map(|group| {
            let fields = group.fields.iter();
            let fields: Vec<Field> = fields
                .map(|f| Field::new(f, values, preset, errors))
                .collect();
            Group {
                key: group.key,
                title: group.title,
                text: group.text,
                open: group.open,
                unfolded: fields.iter().any(Field::is_to_be_seen),
                fields,
            }
        })
        .collect()
}

impl Field {
    /// An error, or a value that came from another page.
    fn is_to_be_seen(&self) -> bool {
        self.error.is_some() || (self.name == "teacher.path" && !self.value.is_empty())
    }

    fn new(spec: &FieldSpec, values: &FormValues, preset: &Value, errors: &[FieldError]) -> Self {
        let preset = spec.shown_in(preset);
        let choice = |value: &str, label: &str| Choice {
            value: value.to_owned(),
            label: label.to_owned(),
        };
        let mut choices = match spec.kind {
            Kind::Choice(all) => all
                .iter()
                .map(|(value, label)| choice(value, label))
                .collect(),
            Kind::Flag => vec![choice("true", "on"), choice("false", "off")],
            Kind::Number | Kind::Text | Kind::List => Vec::new(),
        };
        if !choices.is_empty() {
            choices.insert(0, choice("", &format!("preset: {preset}")));
        }
        let error = errors.iter().find(|error| error.field == spec.name);
        Self {
            name: spec.name,
            label: spec.label,
            help: spec.help,
            paper: spec.paper,
            preset,
            value: values.get(spec.name).to_owned(),
            error: error.map(|error| error.message.clone()),
            numeric: spec.kind == Kind::Number,
            suggestions: spec.name == "model",
            sources: spec.sources().unwrap_or_default().join(" "),
            choices,
        }
    }
}

impl PresetCard {
    fn new(preset: Preset, chosen: Preset) -> Self {
        let text = match preset {
            Preset::Clip => "Matches pictures and captions inside a batch. The baseline.",
            Preset::ProtoclipNoPbt => {
                "Adds prototypes: each tower learns the other's clusters, across the gap between the spaces."
            }
            Preset::Protoclip => {
                "Prototypes with back translation: clusters are carried into the student's own space first."
            }
            Preset::ProtoclipTeacher => {
                "The whole method: clusters of a text teacher also supervise both towers."
            }
        };
        Self {
            value: preset.name(),
            title: preset.title(),
            text,
            chosen: preset == chosen,
        }
    }
}

/// Safe inside a script element: `<` is written as an escape.
fn preset_values() -> String {
    let all: BTreeMap<&str, BTreeMap<&str, String>> = Preset::ALL
        .into_iter()
        .map(|preset| {
            let json = as_json(&preset.config());
            let values = all_fields().map(|field| (field.name, field.shown_in(&json)));
            (preset.name(), values.collect())
        })
        .collect();
    serde_json::to_string(&all)
        .unwrap_or_default()
        .replace('<', "\\u003c")
}
