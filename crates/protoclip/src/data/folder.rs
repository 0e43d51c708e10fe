//! Pictures in one folder per class: `DIR/<class>/*.{png,jpg,jpeg,webp}`.
//!
//! The class is the folder's name with `_` read as a space; it is the caption and the label column
//! `class`. Folders and files are taken in the order of their names. [`FolderSource::open`] lists
//! class after class and checks each picture by its header; what is kept are the file names. Files
//! that cannot be used are skipped, counted and listed with their number in the listing and reason.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::failures::Failures;
use super::picture_folder::{PictureFolder, Refusal};
use super::{DataError, LabelColumn, OpenProgress, PairSource, SampleId, SkipReport};
use crate::config::{DataConfig, DataFacts};

/// Name of the label column.
const COLUMN: &str = "class";
/// Extensions of pictures, in lower case; other files are passed over in silence.
const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "webp"];

/// An opened folder.
#[derive(Debug)]
pub struct FolderSource {
    name: String,
    folder: PathBuf,
    pictures: PictureFolder,
    /// Name of each class's folder.
    folders: Vec<String>,
    files: Vec<Listed>,
    labels: Vec<LabelColumn>,
    fingerprint: String,
    failures: Failures,
}

/// A usable picture.
#[derive(Debug)]
struct Listed {
    class: u32,
    /// Number in the listing of all pictures, from 0.
    record: u64,
    file: String,
}

