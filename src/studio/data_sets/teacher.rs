//! Features of a data set's captions by a text encoder, for the `npy` teacher, as background work.
//!
//! They lie in `teachers/` of the data directory under a name made of encoder, captions and dimensions,
//! each with a note beside it that says what it is. A cancelled work leaves its embeddings there, and the
//! same request goes on with them. They belong to pairs, not to a path: a data set that moved keeps them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use jiff::Timestamp;
use protoclip::config::{ConfigErrors, FieldError};
use protoclip::data::PairSource;
use protoclip::device::{ComputeDevice, DeviceChoice};
use protoclip::teacher::{
    BertConfig, FeatureFile, SentenceEncoder, TeacherError, WrittenFeatures, missing_files,
};
use serde::{Deserialize, Serialize};

use super::super::run_directory::write_durably;
use super::super::typed_path::folder_problem;
use super::super::work::{self, WorkFailure, WorkKind, WorkProgress, WorkView};
use super::super::{Studio, StudioError};
use super::DataSetId;

/// Which features to make.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TeacherRequest {
    /// A Hugging Face directory of a BERT or RoBERTa encoder on this machine.
    pub model: String,
    /// Numbers per caption, by principal components; 0 keeps all.
    pub dim: usize,
}

/// Features of the captions of a data set, finished or on the way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeacherView {
    /// The `.npy` file.
    pub path: PathBuf,
    /// The directory of the encoder.
    pub model: PathBuf,
    /// Numbers per caption that were asked for; 0 for all.
    pub dim: usize,
    /// Numbers per caption of the encoder.
    pub encoder_dim: usize,
    /// Captions in all: rows of the finished file.
    pub rows: usize,
    /// Captions that are encoded.
    pub rows_done: usize,
    /// Hash of the data set that they belong to.
    pub data: String,
    /// Absent until the file is written.
    pub finished: Option<FinishedTeacher>,
}

/// How the features came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FinishedTeacher {
    pub written: Timestamp,
    /// Share of the variance that the dimensions keep, in [0, 1].
    pub explained_variance: f64,
    /// Of the last piece of work, loading included.
    pub seconds: f64,
}

/// Numbers per caption unless asked otherwise.
const DIM: usize = 64;

impl Default for TeacherRequest {
    fn default() -> Self {
        Self {
            model: String::new(),
            dim: DIM,
        }
    }
}

impl TeacherView {
    /// The encoder's directory without the folders above it.
    pub fn encoder(&self) -> String {
        encoder_name(&self.model)
    }
}

