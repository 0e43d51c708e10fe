//! The objects that a URL with braces, a star or a folder stands for: one listing per folder.

use std::collections::BTreeMap;
use std::path::Path;

use super::{FoundFile, expand, has_ending, matches, some};
use crate::data::DataError;
use crate::data::object_reader::{
    Depth, ListedObject, ObjectError, Patience, object_reader, split_url,
};

/// Whether a URL names a folder: it ends in a slash, is a bucket alone, or its last part has neither a
/// dot nor a pattern.
pub(in crate::data) fn is_folder(url: &str) -> bool {
    let key = split_url(url).map_or("", |(_, key)| key);
    let last = key.rsplit('/').next().unwrap_or_default();
    !last.contains(['.', '{', '*'])
}

/// One object.
///
/// # Errors
/// When it is absent, or storage cannot be asked.
pub(super) fn at(url: &str, patience: Patience) -> Result<FoundFile, DataError> {
    let stamp = object_reader().and_then(|reader| match split_url(url) {
        Some((_, key)) if !key.is_empty() => reader.stamp(url, patience),
        _ => Err(ObjectError::unnamed()),
    });
    let stamp = stamp.map_err(|e| DataError::object(url, e))?;
    let url = url.to_owned();
    Ok(FoundFile::of_object(ListedObject { url, stamp }))
}

/// As [`find`](super::find), for objects.
///
/// # Errors
/// As there, and when storage cannot be asked.
pub(super) fn find(
    url: &str,
    endings: &[&str],
    patience: Patience,
) -> Result<Vec<FoundFile>, DataError> {
    if split_url(url).is_none() {
        return Err(DataError::object(url, ObjectError::unnamed()));
    }
    if is_folder(url) {
        let folder = format!("{}/", url.trim_end_matches('/'));
        let named = list(&folder, patience)?.into_iter();
        let found = named.filter(|(name, _)| has_ending(name, endings));
        let found = found.map(|(_, object)| FoundFile::of_object(object));
        return some(Path::new(url), found.collect(), endings);
    }
    if !url.contains(['{', '*']) {
        return Ok(vec![at(url, patience)?]);
    }
    let texts = expand(url).map_err(|message| DataError::format(url, message))?;
    let listings = listings(&texts, patience)?;
    let mut found = Vec::new();
    for text in &texts {
        let (folder, name) = parts(text);
        let listed = listings.get(folder);
        let before = found.len();
        if name.contains('*') {
            let parts: Vec<&str> = name.split('*').collect();
            let matching = listed.into_iter().flatten();
            let matching = matching.filter(|(name, _)| matches(name, &parts));
            found.extend(matching.map(|(_, object)| FoundFile::of_object(object.clone())));
        } else if let Some(object) = listed.and_then(|listed| listed.get(name)) {
            found.push(FoundFile::of_object(object.clone()));
        }
        if found.len() == before && !name.contains('*') {
            let absent = ObjectError::Absent("there is no such object".into());
            return Err(DataError::object(text, absent));
        }
    }
    some(Path::new(url), found, endings)
}

type Listing = BTreeMap<String, ListedObject>;

/// What the folders of `texts` hold, as far as the names in each begin alike.
fn listings(texts: &[String], patience: Patience) -> Result<BTreeMap<&str, Listing>, DataError> {
    let mut beginnings: BTreeMap<&str, &str> = BTreeMap::new();
    for text in texts {
        let (folder, name) = parts(text);
        let name = name.split('*').next().unwrap_or_default();
        let known = beginnings.entry(folder).or_insert(name);
        *known = common(known, name);
    }
    let listed = beginnings.into_iter();
    listed
        .map(|(folder, name)| Ok((folder, list(&format!("{folder}{name}"), patience)?)))
        .collect()
}

/// Objects whose URL begins with `prefix` and has no slash behind, by their name.
fn list(prefix: &str, patience: Patience) -> Result<Listing, DataError> {
    let listed = object_reader().and_then(|reader| reader.list(prefix, Depth::Here, patience));
    let listed = listed
        .map_err(|e| DataError::object(prefix, e))?
        .into_iter();
    Ok(listed
        .map(|object| (parts(&object.url).1.to_owned(), object))
        .collect())
}

/// A URL up to its last slash, and what is behind it.
fn parts(url: &str) -> (&str, &str) {
    url.split_at(url.rfind('/').map_or(0, |at| at + 1))
}

fn common<'a>(one: &'a str, other: &str) -> &'a str {
    let same = one.char_indices().zip(other.chars());
    let end = same.take_while(|((_, a), b)| a == b).last();
    &one[..end.map_or(0, |((at, c), _)| at + c.len_utf8())]
}
