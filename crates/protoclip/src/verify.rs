//! Golden values computed elsewhere beside ours: how a person finds out whether to trust a device.
//!
//! [`verify`] looks for every file of the golden format in a folder (`tests/golden/README.md` lists
//! them), computes the same things on the given device and reports each figure's worst error beside
//! its tolerance. Nothing here depends on the values, sizes or seeds of a file. Runs on the caller's
//! thread; never changes the folder.

mod golden_file;
mod kmeans;
mod losses;
mod metrics;
mod model;
mod pca;
mod prototypes;
mod schedule;
mod teacher;
mod text;
mod training;
mod vision;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use burn::tensor::Device;

pub use golden_file::GoldenError;
use golden_file::GoldenFile;

/// One figure beside its golden value.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Case {
    /// File name within the folder.
    pub file: String,
    /// What was compared.
    pub case: String,
    /// Worst error found; infinite when a value is NaN.
    pub error: f64,
    /// Largest allowed error.
    pub tolerance: f64,
    /// What the error is measured in.
    pub measure: Measure,
    /// What a reader should know about the comparison; often empty.
    pub note: String,
}

/// What an error is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// Largest difference.
    Absolute,
    /// Largest difference over the largest wanted magnitude.
    Relative,
    /// Share of entries that differ, in percent.
    PercentDiffering,
    /// Entries that differ.
    CountDiffering,
}

impl Measure {
    /// The word in a table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Absolute => "absolute",
            Self::Relative => "relative",
            Self::PercentDiffering => "% differing",
            Self::CountDiffering => "differing",
        }
    }
}

impl Case {
    /// Whether the error is within its tolerance. NaN never is.
    pub fn passed(&self) -> bool {
        self.error <= self.tolerance
    }
}

/// What a folder's golden files came to.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Summary {
    pub cases: Vec<Case>,
    /// Files that could not be compared, with the reason: damaged, incomplete or of another format.
    pub broken: Vec<(String, String)>,
    /// Golden files that this program has nothing to compare with, and why.
    pub skipped: Vec<(String, String)>,
}

impl Summary {
    /// Whether something was compared and nothing failed.
    pub fn passed(&self) -> bool {
        !self.cases.is_empty() && self.broken.is_empty() && self.cases.iter().all(Case::passed)
    }

    /// Cases out of tolerance.
    pub fn failures(&self) -> usize {
        self.cases.iter().filter(|case| !case.passed()).count()
    }
}

/// Told about each case as soon as it is known.
pub type OnCase<'a> = &'a mut dyn FnMut(&Case);

/// Collects the cases of one file.
struct Report<'a> {
    file: String,
    cases: Vec<Case>,
    on_case: OnCase<'a>,
}

impl Report<'_> {
    fn add(&mut self, case: impl Into<String>, measure: Measure, error: f64, tolerance: f64) {
        self.add_noted(case, measure, error, tolerance, String::new());
    }

    fn add_noted(
        &mut self,
        case: impl Into<String>,
        measure: Measure,
        error: f64,
        tolerance: f64,
        note: String,
    ) {
        let case = Case {
            file: self.file.clone(),
            case: case.into(),
            error: if error.is_nan() { f64::INFINITY } else { error },
            tolerance,
            measure,
            note,
        };
        (self.on_case)(&case);
        self.cases.push(case);
    }

    /// Compares two numbers by their relative difference.
    fn relative(&mut self, case: impl Into<String>, found: f64, wanted: f64, tolerance: f64) {
        let error = (found - wanted).abs() / wanted.abs().max(f64::MIN_POSITIVE);
        self.add(case, Measure::Relative, error, tolerance);
    }

    /// Compares two numbers by their difference.
    fn absolute(&mut self, case: impl Into<String>, found: f64, wanted: f64, tolerance: f64) {
        self.add(case, Measure::Absolute, (found - wanted).abs(), tolerance);
    }
}

