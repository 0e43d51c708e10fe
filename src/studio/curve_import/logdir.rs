//! Folders with event files: each is one run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder with event files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LoggedRun {
    pub(super) folder: PathBuf,
    /// In the order of their names, which begin with the time of their start.
    pub(super) files: Vec<PathBuf>,
    pub(super) bytes: u64,
}

/// What the name of an event file contains.
const MARK: &str = "tfevents";
/// Folders in folders that are looked into.
const DEEPEST: usize = 32;
/// Longest name of a run.
const LONGEST_NAME: usize = 120;

/// The runs in a folder and below it, by path; `None` when `go_on` says no. Links to folders are not
/// followed.
pub(super) fn logged_runs(
    root: &Path,
    go_on: &dyn Fn() -> bool,
) -> io::Result<Option<Vec<LoggedRun>>> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), 0)];
    while let Some((folder, depth)) = open.pop() {
        if !go_on() {
            return Ok(None);
        }
        let mut run = LoggedRun {
            folder: folder.clone(),
            files: Vec::new(),
            bytes: 0,
        };
        // Only of the given folder itself is it an error when it cannot be read.
        let entries = match fs::read_dir(&folder) {
            Err(error) if depth == 0 => return Err(error),
            entries => entries.into_iter().flatten().flatten(),
        };
        for entry in entries {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if depth < DEEPEST {
                    open.push((path, depth + 1));
                }
            } else if entry.file_name().to_string_lossy().contains(MARK) && path.is_file() {
                run.bytes += fs::metadata(&path).map_or(0, |metadata| metadata.len());
                run.files.push(path);
            }
        }
        if !run.files.is_empty() {
            run.files.sort();
            found.push(run);
        }
    }
    found.sort_by(|a, b| a.folder.cmp(&b.folder));
    Ok(Some(found))
}

impl LoggedRun {
    /// What the run is called: the given name or that of the root, and the path below the root.
    pub(super) fn called(&self, root: &Path, name: &str) -> String {
        let name = match name {
            "" => root.file_name().map_or_else(
                || root.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
            name => name.to_owned(),
        };
        let below = self.folder.strip_prefix(root).unwrap_or(Path::new(""));
        let parts = below
            .components()
            .map(|part| part.as_os_str().to_string_lossy());
        let whole = parts.fold(name, |whole, part| format!("{whole}/{part}"));
        let plain = whole.replace(char::is_control, " ");
        // The end tells runs of one import apart.
        match plain.chars().count() {
            count if count <= LONGEST_NAME => plain,
            count => {
                let end = plain.chars().skip(count - LONGEST_NAME + 1);
                std::iter::once('…').chain(end).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
        fs::write(path, "x").expect("writes");
    }

    #[test]
    fn each_folder_with_event_files_is_a_run() {
        let root = tempfile::tempdir().expect("folder");
        for file in [
            "events.out.tfevents.2.host",
            "events.out.tfevents.1.host",
            "train/events.out.tfevents.1.host",
            "deep/er/events.out.tfevents.1.host",
            "empty/notes.txt",
        ] {
            touch(&root.path().join(file));
        }
        let found = logged_runs(root.path(), &|| true).expect("reads");
        let found = found.expect("not cancelled");
        let names: Vec<String> = found
            .iter()
            .map(|run| run.called(root.path(), "n"))
            .collect();
        assert_eq!(names, ["n", "n/deep/er", "n/train"]);
        let first = found[0].files[0].display().to_string();
        assert!(first.ends_with("tfevents.1.host"), "{first}");
        assert_eq!(found[0].bytes, 2);
        assert_eq!(logged_runs(root.path(), &|| false).expect("reads"), None);
        assert!(logged_runs(&root.path().join("absent"), &|| true).is_err());
    }

    #[test]
    fn long_names_keep_their_end() {
        let run = LoggedRun {
            folder: PathBuf::from("/logs").join("x".repeat(200)).join("end"),
            files: Vec::new(),
            bytes: 0,
        };
        let name = run.called(Path::new("/logs"), "");
        assert_eq!(name.chars().count(), LONGEST_NAME);
        assert!(name.starts_with('…') && name.ends_with("/end"), "{name}");
    }
}
