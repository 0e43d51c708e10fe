//! The files that a path with braces, a star or a folder stands for, and whether they changed.
//!
//! `train-{00000..00003}.tar`, `{cats,dogs}.tar`, `train-*.parquet`, one file, or a folder with such
//! files. Ranges keep the zeros they are written with. Names are taken in the order of the pattern,
//! those of a star or a folder in the order of their names. Objects on S3 are named in the same way
//! ([`remote`]).

mod remote;

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::DataError;
use super::object_reader::{ListedObject, ObjectStamp, Patience, url_of};

pub(super) use remote::is_folder as is_remote_folder;

/// Files that a pattern may stand for; a typing error cannot ask for more.
const MOST_FILES: usize = 100_000;

/// Size and time of a file, which change when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileStamp {
    pub(super) bytes: u64,
    /// Nanoseconds since 1970; 0 where the file system does not tell. Of an object the beginning of a
    /// hash of its entity tag, where it has one.
    pub(super) modified: u128,
}

/// A file as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    pub(super) stamp: FileStamp,
    /// What storage says of it, where it is an object.
    pub(super) object: Option<ListedObject>,
}

impl FoundFile {
    /// # Errors
    /// When there is no such file or object.
    pub(super) fn at(path: &Path, patience: Patience) -> Result<Self, DataError> {
        match url_of(path) {
            Some(url) => remote::at(url, patience),
            None => Ok(Self {
                path: path.to_owned(),
                stamp: FileStamp::at(path)?,
                object: None,
            }),
        }
    }

    fn of_object(object: ListedObject) -> Self {
        Self {
            path: PathBuf::from(&object.url),
            stamp: FileStamp::of_object(&object.stamp),
            object: Some(object),
        }
    }

    /// Its name without folders.
    pub(super) fn name(&self) -> String {
        self.path.file_name().map_or_else(
            || self.path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        )
    }
}

impl FileStamp {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Self {
        let since = metadata
            .modified()
            .ok()
            .and_then(|t| t.duration_since(UNIX_EPOCH).ok());
        Self {
            bytes: metadata.len(),
            modified: since.map_or(0, |d| d.as_nanos()),
        }
    }

    fn of_object(stamp: &ObjectStamp) -> Self {
        let modified = match &stamp.tag {
            None => stamp.modified,
            Some(tag) => {
                let mut first = [0; 16];
                first.copy_from_slice(&blake3::hash(tag.as_bytes()).as_bytes()[..16]);
                u128::from_le_bytes(first)
            }
        };
        Self {
            bytes: stamp.bytes,
            modified,
        }
    }

    /// # Errors
    /// When there is no such file.
    pub(super) fn at(path: &Path) -> Result<Self, DataError> {
        let metadata = std::fs::metadata(path).map_err(|e| DataError::io(path, e))?;
        Ok(Self::of(&metadata))
    }
}

/// Whether a path stands for several files rather than naming one.
pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_str()
        .is_some_and(|text| text.contains('{') || text.contains('*'))
        && !path.exists()
}

/// The files that `path` stands for, whose names end in one of `endings` where it is a folder.
///
/// # Errors
/// When there is none, one of a range is absent, or the braces cannot be read; says which.
pub(super) fn find(
    path: &Path,
    endings: &[&str],
    patience: Patience,
) -> Result<Vec<FoundFile>, DataError> {
    if let Some(url) = url_of(path) {
        return remote::find(url, endings, patience);
    }
    let found = find_paths(path, endings)?;
    found
        .iter()
        .map(|path| FoundFile::at(path, patience))
        .collect()
}

