//! The files behind the shards, read by position; gzipped ones from an unpacked copy.
//!
//! Gzip gives no random access, and pictures are compressed already, so that a copy is about as large
//! as its shard. All gzipped shards of a data set are therefore unpacked once, one after the other,
//! into one file in the cache folder, within its limit; without a cache folder into a file that goes
//! when the data set is closed. A shard that cannot be unpacked to its end keeps what came before.

mod unpacked;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use self::unpacked::{Unpacked, UnpackedShard};
use crate::data::cache_folder::CacheFolder;
use crate::data::kept_index::IndexKey;
use crate::data::shard_files::FileStamp;
use crate::data::window::{Span, Window, read_exact_at};
use crate::data::{DataError, OpenProgress};

/// Shards that are kept open at a time; a data set may have more than a process may open.
const OPEN: usize = 32;

#[derive(Debug)]
pub(super) struct Archives {
    shards: Vec<Shard>,
    unpacked: Option<Arc<File>>,
    /// Number of the shard and its file, the last used one first.
    open: Mutex<Vec<(usize, Arc<File>)>>,
}

#[derive(Debug)]
struct Shard {
    path: PathBuf,
    name: String,
    stamp: FileStamp,
    /// Where it is in the unpacked file, if it is gzipped.
    unpacked: Option<UnpackedShard>,
}

impl Archives {
    /// Unpacks what is gzipped, unless that was done before.
    ///
    /// # Errors
    /// When there is no room for it, or `progress` cancels.
    pub(super) fn open(
        files: Vec<(PathBuf, FileStamp)>,
        key: &IndexKey,
        cache: Option<&CacheFolder>,
        progress: OpenProgress<'_>,
    ) -> Result<Self, DataError> {
        let mut shards: Vec<Shard> = files.into_iter().map(Shard::new).collect();
        let gzipped = shards.iter_mut().filter(|shard| is_gzip(shard));
        let mut gzipped: Vec<&mut Shard> = gzipped.collect();
        let mut file = None;
        if !gzipped.is_empty() {
            let paths: Vec<_> = gzipped.iter().map(|s| (s.path.clone(), s.stamp)).collect();
            let unpacked = Unpacked::open(&paths, &key.file_name("unpacked"), cache, progress)?;
            for (shard, place) in gzipped.iter_mut().zip(unpacked.shards) {
                shard.unpacked = Some(place);
            }
            file = Some(Arc::new(unpacked.file));
        }
        Ok(Self {
            shards,
            unpacked: file,
            open: Mutex::default(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.shards.len()
    }

    /// Bytes of all shards, unpacked.
    pub(super) fn bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.span().bytes).sum()
    }

    /// File name of a shard.
    pub(super) fn name(&self, shard: usize) -> &str {
        self.shards.get(shard).map_or("", |shard| &shard.name)
    }

    /// Why unpacking a shard ended early, if it did.
    pub(super) fn cut(&self, shard: usize) -> Option<&str> {
        self.shards.get(shard)?.unpacked.as_ref()?.cut.as_deref()
    }

    /// A shard as a stream.
    pub(super) fn window(&self, shard: usize) -> io::Result<Window> {
        let span = self.shard(shard)?.span();
        Ok(Window::new(self.file(shard)?, span))
    }

    /// The bytes of a member.
    ///
    /// # Errors
    /// When the shard is gone, changed or shorter than it was; names it.
    pub(super) fn read(&self, shard: usize, member: Span) -> Result<Vec<u8>, DataError> {
        let read = || -> io::Result<Vec<u8>> {
            let within = self.shard(shard)?.span();
            let end = member.at.saturating_add(member.bytes);
            if end > within.bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut bytes = vec![0; usize::try_from(member.bytes).map_err(io::Error::other)?];
            read_exact_at(&*self.file(shard)?, &mut bytes, within.at + member.at)?;
            Ok(bytes)
        };
        let path = self.shards.get(shard).map(|s| s.path.clone());
        read().map_err(|e| DataError::io(&path.unwrap_or_default(), e))
    }

    fn shard(&self, shard: usize) -> io::Result<&Shard> {
        self.shards
            .get(shard)
            .ok_or_else(|| io::Error::other("there is no such shard"))
    }

    fn file(&self, number: usize) -> io::Result<Arc<File>> {
        let shard = self.shard(number)?;
        if let (Some(_), Some(file)) = (&shard.unpacked, &self.unpacked) {
            return Ok(Arc::clone(file));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(known, _)| *known == number) {
            open[..=at].rotate_right(1);
            return Ok(Arc::clone(&open[0].1));
        }
        let file = File::open(&shard.path)?;
        if FileStamp::of(&file.metadata()?) != shard.stamp {
            return Err(io::Error::other(
                "the file changed since the data set was opened; open it again",
            ));
        }
        let file = Arc::new(file);
        open.truncate(OPEN - 1);
        open.insert(0, (number, Arc::clone(&file)));
        Ok(file)
    }
}

impl Shard {
    fn new((path, stamp): (PathBuf, FileStamp)) -> Self {
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        );
        Self {
            path,
            name,
            stamp,
            unpacked: None,
        }
    }

    /// Where it is in its file.
    fn span(&self) -> Span {
        match &self.unpacked {
            Some(unpacked) => Span {
                at: unpacked.at,
                bytes: unpacked.bytes,
            },
            None => Span {
                at: 0,
                bytes: self.stamp.bytes,
            },
        }
    }
}

/// Whether a shard begins as gzip does, whatever its name.
fn is_gzip(shard: &Shard) -> bool {
    let mut start = [0; 2];
    let read = File::open(&shard.path).and_then(|mut file| file.read_exact(&mut start));
    read.is_ok() && start == [0x1f, 0x8b]
}