impl FolderSource {
    /// Lists the folder that `config` names. `progress` is told folders done and in all, and may
    /// cancel.
    ///
    /// # Errors
    /// When the folder cannot be read, has no class folder, no picture is usable, or more pictures
    /// than `max_broken_share` are not; each says what was found and what to change.
    pub fn open(config: &DataConfig, progress: OpenProgress<'_>) -> Result<Self, DataError> {
        let folder = config.path.clone().unwrap_or_default();
        let folders = names(&folder, |kind| kind.is_dir())?;
        let pictures = PictureFolder::open(&folder)?;
        let mut listing = Listing::default();
        for (class, name) in (0..).zip(&folders) {
            listing.add_class(&pictures, class, &folder.join(name))?;
            if !progress(u64::from(class) + 1, folders.len() as u64) {
                return Err(DataError::Cancelled);
            }
        }
        listing.check(config, &folder, folders.len())?;
        let mut hash = blake3::Hasher::new();
        for listed in &listing.files {
            for text in [&folders[listed.class as usize], &listed.file] {
                hash.update(&(text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        let of_sample = listing.files.iter().map(|listed| listed.class);
        Ok(Self {
            name: folder.file_name().map_or_else(
                || folder.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
            labels: vec![LabelColumn {
                name: COLUMN.to_owned(),
                classes: folders.iter().map(|name| class_name(name)).collect(),
                of_sample: of_sample.collect(),
            }],
            fingerprint: hash.finalize().to_hex().to_string(),
            files: listing.files,
            failures: Failures::new(listing.report),
            folder,
            pictures,
            folders,
        })
    }

    fn listed(&self, sample: SampleId) -> Result<&Listed, DataError> {
        self.files
            .get(sample as usize)
            .ok_or_else(|| DataError::no_such_sample(&self.name, sample, self.files.len()))
    }

    fn path(&self, listed: &Listed) -> PathBuf {
        let class = &self.folders[listed.class as usize];
        self.folder.join(class).join(&listed.file)
    }

    fn note_failure(
        &self,
        sample: SampleId,
        record: u64,
        (path, (reason, message)): (&Path, &Refusal),
    ) {
        let place = path.display().to_string();
        self.failures
            .note(sample, record + 1, place, *reason, message);
    }
}

/// What is kept while classes are listed.
#[derive(Default)]
struct Listing {
    files: Vec<Listed>,
    report: SkipReport,
}

impl Listing {
    fn add_class(
        &mut self,
        within: &PictureFolder,
        class: u32,
        folder: &Path,
    ) -> Result<(), DataError> {
        let files = names(folder, |kind| !kind.is_dir())?;
        let pictures: Vec<String> = files.into_iter().filter(|file| is_picture(file)).collect();
        let checked: Vec<Result<(), Refusal>> = pictures
            .par_iter()
            .map(|file| within.check(&folder.join(file)))
            .collect();
        for (file, checked) in pictures.into_iter().zip(checked) {
            let record = self.report.rows;
            self.report.rows += 1;
            match checked {
                Ok(()) => self.files.push(Listed {
                    class,
                    record,
                    file,
                }),
                Err((reason, message)) => {
                    let place = folder.join(file).display().to_string();
                    self.report.note(record + 1, place, reason, message);
                }
            }
        }
        Ok(())
    }

    fn check(&self, config: &DataConfig, folder: &Path, classes: usize) -> Result<(), DataError> {
        let message = match self.report.rows {
            0 => Some(format!(
                "{classes} folders but no picture in them; the data set is one folder per class with files ending in .{}",
                EXTENSIONS.join(", .")
            )),
            _ => self.report.refusal(config, "pictures", self.files.len()),
        };
        message.map_or(Ok(()), |message| {
            Err(DataError::format(folder.display(), message))
        })
    }
}

/// Names in a folder, sorted, without hidden ones and those that are not UTF-8.
fn names(folder: &Path, wanted: impl Fn(&fs::Metadata) -> bool) -> Result<Vec<String>, DataError> {
    let failed = |source: io::Error| DataError::io(folder, source);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        // Follows links; what one leads nowhere is no picture and no folder.
        let kind = fs::metadata(entry.path());
        if !name.starts_with('.') && kind.is_ok_and(|kind| wanted(&kind)) {
            found.push(name);
        }
    }
    found.sort();
    Ok(found)
}

fn is_picture(file: &str) -> bool {
    let extension = Path::new(file).extension().and_then(|e| e.to_str());
    extension.is_some_and(|e| EXTENSIONS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

fn class_name(folder: &str) -> String {
    folder.replace('_', " ").trim().to_owned()
}

impl PairSource for FolderSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn caption(&self, sample: SampleId) -> Result<String, DataError> {
        let class = self.listed(sample)?.class;
        Ok(self.labels[0].classes[class as usize].clone())
    }

    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError> {
        let listed = self.listed(sample)?;
        let path = self.path(listed);
        self.pictures.decode(&path)?.map_err(|refusal| {
            self.note_failure(sample, listed.record, (&path, &refusal));
            DataError::Image {
                origin: path.display().to_string(),
                message: refusal.1,
            }
        })
    }

    fn origin(&self, sample: SampleId) -> String {
        self.listed(sample).map_or_else(
            |e| e.to_string(),
            |listed| self.path(listed).display().to_string(),
        )
    }

    fn labels(&self) -> &[LabelColumn] {
        &self.labels
    }

    fn balance_groups(&self) -> Option<&[u32]> {
        None
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn skipped(&self) -> SkipReport {
        self.failures.report()
    }

    fn facts(&self) -> DataFacts {
        DataFacts {
            pairs: self.len(),
            balanced_pairs: self.len(),
        }
    }

    fn record_number(&self, sample: SampleId) -> u64 {
        self.files
            .get(sample as usize)
            .map_or(u64::MAX, |f| f.record)
    }

    /// Class folder and file stem: files of different classes often share a name.
    fn key(&self, sample: SampleId) -> Result<String, DataError> {
        let listed = self.listed(sample)?;
        let stem = Path::new(&listed.file).file_stem().unwrap_or_default();
        let class = &self.folders[listed.class as usize];
        Ok(format!("{class}/{}", stem.to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};
    use tempfile::TempDir;

    use super::*;
    use crate::config::DataSource;

    fn folder(files: &[&str]) -> TempDir {
        let folder = TempDir::new().expect("temporary folder");
        for (number, file) in files.iter().enumerate() {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
            if is_picture(file) {
                let colour = Rgb([number as u8, 0, 0]);
                RgbImage::from_pixel(6, 5, colour)
                    .save(&path)
                    .expect("saves");
            } else {
                fs::write(&path, b"text").expect("writes");
            }
        }
        folder
    }

    fn config(folder: &Path) -> DataConfig {
        DataConfig {
            source: DataSource::Folder,
            path: Some(folder.to_owned()),
            ..DataConfig::default()
        }
    }

    fn open(folder: &TempDir) -> Result<FolderSource, DataError> {
        FolderSource::open(&config(folder.path()), &|_, _| true)
    }

    #[test]
    fn folders_are_classes_and_their_names_captions() {
        let files = [
            "snowy_owl/2.webp",
            "fox/b.png",
            "fox/a.JPG",
            "fox/notes.txt",
            "read.me",
        ];
        let source = open(&folder(&files)).expect("opens");
        let captions: Vec<String> = (0..3)
            .map(|s| source.caption(s).expect("caption"))
            .collect();
        assert_eq!(captions, ["fox", "fox", "snowy owl"]);
        let column = &source.labels()[0];
        assert_eq!((column.name.as_str(), column.classes.len()), ("class", 2));
        assert_eq!(*column.of_sample, [0, 0, 1]);
        let keys: Vec<String> = (0..3).map(|s| source.key(s).expect("key")).collect();
        assert_eq!(keys, ["fox/a", "fox/b", "snowy_owl/2"]);
        assert_eq!(source.len(), 3);
        assert!(source.caption(3).is_err());
    }

    #[test]
    fn broken_pictures_are_skipped_counted_and_listed() {
        let files = folder(&["a/1.png", "a/2.png", "b/3.png"]);
        fs::write(files.path().join("a/2.png"), b"nonsense").expect("writes");
        let source = open(&files).expect("opens");
        assert_eq!((source.len(), source.record_number(1)), (2, 2));
        let report = source.skipped();
        assert_eq!((report.rows, report.skipped), (3, 1));
        assert!(report.listed[0].place.contains("2.png"), "{report:?}");
        // One that breaks later joins the report, once.
        fs::write(files.path().join("b/3.png"), b"nonsense").expect("writes");
        for _ in 0..2 {
            assert!(source.image(1).is_err());
        }
        assert_eq!(source.skipped().skipped, 2);
        let error = open(&files).expect_err("two of three").to_string();
        assert!(error.contains("data.max_broken_share"), "{error}");
    }

    #[test]
    fn a_folder_without_pictures_says_what_it_should_hold() {
        let error = open(&folder(&["a/x.txt"]))
            .expect_err("nothing")
            .to_string();
        assert!(error.contains("one folder per class"), "{error}");
        let absent = FolderSource::open(&config(Path::new("/no/such")), &|_, _| true);
        assert!(absent.expect_err("absent").to_string().contains("/no/such"));
    }

    #[test]
    fn the_fingerprint_follows_names_and_classes() {
        let print = |files: &[&str]| open(&folder(files)).expect("opens").fingerprint;
        let first = print(&["a/1.png", "b/2.png"]);
        assert_eq!(first, print(&["b/2.png", "a/1.png"]));
        assert_ne!(first, print(&["a/1.png", "a/2.png"]));
    }
}
