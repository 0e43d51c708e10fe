//! `/checkpoints/{id}`: what is inside a checkpoint, and what can be done with it.

mod fork_form;
mod report_rows;

use askama::Template;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse, Redirect, Response};

use self::fork_form::{ForkField, fork_fields, fork_request};
use self::report_rows::{ReportGroup, report_groups};
use super::address::percent;
use super::facts::Fact;
use super::figures::{NONE, bytes, date_time, figure, grouped};
use super::respond::{answer, page};
use super::shell::Shell;
use super::work_list::WorkList;
use crate::server::AppState;
use crate::server::api::checkpoint_id;
use crate::studio::{
    CheckpointDetail, CheckpointId, EvaluationRequest, Request, Studio, StudioError, Verification,
};

#[derive(Debug, Template)]
#[template(path = "pages/checkpoint.html")]
struct CheckpointPage {
    shell: Shell,
    /// The id as it stands in addresses.
    id: String,
    subject: String,
    title: String,
    run: Option<OfRun>,
    pinned: bool,
    facts: Vec<Fact>,
    /// Why it cannot be loaded; empty when nothing is known against it.
    problem: String,
    /// What the last verification said, in words.
    verified: String,
    files: Vec<FileRow>,
    tensors: Vec<TensorRow>,
    tensors_note: String,
    model_config: String,
    notes: Vec<String>,
    /// Address of the form of a run that starts from its weights.
    start: String,
    data_sets: Vec<DataChoice>,
    report: Vec<ReportGroup>,
    report_on: String,
    export: Vec<ExportRow>,
    export_path: String,
    work: WorkList,
}

/// The run that a checkpoint belongs to.
#[derive(Debug)]
struct OfRun {
    id: String,
    name: String,
    step: u64,
    episodes: u64,
    /// Whether the run itself goes on from here when resumed.
    can_resume: bool,
    /// Settings that a fork may change.
    fields: Vec<ForkField>,
}

#[derive(Debug)]
struct FileRow {
    name: String,
    bytes: String,
    hash: String,
    state: &'static str,
    bad: bool,
}

#[derive(Debug)]
struct TensorRow {
    name: String,
    shape: String,
    number_type: String,
    numbers: String,
    bytes: String,
    norm: String,
    mean: String,
    range: String,
    not_finite: u64,
}

#[derive(Debug)]
struct DataChoice {
    id: String,
    name: String,
}

#[derive(Debug)]
struct ExportRow {
    name: String,
    bytes: String,
    href: String,
}

pub(super) async fn one(
    State(state): State<AppState>,
    shell: Shell,
    Path(id): Path<String>,
) -> Response {
    let id = match checkpoint_id(&id) {
        Ok(id) => id,
        Err(error) => return answer(shell, Err(error)),
    };
    page(state, shell, move |studio, shell| {
        CheckpointPage::new(studio, shell, &id)
    })
    .await
}

/// The fields that the form of an action sends.
type Typed = Vec<(String, String)>;

/// Pins, verifies, measures, exports, forks or resumes, then shows where that leads.
pub(super) async fn act(
    State(state): State<AppState>,
    shell: Shell,
    Path((id, action)): Path<(String, String)>,
    Form(form): Form<Typed>,
) -> Response {
    let parsed = checkpoint_id(&id);
    let done = match parsed {
        Ok(id) => {
            state
                .ask(move |studio| perform(studio, &id, &action, form))
                .await
        }
        Err(error) => Err(error),
    };
    answer(shell, done.map(|to| Redirect::to(&to).into_response()))
}

