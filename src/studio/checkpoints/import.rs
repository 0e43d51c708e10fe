//! Weight files of others as models that runs start from, by their path on this machine.

use std::path::{Path, PathBuf};

use protoclip::config::{ConfigErrors, FieldError};
use protoclip::model::{ClipConfig, ImportError, ImportOptions, import_watched};
use serde::Deserialize;

use super::super::typed_path::NOT_WHOLE;
use super::super::work::{WorkFailure, WorkKind, WorkView};
use super::super::{Studio, StudioError};
use super::CheckpointId;

/// What to import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportRequest {
    /// A `.pt`, `.pth`, `.bin` or `.safetensors` file, or a directory with one, on this machine.
    pub file: String,
    /// What it is called here; the file's name when empty.
    pub name: String,
    /// A model name or the path of an OpenCLIP-style JSON file; the file itself decides when empty.
    pub model: String,
}

impl Studio {
    /// Starts to import a model, in the background.
    ///
    /// # Errors
    /// Names each field that cannot work; when too much work is under way.
    pub fn import_model(
        &self,
        request: ImportRequest,
    ) -> Result<(CheckpointId, WorkView), StudioError> {
        let file = PathBuf::from(request.file.trim());
        let name = match request.name.trim() {
            "" => name_of(&file),
            name => name.to_owned(),
        };
        let model = Some(request.model.trim().to_owned()).filter(|model| !model.is_empty());
        let directory = self.data_dir.imported_model(&name);
        let errors = problems(&file, &name, directory.as_deref(), model.as_deref());
        let (Some(directory), true) = (directory, errors.is_empty()) else {
            return Err(ConfigErrors { errors }.into());
        };
        let id = CheckpointId::Imported { name };
        let work = self
            .work
            .begin(WorkKind::Import, &id.to_string(), move |progress| {
                let options = ImportOptions {
                    model,
                    ..ImportOptions::default()
                };
                let watch = |phase, done, total| progress.report(phase, done, total);
                let report = import_watched(&file, &options, &directory, &watch);
                let report = report.map_err(failure)?;
                let mut said = format!("{} parameters", report.parameters);
                for note in &report.notes {
                    said += &format!("; {note}");
                }
                Ok(said)
            })?;
        Ok((id, work))
    }
}

fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| match c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
        true => c,
        false => '-',
    };
    stem.chars().map(plain).collect()
}

fn problems(
    file: &Path,
    name: &str,
    directory: Option<&Path>,
    model: Option<&str>,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut add = |field: &str, message: String| {
        errors.push(FieldError {
            field: field.to_owned(),
            message,
        });
    };
    if file.as_os_str().is_empty() {
        add(
            "file",
            "give the path of a weight file on this machine".into(),
        );
    } else if !file.is_absolute() {
        add("file", NOT_WHOLE.into());
    } else if !file.exists() {
        add("file", format!("{} does not exist", file.display()));
    }
    match directory {
        None if name.is_empty() => {}
        None => add("name", "use up to 100 letters, digits, - _ and .".into()),
        Some(directory) if directory.exists() => {
            add(
                "name",
                format!("there is a model {name} already; choose another name"),
            );
        }
        Some(_) => {}
    }
    if let Some(Err(error)) = model.map(ClipConfig::load) {
        add("model", error.to_string());
    }
    errors
}

/// The field that a failure is about: wrong sizes ask for another model, all else for another file.
fn failure(error: ImportError) -> WorkFailure {
    use protoclip::model::weights::WeightsError;
    let field = match &error {
        ImportError::Cancelled => return WorkFailure::Cancelled,
        ImportError::Config(_)
        | ImportError::Weights(WeightsError::Shape { .. } | WeightsError::Missing { .. }) => {
            "model"
        }
        _ => "file",
    };
    WorkFailure::Failed(Some(field), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_made_of_the_file() {
        assert_eq!(name_of(Path::new("/a b/epoch 32.pt")), "epoch-32");
        assert_eq!(name_of(Path::new("/x/RN50_v1.2.safetensors")), "RN50_v1.2");
    }

    #[test]
    fn every_field_that_cannot_work_is_named() {
        let folder = tempfile::tempdir().expect("folder");
        let found = problems(
            Path::new("/no/such.pt"),
            "taken",
            Some(folder.path()),
            Some("RN51"),
        );
        let fields: Vec<&str> = found.iter().map(|e| e.field.as_str()).collect();
        assert_eq!(fields, ["file", "name", "model"]);
        let found = problems(Path::new("near.pt"), "a/b", None, None);
        assert!(found[0].message.contains("whole path"), "{found:?}");
        assert_eq!(found[1].field, "name");
    }
}
