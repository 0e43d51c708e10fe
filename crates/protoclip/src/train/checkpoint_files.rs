//! A checkpoint's files one by one: listed by its manifest, checked against it, kept from pruning.
//!
//! For people who look at a checkpoint. Training itself trusts only [`super::verify_checkpoint`].

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use super::CheckpointHeader;
use super::checkpoint::{CheckpointFile, PINNED, read_manifest};

/// Bytes read at a time; small enough to cancel soon.
const CHUNK: usize = 1 << 20;

/// What the manifest says the checkpoint is about, and its files in the order of their names.
///
/// # Errors
/// When the manifest is absent or damaged; the message names it.
pub fn listed_files(directory: &Path) -> Result<(CheckpointHeader, Vec<CheckpointFile>), String> {
    let (manifest, _) = read_manifest(directory)?;
    Ok((manifest.header, manifest.files))
}

/// Reads a file and compares its hash with the listed one. `read` gets the bytes of each part as it
/// is read and cancels by answering `false`. `Ok(false)` when cancelled.
///
/// # Errors
/// Says in which way the file differs, with its name.
pub fn check_file(
    directory: &Path,
    file: &CheckpointFile,
    read: &mut dyn FnMut(u64) -> bool,
) -> Result<bool, String> {
    let named = |e: io::Error| format!("{}: {e}", file.name);
    let mut open = File::open(directory.join(&file.name)).map_err(named)?;
    let mut hasher = blake3::Hasher::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = open.read(&mut chunk).map_err(named)?;
        if count == 0 {
            break;
        }
        hasher.update(&chunk[..count]);
        if !read(count as u64) {
            return Ok(false);
        }
    }
    if hasher.finalize().to_hex().as_str() == file.blake3 {
        return Ok(true);
    }
    Err(format!(
        "{} does not have the hash of its manifest",
        file.name
    ))
}

/// Keeps a checkpoint from being pruned, or lets it go.
///
/// # Errors
/// When the mark cannot be written or removed.
pub fn set_pinned(directory: &Path, pinned: bool) -> io::Result<()> {
    let mark = directory.join(PINNED);
    match pinned {
        true if mark.exists() => Ok(()),
        true => fs::write(mark, "by hand"),
        false => match fs::remove_file(mark) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::{list_checkpoints, write_checkpoint};
    use super::*;

    #[test]
    fn each_file_is_checked_by_itself_and_pins_come_and_go() {
        let run = tempfile::tempdir().expect("folder");
        let header = CheckpointHeader {
            step: 3,
            episode: 1,
            data_fingerprint: "abc".into(),
            score: None,
        };
        let info = write_checkpoint(run.path(), &header, None, |folder| {
            fs::write(folder.join("a"), b"first").expect("writes");
            fs::write(folder.join("b"), b"second").expect("writes");
            Ok(())
        })
        .expect("writes");
        let (found, files) = listed_files(&info.path).expect("reads");
        assert_eq!((found, files.len()), (header, 2));
        let mut bytes = 0;
        let mut count = |part| {
            bytes += part;
            true
        };
        assert_eq!(check_file(&info.path, &files[0], &mut count), Ok(true));
        assert_eq!(bytes, 5);
        fs::write(info.path.join("b"), b"sECond").expect("writes");
        let problem = check_file(&info.path, &files[1], &mut |_| true).expect_err("changed");
        assert!(problem.starts_with("b does not have the hash"), "{problem}");
        assert_eq!(check_file(&info.path, &files[0], &mut |_| false), Ok(false));
        for pinned in [true, true, false, false] {
            set_pinned(&info.path, pinned).expect("marks");
            assert_eq!(list_checkpoints(run.path()).0[0].pinned, pinned);
        }
    }
}