fn find_paths(path: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, DataError> {
    if path.is_dir() {
        let found = names(path, |name| has_ending(name, endings))?;
        return some(path, found, endings);
    }
    if !is_pattern(path) {
        return Ok(vec![path.to_owned()]);
    }
    let text = path.to_str().unwrap_or_default();
    let mut found = Vec::new();
    for text in expand(text).map_err(|message| DataError::format(path.display(), message))? {
        let one = PathBuf::from(&text);
        if text.contains('*') && !one.exists() {
            found.extend(starred(&one)?);
        } else {
            found.push(one);
        }
    }
    some(path, found, endings)
}

pub(super) fn has_ending(name: &str, endings: &[&str]) -> bool {
    let name = name.to_ascii_lowercase();
    !name.starts_with('.') && endings.iter().any(|ending| name.ends_with(ending))
}

fn some<T>(path: &Path, found: Vec<T>, endings: &[&str]) -> Result<Vec<T>, DataError> {
    match found.is_empty() {
        true => Err(DataError::format(
            path.display(),
            format!("no file ending in {} was found", endings.join(", ")),
        )),
        false => Ok(found),
    }
}

/// Files in a folder whose name is `wanted`, by name.
fn names(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>, DataError> {
    let failed = |e| DataError::io(folder, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|n| n.to_str());
        if name.is_some_and(&wanted) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Files whose name matches the last part of `path`, in which a star stands for any characters.
fn starred(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    let folder = path.parent().unwrap_or(Path::new(""));
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    let parts: Vec<&str> = name.split('*').collect();
    names(folder, |name| matches(name, &parts))
}

/// Whether `name` is made of `parts` in order with anything between them.
fn matches(name: &str, parts: &[&str]) -> bool {
    let [first, middle @ .., last] = parts else {
        return parts.first().is_some_and(|only| *only == name);
    };
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Every text that the braces of `pattern` stand for, in order.
fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some(open) = pattern.find('{') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let (before, rest) = (&pattern[..open], &pattern[open + 1..]);
    let close = rest
        .find('}')
        .ok_or("a brace is opened and never closed; write {00000..00003}")?;
    let tails = expand(&rest[close + 1..])?;
    let mut all = Vec::new();
    for word in alternatives(&rest[..close])? {
        for tail in &tails {
            if all.len() >= MOST_FILES {
                return Err(format!("stands for more than {MOST_FILES} files"));
            }
            all.push(format!("{before}{word}{tail}"));
        }
    }
    Ok(all)
}

/// What stands between two braces: `a,b` or `007..123`.
fn alternatives(inside: &str) -> Result<Vec<String>, String> {
    let Some((from, to)) = inside.split_once("..") else {
        return Ok(inside.split(',').map(str::to_owned).collect());
    };
    let unreadable = || {
        format!(
            "{{{inside}}} is no range; write two whole numbers, the smaller first, as in {{00000..00003}}"
        )
    };
    let number = |text: &str| text.parse::<u64>().map_err(|_| unreadable());
    let (first, last) = (number(from)?, number(to)?);
    if last < first {
        return Err(unreadable());
    }
    if last - first >= MOST_FILES as u64 {
        return Err(format!("stands for more than {MOST_FILES} files"));
    }
    let width = match from.starts_with('0') || to.starts_with('0') {
        true => from.len().max(to.len()),
        false => 0,
    };
    Ok((first..=last).map(|n| format!("{n:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn braces_are_ranges_and_lists() {
        let all = |text| expand(text).expect("expands");
        assert_eq!(all("a-{008..011}.tar")[2], "a-010.tar");
        assert_eq!(all("{a,b}-{1..2}"), ["a-1", "a-2", "b-1", "b-2"]);
        assert_eq!(all("{9..10}"), ["9", "10"]);
        assert_eq!(all("plain.tar"), ["plain.tar"]);
        for wrong in ["{1..", "{a..b}", "{3..1}", "{0..99999999}", "{1..}"] {
            assert!(expand(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_folders_and_files_are_found() {
        let folder = tempfile::tempdir().expect("folder");
        for name in [
            "s-01.tar",
            "s-00.tar",
            "t.tar.gz",
            "notes.txt",
            ".hidden.tar",
        ] {
            std::fs::write(folder.path().join(name), b"x").expect("writes");
        }
        let found = |text: &str| -> Result<Vec<String>, String> {
            let path = folder.path().join(text);
            let found = find(&path, &[".tar", ".tar.gz"], Patience::Long);
            let found = found.map_err(|e| e.to_string())?;
            Ok(found.iter().map(FoundFile::name).collect())
        };
        assert_eq!(
            found("s-{00..01}.tar").expect("two"),
            ["s-00.tar", "s-01.tar"]
        );
        assert_eq!(found("s-*.tar").expect("two"), ["s-00.tar", "s-01.tar"]);
        assert_eq!(
            found("").expect("folder"),
            ["s-00.tar", "s-01.tar", "t.tar.gz"]
        );
        assert_eq!(found("t.tar.gz").expect("one"), ["t.tar.gz"]);
        assert!(
            found("s-{00..02}.tar")
                .expect_err("absent")
                .contains("s-02.tar")
        );
        assert!(found("u-*.tar").expect_err("none").contains("no file"));
    }

    proptest! {
        #[test]
        fn no_pattern_makes_expanding_panic(text in "[{}.,0-9a*é]{0,30}") {
            let _either = expand(&text);
            matches(&text, &text.split('*').collect::<Vec<_>>());
        }
    }
}
