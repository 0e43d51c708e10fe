//! `/checkpoints`: every checkpoint of every run and every imported model, and the form that imports.

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use protoclip::config::FieldError;
use protoclip::model::ClipConfig;
use serde::Deserialize;

use super::address::percent;
use super::figures::{NONE, bytes, date_time, grouped};
use super::respond::{answer, html, page};
use super::shell::Shell;
use super::work_list::WorkList;
use crate::server::{AppError, AppState};
use crate::studio::{CheckpointId, ImportRequest, ShelvedCheckpoint, Studio};

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ShelfQuery {
    q: String,
    /// `run`, `imported` or `pinned`; anything else shows all.
    kind: String,
}

#[derive(Debug, Template)]
#[template(path = "pages/checkpoints.html")]
struct ShelfPage {
    shell: Shell,
    query: ShelfQuery,
    rows: Vec<Row>,
    total: usize,
    /// Bytes of those that are shown.
    bytes: String,
    broken: Vec<Broken>,
    work: WorkList,
    import: ImportForm,
}

#[derive(Debug)]
struct Row {
    href: String,
    title: String,
    imported: bool,
    run: String,
    model: String,
    step: String,
    episode: String,
    bytes: String,
    score: String,
    pinned: bool,
    written: String,
    written_iso: String,
    hash: String,
}

#[derive(Debug)]
struct Broken {
    run: String,
    title: String,
    path: String,
    message: String,
}

/// The form with what was typed and what is wrong with it.
#[derive(Debug, Default)]
struct ImportForm {
    open: bool,
    fields: Vec<ImportField>,
    models: Vec<String>,
}

#[derive(Debug)]
struct ImportField {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    placeholder: &'static str,
    value: String,
    error: String,
    models: bool,
}

pub(super) async fn list(
    State(state): State<AppState>,
    shell: Shell,
    Query(query): Query<ShelfQuery>,
) -> Response {
    page(state, shell, |studio, shell| {
        let form = ImportForm::new(&ImportRequest::default(), &[]);
        Ok(ShelfPage::new(studio, shell, query, form))
    })
    .await
}

/// Starts an import; a wrong form comes back with its values and errors.
pub(super) async fn import(
    State(state): State<AppState>,
    shell: Shell,
    Form(request): Form<ImportRequest>,
) -> Response {
    let typed = request.clone();
    let begun = state.ask(move |studio| studio.import_model(request)).await;
    match begun {
        Ok(_) => Redirect::to("/checkpoints").into_response(),
        Err(AppError {
            fields: Some(errors),
            ..
        }) => {
            let for_problem = shell.clone();
            let rendered = state.ask(move |studio| {
                let form = ImportForm::new(&typed, &errors.errors);
                let page = ShelfPage::new(studio, shell, ShelfQuery::default(), form);
                Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
            });
            answer(for_problem, rendered.await)
        }
        Err(error) => answer(shell, Err(error)),
    }
}

impl ShelfPage {
    fn new(studio: &Studio, shell: Shell, query: ShelfQuery, import: ImportForm) -> Self {
        let shelf = studio.shelf();
        let total = shelf.checkpoints.len();
        let shown: Vec<&ShelvedCheckpoint> = shelf
            .checkpoints
            .iter()
            .filter(|c| query.wants(c))
            .collect();
        let broken = shelf.broken.iter().map(|broken| Broken {
            run: broken.run.to_string(),
            title: broken.title.clone(),
            path: broken.path.display().to_string(),
            message: broken.message.clone(),
        });
        Self {
            work: WorkList::new(studio, shell.clone(), ""),
            shell: shell.in_section("checkpoints"),
            rows: shown.iter().map(|entry| Row::of(entry)).collect(),
            total,
            bytes: bytes(shown.iter().map(|entry| entry.bytes).sum()),
            broken: broken.collect(),
            query,
            import,
        }
    }
}

impl ShelfQuery {
    fn wants(&self, entry: &ShelvedCheckpoint) -> bool {
        let imported = matches!(entry.id, CheckpointId::Imported { .. });
        let kind = match self.kind.as_str() {
            "run" => !imported,
            "imported" => imported,
            "pinned" => entry.pinned,
            _ => true,
        };
        let text = format!(
            "{} {} {} {}",
            entry.title, entry.id, entry.model, entry.hash
        );
        kind && text.to_lowercase().contains(&self.q.to_lowercase())
    }
}

impl Row {
    fn of(entry: &ShelvedCheckpoint) -> Self {
        let number = |value: Option<u64>| value.map_or_else(|| NONE.into(), grouped);
        Self {
            href: format!("/checkpoints/{}", percent(&entry.id.to_string())),
            title: entry.title.clone(),
            imported: matches!(entry.id, CheckpointId::Imported { .. }),
            run: match &entry.id {
                CheckpointId::OfRun { run, .. } => run.to_string(),
                CheckpointId::Imported { .. } => String::new(),
            },
            model: match entry.model.as_str() {
                "" => NONE.into(),
                model => model.to_owned(),
            },
            step: number(entry.step),
            episode: number(entry.episode),
            bytes: bytes(entry.bytes),
            score: entry
                .score
                .map_or_else(|| NONE.into(), |score| format!("{score:.2}")),
            pinned: entry.pinned,
            written: entry.written.map_or_else(|| NONE.into(), date_time),
            written_iso: entry
                .written
                .map_or_else(String::new, |time| time.to_string()),
            hash: entry.hash.chars().take(12).collect(),
        }
    }
}

impl ImportForm {
    fn new(typed: &ImportRequest, errors: &[FieldError]) -> Self {
        let field = |name, label, help, placeholder, value: &str, models| ImportField {
            name,
            label,
            help,
            placeholder,
            value: value.to_owned(),
            error: errors
                .iter()
                .find(|error| error.field == name)
                .map_or_else(String::new, |error| error.message.clone()),
            models,
        };
        Self {
            open: !errors.is_empty(),
            fields: vec![
                field(
                    "file",
                    "File on this machine",
                    "A .pt, .pth, .bin or .safetensors file, or a folder that OpenCLIP loads. Nothing in it is executed.",
                    "/models/epoch_32.pt",
                    &typed.file,
                    false,
                ),
                field(
                    "name",
                    "Name here",
                    "Letters, digits, - _ and . The file's name when empty.",
                    "from the file",
                    &typed.name,
                    false,
                ),
                field(
                    "model",
                    "Model",
                    "Only needed where the file does not tell: a name, or the path of an OpenCLIP configuration.",
                    "from the file",
                    &typed.model,
                    true,
                ),
            ],
            models: ClipConfig::names(),
        }
    }
}