fn perform(
    studio: &Studio,
    id: &CheckpointId,
    action: &str,
    form: Typed,
) -> Result<String, StudioError> {
    let here = format!("/checkpoints/{}", percent(&id.to_string()));
    match (action, id) {
        ("pin", _) => studio.pin(id, true)?,
        ("unpin", _) => studio.pin(id, false)?,
        ("verify", _) => studio.verify(id).map(|_| ())?,
        ("export", _) => studio.export(id).map(|_| ())?,
        ("evaluate", _) => {
            let field = |name: &str| form.iter().find(|(key, _)| key == name);
            let request = EvaluationRequest {
                data_set: field("data_set").map_or_else(String::new, |(_, id)| id.clone()),
                probe: field("probe").is_some(),
            };
            studio.evaluate(id, &request).map(|_| ())?;
        }
        ("fork", CheckpointId::OfRun { run, step }) => {
            let forked = studio.fork(run, fork_request(*step, &form)?)?;
            return Ok(format!("/runs/{forked}"));
        }
        ("resume", CheckpointId::OfRun { run, .. }) => {
            studio.resume(run)?;
            return Ok(format!("/runs/{run}"));
        }
        _ => {
            let message = format!("this checkpoint has no action {action}");
            return Err(StudioError::NotFound(message));
        }
    }
    Ok(here)
}

impl CheckpointPage {
    fn new(studio: &Studio, shell: Shell, id: &CheckpointId) -> Result<Self, StudioError> {
        let detail = studio.shelved(id)?;
        let verification = studio.verification(id)?;
        let verification = verification.as_deref();
        let report = studio.evaluation(id)?;
        let export = studio.exported(id)?;
        let subject = id.to_string();
        let in_address = percent(&subject);
        let exported = export
            .iter()
            .flat_map(|folder| &folder.files)
            .map(|file| ExportRow {
                name: file.name.clone(),
                bytes: bytes(file.bytes),
                href: format!(
                    "/api/checkpoints/{in_address}/export/{}",
                    percent(&file.name)
                ),
            });
        let known = studio.data_sets().into_iter().map(|set| DataChoice {
            id: set.id.to_string(),
            name: set.name,
        });
        Ok(Self {
            work: WorkList::new(studio, shell.clone(), &subject),
            shell: shell.in_section("checkpoints"),
            title: title(&detail),
            run: of_run(studio, &detail)?,
            pinned: detail.checkpoint.pinned,
            facts: facts(&detail),
            problem: verification
                .and_then(Verification::problem)
                .unwrap_or_default()
                .to_owned(),
            verified: verification.map_or_else(String::new, verified),
            files: files(&detail, verification),
            tensors: tensors(&detail, verification),
            tensors_note: tensors_note(&detail, verification),
            model_config: detail
                .model_config
                .as_ref()
                .map_or_else(String::new, |config| {
                    serde_json::to_string_pretty(config).unwrap_or_default()
                }),
            notes: detail
                .source
                .as_ref()
                .map_or_else(Vec::new, |source| source.notes.clone()),
            start: start_address(&detail),
            data_sets: known.collect(),
            report_on: report.as_ref().map_or_else(String::new, |report| {
                format!(
                    "{}: {} pairs, {} pictures; features in {:.1} s",
                    report.data.name,
                    grouped(report.data.pairs as u64),
                    grouped(report.data.pictures as u64),
                    report.seconds_extract
                )
            }),
            report: report.as_ref().map_or_else(Vec::new, report_groups),
            export: exported.collect(),
            export_path: export
                .map_or_else(String::new, |folder| folder.path.display().to_string()),
            id: in_address,
            subject,
        })
    }
}

fn title(detail: &CheckpointDetail) -> String {
    match detail.checkpoint.step {
        Some(step) => format!("{}, step {}", detail.checkpoint.title, grouped(step)),
        None => detail.checkpoint.title.clone(),
    }
}

fn of_run(studio: &Studio, detail: &CheckpointDetail) -> Result<Option<OfRun>, StudioError> {
    let CheckpointId::OfRun { run, step } = &detail.checkpoint.id else {
        return Ok(None);
    };
    let view = studio.run(run)?;
    Ok(Some(OfRun {
        id: run.to_string(),
        name: view.name,
        step: *step,
        episodes: view.total_episodes,
        can_resume: detail.checkpoint.newest
            && !view.external
            && view.state.decide(Request::Resume).is_ok(),
        fields: fork_fields(&*studio.config(run)?),
    }))
}

