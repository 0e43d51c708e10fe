//! The data set that `--data` names.

use std::path::Path;

use protoclip::config::{DataConfig, DataSource};
use protoclip::data;

use super::UsageError;
use crate::settings::SourceKind;

/// `builtin`, or a file, folder or shards; `source` says how to read them where the name does not
/// tell.
pub(super) fn data_at(path: &Path, source: Option<SourceKind>) -> anyhow::Result<DataConfig> {
    if path == Path::new("builtin") && source.is_none() {
        return Ok(DataConfig::default());
    }
    let source = source.map_or_else(|| data::kind_of(path), kind);
    let config = DataConfig {
        source,
        path: Some(path.to_owned()),
        ..DataConfig::default()
    };
    match data::absence(&config) {
        Some((_, message)) => {
            let message = format!("--data {}: {message}; or give builtin", path.display());
            Err(UsageError(message).into())
        }
        None => Ok(config),
    }
}

fn kind(source: SourceKind) -> DataSource {
    match source {
        SourceKind::Csv => DataSource::Csv,
        SourceKind::Folder => DataSource::Folder,
        SourceKind::Webdataset => DataSource::WebDataset,
        SourceKind::Parquet => DataSource::Parquet,
        SourceKind::Coco => DataSource::Coco,
    }
}