fn encoder_name(model: &Path) -> String {
    let name = model.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

impl Studio {
    /// Starts to make teacher features of a data set, in the background; goes on where the same request
    /// was cancelled.
    ///
    /// # Errors
    /// When the data set is not known or cannot be opened; names each field that cannot work; when too
    /// much work is under way.
    pub fn make_teacher(
        &self,
        id: &DataSetId,
        request: &TeacherRequest,
    ) -> Result<WorkView, StudioError> {
        let set = self.data_sets.get(id)?;
        let model = PathBuf::from(request.model.trim());
        let errors = problems(&model, request.dim, set.source.len());
        if !errors.is_empty() {
            return Err(ConfigErrors { errors }.into());
        }
        let device = DeviceChoice::parse(&self.default_device).and_then(DeviceChoice::open);
        let making = Making {
            device: device.map_err(|e| ConfigErrors::one("device", e.to_string()))?,
            folder: self.data_dir.teachers(),
            dim: request.dim,
            model,
        };
        self.work
            .begin(WorkKind::MakeTeacher, id.as_str(), move |progress| {
                making.run(&*set.source, progress)
            })
    }

    /// Teacher features of the pairs of a data set, the newest first, then those on the way.
    ///
    /// # Errors
    /// When the data set is not known or cannot be opened.
    pub fn teachers(&self, id: &DataSetId) -> Result<Vec<TeacherView>, StudioError> {
        let set = self.data_sets.get(id)?;
        let mut found = noted(&self.data_dir.teachers());
        found.retain(|view| view.data == set.source.fingerprint());
        found.sort_by_key(|view| {
            let written = view.finished.as_ref().map(|finished| finished.written);
            (std::cmp::Reverse(written), view.path.clone())
        });
        Ok(found)
    }
}

/// The work itself, on a thread of its own.
struct Making {
    model: PathBuf,
    dim: usize,
    device: ComputeDevice,
    folder: PathBuf,
}

impl Making {
    fn run(self, source: &dyn PairSource, progress: &WorkProgress) -> Result<String, WorkFailure> {
        progress.report("reading the encoder", 0, 0);
        let started = Instant::now();
        let model = SentenceEncoder::fingerprint(&self.model).map_err(failure)?;
        let path = self.folder.join(self.file_name(&model, source));
        fs::create_dir_all(&self.folder).map_err(WorkFailure::of)?;
        let known = read_note(&note_of(&path)).filter(|view| view.finished.is_some());
        if known.is_some() && path.is_file() {
            return Ok("these features were made already".into());
        }
        let pool = work::pool()?;
        let file = FeatureFile {
            path,
            dim: (self.dim > 0).then_some(self.dim),
            model,
        };
        let written = pool.install(|| self.write(&file, source, progress));
        protoclip::kernels::release_freed_memory();
        let (mut view, written) = written?;
        view.rows_done = written.rows;
        view.finished = Some(FinishedTeacher {
            written: Timestamp::now(),
            explained_variance: written.explained_variance,
            seconds: started.elapsed().as_secs_f64(),
        });
        write_note(&view)?;
        Ok(format!(
            "{} rows of {} numbers, {:.1} % of the variance",
            written.rows,
            written.dim,
            100.0 * written.explained_variance
        ))
    }

    /// Notes what is being made, then encodes and writes.
    fn write(
        &self,
        file: &FeatureFile,
        source: &dyn PairSource,
        progress: &WorkProgress,
    ) -> Result<(TeacherView, WrittenFeatures), WorkFailure> {
        let encoder = SentenceEncoder::open(&self.model, &self.device.device).map_err(failure)?;
        let view = TeacherView {
            path: file.path.clone(),
            model: self.model.clone(),
            dim: self.dim,
            encoder_dim: encoder.dim(),
            rows: source.len(),
            rows_done: 0,
            data: source.fingerprint().to_owned(),
            finished: None,
        };
        write_note(&view)?;
        let begun = Instant::now();
        let first = std::cell::OnceCell::new();
        let report = |done: usize, total: usize| {
            // Captions of an earlier work took no time of this one.
            let new = done - (*first.get_or_init(|| done)).min(done);
            let speed = new as f64 / begun.elapsed().as_secs_f64().max(1e-3);
            progress.report_speed("encoding captions", (done as u64, total as u64), speed)
        };
        let written = file.write(&encoder, source, &report).map_err(failure)?;
        Ok((view, written))
    }

    /// Another encoder, other captions and other dimensions have another name.
    fn file_name(&self, model: &str, source: &dyn PairSource) -> String {
        let plain = |c: char| match c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            true => c,
            false => '-',
        };
        let name: String = encoder_name(&self.model)
            .chars()
            .take(60)
            .map(plain)
            .collect();
        let name = name.trim_start_matches('.');
        let hash = blake3::hash(format!("{model} {}", source.fingerprint()).as_bytes());
        let hash = hash.to_hex();
        let hash = &hash[..12];
        match self.dim {
            0 => format!("{name}-{hash}-all.npy"),
            dim => format!("{name}-{hash}-{dim}.npy"),
        }
    }
}

