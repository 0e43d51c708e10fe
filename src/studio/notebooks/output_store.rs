//! The folder beside a notebook with what its cells showed last: `outputs.json`, figures named by
//! their hash, and the log of effects.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::StudioError;
use super::file::write_whole;
use super::output::{Block, CellOutput, Made, MadeBlock, hash_of};

/// Last outputs of all cells by id.
pub type Outputs = BTreeMap<String, CellOutput>;

/// Something that a cell did to runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effect {
    pub at: Timestamp,
    pub cell: String,
    /// What it did, in words.
    pub text: String,
}

/// A page that was just told of a figure may still ask for it.
const KEPT_UNUSED: Duration = Duration::from_secs(60);

/// The outputs of one notebook on disk.
#[derive(Debug, Clone)]
pub(super) struct OutputStore {
    folder: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    /// Version of this file.
    format: u32,
    cells: Outputs,
}

const FORMAT: u32 = 1;
const INDEX: &str = "outputs.json";
const EFFECTS: &str = "effects.jsonl";
/// Effects that are read back.
const MOST_EFFECTS: usize = 200;

impl OutputStore {
    pub(super) fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
        }
    }

    /// The last outputs; none when there is no file yet.
    ///
    /// # Errors
    /// When the file cannot be read; it is then named.
    pub(super) fn read(&self) -> Result<Outputs, StudioError> {
        let path = self.folder.join(INDEX);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Outputs::new());
            }
            Err(error) => return Err(StudioError::io(&path)(error)),
        };
        let index: Index = serde_json::from_slice(&bytes).map_err(|error| {
            let fix = "delete it to compute all cells anew";
            StudioError::format(&path, format!("{error}; {fix}"))
        })?;
        if index.format > FORMAT {
            let message = format!(
                "written by a newer version (format {}, known up to {FORMAT}); update the program",
                index.format
            );
            return Err(StudioError::format(&path, message));
        }
        Ok(index.cells)
    }

    /// Stores the figures of a result; the result with their hashes in place of them.
    ///
    /// # Errors
    /// When the disk is full or the folder cannot be written.
    pub(super) fn keep(&self, made: Made) -> Result<Kept, StudioError> {
        let hash = made.hash();
        let mut blocks = Vec::with_capacity(made.blocks.len());
        for block in made.blocks {
            blocks.push(match block {
                MadeBlock::Table(table) => Block::Table(table),
                MadeBlock::Text(text) => Block::Text { text },
                MadeBlock::Figure { svg, alt } => self.keep_figure(&svg, alt)?,
            });
        }
        Ok(Kept { hash, blocks })
    }

    fn keep_figure(&self, svg: &[u8], alt: String) -> Result<Block, StudioError> {
        let blob = hash_of(svg);
        let path = self.blob_path(&blob);
        if !path.exists() {
            write_whole(&path, svg)?;
        }
        let (width, height) = svg_size(svg).unwrap_or((960, 480));
        Ok(Block::Figure {
            blob,
            alt,
            width,
            height,
        })
    }

    /// Replaces all outputs and removes figures that none of them shows.
    ///
    /// # Errors
    /// When the file cannot be written; the old outputs then stay.
    pub(super) fn write(&self, outputs: &Outputs) -> Result<(), StudioError> {
        let path = self.folder.join(INDEX);
        let index = Index {
            format: FORMAT,
            cells: outputs.clone(),
        };
        let text = serde_json::to_vec_pretty(&index).map_err(|e| StudioError::format(&path, e))?;
        write_whole(&path, &text)?;
        self.forget_unused(outputs, KEPT_UNUSED);
        Ok(())
    }

    /// Removes figures that no output shows and that are older than this.
    fn forget_unused(&self, outputs: &Outputs, age: Duration) {
        let used: BTreeSet<&str> = outputs.values().flat_map(CellOutput::blobs).collect();
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let unused = name
                .strip_suffix(".svg")
                .is_some_and(|hash| !used.contains(hash));
            let written = entry.metadata().and_then(|file| file.modified()).ok();
            let is_old = written
                .and_then(|time| time.elapsed().ok())
                .is_some_and(|elapsed| elapsed >= age);
            if unused
                && is_old
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(path = %entry.path().display(), %error, "an old figure stays");
            }
        }
    }

    /// A figure by its hash.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn figure(&self, hash: &str) -> Result<Vec<u8>, StudioError> {
        let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
        let missing = || StudioError::NotFound(format!("there is no figure {hash}"));
        if !is_hash {
            return Err(missing());
        }
        fs::read(self.blob_path(hash)).map_err(|_| missing())
    }

    fn blob_path(&self, hash: &str) -> PathBuf {
        self.folder.join(format!("{hash}.svg"))
    }

    /// Appends to the log of effects.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn log_effect(&self, effect: &Effect) -> Result<(), StudioError> {
        let path = self.folder.join(EFFECTS);
        let line = serde_json::to_string(effect).map_err(|e| StudioError::format(&path, e))?;
        let append = || {
            fs::create_dir_all(&self.folder)?;
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            writeln!(file, "{line}")?;
            file.sync_all()
        };
        append().map_err(StudioError::io(&path))
    }

    /// The newest effects, oldest first. Torn lines are left out.
    pub(super) fn effects(&self) -> Vec<Effect> {
        let text = fs::read_to_string(self.folder.join(EFFECTS)).unwrap_or_default();
        let all: Vec<Effect> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        all[all.len().saturating_sub(MOST_EFFECTS)..].to_vec()
    }
}

