//! Gzipped shards, unpacked one after the other into one file with a table at its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use crate::data::cache_folder::CacheFolder;
use crate::data::data_file::{DataFile, Stream};
use crate::data::shard_files::FoundFile;
use crate::data::{DataError, OpenProgress};

/// Bytes unpacked between two reports of progress.
const CHUNK: usize = 256 << 10;
/// Bytes of an object fetched at a time.
const FETCHED: usize = 8 << 20;
/// Most bytes of the table at the end.
const LARGEST_TABLE: u64 = 64 << 20;
/// Room for unpacked shards where there is no cache folder to say so.
const LIMIT: u64 = 64 << 30;

/// The file and what lies where in it.
#[derive(Debug)]
pub(super) struct Unpacked {
    pub(super) file: File,
    pub(super) shards: Vec<UnpackedShard>,
}

/// Where one shard is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnpackedShard {
    pub(super) at: u64,
    pub(super) bytes: u64,
    /// Why there is no more of it, where its gzip stream is broken.
    pub(super) cut: Option<String>,
}

impl Unpacked {
    /// The unpacked `shards`: the copy in `cache` called `name`, or a new one.
    ///
    /// # Errors
    /// When there is no room for them, or `progress` cancels.
    pub(super) fn open(
        shards: &[FoundFile],
        name: &str,
        cache: Option<&CacheFolder>,
        progress: OpenProgress<'_>,
    ) -> Result<Self, DataError> {
        let Some(cache) = cache else {
            let file = tempfile::tempfile().map_err(|e| DataError::io(&std::env::temp_dir(), e))?;
            return unpack(shards, file, LIMIT, progress);
        };
        let path = cache.file(name);
        if let Some(kept) = File::open(&path).ok().and_then(|file| kept(file).ok())
            && kept.shards.len() == shards.len()
        {
            return Ok(kept);
        }
        let failed = |e| DataError::io(&path, e);
        cache.make_room(expected(shards)).map_err(failed)?;
        let staged = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(true).read(true).write(true);
        let file = options.open(&staged).map_err(failed)?;
        let made = unpack(shards, file, cache.limit, progress);
        if made.is_err() {
            let _best_effort = fs::remove_file(&staged);
        } else {
            fs::rename(&staged, &path).map_err(failed)?;
        }
        made
    }
}

/// A guess at the unpacked size: what the end of each file says, modulo 2³², or its size on disk.
fn expected(shards: &[FoundFile]) -> u64 {
    let says = |found: &FoundFile| -> io::Result<u64> {
        let mut bytes = [0; 4];
        let at = found.stamp.bytes.saturating_sub(4);
        DataFile::open(found)?.read_exact_at(&mut bytes, at)?;
        Ok(u64::from(u32::from_le_bytes(bytes)))
    };
    let sizes = shards.iter();
    sizes
        .map(|found| says(found).unwrap_or(0).max(found.stamp.bytes))
        .sum()
}

fn unpack(
    shards: &[FoundFile],
    mut file: File,
    limit: u64,
    progress: OpenProgress<'_>,
) -> Result<Unpacked, DataError> {
    let total: u64 = shards.iter().map(|found| found.stamp.bytes).sum();
    let (mut places, mut written, mut packed) = (Vec::new(), 0, 0);
    for found in shards {
        let (path, stamp) = (&found.path, found.stamp);
        let source = DataFile::open(found).map_err(|e| DataError::io(path, e))?;
        let source = Arc::new(source);
        let mut decoder = MultiGzDecoder::new(in_pieces(&source, stamp.bytes));
        let mut place = UnpackedShard {
            at: written,
            bytes: 0,
            cut: None,
        };
        let mut chunk = vec![0; CHUNK];
        loop {
            match decoder.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    place.bytes += count as u64;
                    let so_far = place.at + place.bytes;
                    if so_far > limit {
                        return Err(too_large(path, limit));
                    }
                    file.write_all(&chunk[..count])
                        .map_err(|e| DataError::io(path, e))?;
                    // How far the packed file was read cannot be asked through the decoder's buffer.
                    let part = packed + (place.bytes / 2).min(stamp.bytes);
                    if !progress(part.min(total), total) {
                        return Err(DataError::Cancelled);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if let Some(failure) = source.take_failure() {
                        return Err(failure);
                    }
                    place.cut = Some(format!("its gzip stream is broken: {error}"));
                    break;
                }
            }
        }
        written += place.bytes;
        packed += stamp.bytes;
        places.push(place);
    }
    write_table(&mut file, &places).map_err(|e| DataError::io(Path::new("unpacked shards"), e))?;
    Ok(Unpacked {
        file,
        shards: places,
    })
}

/// A file from its beginning to its end.
fn in_pieces(file: &Arc<DataFile>, bytes: u64) -> BufReader<Stream> {
    let stream = Stream::new(Arc::clone(file), bytes);
    match file.is_remote() {
        true => BufReader::with_capacity(FETCHED, stream),
        false => BufReader::new(stream),
    }
}

fn too_large(path: &Path, limit: u64) -> DataError {
    DataError::format(
        path.display(),
        format!(
            "unpacked, the gzipped shards take more than the {} GiB that the cache may hold; raise its limit, or unpack them yourself (gunzip) and name the .tar files",
            limit >> 30
        ),
    )
}

/// The table, then its length in eight bytes.
fn write_table(file: &mut File, places: &[UnpackedShard]) -> io::Result<()> {
    let table = serde_json::to_vec(places)?;
    file.write_all(&table)?;
    file.write_all(&(table.len() as u64).to_le_bytes())?;
    file.flush()
}

/// A copy that was made before.
fn kept(mut file: File) -> io::Result<Unpacked> {
    let wrong = || io::Error::other("no table at the end");
    let end = file.seek(SeekFrom::End(-8))?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let start = end.checked_sub(length).ok_or_else(wrong)?;
    if length > LARGEST_TABLE {
        return Err(wrong());
    }
    file.seek(SeekFrom::Start(start))?;
    let mut table = vec![0; length as usize];
    file.read_exact(&mut table)?;
    let shards: Vec<UnpackedShard> = serde_json::from_slice(&table)?;
    let inside = |s: &UnpackedShard| s.at.checked_add(s.bytes).is_some_and(|end| end <= start);
    match shards.iter().all(inside) {
        true => Ok(Unpacked { file, shards }),
        false => Err(wrong()),
    }
}