/// What can be seen to be wrong at once.
fn problems(model: &Path, dim: usize, captions: usize) -> Vec<FieldError> {
    let error = |field: &str, message: String| FieldError {
        field: field.to_owned(),
        message,
    };
    let empty = "give the folder of a Hugging Face BERT or RoBERTa model on this machine";
    if let Some(problem) = folder_problem(model, empty) {
        return vec![error("model", problem)];
    }
    let missing = missing_files(model);
    if !missing.is_empty() {
        let message = format!(
            "{} has no {}; give the folder of a Hugging Face model with config.json, tokenizer.json and model.safetensors",
            model.display(),
            missing.join(" and no ")
        );
        return vec![error("model", message)];
    }
    match BertConfig::read(&model.join("config.json")) {
        Err(wrong) => vec![error("model", wrong.to_string())],
        Ok(config) if dim > config.hidden_size.min(captions) => {
            let most = config.hidden_size.min(captions);
            let message = TeacherError::Dimensions { dim, most }.to_string();
            vec![error("dim", message)]
        }
        Ok(_) => Vec::new(),
    }
}

fn failure(error: TeacherError) -> WorkFailure {
    let field = match &error {
        TeacherError::Cancelled => return WorkFailure::Cancelled,
        TeacherError::Dimensions { .. } => Some("dim"),
        TeacherError::Format { .. } | TeacherError::Weights(_) => Some("model"),
        _ => None,
    };
    WorkFailure::Failed(field, error.to_string())
}

/// Where the note of a feature file is.
fn note_of(path: &Path) -> PathBuf {
    path.with_extension("json")
}

/// Readers see the old note or the new one.
fn write_note(view: &TeacherView) -> Result<(), WorkFailure> {
    let text = serde_json::to_vec_pretty(view).map_err(WorkFailure::of)?;
    write_durably(&note_of(&view.path), &text).map_err(WorkFailure::of)
}

fn read_note(note: &Path) -> Option<TeacherView> {
    let bytes = fs::read(note).ok()?;
    let mut view: TeacherView = serde_json::from_slice(&bytes).ok()?;
    // Where the files are now, should the data directory have moved.
    view.path = note.with_extension("npy");
    Some(view)
}

/// All notes of a folder whose files are there.
fn noted(folder: &Path) -> Vec<TeacherView> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.path());
    let notes = names.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".json") && !name.ends_with(".npy.partial.json")
    });
    let view = |note: PathBuf| {
        let mut view = read_note(&note)?;
        if fs::metadata(&view.path).is_err() {
            view.rows_done = FeatureFile::encoded_rows(&view.path, view.encoder_dim);
            view.finished = None;
        }
        Some(view)
    };
    notes.filter_map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny_bert() -> PathBuf {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        root.join("crates/protoclip/tests/golden/teachers/tiny_bert")
    }

    #[test]
    fn what_cannot_work_names_its_field_and_the_missing_file() {
        let folder = tempfile::tempdir().expect("folder");
        let copied = ["config.json", "model.safetensors"];
        for name in copied {
            fs::copy(tiny_bert().join(name), folder.path().join(name)).expect("copies");
        }
        let empty = tempfile::tempdir().expect("folder");
        let file = folder.path().join("config.json");
        for (model, dim, field, part) in [
            (Path::new(""), 4, "model", "give the folder"),
            (Path::new("near"), 4, "model", "whole path"),
            (&file, 4, "model", "is no folder"),
            (folder.path(), 4, "model", "has no tokenizer.json;"),
            (
                empty.path(),
                4,
                "model",
                "has no config.json and no tokenizer.json and no model.safetensors",
            ),
            (&tiny_bert(), 9999, "dim", "ask for fewer"),
            (&tiny_bert(), 6, "dim", "1 to 5"),
        ] {
            let found = problems(model, dim, 5);
            assert_eq!(found.len(), 1, "{part}: {found:?}");
            assert_eq!(found[0].field, field, "{found:?}");
            assert!(found[0].message.contains(part), "{part} in {found:?}");
        }
        assert_eq!(problems(&tiny_bert(), 4, 5), []);
        assert_eq!(problems(&tiny_bert(), 0, 5), []);
    }

    #[test]
    fn a_folder_without_features_lists_none_and_broken_notes_are_passed_over() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(noted(&folder.path().join("absent")).is_empty());
        fs::write(folder.path().join("a.json"), "{").expect("writes");
        fs::write(folder.path().join("b.npy.partial.json"), "{}").expect("writes");
        assert!(noted(folder.path()).is_empty());
    }
}
