//! One shard's members, grouped by their keys.

use std::io::{self, Read};

use rustc_hash::FxHashMap;
use tar::{Entry, EntryType};

use crate::data::decode::check_header_of;
use crate::data::labelling::Classes;
use crate::data::webdataset::archives::Archives;
use crate::data::webdataset::group::{Group, Kind, Member};
use crate::data::webdataset::json_fields::{self, JsonFields};
use crate::data::window::{Span, Window};
use crate::data::{DataError, SkipReason};

/// Bytes that headers may take before a member; longer names are an attack or damage.
const LARGEST_HEADERS: u64 = 4 << 20;
/// Largest `.txt` or `.json`.
const LARGEST_TEXT: u64 = 1 << 20;
/// Largest picture file.
const LARGEST_PICTURE: u64 = 256 << 20;
/// Bytes of a picture that are read first; nearly every header ends within.
const PEEK: u64 = 4096;
/// Members between two reports of progress.
const REPORT_EVERY: u64 = 512;
const BLOCK: u64 = 512;

/// What one shard holds.
#[derive(Debug, Default)]
pub(super) struct ShardScan {
    /// Keys in the order of their first members.
    pub(super) groups: Vec<(Box<str>, Group)>,
    /// Classes of each label column, numbered within the shard.
    pub(super) classes: Vec<Classes>,
    /// Members that belong to no key: name, reason, detail.
    pub(super) others: Vec<(String, SkipReason, String)>,
    /// Why the shard cannot be read to its end.
    pub(super) broken: Option<String>,
}

/// Looks through a shard; `go_on` is told bytes done since the last call and may cancel.
///
/// # Errors
/// When it was cancelled or storage cannot be reached; what is wrong with the shard is in the result.
pub(super) fn scan_shard(
    archives: &Archives,
    shard: usize,
    fields: &JsonFields,
    go_on: &(dyn Fn(u64) -> bool + Sync),
) -> Result<ShardScan, DataError> {
    let mut walk = Walk {
        fields,
        keep_captions: archives.is_remote(),
        go_on,
        group_of: FxHashMap::default(),
        reported: 0,
        end: 0,
        scan: ShardScan {
            classes: fields.labels().iter().map(|_| Classes::default()).collect(),
            ..ShardScan::default()
        },
    };
    match archives.window(shard) {
        Ok(window) => walk.members(window)?,
        Err(error) => walk.scan.broken = Some(error.to_string()),
    }
    if let Some(failure) = archives.take_failure(shard) {
        return Err(failure);
    }
    if let Some(cut) = archives.cut(shard) {
        walk.scan.broken = Some(cut.to_owned());
    }
    Ok(walk.scan)
}

struct Walk<'a> {
    fields: &'a JsonFields,
    keep_captions: bool,
    go_on: &'a (dyn Fn(u64) -> bool + Sync),
    group_of: FxHashMap<Box<str>, usize>,
    /// Bytes that progress was told of.
    reported: u64,
    /// First byte behind the last member.
    end: u64,
    scan: ShardScan,
}

impl Walk<'_> {
    fn members(&mut self, window: Window) -> Result<(), DataError> {
        let (bytes, budget) = (window.length(), window.budget());
        let mut archive = tar::Archive::new(window);
        let mut entries = match archive.entries_with_seek() {
            Ok(entries) => entries,
            Err(error) => {
                self.scan.broken = Some(error.to_string());
                return Ok(());
            }
        };
        for count in 0_u64.. {
            if count % REPORT_EVERY == 0 {
                self.report(self.end.min(bytes))?;
            }
            budget.set(LARGEST_HEADERS);
            let entry = match entries.next() {
                None => break,
                Some(Err(error)) => {
                    let place = self.end;
                    self.scan.broken = Some(format!("at byte {place}: {error}"));
                    break;
                }
                Some(Ok(entry)) => entry,
            };
            budget.set(u64::MAX);
            self.member(entry, bytes);
        }
        self.report(bytes)?;
        // Two empty blocks end a tar file; where none follows, what should have may be lost.
        if self.scan.broken.is_none() && self.end.saturating_add(BLOCK) > bytes {
            let message = "it ends without the mark of a complete tar file and may have been cut";
            self.scan.broken = Some(message.into());
        }
        Ok(())
    }

    fn report(&mut self, done: u64) -> Result<(), DataError> {
        let more = done.saturating_sub(self.reported);
        self.reported += more;
        match (self.go_on)(more) {
            true => Ok(()),
            false => Err(DataError::Cancelled),
        }
    }

    fn member(&mut self, mut entry: Entry<'_, Window>, bytes: u64) {
        let span = Span {
            at: entry.raw_file_position(),
            bytes: entry.size(),
        };
        let end = span.at.saturating_add(span.bytes);
        self.end = end.div_ceil(BLOCK).saturating_mul(BLOCK);
        let name = entry.path_bytes().into_owned();
        let Ok(name) = String::from_utf8(name) else {
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if let Some((_, Kind::Picture(_))) = Kind::of(&name) {
                let detail = "the member's name is not UTF-8".to_owned();
                self.scan.others.push((name, SkipReason::BadUtf8, detail));
            }
            return;
        };
        let type_of = entry.header().entry_type();
        let Some((key, kind)) = Kind::of(&name).filter(|_| !type_of.is_dir()) else {
            return;
        };
        let group = group(&mut self.group_of, &mut self.scan.groups, key);
        if group.has(kind) {
            group.doubled(kind);
            return;
        }
        if end > bytes {
            let message = format!("the shard ends at byte {bytes}, within {name}");
            self.scan.broken = Some(message);
            let detail = "the shard ends within it".to_owned();
            group.blame(kind, SkipReason::BrokenMember, detail);
            return;
        }
        let looked = look(&mut entry, kind, span, type_of);
        if self.keep_captions
            && let Ok(found) = &looked
        {
            keep_caption(group, kind, found, self.fields);
        }
        take(
            group,
            kind,
            span,
            looked,
            self.fields,
            &mut self.scan.classes,
        );
    }
}

