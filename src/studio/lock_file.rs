//! Files that say "somebody works here": an exclusive lock with its holder written inside.
//!
//! The lock belongs to the open file, so it ends with the process however that dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::StudioError;

/// Who holds a lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    pub pid: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A lock that is held until dropped.
#[derive(Debug)]
pub struct LockFile {
    file: File,
    path: PathBuf,
}

/// The result of asking for a lock.
#[derive(Debug)]
pub enum Acquired {
    Mine(LockFile),
    Held(LockHolder),
}

/// A probe of another process holds a free lock for some microseconds; ask again before believing.
const ATTEMPTS: u32 = 5;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

impl LockFile {
    /// Takes the lock at `path`, creating the file, or says who has it.
    ///
    /// # Errors
    /// When the file cannot be opened or locked at all.
    pub fn acquire(path: &Path) -> Result<Acquired, StudioError> {
        let mut file = open(path)?;
        for attempt in 1..=ATTEMPTS {
            match file.try_lock() {
                Ok(()) => {
                    let mut lock = Self {
                        file,
                        path: path.to_owned(),
                    };
                    lock.describe(None)?;
                    return Ok(Acquired::Mine(lock));
                }
                Err(TryLockError::WouldBlock) if attempt < ATTEMPTS => {
                    std::thread::sleep(BETWEEN_ATTEMPTS);
                }
                Err(TryLockError::WouldBlock) => break,
                Err(TryLockError::Error(e)) => return Err(StudioError::io(path)(e)),
            }
        }
        Ok(Acquired::Held(holder(&mut file)))
    }

    /// Whether somebody holds the lock at `path`. A file that is absent is free.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn is_held(path: &Path) -> Result<bool, StudioError> {
        if !path.exists() {
            return Ok(false);
        }
        match open(path)?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(StudioError::io(path)(e)),
        }
    }

    /// Writes this process and its address into the file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn describe(&mut self, url: Option<&str>) -> Result<(), StudioError> {
        let holder = LockHolder {
            pid: std::process::id(),
            url: url.map(str::to_owned),
        };
        let text = serde_json::to_vec(&holder).map_err(|e| StudioError::format(&self.path, e))?;
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&text)
        };
        write(&mut self.file).map_err(StudioError::io(&self.path))
    }
}

fn open(path: &Path) -> Result<File, StudioError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(StudioError::io(path))
}

fn holder(file: &mut File) -> LockHolder {
    let mut text = String::new();
    let read = file
        .seek(SeekFrom::Start(0))
        .and_then(|_| file.read_to_string(&mut text));
    match read {
        Ok(_) => serde_json::from_str(&text).unwrap_or_default(),
        Err(_) => LockHolder::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_the_lock_until_it_is_dropped() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = folder.path().join("x.lock");
        assert!(!LockFile::is_held(&path).expect("probes"));
        let Acquired::Mine(mut lock) = LockFile::acquire(&path).expect("acquires") else {
            panic!("a new lock is free");
        };
        lock.describe(Some("http://127.0.0.1:9")).expect("writes");
        assert!(LockFile::is_held(&path).expect("probes"));
        let Acquired::Held(holder) = LockFile::acquire(&path).expect("asks") else {
            panic!("the lock is held");
        };
        assert_eq!(holder.pid, std::process::id());
        assert_eq!(holder.url.as_deref(), Some("http://127.0.0.1:9"));
        drop(lock);
        assert!(!LockFile::is_held(&path).expect("probes"));
        assert!(matches!(
            LockFile::acquire(&path).expect("acquires"),
            Acquired::Mine(_)
        ));
    }
}
