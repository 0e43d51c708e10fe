//! Objects on S3-compatible storage, as data sets see them.
//!
//! This crate calls no network. The program names a reader once with [`read_objects_with`]; without one,
//! every `s3://` path is an error that names the program's feature. Callers block, on any thread.

#[cfg(test)]
pub(crate) mod memory;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};

const SCHEME: &str = "s3://";

/// Reads objects by their URL, `s3://BUCKET/KEY`.
pub trait ObjectReader: Send + Sync + fmt::Debug {
    /// The objects whose URL begins with `prefix`, in any order.
    ///
    /// # Errors
    /// When storage cannot be asked or refuses.
    fn list(
        &self,
        prefix: &str,
        depth: Depth,
        patience: Patience,
    ) -> Result<Vec<ListedObject>, ObjectError>;

    /// Size and state of one object.
    ///
    /// # Errors
    /// When it is absent, or storage cannot be asked or refuses.
    fn stamp(&self, url: &str, patience: Patience) -> Result<ObjectStamp, ObjectError>;

    /// The bytes of a range, as far as the object has them.
    ///
    /// # Errors
    /// When it changed or is absent, or storage cannot be asked or refuses.
    fn read(&self, wanted: &Wanted<'_>) -> Result<Vec<u8>, ObjectError>;

    /// Several ranges, many at a time where the reader can; in the order they were asked for.
    fn read_many(&self, wanted: &[Wanted<'_>]) -> Vec<Result<Vec<u8>, ObjectError>> {
        wanted.iter().map(|wanted| self.read(wanted)).collect()
    }
}

/// A range of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted<'a> {
    pub url: &'a str,
    /// The state that it must still be in; any where there is none.
    pub stamp: Option<&'a ObjectStamp>,
    pub range: Range<u64>,
}

/// Which objects a listing has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Those without a slash behind the prefix.
    Here,
    /// All of them.
    Below,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// A page waits for it: a few seconds and no second try.
    Short,
    /// Work in the background: tried again for about a minute.
    Long,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedObject {
    pub url: String,
    pub stamp: ObjectStamp,
}

/// The state of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStamp {
    pub bytes: u64,
    /// The entity tag, where storage gives one.
    pub tag: Option<String>,
    /// Nanoseconds since 1970.
    pub modified: u128,
}

/// Why an object cannot be read. The text says what to do; whoever reports it names the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error("{0}")]
    Absent(String),
    #[error("{0}")]
    Denied(String),
    #[error("the object changed since the data set was opened; open it again")]
    Changed,
    /// Not the data's fault: the network, or storage itself.
    #[error("{0}")]
    Unreachable(String),
    #[error(
        "this program was built without S3; build it with the feature: cargo build --release --features s3"
    )]
    NotBuilt,
}

impl ObjectError {
    /// Of an address without the name of an object in its bucket.
    pub fn unnamed() -> Self {
        Self::Absent("names no object; write s3://BUCKET/KEY".into())
    }
}

static READER: OnceLock<Arc<dyn ObjectReader>> = OnceLock::new();

/// Reads objects by `reader` from now on. The first call counts.
pub fn read_objects_with(reader: Arc<dyn ObjectReader>) {
    let _first = READER.set(reader);
}

/// The reader that was named.
///
/// # Errors
/// When none was: the program was built without it.
pub(super) fn object_reader() -> Result<&'static dyn ObjectReader, ObjectError> {
    READER.get().map(|r| &**r).ok_or(ObjectError::NotBuilt)
}

/// Whether a path of a data set is a URL of objects.
pub fn is_remote(path: &Path) -> bool {
    url_of(path).is_some()
}

/// The URL that a path of a data set is, if it is one.
pub(super) fn url_of(path: &Path) -> Option<&str> {
    path.to_str().filter(|text| text.starts_with(SCHEME))
}

/// Bucket and key of a URL.
pub fn split_url(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix(SCHEME)?;
    let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
    (!bucket.is_empty()).then_some((bucket, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_buckets_and_keys() {
        assert_eq!(split_url("s3://b/k/x.tar"), Some(("b", "k/x.tar")));
        assert_eq!(split_url("s3://b"), Some(("b", "")));
        assert_eq!(split_url("s3:///x"), None);
        assert!(is_remote(Path::new("s3://b/k")));
        assert!(!is_remote(Path::new("/s3://b/k")) && !is_remote(Path::new("s3/x.tar")));
        assert!(
            ObjectError::NotBuilt
                .to_string()
                .contains("cargo build --release --features s3")
        );
    }
}
