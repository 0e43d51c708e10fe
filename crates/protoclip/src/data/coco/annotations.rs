//! The file itself: parsed once, its pictures looked for and checked.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::index::Index;
use super::place;
use crate::data::kept_index::IndexBase;
use crate::data::object_reader::{ObjectError, Patience, is_remote};
use crate::data::picture_folder::PictureFolder;
use crate::data::shard_files::FoundFile;
use crate::data::{DataError, OpenProgress, SkipReason, SkipReport};

/// Pictures checked together.
const CHUNK: usize = 1024;

#[derive(Deserialize)]
struct Captions<'a> {
    #[serde(borrow)]
    images: Vec<Image<'a>>,
    #[serde(borrow)]
    annotations: Vec<Annotation<'a>>,
}

#[derive(Deserialize)]
struct Image<'a> {
    id: Id,
    #[serde(borrow)]
    file_name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    image_id: Id,
    #[serde(borrow, default)]
    caption: Option<Text<'a>>,
}

/// Ids are numbers, but nothing hinders texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(untagged)]
enum Id {
    Number(i64),
    Text(String),
}

/// A caption, or something else that is in its place.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text<'a> {
    Caption(#[serde(borrow)] Cow<'a, str>),
    Other(IgnoredAny),
}

/// Reads the text of the file; the folder of its pictures is `given`, or the first usual one that has the
/// first picture.
///
/// # Errors
/// When it is no such JSON, no folder has its pictures, storage cannot be reached, or `progress`
/// cancels.
pub(super) fn read(
    (path, text): (&Path, &[u8]),
    given: Option<&Path>,
    progress: OpenProgress<'_>,
) -> Result<(PathBuf, Index), DataError> {
    let parsed: Captions<'_> = serde_json::from_slice(text).map_err(|e| {
        let message = format!(
            "{e}; a COCO captions file is JSON with \"images\" (id, file_name) and \"annotations\" (image_id, caption)"
        );
        DataError::format(path.display(), message)
    })?;
    let names = parsed.images.iter().map(|image| &*image.file_name);
    let folder = folder_of(path, given, names)?;
    let checked = check_pictures(&folder, &parsed.images, progress)?;
    let index = join(&parsed, &checked);
    Ok((folder, index))
}

/// Where the pictures are.
fn folder_of<'a>(
    path: &Path,
    given: Option<&Path>,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<PathBuf, DataError> {
    let own = path.parent().unwrap_or(Path::new("")).to_owned();
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let remote = is_remote(path);
    let above = match remote {
        true => own.parent().unwrap_or(Path::new("")).to_owned(),
        false => own.join(".."),
    };
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or("");
    let split = stem.strip_prefix("captions_").unwrap_or(stem);
    let usual = [
        own.clone(),
        own.join("images"),
        above.join(split),
        above.join("images"),
        above.join("images").join(split),
    ];
    let Some(first) = names.next() else {
        return Ok(own);
    };
    let mut found = None;
    for folder in &usual {
        let first = folder.join(first);
        let there = match remote {
            true => object_is_there(&first)?,
            false => first.is_file(),
        };
        if there {
            found = Some(folder.clone());
            break;
        }
    }
    found.ok_or_else(|| {
        let tried: Vec<String> = usual.iter().map(|f| f.display().to_string()).collect();
        let message = format!(
            "the first picture, {first:?}, is in none of {}; set data.image_folder to the folder that has it",
            tried.join(", ")
        );
        DataError::format(path.display(), message)
    })
}

/// # Errors
/// When storage cannot be reached or refuses.
fn object_is_there(path: &Path) -> Result<bool, DataError> {
    match FoundFile::at(path, Patience::Long) {
        Ok(_) => Ok(true),
        Err(DataError::Object {
            error: ObjectError::Absent(_),
            ..
        }) => Ok(false),
        Err(error) => Err(error),
    }
}

type Checked = Result<(), (SkipReason, String)>;

/// What each picture's header says.
fn check_pictures(
    folder: &Path,
    images: &[Image<'_>],
    progress: OpenProgress<'_>,
) -> Result<Vec<Checked>, DataError> {
    let pictures = PictureFolder::open(folder)?;
    pictures.look()?;
    let mut checked = Vec::with_capacity(images.len());
    for some in images.chunks(CHUNK) {
        let check = |image: &Image<'_>| {
            let path = folder.join(&*image.file_name);
            pictures
                .check(&path)
                .map_err(|(reason, message)| (reason, format!("{}: {message}", path.display())))
        };
        checked.par_extend(some.par_iter().map(check));
        if !progress(checked.len() as u64, images.len() as u64) {
            return Err(DataError::Cancelled);
        }
    }
    Ok(checked)
}

/// Captions with their pictures, in the order of the annotations. The fingerprint covers both, not
/// the pictures themselves.
fn join(parsed: &Captions<'_>, checked: &[Checked]) -> Index {
    let mut index = Index::default();
    for image in &parsed.images {
        index.files.push(&image.file_name);
    }
    let ids = parsed.images.iter().enumerate();
    let number_of: FxHashMap<&Id, usize> = ids.map(|(number, image)| (&image.id, number)).collect();
    let mut report = SkipReport::default();
    let mut hash = blake3::Hasher::new();
    for annotation in &parsed.annotations {
        let record = report.rows;
        report.rows += 1;
        match usable(annotation, &number_of, checked) {
            Ok((picture, caption)) => {
                index.captions.push(caption);
                index.pictures.push(picture as u32);
                index
                    .records
                    .push(u32::try_from(record).unwrap_or(u32::MAX));
                for part in [caption, &parsed.images[picture].file_name] {
                    hash.update(&(part.len() as u64).to_le_bytes());
                    hash.update(part.as_bytes());
                }
            }
            Err((reason, detail)) => report.note(record + 1, place(record), reason, detail),
        }
    }
    index.base = IndexBase {
        fingerprint: hash.finalize().to_hex().to_string(),
        labels: Vec::new(),
        report,
    };
    index
}

fn usable<'a>(
    annotation: &'a Annotation<'_>,
    number_of: &FxHashMap<&Id, usize>,
    checked: &[Checked],
) -> Result<(usize, &'a str), (SkipReason, String)> {
    let picture = number_of.get(&annotation.image_id).copied();
    let picture = picture.ok_or_else(|| {
        let id = match &annotation.image_id {
            Id::Number(id) => id.to_string(),
            Id::Text(id) => id.clone(),
        };
        (SkipReason::MissingFile, format!("no image has the id {id}"))
    })?;
    let caption = match &annotation.caption {
        Some(Text::Caption(caption)) => caption.trim(),
        Some(Text::Other(_)) | None => "",
    };
    if caption.is_empty() {
        return Err((SkipReason::EmptyCaption, "no text".into()));
    }
    match checked.get(picture) {
        Some(Err(problem)) => Err(problem.clone()),
        _ => Ok((picture, caption)),
    }
}