/// Compares one kind of golden file.
type Check = fn(&Path, &Device, &mut Report<'_>) -> Result<(), GoldenError>;

/// Checks by file name; a leading `*` stands for any model.
const CHECKS: [(&str, Check); 11] = [
    ("losses.safetensors", losses::check),
    ("pbt.safetensors", prototypes::check),
    ("lr_schedule.json", schedule::check),
    ("tokenizer.json", text::check),
    ("preprocess.safetensors", vision::check),
    ("metrics.json", metrics::check),
    ("kmeans.safetensors", kmeans::check_given_start),
    ("kmeans_free_init.json", kmeans::check_free_start),
    ("pca.safetensors", pca::check),
    ("*_io.safetensors", model::check),
    ("*_train.json", training::check),
];

/// Files that belong to another one of the list, or to no check of their own.
const COMPANIONS: [&str; 4] = [
    "metrics.safetensors",
    "*_open_clip.safetensors",
    "*_checkpoint.pt",
    "*_checkpoint_ddp.pt",
];

/// What [`verify`] computes with.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    pub device: Device,
    /// Hugging Face directory of the text encoder that `teacher_*.json` was computed with; without
    /// it those files are skipped.
    pub teacher: Option<PathBuf>,
}

/// Runs every golden file in `folder`.
///
/// # Errors
/// When the folder cannot be read. A damaged file is part of the [`Summary`].
pub fn verify(
    folder: &Path,
    options: &VerifyOptions,
    on_case: OnCase<'_>,
) -> Result<Summary, GoldenError> {
    let mut summary = Summary::default();
    for name in names_in(folder)? {
        let check = CHECKS.iter().find(|(pattern, _)| matches(pattern, &name));
        let encoder = options.teacher.as_deref().filter(|_| is_teacher(&name));
        if check.is_none() && encoder.is_none() {
            let reason = why_skipped(&name).map(|reason| (name, reason.into()));
            summary.skipped.extend(reason);
            continue;
        }
        let mut report = Report {
            file: name.clone(),
            cases: Vec::new(),
            on_case: &mut *on_case,
        };
        let path = folder.join(&name);
        let result = match (check, encoder) {
            (Some((_, check)), _) => check(&path, &options.device, &mut report),
            (None, Some(encoder)) => teacher::check(&path, encoder, &options.device, &mut report),
            (None, None) => Ok(()),
        };
        let cases = report.cases;
        match result {
            Ok(()) if cases.is_empty() => {
                let reason = "holds nothing that can be compared".to_owned();
                summary.broken.push((name, reason));
            }
            Ok(()) => {}
            Err(error) => summary.broken.push((name, error.to_string())),
        }
        summary.cases.extend(cases);
    }
    Ok(summary)
}

fn names_in(folder: &Path) -> Result<BTreeSet<String>, GoldenError> {
    let io = |source| GoldenError::Io {
        path: folder.to_owned(),
        source,
    };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        if let Ok(name) = entry.map_err(io)?.file_name().into_string() {
            names.insert(name);
        }
    }
    Ok(names)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some(end) => name.len() > end.len() && name.ends_with(end),
        None => name == pattern,
    }
}

/// Why a golden-looking file has no check; `None` for companions and other files.
fn why_skipped(name: &str) -> Option<&'static str> {
    let encoded = name.starts_with("teacher_") && name.ends_with(".safetensors");
    let golden = name.ends_with(".safetensors") || name.ends_with(".pt") || name.ends_with(".json");
    if !golden || encoded || COMPANIONS.iter().any(|pattern| matches(pattern, name)) {
        return None;
    }
    match is_teacher(name) {
        true => Some("needs --teacher DIR, the text encoder that the file names"),
        false => Some("no golden file of a known name"),
    }
}

fn is_teacher(name: &str) -> bool {
    name.starts_with("teacher_") && name.ends_with(".json")
}

/// The file beside `path` whose name has `end` in place of `own_end`.
fn beside(path: &Path, own_end: &str, end: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.strip_suffix(own_end).unwrap_or(&name);
    path.with_file_name(format!("{stem}{end}"))
}

/// Largest difference between two rows of numbers; infinite when one is NaN or they differ in length.
fn worst(found: &[f32], wanted: &[f32]) -> f64 {
    if found.len() != wanted.len() {
        return f64::INFINITY;
    }
    let pairs = found.iter().zip(wanted);
    pairs.fold(0.0, |worst: f64, (a, b)| {
        let difference = f64::from((a - b).abs());
        match difference.is_nan() {
            true => f64::INFINITY,
            false => worst.max(difference),
        }
    })
}

/// [`worst`] over the largest wanted magnitude.
fn worst_relative(found: &[f32], wanted: &[f32]) -> f64 {
    let size = wanted
        .iter()
        .fold(1e-12, |m: f64, w| m.max(f64::from(w.abs())));
    worst(found, wanted) / size
}

#[cfg(test)]
mod tests;
