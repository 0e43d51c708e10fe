//! What can go wrong in the studio, with the fix in the message.

use std::path::Path;

use protoclip::config::ConfigErrors;
use protoclip::data::DataError;
use protoclip::tensor_file::TensorFileError;

/// A failure of the studio. The server maps each kind to a status.
#[derive(Debug, thiserror::Error)]
pub enum StudioError {
    /// Nothing has this id: 404.
    #[error("{0}")]
    NotFound(String),
    /// The run's state does not allow it: 409.
    #[error("{0}")]
    Conflict(String),
    /// A setting is wrong: 422.
    #[error(transparent)]
    Invalid(#[from] ConfigErrors),
    #[error("{path}: {source}")]
    Io {
        path: String,
        source: std::io::Error,
    },
    #[error("{path}: {message}")]
    Format { path: String, message: String },
    #[error("{path}: {source}")]
    Database {
        path: String,
        source: rusqlite::Error,
    },
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    TensorFile(#[from] TensorFileError),
    #[error(
        "{data_dir} is already served by process {pid}{}; open that, or give another directory",
        url.as_ref().map(|u| format!(" at {u}")).unwrap_or_default()
    )]
    AlreadyServed {
        data_dir: String,
        pid: u32,
        url: Option<String>,
    },
    #[error("{0}")]
    Other(String),
}

impl StudioError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn format(path: &Path, message: impl ToString) -> Self {
        Self::Format {
            path: path.display().to_string(),
            message: message.to_string(),
        }
    }

    /// Whether writing can succeed later without anybody repairing a file: the disk is full, or it
    /// failed for the moment.
    pub(crate) fn is_lack_of_room(&self) -> bool {
        use rusqlite::ErrorCode::{DiskFull, SystemIoFailure};
        match self {
            Self::Database { source, .. } => {
                matches!(source.sqlite_error_code(), Some(DiskFull | SystemIoFailure))
            }
            Self::Io { source, .. } => matches!(
                source.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }

    pub(crate) fn database(path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::Database {
            path: path.clone(),
            source,
        }
    }
}
