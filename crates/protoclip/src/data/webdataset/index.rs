//! Where the usable pairs lie: some 40 bytes and the key for each, 4 more per label column, and of
//! shards on S3 the caption.

use crate::data::SampleId;
use crate::data::kept_index::IndexBase;
use crate::data::text_list::TextList;
use crate::data::window::Span;
use crate::tensor_file::{TensorFileReader, TensorFileWriter};

/// Endings of pictures, in lower case.
pub(super) const PICTURES: [&str; 4] = ["jpg", "jpeg", "png", "webp"];
/// Bit of a kind that says that the caption is in the `.json` member; the lower ones number the ending
/// of the picture.
const IN_JSON: u8 = 0x80;

#[derive(Debug, Default)]
pub(super) struct Index {
    shards: Vec<u32>,
    pictures: Spans,
    captions: Spans,
    kinds: Vec<u8>,
    records: Vec<u32>,
    keys: TextList,
    /// Kept where reading one would be a request.
    captions_kept: Option<TextList>,
    pub(super) base: IndexBase,
}

#[derive(Debug, Default)]
struct Spans {
    at: Vec<u64>,
    bytes: Vec<u32>,
}

/// Where one pair lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Located {
    pub(super) shard: usize,
    pub(super) picture: Span,
    pub(super) caption: Span,
    pub(super) caption_in_json: bool,
    /// Ending of the picture.
    pub(super) extension: &'static str,
}

impl Spans {
    fn push(&mut self, span: Span) {
        self.at.push(span.at);
        // Members are bounded far below when they are looked at.
        self.bytes
            .push(u32::try_from(span.bytes).unwrap_or(u32::MAX));
    }

    fn get(&self, sample: usize) -> Option<Span> {
        Some(Span {
            at: *self.at.get(sample)?,
            bytes: u64::from(*self.bytes.get(sample)?),
        })
    }
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.shards.len()
    }

    pub(super) fn with(self, base: IndexBase) -> Self {
        Self { base, ..self }
    }

    /// Appends a usable pair; `extension` is its place in [`PICTURES`].
    pub(super) fn push(&mut self, located: &Located, extension: usize, key: &str, record: u32) {
        self.shards.push(located.shard as u32);
        self.pictures.push(located.picture);
        self.captions.push(located.caption);
        let flag = if located.caption_in_json { IN_JSON } else { 0 };
        self.kinds.push(extension as u8 | flag);
        self.records.push(record);
        self.keys.push(key);
    }

    /// Keeps the caption of the pair that was appended last; all pairs have theirs kept, or none.
    pub(super) fn keep_caption(&mut self, caption: &str) {
        self.captions_kept.get_or_insert_default().push(caption);
    }

    pub(super) fn kept_caption(&self, sample: SampleId) -> Option<&str> {
        let kept = self.captions_kept.as_ref()?;
        Some(kept.get(sample)).filter(|caption| !caption.is_empty())
    }

    pub(super) fn locate(&self, sample: SampleId) -> Option<Located> {
        let sample = sample as usize;
        let kind = *self.kinds.get(sample)?;
        Some(Located {
            shard: *self.shards.get(sample)? as usize,
            picture: self.pictures.get(sample)?,
            caption: self.captions.get(sample)?,
            caption_in_json: kind & IN_JSON != 0,
            extension: PICTURES.get(usize::from(kind & !IN_JSON)).copied()?,
        })
    }

    pub(super) fn key(&self, sample: SampleId) -> &str {
        self.keys.get(sample)
    }

    pub(super) fn record_number(&self, sample: SampleId) -> u64 {
        let record = self.records.get(sample as usize);
        record.map_or(u64::MAX, |&record| u64::from(record))
    }

    pub(super) fn write(&self, file: &mut TensorFileWriter) {
        file.u32("shard".into(), &self.shards);
        for (name, spans) in [("picture", &self.pictures), ("caption", &self.captions)] {
            file.u64(format!("{name}.at"), &spans.at);
            file.u32(format!("{name}.bytes"), &spans.bytes);
        }
        file.u8("kind".into(), &self.kinds);
        file.u32("record".into(), &self.records);
        self.keys.write(file, "keys");
        if let Some(captions) = &self.captions_kept {
            captions.write(file, "captions");
        }
    }

    /// # Errors
    /// When the arrays do not belong together.
    pub(super) fn read(file: &TensorFileReader<'_>) -> Result<Self, String> {
        let spans = |name: &str| -> Result<Spans, String> {
            Ok(Spans {
                at: file.u64(&format!("{name}.at"))?,
                bytes: file.u32(&format!("{name}.bytes"))?,
            })
        };
        let index = Self {
            shards: file.u32("shard")?,
            pictures: spans("picture")?,
            captions: spans("caption")?,
            kinds: file.u8("kind")?,
            records: file.u32("record")?,
            keys: TextList::read(file, "keys")?,
            captions_kept: match file.contains("captions") {
                true => Some(TextList::read(file, "captions")?),
                false => None,
            },
            base: IndexBase::default(),
        };
        let lengths = [
            index.pictures.at.len(),
            index.pictures.bytes.len(),
            index.captions.at.len(),
            index.captions.bytes.len(),
            index.kinds.len(),
            index.records.len(),
            index.keys.len(),
            index
                .captions_kept
                .as_ref()
                .map_or(index.len(), TextList::len),
        ];
        match lengths.iter().all(|&length| length == index.len()) {
            true => Ok(index),
            false => Err(format!("arrays of different lengths: {lengths:?}")),
        }
    }
}
