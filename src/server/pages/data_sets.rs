//! `/datasets`: the data sets that are known here, and the form that adds one by its path.

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use protoclip::config::{ConfigErrors, DataConfig, DataSource, FieldError};
use serde::Deserialize;

use super::figures::{NONE, grouped};
use super::respond::{answer, html, page};
use super::shell::Shell;
use super::work_list::WorkList;
use crate::server::{AppError, AppState};
use crate::studio::{DataSetId, ListedDataSet, NewPlace, Studio, StudioError, WorkView};

#[derive(Debug, Template)]
#[template(path = "pages/data_sets.html")]
struct DataSetsPage {
    shell: Shell,
    rows: Vec<Row>,
    work: WorkList,
    open: bool,
    kinds: Vec<KindChoice>,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Row {
    id: String,
    name: String,
    source: &'static str,
    path: String,
    pairs: String,
    skipped: String,
    runs: usize,
    missing: bool,
}

/// A kind of data set in the form.
#[derive(Debug)]
struct KindChoice {
    value: &'static str,
    title: &'static str,
    chosen: bool,
}

/// Kinds that can be added: source, its name in forms, what a person reads.
const KINDS: [(DataSource, &str, &str); 5] = [
    (DataSource::Csv, "csv", "CSV or TSV file"),
    (DataSource::Folder, "folder", "folder of classes"),
    (
        DataSource::WebDataset,
        "webdataset",
        "WebDataset tar shards",
    ),
    (DataSource::Parquet, "parquet", "Parquet files"),
    (DataSource::Coco, "coco", "COCO captions JSON"),
];

#[derive(Debug)]
struct Field {
    name: &'static str,
    label: &'static str,
    help: &'static str,
    placeholder: &'static str,
    value: String,
    error: String,
}

/// What was typed.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct AddForm {
    source: String,
    path: String,
    image_column: String,
    caption_column: String,
    image_folder: String,
    label_columns: String,
    separator: String,
}

pub(super) async fn list(State(state): State<AppState>, shell: Shell) -> Response {
    page(state, shell, |studio, shell| {
        Ok(DataSetsPage::new(studio, shell, &AddForm::default(), &[]))
    })
    .await
}

/// Starts to open a data set; a wrong form comes back with its values and errors.
pub(super) async fn add(
    State(state): State<AppState>,
    shell: Shell,
    Form(form): Form<AddForm>,
) -> Response {
    let typed = form.clone();
    let begun = state.ask(move |studio| studio.add_data_set(form.config()?));
    match begun.await {
        Ok((id, _)) => Redirect::to(&format!("/datasets/{id}")).into_response(),
        Err(AppError {
            fields: Some(errors),
            ..
        }) => {
            let for_problem = shell.clone();
            let rendered = state.ask(move |studio| {
                let page = DataSetsPage::new(studio, shell, &typed, &errors.errors);
                Ok(html(StatusCode::UNPROCESSABLE_ENTITY, &page))
            });
            answer(for_problem, rendered.await)
        }
        Err(error) => answer(shell, Err(error)),
    }
}

/// Opens a known data set in the background.
pub(super) async fn open(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    begin(state, shell, &id, Studio::reopen_data_set).await
}

/// Begins work on a data set, and leads to its page.
async fn begin(
    state: AppState,
    shell: Shell,
    id: &str,
    work: fn(&Studio, &DataSetId) -> Result<WorkView, StudioError>,
) -> Response {
    let id = DataSetId::from(id);
    let to = format!("/datasets/{id}");
    let begun = state.ask(move |studio| work(studio, &id)).await;
    answer(shell, begun.map(|_| Redirect::to(&to).into_response()))
}

/// Where a data set is now.
#[derive(Debug, Deserialize)]
pub(super) struct RelinkForm {
    path: String,
    #[serde(default)]
    image_folder: String,
}

/// Starts to point a data set and its runs to another place.
pub(super) async fn relink(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
    Form(form): Form<RelinkForm>,
) -> Response {
    let id = DataSetId::from(id.as_str());
    let place = NewPlace {
        path: form.path.trim().into(),
        image_folder: Some(form.image_folder.trim().into())
            .filter(|f: &std::path::PathBuf| !f.as_os_str().is_empty()),
    };
    let begun = state.ask(move |studio| studio.relink(&id, &place)).await;
    answer(
        shell,
        begun.map(|(id, _)| Redirect::to(&format!("/datasets/{id}")).into_response()),
    )
}

/// Starts to compare the pictures of a data set.
pub(super) async fn compare_pictures(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    begin(state, shell, &id, Studio::compare_pictures).await
}

