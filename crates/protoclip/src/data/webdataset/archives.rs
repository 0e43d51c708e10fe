//! The files behind the shards, read by position; gzipped ones from an unpacked copy.
//!
//! Gzip gives no random access, and pictures are compressed already, so that a copy is about as large
//! as its shard. All gzipped shards of a data set are therefore unpacked once, one after the other,
//! into one file in the cache folder, within its limit; without a cache folder into a file that goes
//! when the data set is closed. A shard that cannot be unpacked to its end keeps what came before.
//!
//! Shards on S3 are read by ranges; what a pass will ask for soon is fetched before ([`ahead`]).

mod ahead;
mod unpacked;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use self::ahead::Ahead;
use self::unpacked::{Unpacked, UnpackedShard};
use crate::data::cache_folder::CacheFolder;
use crate::data::data_file::DataFile;
use crate::data::kept_index::IndexKey;
use crate::data::shard_files::{FoundFile, has_ending};
use crate::data::window::{Span, Window};
use crate::data::{DataError, OpenProgress};

/// Shards that are kept open at a time; a data set may have more than a process may open.
const OPEN: usize = 32;
/// Endings of gzipped objects, which are not asked for their first bytes.
const GZIPPED: [&str; 2] = [".gz", ".tgz"];

#[derive(Debug)]
pub(super) struct Archives {
    shards: Vec<Shard>,
    unpacked: Option<Arc<DataFile>>,
    /// Number of the shard and its file, the last used one first.
    open: Mutex<Vec<(usize, Arc<DataFile>)>>,
    ahead: Ahead,
}

#[derive(Debug)]
struct Shard {
    found: FoundFile,
    name: String,
    /// The object, where it is one that is read by ranges.
    remote: Option<Arc<DataFile>>,
    /// Where it is in the unpacked file, if it is gzipped.
    unpacked: Option<UnpackedShard>,
}

impl Archives {
    /// Unpacks what is gzipped, unless that was done before.
    ///
    /// # Errors
    /// When there is no room for it, storage cannot be reached, or `progress` cancels.
    pub(super) fn open(
        files: Vec<FoundFile>,
        key: &IndexKey,
        cache: Option<&CacheFolder>,
        progress: OpenProgress<'_>,
    ) -> Result<Self, DataError> {
        let mut shards = Vec::new();
        for found in files {
            shards.push(Shard::new(found)?);
        }
        let gzipped = shards.iter_mut().filter(|shard| is_gzip(&shard.found));
        let mut gzipped: Vec<&mut Shard> = gzipped.collect();
        let mut file = None;
        if !gzipped.is_empty() {
            let packed: Vec<_> = gzipped.iter().map(|s| s.found.clone()).collect();
            let unpacked = Unpacked::open(&packed, &key.file_name("unpacked"), cache, progress)?;
            for (shard, place) in gzipped.iter_mut().zip(unpacked.shards) {
                shard.unpacked = Some(place);
                shard.remote = None;
            }
            file = Some(Arc::new(unpacked.file.into()));
        }
        Ok(Self {
            shards,
            unpacked: file,
            open: Mutex::default(),
            ahead: Ahead::default(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether some shard is read from storage.
    pub(super) fn is_remote(&self) -> bool {
        self.shards.iter().any(|shard| shard.remote.is_some())
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

    /// What storage said when a shard could not be read, if that happened since the last call.
    pub(super) fn take_failure(&self, shard: usize) -> Option<DataError> {
        self.shards.get(shard)?.remote.as_ref()?.take_failure()
    }

    /// A shard as a stream.
    pub(super) fn window(&self, shard: usize) -> io::Result<Window> {
        let span = self.shard(shard)?.span();
        Ok(Window::new(self.file(shard)?, span))
    }

    /// The bytes of a member.
    ///
    /// # Errors
    /// When the shard is gone, changed or shorter than it was, or storage cannot be reached; names it.
    pub(super) fn read(&self, shard: usize, member: Span) -> Result<Vec<u8>, DataError> {
        if let Some(bytes) = self.ahead.take(shard, member) {
            return Ok(bytes);
        }
        let read = || -> io::Result<Vec<u8>> {
            let within = self.shard(shard)?.span();
            let end = member.at.saturating_add(member.bytes);
            if end > within.bytes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut bytes = vec![0; usize::try_from(member.bytes).map_err(io::Error::other)?];
            let file = self.file(shard)?;
            file.read_exact_at(&mut bytes, within.at + member.at)?;
            Ok(bytes)
        };
        read().map_err(|e| {
            let path = self.shards.get(shard).map(|s| s.found.path.clone());
            let failure = self.take_failure(shard);
            failure.unwrap_or_else(|| DataError::io(&path.unwrap_or_default(), e))
        })
    }

    /// Fetches members that will be read soon, in the order in which they matter.
    ///
    /// # Errors
    /// When storage cannot be reached.
    pub(super) fn fetch(&self, members: &[(usize, Span)]) -> Result<(), DataError> {
        self.ahead.fetch(members, |shard| {
            let shard = self.shards.get(shard)?;
            shard.remote.as_ref()?.remote()
        })
    }

    fn shard(&self, shard: usize) -> io::Result<&Shard> {
        self.shards
            .get(shard)
            .ok_or_else(|| io::Error::other("there is no such shard"))
    }

    fn file(&self, number: usize) -> io::Result<Arc<DataFile>> {
        let shard = self.shard(number)?;
        if let (Some(_), Some(file)) = (&shard.unpacked, &self.unpacked) {
            return Ok(Arc::clone(file));
        }
        if let Some(file) = &shard.remote {
            return Ok(Arc::clone(file));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(known, _)| *known == number) {
            open[..=at].rotate_right(1);
            return Ok(Arc::clone(&open[0].1));
        }
        let file = Arc::new(DataFile::open(&shard.found)?);
        open.truncate(OPEN - 1);
        open.insert(0, (number, Arc::clone(&file)));
        Ok(file)
    }
}

impl Shard {
    fn new(found: FoundFile) -> Result<Self, DataError> {
        let remote = match &found.object {
            Some(_) => {
                let file = DataFile::open(&found).map_err(|e| DataError::io(&found.path, e))?;
                Some(Arc::new(file))
            }
            None => None,
        };
        Ok(Self {
            name: found.name(),
            found,
            remote,
            unpacked: None,
        })
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
                bytes: self.found.stamp.bytes,
            },
        }
    }
}

/// Whether a shard begins as gzip does, whatever its name; of an object the name must do.
fn is_gzip(found: &FoundFile) -> bool {
    if found.object.is_some() {
        return has_ending(&found.name(), &GZIPPED);
    }
    let mut start = [0; 2];
    let read = DataFile::open(found).and_then(|file| file.read_exact_at(&mut start, 0));
    read.is_ok() && start == [0x1f, 0x8b]
}
