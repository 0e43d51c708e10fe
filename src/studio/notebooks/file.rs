//! Notebooks as files: their names in the data directory, their text, and a tag that tells one state of
//! the text from another.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Serialize, Serializer};

use super::super::{ConfigErrors, StudioError};

/// Name of a notebook in a data directory: its file name without `.md`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NotebookName(String);

/// A notebook file, wherever it lies, and the folder of its outputs beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotebookFile {
    path: PathBuf,
    outputs: PathBuf,
}

/// A text with its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedText {
    pub text: String,
    /// Of the content: equal texts have equal tags.
    pub etag: String,
    /// Milliseconds since 1970.
    pub modified: u64,
}

/// Longest name.
const LONGEST_NAME: usize = 80;
/// Largest text: 1 MiB, which is also what the server takes.
pub const MOST_TEXT: u64 = 1 << 20;

impl NotebookName {
    /// Reads a name: letters of any script, digits, `-` and `_`, beginning with a letter or digit.
    ///
    /// # Errors
    /// Names the field `name` when it is none.
    pub fn parse(text: &str) -> Result<Self, ConfigErrors> {
        let fits = (1..=LONGEST_NAME).contains(&text.chars().count())
            && text.starts_with(char::is_alphanumeric)
            && text
                .chars()
                .all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let message = format!(
            "{text:?} is no name of a notebook: 1 to {LONGEST_NAME} letters, digits, - and _, beginning with a letter or digit"
        );
        Err(ConfigErrors::one("name", message))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NotebookName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for NotebookName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl NotebookFile {
    /// The file at a path; its outputs lie in `NAME.outputs` beside it.
    pub fn at(path: PathBuf) -> Self {
        let outputs = path.with_extension("outputs");
        Self { path, outputs }
    }

    /// As [`NotebookFile::at`], with the outputs elsewhere.
    pub fn with_outputs(path: PathBuf, outputs: PathBuf) -> Self {
        Self { path, outputs }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn outputs(&self) -> &Path {
        &self.outputs
    }

    /// The file name without extension.
    pub fn stem(&self) -> String {
        let stem = self.path.file_stem().unwrap_or_default();
        stem.to_string_lossy().into_owned()
    }

    /// Reads the text.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 1 MiB, or is no UTF-8.
    pub fn read(&self) -> Result<TaggedText, StudioError> {
        let error = || StudioError::io(&self.path);
        let found = fs::metadata(&self.path).map_err(error())?;
        if found.len() > MOST_TEXT {
            return Err(StudioError::Conflict(format!(
                "{} has {} bytes; a notebook has at most {MOST_TEXT}",
                self.path.display(),
                found.len()
            )));
        }
        let bytes = fs::read(&self.path).map_err(error())?;
        let text = String::from_utf8(bytes).map_err(|e| {
            let at = e.utf8_error().valid_up_to();
            StudioError::Conflict(format!(
                "byte {at} of {} is no UTF-8; save it as UTF-8",
                self.path.display()
            ))
        })?;
        let modified = found.modified().ok();
        let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(TaggedText {
            etag: etag(&text),
            text,
            modified: since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(0)),
        })
    }

    /// Replaces the text: readers see the old one or the new one, also after a power failure.
    ///
    /// # Errors
    /// When it cannot be written; the old text then stays.
    pub fn write(&self, text: &str) -> Result<(), StudioError> {
        write_whole(&self.path, text.as_bytes())
    }
}

/// Tag of a text.
pub(super) fn etag(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes()).to_hex();
    hash.as_str()[..32].to_owned()
}

/// Writes a file beside its place and moves it there.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StudioError> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(StudioError::io(folder))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let staged = path.with_file_name(name);
    let write = || {
        let mut file = fs::File::create(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&staged, path)?;
        fs::File::open(folder)?.sync_all()
    };
    write().map_err(|source| {
        let _left = fs::remove_file(&staged);
        StudioError::io(path)(source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_folder() {
        for good in ["tour", "a-b_2", "Ärger", "7"] {
            assert_eq!(NotebookName::parse(good).expect(good).as_str(), good);
        }
        for bad in [
            "",
            "..",
            "a/b",
            "a.md",
            "-a",
            "a b",
            "a\n",
            "%2e",
            &"x".repeat(81),
        ] {
            let error = NotebookName::parse(bad).expect_err(bad);
            assert_eq!(error.errors[0].field, "name");
        }
    }

    #[test]
    fn a_text_is_read_as_written_and_its_tag_follows_its_content() {
        let folder = tempfile::tempdir().expect("folder");
        let file = NotebookFile::at(folder.path().join("a.md"));
        assert_eq!(file.outputs(), folder.path().join("a.outputs"));
        file.write("one\r\n").expect("writes");
        let one = file.read().expect("reads");
        assert_eq!(one.text, "one\r\n");
        file.write("two").expect("writes");
        let two = file.read().expect("reads");
        assert_ne!(one.etag, two.etag);
        file.write("one\r\n").expect("writes");
        assert_eq!(file.read().expect("reads").etag, one.etag);
        let names: Vec<_> = fs::read_dir(folder.path())
            .expect("lists")
            .flatten()
            .collect();
        assert_eq!(names.len(), 1, "nothing is left beside it");
        fs::write(file.path(), b"ab\xff").expect("writes");
        let error = file.read().expect_err("no text").to_string();
        assert!(error.contains("byte 2"), "{error}");
    }
}