impl AddForm {
    fn config(&self) -> Result<DataConfig, StudioError> {
        let mut config = DataConfig {
            source: KINDS
                .iter()
                .find(|(_, name, _)| *name == self.source)
                .map_or(DataSource::Csv, |(source, ..)| *source),
            path: Some(self.path.trim().into())
                .filter(|p: &std::path::PathBuf| !p.as_os_str().is_empty()),
            ..DataConfig::default()
        };
        if config.source == DataSource::Folder {
            return Ok(config);
        }
        for (typed, column) in [
            (&self.image_column, &mut config.image_column),
            (&self.caption_column, &mut config.caption_column),
        ] {
            *column = Some(typed.trim().to_owned()).filter(|name| !name.is_empty());
        }
        config.image_folder = Some(self.image_folder.trim().into())
            .filter(|f: &std::path::PathBuf| !f.as_os_str().is_empty());
        let labels = self.label_columns.split(',').map(str::trim);
        config.label_columns = labels
            .filter(|l| !l.is_empty())
            .map(str::to_owned)
            .collect();
        let mut separator = self.separator.chars();
        config.separator = match (self.separator.as_str(), separator.next(), separator.next()) {
            ("\\t", ..) => Some('\t'),
            (_, None, _) => None,
            (_, one, None) => one,
            _ => {
                let message = "is one character, or \\t for a tab";
                return Err(ConfigErrors::one("data.separator", message).into());
            }
        };
        Ok(config)
    }
}

impl DataSetsPage {
    fn new(studio: &Studio, shell: Shell, typed: &AddForm, errors: &[FieldError]) -> Self {
        Self {
            work: WorkList::new(studio, shell.clone(), ""),
            shell: shell.in_section("datasets"),
            rows: studio.data_sets().into_iter().map(Row::of).collect(),
            open: !errors.is_empty(),
            kinds: KINDS
                .map(|(_, value, title)| KindChoice {
                    value,
                    title,
                    chosen: value == typed.source,
                })
                .into(),
            fields: fields(typed, errors),
        }
    }
}

impl Row {
    fn of(set: ListedDataSet) -> Self {
        Self {
            id: set.id.to_string(),
            name: set.name,
            source: match set.source {
                DataSource::Builtin => "built in",
                source => KINDS
                    .iter()
                    .find(|(known, ..)| *known == source)
                    .map_or("", |(_, _, title)| title),
            },
            path: set
                .path
                .map_or_else(String::new, |path| path.display().to_string()),
            pairs: set
                .pairs
                .map_or_else(|| NONE.into(), |pairs| grouped(pairs as u64)),
            skipped: set.skipped.map_or_else(|| NONE.into(), grouped),
            runs: set.runs.len(),
            missing: set.missing.is_some(),
        }
    }
}

fn fields(typed: &AddForm, errors: &[FieldError]) -> Vec<Field> {
    let field = |name: &'static str, label, help, placeholder, value: &str| Field {
        name,
        label,
        help,
        placeholder,
        value: value.to_owned(),
        error: errors
            .iter()
            .find(|error| error.field.strip_prefix("data.") == Some(name))
            .map_or_else(String::new, |error| error.message.clone()),
    };
    vec![
        field(
            "path",
            "File or folder on this machine",
            "A CSV or TSV file with a header row; a folder with one folder of pictures per class; tar shards as in /data/{00000..00003}.tar, Parquet files as in /data/train-*.parquet, or the folder of either; a COCO captions file. On S3: s3://bucket/train-*.tar, or a table with its pictures.",
            "/data/pairs.csv",
            &typed.path,
        ),
        field(
            "image_column",
            "Column with the picture",
            "Its path in CSV and TSV files, filepath when empty; in Parquet files bytes, paths or both, image when empty.",
            "by kind",
            &typed.image_column,
        ),
        field(
            "caption_column",
            "Column with the caption",
            "When empty: title in CSV and TSV files, caption in Parquet files, the .txt member in shards. In shards the name of a field of the .json member.",
            "by kind",
            &typed.caption_column,
        ),
        field(
            "image_folder",
            "Folder of the pictures",
            "What picture paths in a file are relative to; the file's own folder when empty. COCO's usual folders are found without.",
            "that of the file",
            &typed.image_folder,
        ),
        field(
            "label_columns",
            "Label columns",
            "Separated by commas; columns, or fields of the .json member. For evaluation only, neither model nor teacher sees them.",
            "none",
            &typed.label_columns,
        ),
        field(
            "separator",
            "Separator",
            "One character, or \\t; a tab for .tsv and a comma otherwise when empty.",
            "from the name",
            &typed.separator,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_fields_take_the_defaults_and_folders_have_no_columns() {
        let form = AddForm {
            path: " /data/pairs.csv ".into(),
            label_columns: "a, b,".into(),
            separator: "\\t".into(),
            ..AddForm::default()
        };
        let config = form.config().expect("valid");
        assert_eq!(config.caption_column, None);
        assert_eq!(config.label_columns, ["a", "b"]);
        assert_eq!(config.separator, Some('\t'));
        let folder = AddForm {
            source: "folder".into(),
            ..form.clone()
        };
        assert!(folder.config().expect("valid").label_columns.is_empty());
        let wrong = AddForm {
            separator: "ab".into(),
            ..form
        };
        assert!(
            wrong
                .config()
                .expect_err("two")
                .to_string()
                .contains("separator")
        );
    }
}
