//! What is wrong with a path that a person typed.

use std::path::Path;

/// A path from nowhere: the server's own folder says nothing to who typed it.
pub(super) const NOT_WHOLE: &str = "give the whole path, beginning with /";

/// Why a folder cannot be used; `empty` is said of an empty path.
pub(super) fn folder_problem(folder: &Path, empty: &str) -> Option<String> {
    if folder.as_os_str().is_empty() {
        Some(empty.to_owned())
    } else if !folder.is_absolute() {
        Some(NOT_WHOLE.to_owned())
    } else if !folder.is_dir() {
        Some(format!("{} is no folder", folder.display()))
    } else {
        None
    }
}
