//! A file of a data set, read by position: one on this machine, or an object on S3-compatible storage.
//!
//! What fails when an object is read is remembered beside it: decoders turn such errors into texts of
//! their own, and a network that is away must not pass for broken data.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use super::DataError;
use super::object_reader::{ObjectError, ObjectStamp, Wanted, object_reader};
use super::shard_files::{FileStamp, FoundFile};

#[derive(Debug)]
pub(super) enum DataFile {
    Local(File),
    Remote(RemoteFile),
}

/// An object in one state.
#[derive(Debug)]
pub(super) struct RemoteFile {
    url: String,
    stamp: ObjectStamp,
    /// The last error of reading that was not taken yet.
    failure: Mutex<Option<ObjectError>>,
}

impl DataFile {
    /// Opens a file as it was found. Nothing is asked of storage for an object.
    ///
    /// # Errors
    /// When it is gone or changed since.
    pub(super) fn open(found: &FoundFile) -> io::Result<Self> {
        if let Some(object) = &found.object {
            return Ok(Self::Remote(RemoteFile {
                url: object.url.clone(),
                stamp: object.stamp.clone(),
                failure: Mutex::default(),
            }));
        }
        let file = File::open(&found.path)?;
        if FileStamp::of(&file.metadata()?) != found.stamp {
            return Err(io::Error::other(
                "the file changed since the data set was opened; open it again",
            ));
        }
        Ok(Self::Local(file))
    }

    pub(super) fn is_remote(&self) -> bool {
        matches!(self, Self::Remote(_))
    }

    /// The object behind it.
    pub(super) fn remote(&self) -> Option<&RemoteFile> {
        match self {
            Self::Local(_) => None,
            Self::Remote(remote) => Some(remote),
        }
    }

    /// Fills `buffer` from a place without moving a cursor.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::Local(file) => read_exact_at(file, buffer, at),
            Self::Remote(remote) => {
                let end = at.saturating_add(buffer.len() as u64);
                if end > remote.stamp.bytes {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let bytes = remote.read(at, buffer.len())?;
                buffer.copy_from_slice(&bytes);
                Ok(())
            }
        }
    }

    /// What failed when the object was read, if something did since the last call.
    pub(super) fn take_failure(&self) -> Option<DataError> {
        let remote = self.remote()?;
        let mut failure = remote
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failure
            .take()
            .map(|error| DataError::object(&remote.url, error))
    }
}

impl RemoteFile {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn stamp(&self) -> &ObjectStamp {
        &self.stamp
    }

    fn read(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let wanted = Wanted {
            url: &self.url,
            stamp: Some(&self.stamp),
            range: at..at.saturating_add(bytes as u64),
        };
        let read = object_reader().and_then(|reader| reader.read(&wanted));
        let read = read.and_then(|found| match found.len() == bytes {
            true => Ok(found),
            false => Err(ObjectError::Unreachable(format!(
                "storage sent {} bytes instead of {bytes}; try again",
                found.len()
            ))),
        });
        read.map_err(|error| {
            let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            *failure = Some(error.clone());
            io::Error::other(error)
        })
    }
}

/// A file on this machine as a data file.
impl From<File> for DataFile {
    fn from(file: File) -> Self {
        Self::Local(file)
    }
}

/// Reads an object, or a file, from its beginning to its end in large pieces.
#[derive(Debug)]
pub(super) struct Stream {
    file: Arc<DataFile>,
    bytes: u64,
    at: u64,
}

impl Stream {
    pub(super) fn new(file: Arc<DataFile>, bytes: u64) -> Self {
        Self { file, bytes, at: 0 }
    }
}

impl io::Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.bytes.saturating_sub(self.at);
        let count = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_exact_at(&mut buffer[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Fills `buffer` from a place of a file without moving its cursor.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

/// Fills `buffer` from a place of a file; every reader names its place, so a moved cursor is harmless.
#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        let count = std::os::windows::fs::FileExt::seek_read(file, buffer, at)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[count..];
        at += count as u64;
    }
    Ok(())
}
