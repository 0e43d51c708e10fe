//! The index of a data set on disk, so that a large one is looked through once.
//!
//! A file is named by the settings of the data set and counts as long as the stamps of the data set's
//! files are those it was made with. One that cannot be read is made again; one that cannot be
//! written costs time, not the run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::cache_folder::CacheFolder;
use super::object_reader::is_remote;
use super::shard_files::FoundFile;
use super::{LabelColumn, SkipReport};
use crate::tensor_file::{TensorFileReader, TensorFileWriter};

/// Changes when what is written does, or when other rows count as usable.
const LAYOUT: u64 = 1;

/// What every index holds besides its own numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct IndexBase {
    pub(super) fingerprint: String,
    pub(super) labels: Vec<LabelColumn>,
    pub(super) report: SkipReport,
}

#[derive(Serialize, Deserialize)]
struct Header {
    stamp: String,
    fingerprint: String,
    labels: Vec<(String, Vec<String>)>,
    report: SkipReport,
}

/// Which index is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexKey {
    name: String,
    stamp: String,
}

impl IndexKey {
    /// `settings` are those that decide what the index holds.
    pub(super) fn new(kind: &str, settings: &[&str], files: &[FoundFile]) -> Self {
        let mut name = blake3::Hasher::new();
        let mut stamp = blake3::Hasher::new();
        for text in settings {
            name.update(&(text.len() as u64).to_le_bytes());
            name.update(text.as_bytes());
        }
        for file in files {
            name.update(whole(&file.path).as_os_str().as_encoded_bytes());
            name.update(&[0]);
            stamp.update(&file.stamp.bytes.to_le_bytes());
            stamp.update(&file.stamp.modified.to_le_bytes());
        }
        let short = |hash: blake3::Hasher| hash.finalize().to_hex()[..24].to_owned();
        Self {
            name: format!("{kind}-{}", short(name)),
            stamp: short(stamp),
        }
    }

    /// A name for a file that belongs to this data set in this very state.
    pub(super) fn file_name(&self, ending: &str) -> String {
        let mut name = self.name.clone();
        let _infallible = write!(name, "-{}.{ending}", self.stamp);
        name
    }

    fn path(&self, cache: &CacheFolder) -> PathBuf {
        cache.file(&format!("{}.index", self.name))
    }
}

/// A path that means the same wherever the program is started.
fn whole(path: &Path) -> PathBuf {
    match is_remote(path) {
        true => path.to_owned(),
        false => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// The kept index, if there is one of these files as they are now.
pub(super) fn load<T>(
    cache: Option<&CacheFolder>,
    key: &IndexKey,
    take: impl FnOnce(&TensorFileReader<'_>) -> Result<T, String>,
) -> Option<(T, IndexBase)> {
    let path = key.path(cache?);
    if !path.is_file() {
        return None;
    }
    let read = TensorFileReader::read(&path, |file| match header(file, key)? {
        Some(header) => Ok(Some((take(file)?, base(file, header)?))),
        None => Ok(None),
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "a kept index is made again");
        None
    })
}

/// The header, if it is of the files as they are now.
fn header(file: &TensorFileReader<'_>, key: &IndexKey) -> Result<Option<Header>, String> {
    if file.number("layout")? != LAYOUT {
        return Ok(None);
    }
    let header = serde_json::from_str::<Header>(file.text("header")?).map_err(|e| e.to_string())?;
    Ok((header.stamp == key.stamp).then_some(header))
}

fn base(file: &TensorFileReader<'_>, header: Header) -> Result<IndexBase, String> {
    let mut labels = Vec::new();
    for (column, (name, classes)) in header.labels.into_iter().enumerate() {
        let of_sample = file.u32(&format!("label.{column}"))?;
        if of_sample.iter().any(|&c| c as usize >= classes.len()) {
            return Err(format!(
                "label column {name:?} names a class beyond its last"
            ));
        }
        labels.push(LabelColumn {
            name,
            classes,
            of_sample: Arc::from(of_sample),
        });
    }
    Ok(IndexBase {
        fingerprint: header.fingerprint,
        labels,
        report: header.report,
    })
}

/// Keeps an index; `fill` adds its own numbers.
pub(super) fn store(
    cache: Option<&CacheFolder>,
    key: &IndexKey,
    base: &IndexBase,
    fill: impl FnOnce(&mut TensorFileWriter),
) {
    let Some(cache) = cache else {
        return;
    };
    if let Err(message) = try_store(cache, key, base, fill) {
        tracing::warn!(message, "the index of a data set is not kept");
    }
}

fn try_store(
    cache: &CacheFolder,
    key: &IndexKey,
    base: &IndexBase,
    fill: impl FnOnce(&mut TensorFileWriter),
) -> Result<(), String> {
    let labels = base.labels.iter();
    let header = Header {
        stamp: key.stamp.clone(),
        fingerprint: base.fingerprint.clone(),
        labels: labels
            .map(|l| (l.name.clone(), l.classes.clone()))
            .collect(),
        report: base.report.clone(),
    };
    let mut file = TensorFileWriter::default();
    file.number("layout", LAYOUT);
    file.text(
        "header",
        serde_json::to_string(&header).map_err(|e| e.to_string())?,
    );
    for (column, label) in base.labels.iter().enumerate() {
        file.u32(format!("label.{column}"), &label.of_sample);
    }
    fill(&mut file);
    cache.make_room(file.bytes()).map_err(|e| e.to_string())?;
    file.write(&key.path(cache)).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::shard_files::FileStamp;

    fn key(bytes: u64) -> IndexKey {
        let file = FoundFile {
            path: "/data/x.tar".into(),
            stamp: FileStamp { bytes, modified: 7 },
            object: None,
        };
        IndexKey::new("test", &["a"], &[file])
    }

    #[test]
    fn an_index_comes_back_while_its_files_are_the_same() {
        let folder = tempfile::tempdir().expect("folder");
        let cache = CacheFolder {
            path: folder.path().to_owned(),
            limit: 1 << 20,
        };
        let base = IndexBase {
            fingerprint: "f".into(),
            labels: vec![LabelColumn {
                name: "kind".into(),
                classes: vec!["cat".into(), "dog".into()],
                of_sample: Arc::from(vec![0, 1, 1]),
            }],
            report: SkipReport {
                rows: 3,
                ..SkipReport::default()
            },
        };
        store(Some(&cache), &key(5), &base, |file| {
            file.u64("at".into(), &[1, 1 << 40, 3])
        });
        let take = |file: &TensorFileReader<'_>| file.u64("at");
        let back = load(Some(&cache), &key(5), take).expect("kept");
        assert_eq!(back, (vec![1, 1 << 40, 3], base.clone()));
        assert_eq!(load(Some(&cache), &key(6), take), None, "the file changed");
        assert_eq!(load(None, &key(5), take), None);
        // A damaged file is passed over, whatever is left of it.
        let path = key(5).path(&cache);
        let whole = std::fs::read(&path).expect("reads");
        for end in 0..whole.len() {
            std::fs::write(&path, &whole[..end]).expect("writes");
            assert_eq!(load(Some(&cache), &key(5), take), None, "cut at {end}");
        }
    }
}