/// The group of a key, which is added when it is new.
fn group<'a>(
    group_of: &mut FxHashMap<Box<str>, usize>,
    groups: &'a mut Vec<(Box<str>, Group)>,
    key: &str,
) -> &'a mut Group {
    let place = match group_of.get(key) {
        Some(&place) => place,
        None => {
            group_of.insert(key.into(), groups.len());
            groups.push((key.into(), Group::default()));
            groups.len() - 1
        }
    };
    &mut groups[place].1
}

type Looked = Result<Vec<u8>, (SkipReason, String)>;

/// The text of a member, or the beginning of a picture whose header is good.
fn look(entry: &mut Entry<'_, Window>, kind: Kind, span: Span, type_of: EntryType) -> Looked {
    if !type_of.is_file() {
        let detail = "not a plain file; links are not followed".to_owned();
        return Err((SkipReason::BrokenMember, detail));
    }
    let largest = match kind {
        Kind::Picture(_) => LARGEST_PICTURE,
        Kind::Text | Kind::Json => LARGEST_TEXT,
    };
    if span.bytes > largest {
        let detail = format!("{} bytes, more than {largest}", span.bytes);
        return Err((SkipReason::BrokenMember, detail));
    }
    let failed = |e: io::Error| (SkipReason::BrokenMember, e.to_string());
    let mut found = Vec::new();
    if kind == Kind::Text || kind == Kind::Json {
        entry.read_to_end(&mut found).map_err(failed)?;
        return Ok(found);
    }
    entry.take(PEEK).read_to_end(&mut found).map_err(failed)?;
    let beginning = found.len();
    let mut checked = check_header_of(&found);
    if checked.is_err() && span.bytes > PEEK {
        // Some headers follow a long comment or colour profile.
        entry.read_to_end(&mut found).map_err(failed)?;
        checked = check_header_of(&found);
        found.truncate(beginning);
    }
    checked.map_err(|message| (SkipReason::BrokenImage, message))?;
    Ok(found)
}

/// Puts a member that was looked at into its group.
fn take(
    group: &mut Group,
    kind: Kind,
    span: Span,
    looked: Looked,
    fields: &JsonFields,
    classes: &mut [Classes],
) {
    let found = match looked {
        Ok(found) => found,
        Err((reason, detail)) => return group.blame(kind, reason, detail),
    };
    let member = Member {
        span,
        digest: digest(&found),
    };
    match kind {
        Kind::Picture(ending) => group.picture = Some((ending, member)),
        Kind::Text => match std::str::from_utf8(&found) {
            Err(error) => group.blame(kind, SkipReason::BadUtf8, error.to_string()),
            Ok(text) if text.trim().is_empty() => {
                group.blame(
                    kind,
                    SkipReason::EmptyCaption,
                    "nothing but white space".into(),
                );
            }
            Ok(_) => group.text = Some(member),
        },
        Kind::Json => match json_fields::object(&found) {
            Err(message) => group.blame(kind, SkipReason::BadJson, message),
            Ok(object) => {
                group.json = Some(member);
                group.json_has_caption = fields.caption_of(&object).is_ok();
                let fields = fields.labels().iter().zip(classes);
                group.labels = fields
                    .map(|(field, classes)| classes.index(&json_fields::class(&object, field)))
                    .collect();
            }
        },
    }
}

/// Keeps the caption that a member holds, if it holds one.
fn keep_caption(group: &mut Group, kind: Kind, found: &[u8], fields: &JsonFields) {
    match kind {
        Kind::Picture(_) => {}
        Kind::Text => {
            let text = std::str::from_utf8(found).map(str::trim);
            group.text_caption = text.ok().map(Box::from);
        }
        Kind::Json => {
            group.json_caption = fields.caption_in(found).ok().map(String::into_boxed_str)
        }
    }
}

fn digest(bytes: &[u8]) -> u64 {
    let hash = blake3::hash(bytes);
    let (words, _) = hash.as_bytes().as_chunks::<8>();
    words.first().map_or(0, |&word| u64::from_le_bytes(word))
}
