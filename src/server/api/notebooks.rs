//! Notebooks: listed, made, saved by the tag that was read, run, and their results.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::endpoint::{ApiQuery, Endpoint};
use super::super::{AppError, AppState};
use super::JSON;
use super::csv::saved;
use super::figures::{TableAnswer, csv_svg_and_png, figures};
use super::picture;
use crate::studio::notebooks::{
    ExportFormat, NewNotebook, NotebookListed, NotebookName, NotebookTemplate, NotebookView,
    RunCells, SaveOutcome, zipped,
};

const SVG: &str = "image/svg+xml";
const MARKDOWN: &str = "text/markdown";
const IPYNB: &str = "application/x-ipynb+json";
const ZIP: &str = "application/zip";

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(
            "/api/notebooks",
            "Notebooks, the newest first, and the templates that a new one can begin with",
            list,
        ),
        Endpoint::post(
            "/api/notebooks",
            "Make a notebook from a text, a template, or empty",
            create,
        )
        .body("NewNotebook")
        .success(201, JSON)
        .failures(&[400, 422]),
        Endpoint::get(
            "/api/notebooks/{name}",
            "A notebook: its text in parts, where each cell stands, and the last outputs; ETag is the tag of the text",
            one,
        )
        .failures(&[404, 409]),
        Endpoint::put(
            "/api/notebooks/{name}",
            "Replace the text, if If-Match names the one that is there (428 without it, 412 with what is there)",
            save,
        )
        .text_body(MARKDOWN)
        .failures(&[404, 409, 412, 422, 428]),
        Endpoint::patch("/api/notebooks/{name}", "Give it another name", rename)
            .body("NotebookEdit")
            .failures(&[400, 404, 409, 422]),
        Endpoint::delete(
            "/api/notebooks/{name}",
            "Move it to the trash, with its outputs",
            trash,
        )
        .success(204, JSON)
        .failures(&[404, 409]),
        Endpoint::patch(
            "/api/notebooks/{name}/cells/{id}",
            "Set a control; the views that follow it are refreshed",
            set_control,
        )
        .body("ControlValue")
        .failures(&[400, 404, 409, 422]),
        Endpoint::post(
            "/api/notebooks/{name}/run",
            "Begin to run cells; effects run only when they are named",
            run,
        )
        .body("RunCells")
        .success(202, JSON)
        .failures(&[400, 404, 409, 422]),
        Endpoint::post(
            "/api/notebooks/{name}/cancel",
            "Cancel one cell, or all that run or wait",
            cancel,
        )
        .body("CellName")
        .failures(&[400, 404, 409]),
        Endpoint::get(
            "/api/notebooks/{name}/blobs/{hash}",
            "A figure by the hash of its content",
            blob,
        )
        .success(200, SVG)
        .failures(&[404]),
    ]
    .into_iter()
    .chain(exports())
    .chain(figures(
        csv_svg_and_png!("/api/notebooks/{name}/cells/{id}/table"),
        "A table of a cell's last output",
        &[("table", "its place among the cell's tables, from 0")],
        table,
    ))
    .collect()
}

fn exports() -> [Endpoint; 4] {
    [
        Endpoint::get(
            "/api/notebooks/{name}/export.html",
            "The notebook with its last outputs as one HTML file that needs no network",
            export_html,
        )
        .success(200, "text/html"),
        Endpoint::get(
            "/api/notebooks/{name}/export.ipynb",
            "The same as a Jupyter notebook",
            export_ipynb,
        )
        .success(200, IPYNB),
        Endpoint::get(
            "/api/notebooks/{name}/export-markdown.zip",
            "The same as Markdown with its figures",
            export_markdown,
        )
        .success(200, ZIP),
        Endpoint::get(
            "/api/notebooks/{name}/export-csv.zip",
            "The tables of all cells",
            export_csv,
        )
        .success(200, ZIP),
    ]
    .map(|endpoint| endpoint.failures(&[404, 409]))
}

