//! Objects as files on this machine: copied to the cache folder once, for formats that are read all over.
//!
//! A copy is named by URL and state, so that a changed object has another. It counts as any other file
//! of the folder against its limit. Without a cache folder it goes when the data set is closed.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::path::Path;

use super::cache_folder::{CacheFolder, gibibytes};
use super::object_reader::{ListedObject, ObjectError, ObjectStamp, Wanted, object_reader};
use super::shard_files::FoundFile;
use super::{DataError, OpenProgress};

/// Bytes of one request, and requests at a time.
const PIECE: u64 = 4 << 20;
const AT_ONCE: usize = 4;

/// The files, those that are objects as copies. `progress` is told bytes done and in all.
///
/// # Errors
/// When one is gone or changed, there is no room for the copies, storage cannot be reached, or
/// `progress` cancels.
pub(super) fn local_files(
    found: &[FoundFile],
    cache: Option<&CacheFolder>,
    progress: OpenProgress<'_>,
) -> Result<Vec<File>, DataError> {
    let mut copies: Vec<Option<File>> = found.iter().map(|one| kept(one, cache)).collect();
    let objects = found.iter().filter_map(|one| one.object.as_ref());
    let all: u64 = objects.map(|object| object.stamp.bytes).sum();
    let missing = || {
        let missing = found.iter().zip(&copies);
        missing.filter(|(one, copy)| one.object.is_some() && copy.is_none())
    };
    let total: u64 = missing().map(|(one, _)| one.stamp.bytes).sum();
    if let Some(cache) = cache.filter(|_| total > 0) {
        let first = missing().next().map_or(Path::new(""), |(one, _)| &one.path);
        if all > cache.limit {
            return Err(too_large(first, all, cache.limit));
        }
        cache
            .make_room(total)
            .map_err(|e| DataError::io(&cache.path, e))?;
    }
    let mut done = 0;
    for (one, copy) in found.iter().zip(&mut copies) {
        if copy.is_some() {
            continue;
        }
        *copy = Some(match &one.object {
            None => File::open(&one.path).map_err(|e| DataError::io(&one.path, e))?,
            Some(object) => {
                let file = fetched(object, cache, &|part| progress(done + part, total))?;
                done += object.stamp.bytes;
                file
            }
        });
    }
    Ok(copies.into_iter().flatten().collect())
}

fn too_large(path: &Path, bytes: u64, limit: u64) -> DataError {
    DataError::format(
        path.display(),
        format!(
            "the data set's {} are copied from storage, and the cache may hold {}; raise --cache-gib, or make WebDataset shards of it, which are read where they are",
            gibibytes(bytes as f64),
            gibibytes(limit as f64)
        ),
    )
}

fn name(object: &ListedObject) -> String {
    let ObjectStamp {
        bytes,
        tag,
        modified,
    } = &object.stamp;
    let state = format!("{}\0{bytes}\0{tag:?}\0{modified}", object.url);
    let hash = blake3::hash(state.as_bytes()).to_hex();
    format!("object-{}.copy", &hash[..24])
}

/// A copy that was made before.
fn kept(found: &FoundFile, cache: Option<&CacheFolder>) -> Option<File> {
    let object = found.object.as_ref()?;
    let file = File::open(cache?.file(&name(object))).ok()?;
    let whole = file.metadata().ok()?.len() == object.stamp.bytes;
    whole.then_some(file)
}

fn fetched(
    object: &ListedObject,
    cache: Option<&CacheFolder>,
    go_on: &dyn Fn(u64) -> bool,
) -> Result<File, DataError> {
    let Some(cache) = cache else {
        let file = tempfile::tempfile().map_err(|e| DataError::io(&std::env::temp_dir(), e))?;
        return copy(object, file, &std::env::temp_dir(), go_on);
    };
    let path = cache.file(&name(object));
    let staged = path.with_extension(format!("{}.tmp", std::process::id()));
    let failed = |e| DataError::io(&path, e);
    let mut options = OpenOptions::new();
    let options = options.create(true).truncate(true).read(true).write(true);
    let copied = options
        .open(&staged)
        .map_err(failed)
        .and_then(|file| copy(object, file, &path, go_on));
    if copied.is_err() {
        let _best_effort = fs::remove_file(&staged);
    } else {
        fs::rename(&staged, &path).map_err(failed)?;
    }
    copied
}

/// Writes the whole object to `file`, which lies at `place`, and goes back to its beginning.
fn copy(
    object: &ListedObject,
    mut file: File,
    place: &Path,
    go_on: &dyn Fn(u64) -> bool,
) -> Result<File, DataError> {
    let failed = |error| DataError::object(&object.url, error);
    let reader = object_reader().map_err(failed)?;
    let bytes = object.stamp.bytes;
    let mut at = 0;
    while at < bytes {
        if !go_on(at) {
            return Err(DataError::Cancelled);
        }
        let pieces = (0..AT_ONCE as u64).map(|n| at + n * PIECE);
        let pieces = pieces.take_while(|&start| start < bytes);
        let wanted: Vec<Wanted<'_>> = pieces
            .map(|start| Wanted {
                url: &object.url,
                stamp: Some(&object.stamp),
                range: start..(start + PIECE).min(bytes),
            })
            .collect();
        for (piece, Wanted { range, .. }) in reader.read_many(&wanted).into_iter().zip(&wanted) {
            let piece = piece.map_err(failed)?;
            if piece.len() as u64 != range.end - range.start {
                let message = "storage sent less than the object has; try again";
                return Err(failed(ObjectError::Unreachable(message.into())));
            }
            file.write_all(&piece)
                .map_err(|e| DataError::io(place, e))?;
            at = range.end;
        }
    }
    go_on(bytes);
    let begin = file.flush().and_then(|()| file.rewind());
    begin.map_err(|e| DataError::io(place, e))?;
    Ok(file)
}
