//! Checkpoint directories: complete or absent, never torn.
//!
//! A checkpoint is written into a temporary directory, its files and a manifest with their hashes
//! are made durable, and one rename makes it visible. Readers trust only what the manifest proves.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::TrainError;

/// Name of the file that lists and hashes the others.
pub const MANIFEST: &str = "MANIFEST.json";
/// A checkpoint directory holding a file of this name is never pruned; the file says why.
pub const PINNED: &str = "PINNED";
const FOLDER: &str = "checkpoints";
const FORMAT: u32 = 1;

/// A checkpoint directory whose manifest was read and whose files have the listed sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointInfo {
    /// Optimizer steps taken when it was written.
    pub step: u64,
    pub episode: u64,
    /// The checkpoint directory.
    pub path: PathBuf,
    pub bytes: u64,
    /// Hash over the manifest; identifies the checkpoint in figures and notebooks.
    pub hash: String,
    /// Mean retrieval recall when it was written, if it had been measured; the best is kept.
    pub score: Option<f64>,
    pub pinned: bool,
    /// Why it is pinned, where that is known.
    pub pin_reason: Option<String>,
}

/// A directory that looks like a checkpoint but fails its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenCheckpoint {
    pub path: PathBuf,
    pub message: String,
}

/// What a checkpoint is about, for its manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointHeader {
    pub step: u64,
    pub episode: u64,
    pub data_fingerprint: String,
    pub score: Option<f64>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    #[serde(flatten)]
    pub(super) header: CheckpointHeader,
    pub(super) files: Vec<CheckpointFile>,
}

/// A file of a checkpoint as its manifest describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointFile {
    pub name: String,
    pub bytes: u64,
    /// In hexadecimal digits.
    pub blake3: String,
}

/// The checkpoints of a run directory, oldest first, and those that cannot be used. Sizes are
/// checked, hashes are not: see [`verify_checkpoint`].
pub fn list_checkpoints(run_directory: &Path) -> (Vec<CheckpointInfo>, Vec<BrokenCheckpoint>) {
    let mut good = Vec::new();
    let mut broken = Vec::new();
    let Ok(entries) = fs::read_dir(run_directory.join(FOLDER)) else {
        return (good, broken);
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with('.') || !path.is_dir() {
            continue;
        }
        match inspect(&path) {
            Ok(info) => good.push(info),
            Err(message) => broken.push(BrokenCheckpoint { path, message }),
        }
    }
    good.sort_by_key(|info| info.step);
    broken.sort_by(|a, b| a.path.cmp(&b.path));
    (good, broken)
}

/// The newest checkpoint whose every file has the hash of its manifest; broken ones are skipped
/// and left where they are.
pub fn latest_checkpoint(run_directory: &Path) -> Option<CheckpointInfo> {
    let (mut good, _) = list_checkpoints(run_directory);
    while let Some(info) = good.pop() {
        match verify_checkpoint(&info.path) {
            Ok(()) => return Some(info),
            Err(message) => {
                tracing::warn!(path = %info.path.display(), message, "skipping a broken checkpoint")
            }
        }
    }
    None
}

/// Compares every file with the manifest.
///
/// # Errors
/// Names the first file that is absent, cut or changed.
pub fn verify_checkpoint(directory: &Path) -> Result<(), String> {
    let (manifest, _) = read_manifest(directory)?;
    for file in &manifest.files {
        let bytes =
            fs::read(directory.join(&file.name)).map_err(|e| format!("{}: {e}", file.name))?;
        if blake3::hash(&bytes).to_hex().as_str() != file.blake3 {
            return Err(format!(
                "{} does not have the hash of its manifest",
                file.name
            ));
        }
    }
    Ok(())
}

/// Writes a checkpoint: `fill` puts files into the directory it is given; the manifest, the
/// durability and the rename are done here. With a reason the checkpoint is pinned; one that
/// replaces a pinned one stays pinned.
///
/// # Errors
/// When a file cannot be written; nothing becomes visible then.
pub fn write_checkpoint(
    run_directory: &Path,
    header: &CheckpointHeader,
    pin: Option<&str>,
    fill: impl FnOnce(&Path) -> Result<(), TrainError>,
) -> Result<CheckpointInfo, TrainError> {
    let parent = run_directory.join(FOLDER);
    let target = parent.join(format!("{:08}", header.step));
    let temporary = parent.join(format!(".writing-{:08}", header.step));
    let failed = |e: io::Error| TrainError::Checkpoint {
        path: target.display().to_string(),
        message: e.to_string(),
    };
    let _absent_is_fine = fs::remove_dir_all(&temporary);
    fs::create_dir_all(&temporary).map_err(failed)?;
    fill(&temporary)?;
    seal(&temporary, header).map_err(failed)?;
    let old_pin = fs::read_to_string(target.join(PINNED)).ok();
    if let Some(reason) = pin.or(old_pin.as_deref()) {
        pin_directory(&temporary, reason).map_err(failed)?;
    }
    retire(&target).map_err(failed)?;
    fs::rename(&temporary, &target).map_err(failed)?;
    sync(&parent).map_err(failed)?;
    inspect(&target).map_err(|message| TrainError::Checkpoint {
        path: target.display().to_string(),
        message,
    })
}