/// A stored result.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) hash: String,
    pub(super) blocks: Vec<Block>,
}

impl CellOutput {
    /// Hashes of its figures.
    pub fn blobs(&self) -> impl Iterator<Item = &str> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Figure { blob, .. } => Some(blob.as_str()),
            Block::Table(_) | Block::Text { .. } => None,
        })
    }

    /// Its tables, in order.
    pub fn tables(&self) -> impl Iterator<Item = &super::output::Table> {
        self.blocks.iter().filter_map(|block| match block {
            Block::Table(table) => Some(table),
            Block::Figure { .. } | Block::Text { .. } => None,
        })
    }
}

/// Width and height that an SVG states in pixels.
fn svg_size(svg: &[u8]) -> Option<(u32, u32)> {
    let head = svg.get(..svg.len().min(400))?;
    let head = String::from_utf8_lossy(head);
    let attribute = |name: &str| {
        let (_, rest) = head.split_once(&format!(" {name}=\""))?;
        rest.split_once('"')?.0.trim_end_matches("px").parse().ok()
    };
    Some((attribute("width")?, attribute("height")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(kept: Kept) -> CellOutput {
        CellOutput {
            key: "k".into(),
            hash: kept.hash,
            computed: 1,
            seconds: 0.5,
            summary: String::new(),
            error: None,
            blocks: kept.blocks,
            fields: serde_json::Map::new(),
            links: Vec::new(),
            provenance: Vec::new(),
        }
    }

    fn figure(text: &str) -> Made {
        Made {
            blocks: vec![MadeBlock::Figure {
                svg: format!("<svg width=\"30\" height=\"20\">{text}</svg>").into_bytes(),
                alt: "a".into(),
            }],
            ..Made::default()
        }
    }

    #[test]
    fn what_is_stored_is_read_back_and_old_figures_go() {
        let folder = tempfile::tempdir().expect("folder");
        let store = OutputStore::at(&folder.path().join("n.outputs"));
        assert!(store.read().expect("reads").is_empty());
        let first = output(store.keep(figure("one")).expect("keeps"));
        let Block::Figure {
            blob,
            width,
            height,
            ..
        } = &first.blocks[0]
        else {
            panic!("a figure")
        };
        assert_eq!((*width, *height), (30, 20));
        let outputs = Outputs::from([("a".to_owned(), first.clone())]);
        store.write(&outputs).expect("writes");
        assert_eq!(store.read().expect("reads"), outputs);
        assert!(store.figure(blob).expect("there").starts_with(b"<svg"));
        let second = output(store.keep(figure("two")).expect("keeps"));
        let outputs = Outputs::from([("a".to_owned(), second)]);
        store.write(&outputs).expect("writes");
        assert!(store.figure(blob).is_ok(), "a page may still ask for it");
        store.forget_unused(&outputs, Duration::ZERO);
        assert!(store.figure(blob).is_err(), "the old figure is gone");
        assert!(store.figure("../../etc/passwd").is_err());
    }

    #[test]
    fn a_damaged_index_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().expect("folder");
        let store = OutputStore::at(folder.path());
        fs::write(folder.path().join(INDEX), "{\"format\":1,").expect("writes");
        let error = store.read().expect_err("damaged").to_string();
        assert!(
            error.contains("outputs.json") && error.contains("delete it"),
            "{error}"
        );
        fs::write(folder.path().join(INDEX), "{\"format\":9,\"cells\":{}}").expect("writes");
        assert!(
            store
                .read()
                .expect_err("newer")
                .to_string()
                .contains("newer version")
        );
    }

    #[test]
    fn effects_are_a_log_that_survives_a_torn_line() {
        let folder = tempfile::tempdir().expect("folder");
        let store = OutputStore::at(folder.path());
        let effect = Effect {
            at: Timestamp::UNIX_EPOCH,
            cell: "start".into(),
            text: "started run a".into(),
        };
        store.log_effect(&effect).expect("logs");
        store.log_effect(&effect).expect("logs");
        let path = folder.path().join(EFFECTS);
        let mut text = fs::read_to_string(&path).expect("reads");
        text.push_str("{\"at\":");
        fs::write(&path, text).expect("writes");
        assert_eq!(store.effects(), [effect.clone(), effect]);
    }
}