/// The name in an address; no notebook has another one.
pub(in crate::server) fn name_of(text: &str) -> Result<NotebookName, AppError> {
    NotebookName::parse(text).map_err(|_| {
        let message = format!("there is no notebook {text:?}; /notebooks lists those that exist");
        AppError::new(StatusCode::NOT_FOUND, message)
    })
}

async fn list(State(state): State<AppState>) -> Result<Json<Value>, AppError> {
    let found = state.ask(|studio| {
        let listed: Vec<NotebookListed> = studio.notebooks()?;
        let templates: &[NotebookTemplate] = studio.notebook_templates();
        Ok(json!({"notebooks": listed, "templates": templates}))
    });
    Ok(Json(found.await?))
}

async fn create(
    State(state): State<AppState>,
    body: Result<Json<NewNotebook>, JsonRejection>,
) -> Result<Response, AppError> {
    let Json(new) = body?;
    let view = state
        .ask(move |studio| studio.create_notebook(&new))
        .await?;
    let location = [(header::LOCATION, format!("/api/notebooks/{}", view.name))];
    Ok((StatusCode::CREATED, location, tagged(&view)).into_response())
}

async fn one(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, AppError> {
    let name = name_of(&name)?;
    let view = state.ask(move |studio| studio.notebook(&name)).await?;
    Ok(tagged(&view))
}

/// A view with the tag of its text, which saving asks for.
fn tagged(view: &NotebookView) -> impl IntoResponse + use<> {
    ([(header::ETAG, quoted_tag(&view.etag))], Json(json!(view)))
}

fn quoted_tag(etag: &str) -> String {
    format!("\"{etag}\"")
}

async fn save(
    State(state): State<AppState>,
    Path(name): Path<String>,
    headers: HeaderMap,
    text: String,
) -> Result<Response, AppError> {
    let name = name_of(&name)?;
    let seen = tag_of(&headers);
    let expected = seen.clone().unwrap_or_default();
    // No text has an empty tag, so nothing is written without one; who names no notebook hears that.
    let outcome = state.ask(move |studio| studio.save_notebook(&name, &expected, &text));
    match outcome.await? {
        SaveOutcome::Saved(view) => Ok(tagged(&view).into_response()),
        SaveOutcome::Conflict { .. } if seen.is_none() => Err(AppError::new(
            StatusCode::PRECONDITION_REQUIRED,
            "send If-Match with the ETag of the text that was edited",
        )),
        SaveOutcome::Conflict { etag, text } => {
            let error = "the notebook was changed meanwhile; nothing was written";
            let there = json!({"error": error, "etag": etag, "text": text});
            let tag = [(header::ETAG, quoted_tag(&etag))];
            Ok((StatusCode::PRECONDITION_FAILED, tag, Json(there)).into_response())
        }
    }
}

/// The tag that a client has seen.
fn tag_of(headers: &HeaderMap) -> Option<String> {
    let given = headers.get(header::IF_MATCH)?.to_str().ok()?.trim();
    let tag = given.strip_prefix("W/").unwrap_or(given).trim_matches('"');
    (!tag.is_empty()).then(|| tag.to_owned())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NotebookEdit {
    name: String,
}

async fn rename(
    State(state): State<AppState>,
    Path(name): Path<String>,
    body: Result<Json<NotebookEdit>, JsonRejection>,
) -> Result<impl IntoResponse, AppError> {
    let name = name_of(&name)?;
    let Json(edit) = body?;
    let view = state.ask(move |studio| studio.rename_notebook(&name, &edit.name));
    Ok(tagged(&view.await?))
}

async fn trash(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<StatusCode, AppError> {
    let name = name_of(&name)?;
    state
        .ask(move |studio| studio.trash_notebook(&name))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ControlValue {
    value: Value,
}

async fn set_control(
    State(state): State<AppState>,
    Path((name, cell)): Path<(String, String)>,
    body: Result<Json<ControlValue>, JsonRejection>,
) -> Result<impl IntoResponse, AppError> {
    let name = name_of(&name)?;
    let Json(ControlValue { value }) = body?;
    let view = state.ask(move |studio| studio.set_control(&name, &cell, &value));
    Ok(tagged(&view.await?))
}

async fn run(
    State(state): State<AppState>,
    Path(name): Path<String>,
    body: Result<Json<RunCells>, JsonRejection>,
) -> Result<impl IntoResponse, AppError> {
    let name = name_of(&name)?;
    let Json(cells) = body?;
    let view = state
        .ask(move |studio| studio.run_notebook(&name, &cells))
        .await?;
    Ok((StatusCode::ACCEPTED, tagged(&view)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CellName {
    cell: Option<String>,
}

async fn cancel(
    State(state): State<AppState>,
    Path(name): Path<String>,
    body: Result<Json<CellName>, JsonRejection>,
) -> Result<impl IntoResponse, AppError> {
    let name = name_of(&name)?;
    let Json(CellName { cell }) = body?;
    let view = state.ask(move |studio| studio.cancel_notebook(&name, cell.as_deref()));
    Ok(tagged(&view.await?))
}

async fn blob(
    State(state): State<AppState>,
    Path((name, hash)): Path<(String, String)>,
) -> Result<impl IntoResponse, AppError> {
    let name = name_of(&name)?;
    let svg = state.ask(move |studio| studio.notebook_figure(&name, &hash));
    let described = [
        (header::CONTENT_TYPE, SVG),
        (header::CACHE_CONTROL, picture::IMMUTABLE),
    ];
    Ok((described, svg.await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TableQuery {
    table: usize,
}

async fn table(
    State(state): State<AppState>,
    Path((name, cell)): Path<(String, String)>,
    ApiQuery(TableQuery { table }): ApiQuery<TableQuery>,
    answer: TableAnswer,
) -> Result<Response, AppError> {
    let name = name_of(&name)?;
    let file = format!("{name}-{cell}-{table}");
    let title = format!("{name}: {cell}");
    let found = state.ask(move |studio| studio.notebook_table(&name, &cell, table));
    let found = found.await?;
    let title = match found.title.as_str() {
        "" => title,
        own => format!("{title}, {own}"),
    };
    answer.of(&file, &title, found.csv()).await
}

async fn export_html(state: State<AppState>, name: Path<String>) -> Result<Response, AppError> {
    export(state, name, ExportFormat::Html, "text/html; charset=utf-8").await
}

async fn export_ipynb(state: State<AppState>, name: Path<String>) -> Result<Response, AppError> {
    export(state, name, ExportFormat::Ipynb, IPYNB).await
}

async fn export_markdown(state: State<AppState>, name: Path<String>) -> Result<Response, AppError> {
    export(state, name, ExportFormat::Markdown, ZIP).await
}

async fn export_csv(state: State<AppState>, name: Path<String>) -> Result<Response, AppError> {
    export(state, name, ExportFormat::Csv, ZIP).await
}

/// A file to save: never shown as a page of the studio.
async fn export(
    State(state): State<AppState>,
    Path(name): Path<String>,
    format: ExportFormat,
    content_type: &'static str,
) -> Result<Response, AppError> {
    let name = name_of(&name)?;
    let file = if content_type == ZIP {
        format!("{name}-{}.zip", format.name())
    } else {
        format!("{name}.{}", format.name())
    };
    let bytes = state.ask(move |studio| {
        let files = studio.notebook_export(&name, format)?;
        if content_type == ZIP {
            return zipped(&files);
        }
        Ok(files.into_iter().flat_map(|file| file.bytes).collect())
    });
    Ok(saved(&file, content_type, bytes.await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_however_clients_write_them() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, value.parse().expect("a header"));
            tag_of(&headers)
        };
        for written in ["\"ab12\"", "ab12", "W/\"ab12\"", " \"ab12\" "] {
            assert_eq!(read(written).as_deref(), Some("ab12"), "{written}");
        }
        assert_eq!(read("\"\""), None);
        assert_eq!(tag_of(&HeaderMap::new()), None);
    }
}