/// Removes old checkpoints, keeping the newest `keep_last`, the best scored and the pinned ones,
/// and whatever an interrupted write left behind.
///
/// # Errors
/// When a directory cannot be removed.
pub fn prune_checkpoints(run_directory: &Path, keep_last: usize) -> io::Result<()> {
    let (good, _) = list_checkpoints(run_directory);
    let best = good
        .iter()
        .filter(|info| info.score.is_some())
        .max_by(|a, b| {
            a.score
                .partial_cmp(&b.score)
                .unwrap_or(std::cmp::Ordering::Equal)
        })
        .map(|info| info.step);
    let old = good.len().saturating_sub(keep_last);
    for info in &good[..old] {
        if !info.pinned && Some(info.step) != best {
            retire(&info.path)?;
        }
    }
    for entry in fs::read_dir(run_directory.join(FOLDER))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with('.') {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Hides a directory before removing it, so that a crash in between leaves no half checkpoint.
fn retire(directory: &Path) -> io::Result<()> {
    if !directory.exists() {
        return Ok(());
    }
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let hidden = directory.with_file_name(format!(".removing-{name}"));
    let _absent_is_fine = fs::remove_dir_all(&hidden);
    fs::rename(directory, &hidden)?;
    fs::remove_dir_all(&hidden)
}

fn seal(directory: &Path, header: &CheckpointHeader) -> io::Result<()> {
    let mut names: Vec<String> = fs::read_dir(directory)?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort_unstable();
    let mut files = Vec::with_capacity(names.len());
    for name in names {
        let path = directory.join(&name);
        let bytes = fs::read(&path)?;
        File::open(&path)?.sync_all()?;
        files.push(CheckpointFile {
            bytes: bytes.len() as u64,
            blake3: blake3::hash(&bytes).to_hex().to_string(),
            name,
        });
    }
    let manifest = Manifest {
        format: FORMAT,
        header: header.clone(),
        files,
    };
    let mut file = File::create(directory.join(MANIFEST))?;
    file.write_all(&serde_json::to_vec_pretty(&manifest)?)?;
    file.sync_all()?;
    sync(directory)
}

/// Outside the manifest, since a person may unpin it later.
fn pin_directory(directory: &Path, reason: &str) -> io::Result<()> {
    let mut file = File::create(directory.join(PINNED))?;
    file.write_all(reason.as_bytes())?;
    file.sync_all()?;
    sync(directory)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

pub(super) fn read_manifest(directory: &Path) -> Result<(Manifest, String), String> {
    let bytes = fs::read(directory.join(MANIFEST)).map_err(|e| format!("{MANIFEST}: {e}"))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|e| format!("{MANIFEST}: {e}"))?;
    if manifest.format != FORMAT {
        return Err(format!(
            "{MANIFEST}: format {} is not {FORMAT}, the one of this program",
            manifest.format
        ));
    }
    if let Some(file) = manifest
        .files
        .iter()
        .find(|f| f.name.contains(['/', '\\']) || f.name.starts_with('.'))
    {
        return Err(format!("{MANIFEST}: {:?} is no plain file name", file.name));
    }
    Ok((manifest, blake3::hash(&bytes).to_hex().to_string()))
}

/// What a checkpoint's manifest says it is about.
pub(super) fn read_header(directory: &Path) -> Result<CheckpointHeader, String> {
    Ok(read_manifest(directory)?.0.header)
}

fn inspect(directory: &Path) -> Result<CheckpointInfo, String> {
    let (manifest, hash) = read_manifest(directory)?;
    for file in &manifest.files {
        let found = fs::metadata(directory.join(&file.name))
            .map_err(|e| format!("{}: {e}", file.name))?
            .len();
        if found != file.bytes {
            return Err(format!(
                "{} has {found} bytes, wanted {}",
                file.name, file.bytes
            ));
        }
    }
    let pin = fs::read_to_string(directory.join(PINNED)).ok();
    Ok(CheckpointInfo {
        step: manifest.header.step,
        episode: manifest.header.episode,
        path: directory.to_path_buf(),
        bytes: manifest.files.iter().map(|f| f.bytes).sum(),
        hash,
        score: manifest.header.score,
        pinned: directory.join(PINNED).exists(),
        pin_reason: pin.filter(|reason| !reason.trim().is_empty()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(step: u64, score: Option<f64>) -> CheckpointHeader {
        CheckpointHeader {
            step,
            episode: step / 10,
            data_fingerprint: "abc".into(),
            score,
        }
    }

    fn write(run: &Path, step: u64, score: Option<f64>) -> CheckpointInfo {
        write_checkpoint(run, &header(step, score), None, |folder| {
            fs::write(folder.join("model"), vec![step as u8; 1000]).expect("writes");
            fs::write(folder.join("state"), b"state").expect("writes");
            Ok(())
        })
        .expect("checkpoint")
    }

    fn steps(run: &Path) -> Vec<u64> {
        list_checkpoints(run).0.iter().map(|c| c.step).collect()
    }

    #[test]
    fn the_newest_intact_checkpoint_wins_and_broken_ones_stay() {
        let run = tempfile::tempdir().expect("folder");
        let (old, new) = (write(run.path(), 10, None), write(run.path(), 20, None));
        assert_eq!(latest_checkpoint(run.path()).expect("newest").step, 20);
        let mut bytes = fs::read(new.path.join("model")).expect("reads");
        bytes[500] ^= 1;
        fs::write(new.path.join("model"), &bytes).expect("writes");
        assert_eq!(latest_checkpoint(run.path()), Some(old));
        assert!(
            verify_checkpoint(&new.path)
                .expect_err("changed")
                .contains("model")
        );
        assert!(new.path.exists());
    }

    #[test]
    fn a_truncated_file_or_manifest_is_reported_with_its_name() {
        let run = tempfile::tempdir().expect("folder");
        let info = write(run.path(), 10, None);
        for (name, cut) in [("model", 999), (MANIFEST, 30)] {
            let path = info.path.join(name);
            let bytes = fs::read(&path).expect("reads");
            fs::write(&path, &bytes[..cut]).expect("writes");
            let (good, broken) = list_checkpoints(run.path());
            assert!(good.is_empty());
            assert!(broken[0].message.contains(name), "{}", broken[0].message);
            fs::write(&path, &bytes).expect("writes");
        }
        assert_eq!(steps(run.path()), [10]);
    }

    #[test]
    fn pruning_keeps_the_newest_the_best_and_the_pinned() {
        let run = tempfile::tempdir().expect("folder");
        for (step, score) in [
            (10, Some(1.0)),
            (20, Some(5.0)),
            (30, Some(2.0)),
            (40, None),
            (50, None),
        ] {
            write(run.path(), step, score);
        }
        let pinned = list_checkpoints(run.path()).0[0].path.join(PINNED);
        fs::write(pinned, b"").expect("writes");
        let left_over = run.path().join(FOLDER).join(".writing-00000060");
        fs::create_dir(&left_over).expect("creates");
        prune_checkpoints(run.path(), 2).expect("prunes");
        assert_eq!(steps(run.path()), [10, 20, 40, 50]);
        assert!(!left_over.exists());
    }

    #[test]
    fn a_pinned_checkpoint_says_why_and_stays_pinned_when_written_again() {
        let run = tempfile::tempdir().expect("folder");
        let fill = |_: &Path| Ok(());
        let header = header(10, None);
        let pinned = write_checkpoint(run.path(), &header, Some("before change"), fill);
        let pinned = pinned.expect("writes");
        assert_eq!(pinned.pin_reason.as_deref(), Some("before change"));
        let again = write_checkpoint(run.path(), &header, None, fill).expect("writes");
        assert_eq!((again.pinned, again.pin_reason), (true, pinned.pin_reason));
        fs::remove_file(again.path.join(PINNED)).expect("unpins");
        assert_eq!(verify_checkpoint(&again.path), Ok(()));
    }

    #[test]
    fn a_failed_write_leaves_the_old_checkpoint_in_place() {
        let run = tempfile::tempdir().expect("folder");
        let before = write(run.path(), 10, None);
        let failed = write_checkpoint(run.path(), &header(10, None), None, |_| {
            Err(TrainError::Other("disk full".into()))
        });
        assert!(failed.is_err());
        assert_eq!(latest_checkpoint(run.path()), Some(before));
    }
}
