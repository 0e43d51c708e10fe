//! The data set that `--data` names.

use std::path::Path;

use protoclip::config::{DataConfig, DataSource};

use super::UsageError;
use crate::settings::SourceKind;

/// `builtin`, a CSV or TSV file, or a folder with one folder of pictures per class; `source` says
/// how to read it where the path does not tell.
pub(super) fn data_at(path: &Path, source: Option<SourceKind>) -> anyhow::Result<DataConfig> {
    if path == Path::new("builtin") && source.is_none() {
        return Ok(DataConfig::default());
    }
    if !path.exists() {
        let message = format!(
            "--data {}: there is no such file or folder; give one, or builtin",
            path.display()
        );
        return Err(UsageError(message).into());
    }
    let source = match source {
        Some(SourceKind::Csv) => DataSource::Csv,
        Some(SourceKind::Folder) => DataSource::Folder,
        None if path.is_dir() => DataSource::Folder,
        None => DataSource::Csv,
    };
    Ok(DataConfig {
        source,
        path: Some(path.to_owned()),
        ..DataConfig::default()
    })
}
