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
    /// Hash of this very file with [`UNSEALED`] here; absent in those of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<String>,
}

/// Stands for the seal while it is computed.
const UNSEALED: &str = "0000000000000000000000000000000000000000000000000000000000000000";

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
    sync(run_directory).map_err(failed)?;
    let written = fill(&temporary).and_then(|()| {
        let old_pin = fs::read_to_string(target.join(PINNED)).ok();
        let pin = pin.or(old_pin.as_deref());
        commit(&temporary, &target, (header, pin)).map_err(failed)
    });
    if let Err(error) = written {
        // Where the disk is full, half a checkpoint must not take what is left of it.
        let _best_effort = fs::remove_dir_all(&temporary);
        return Err(error);
    }
    inspect(&target).map_err(|message| TrainError::Checkpoint {
        path: target.display().to_string(),
        message,
    })
}

/// Makes what was written durable and then visible, in this order.
fn commit(
    temporary: &Path,
    target: &Path,
    (header, pin): (&CheckpointHeader, Option<&str>),
) -> io::Result<()> {
    crash_point("files written");
    seal(temporary, header)?;
    crash_point("files sealed");
    if let Some(reason) = pin {
        pin_directory(temporary, reason)?;
    }
    crash_point("pinned");
    publish(temporary, target)?;
    crash_point("published");
    sync(target.parent().unwrap_or(target))?;
    crash_point("parent synced");
    // After an exchange this is the directory that was replaced.
    if temporary.exists() {
        fs::remove_dir_all(temporary)?;
    }
    crash_point("old one removed");
    Ok(())
}

/// Puts a directory where none is, or in the place of another, in one step that a crash cannot
/// halve; the other is then at `temporary`.
fn publish(temporary: &Path, target: &Path) -> io::Result<()> {
    if target.exists() {
        match exchange(temporary, target) {
            Err(error) if error.kind() == io::ErrorKind::Unsupported => retire(target)?,
            done => return done,
        }
    }
    fs::rename(temporary, target)
}

/// Swaps two directories.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).map_err(|error| match error {
        // What kernels and file systems say that cannot swap.
        Errno::INVAL | Errno::NOSYS | Errno::NOTSUP => io::ErrorKind::Unsupported.into(),
        error => error.into(),
    })
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn exchange(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Where tests let the program die.
#[cfg(not(test))]
fn crash_point(_name: &str) {}

#[cfg(test)]
use tests::crash_point;

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
            crash_point("before pruning one");
            retire(&info.path)?;
        }
    }
    crash_point("pruned");
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
    crash_point("hidden");
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
        seal: Some(UNSEALED.to_owned()),
    };
    let text = serde_json::to_string_pretty(&manifest)?;
    let seal = blake3::hash(text.as_bytes()).to_hex();
    let mut file = File::create(directory.join(MANIFEST))?;
    file.write_all(text.replace(UNSEALED, &seal).as_bytes())?;
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
    if let Some(seal) = &manifest.seal
        && !is_sealed(&bytes, seal)
    {
        return Err(format!("{MANIFEST} was changed since it was written"));
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

/// Whether the manifest is what it was when `seal` was put into it.
fn is_sealed(manifest: &[u8], seal: &str) -> bool {
    let text = String::from_utf8_lossy(manifest);
    let unsealed = text.replace(seal, UNSEALED);
    !seal.is_empty() && blake3::hash(unsealed.as_bytes()).to_hex().as_str() == seal
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
mod tests;
