//! Pictures that are objects: all those whose names begin with the folder's.
//!
//! There are no links, and `..` is a name like any other that nothing has; it is refused all the same.
//! While a data set is opened, one listing answers for all of its pictures; their headers are not read.

use std::path::{Component, Path};
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;

use super::{Refusal, outside};
use crate::data::decode::LARGEST_FILE;
use crate::data::fetched::Fetched;
use crate::data::object_reader::{Depth, ObjectError, Patience, Wanted, object_reader};
use crate::data::{DataError, SkipReason};

/// Pictures fetched by one call.
const AT_ONCE: usize = 4096;

#[derive(Debug)]
pub(super) struct RemotePictures {
    /// With a slash at its end.
    folder: String,
    /// Bytes of each object by the hash of its name; nothing before somebody looked.
    listed: Mutex<Option<FxHashMap<[u8; 16], u64>>>,
    fetched: Fetched<String>,
}

impl RemotePictures {
    pub(super) fn new(url: &str) -> Self {
        Self {
            folder: format!("{}/", url.trim_end_matches('/')),
            listed: Mutex::default(),
            fetched: Fetched::default(),
        }
    }

    /// Lists the folder.
    ///
    /// # Errors
    /// When storage cannot be reached or refuses.
    pub(super) fn look(&self) -> Result<(), DataError> {
        let found = object_reader()
            .and_then(|reader| reader.list(&self.folder, Depth::Below, Patience::Long));
        let found = found.map_err(|e| DataError::object(&self.folder, e))?;
        let named = found.into_iter().filter_map(|object| {
            let name = object.url.strip_prefix(&self.folder)?;
            Some((short(name), object.stamp.bytes))
        });
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        *listed = Some(named.collect());
        Ok(())
    }

    /// Whether the picture was there when somebody looked.
    pub(super) fn check(&self, inside: &Path) -> Result<(), Refusal> {
        let name = name(inside)?;
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(listed) = &*listed else {
            return Ok(());
        };
        match listed.get(&short(&name)) {
            None => Err(missing()),
            Some(0) => Err((SkipReason::BrokenImage, "the object is empty".into())),
            Some(bytes) if *bytes > LARGEST_FILE => Err(too_large()),
            Some(_) => Ok(()),
        }
    }

    /// Fetches pictures that will be asked for soon.
    ///
    /// # Errors
    /// When storage cannot be reached; what concerns one picture is said when that is asked for.
    pub(super) fn fetch(&self, inside: &[&Path]) -> Result<(), DataError> {
        let urls = inside.iter().filter_map(|inside| self.url(inside).ok());
        let missing = urls.filter(|url| !self.fetched.has(url));
        let mut urls: Vec<String> = missing.take(AT_ONCE).collect();
        urls.sort_unstable();
        urls.dedup();
        let wanted: Vec<Wanted<'_>> = urls.iter().map(|url| whole(url)).collect();
        let reader = object_reader().map_err(|e| DataError::object(&self.folder, e))?;
        let mut away = None;
        for (answer, url) in reader.read_many(&wanted).into_iter().zip(&urls) {
            match answer {
                Ok(bytes) => self.fetched.keep(url.clone(), bytes),
                Err(error @ ObjectError::Unreachable(_)) => {
                    away.get_or_insert_with(|| DataError::object(url, error));
                }
                Err(_) => {}
            }
        }
        away.map_or(Ok(()), Err)
    }

    /// The bytes of a picture, or why there are none.
    ///
    /// # Errors
    /// When storage cannot be reached or refuses.
    pub(super) fn bytes(&self, inside: &Path) -> Result<Result<Vec<u8>, Refusal>, DataError> {
        let url = match self.url(inside) {
            Ok(url) => url,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let read = match self.fetched.take(&url) {
            Some(bytes) => Ok(bytes),
            None => object_reader().and_then(|reader| reader.read(&whole(&url))),
        };
        match read {
            Ok(bytes) if bytes.len() as u64 > LARGEST_FILE => Ok(Err(too_large())),
            Ok(bytes) => Ok(Ok(bytes)),
            Err(ObjectError::Absent(_)) => Ok(Err(missing())),
            Err(error) => Err(DataError::object(&url, error)),
        }
    }

    fn url(&self, inside: &Path) -> Result<String, Refusal> {
        Ok(format!("{}{}", self.folder, name(inside)?))
    }
}

/// All of an object, and one byte more than a picture may have.
fn whole(url: &str) -> Wanted<'_> {
    Wanted {
        url,
        stamp: None,
        range: 0..LARGEST_FILE + 1,
    }
}

/// A path below the folder as the rest of an object's name.
fn name(inside: &Path) -> Result<String, Refusal> {
    let mut parts = Vec::new();
    for part in inside.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str().ok_or_else(missing)?),
            _ => return Err(outside()),
        }
    }
    match parts.is_empty() {
        true => Err(missing()),
        false => Ok(parts.join("/")),
    }
}

fn missing() -> Refusal {
    (SkipReason::MissingFile, "there is no such object".into())
}

fn too_large() -> Refusal {
    let message = format!("the object has more than {} MiB", LARGEST_FILE >> 20);
    (SkipReason::BrokenImage, message)
}

fn short(name: &str) -> [u8; 16] {
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let named = |text: &str| name(Path::new(text));
        assert_eq!(named("a/./b//c.png"), Ok("a/b/c.png".into()));
        for outside in ["../c.png", "a/../../c.png", "/etc/c.png", ""] {
            assert!(named(outside).is_err(), "{outside}");
        }
    }
}