fn facts(detail: &CheckpointDetail) -> Vec<Fact> {
    let entry = &detail.checkpoint;
    let fact = |name, value| Fact { name, value };
    let numbers: u64 = detail.tensors.iter().map(|tensor| tensor.numbers).sum();
    let mut facts = vec![
        fact("Size", bytes(entry.bytes)),
        fact("Numbers", grouped(numbers)),
        fact("Hash", entry.hash.clone()),
        fact("Folder", detail.path.display().to_string()),
    ];
    if let Some(episode) = entry.episode {
        facts.insert(0, fact("Episodes done", grouped(episode)));
    }
    if !entry.model.is_empty() {
        facts.insert(0, fact("Model", entry.model.clone()));
    }
    if let Some(written) = entry.written {
        facts.push(fact("Written", date_time(written)));
    }
    if let Some(score) = entry.score {
        facts.push(fact("Mean recall", format!("{score:.2} %")));
    }
    if let Some(fingerprint) = &detail.data_fingerprint {
        facts.push(fact("Data fingerprint", fingerprint.clone()));
    }
    if let Some(source) = &detail.source {
        facts.push(fact("Imported from", source.file.display().to_string()));
    }
    facts
}

fn verified(verification: &Verification) -> String {
    let files = verification.files.len();
    let hashes = match files {
        0 => "An imported model has no manifest to compare with".to_owned(),
        _ => format!("All {files} files have the hashes of the manifest"),
    };
    let numbers = match verification.not_finite() {
        0 => "every number of the model is finite".to_owned(),
        count => format!("{} numbers of the model are not finite", grouped(count)),
    };
    match verification.problem() {
        Some(_) => String::new(),
        None => format!("{hashes}; {numbers}."),
    }
}

fn files(detail: &CheckpointDetail, verification: Option<&Verification>) -> Vec<FileRow> {
    let checked = |name: &str| {
        let files = &verification?.files;
        files.iter().find(|file| file.name == name)
    };
    let row = |file: &crate::studio::ShelvedFile| {
        let checked = checked(&file.name);
        let bad = checked.is_some_and(|file| file.problem.is_some());
        FileRow {
            name: file.name.clone(),
            bytes: bytes(file.bytes),
            hash: file.blake3.clone().unwrap_or_else(|| NONE.into()),
            state: match (bad, checked) {
                (true, _) => "differs",
                (false, Some(_)) => "intact",
                (false, None) => "not read yet",
            },
            bad,
        }
    };
    detail.files.iter().map(row).collect()
}

fn tensors(detail: &CheckpointDetail, verification: Option<&Verification>) -> Vec<TensorRow> {
    let measured = |name: &str| {
        let tensors = &verification?.tensors;
        let found = tensors.binary_search_by(|(known, _)| known.as_str().cmp(name));
        found.ok().map(|place| tensors[place].1)
    };
    let row = |tensor: &protoclip::model::weights::TensorShape| {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        let numbers = measured(&tensor.name);
        TensorRow {
            name: tensor.name.clone(),
            shape: match shape.is_empty() {
                true => "scalar".into(),
                false => shape.join(" × "),
            },
            number_type: tensor.number_type.clone(),
            numbers: grouped(tensor.numbers),
            bytes: bytes(tensor.bytes),
            norm: numbers.map_or_else(|| NONE.into(), |n| figure(n.norm)),
            mean: numbers.map_or_else(|| NONE.into(), |n| figure(n.mean)),
            range: numbers.map_or_else(
                || NONE.into(),
                |n| format!("{} … {}", figure(n.min), figure(n.max)),
            ),
            not_finite: numbers.map_or(0, |n| n.not_finite),
        }
    };
    detail.tensors.iter().map(row).collect()
}

fn tensors_note(detail: &CheckpointDetail, verification: Option<&Verification>) -> String {
    match (&detail.tensors_problem, verification) {
        (Some(problem), _) => problem.clone(),
        (None, None) => "Norms, means and ranges need every number: Verify reads them.".into(),
        (None, Some(_)) => String::new(),
    }
}

fn start_address(detail: &CheckpointDetail) -> String {
    let path = percent(&detail.path.display().to_string());
    match &detail.checkpoint.id {
        CheckpointId::OfRun { run, .. } => format!("/runs/new?from={run}&weights={path}"),
        CheckpointId::Imported { .. } => format!("/runs/new?model={path}&weights={path}"),
    }
}
