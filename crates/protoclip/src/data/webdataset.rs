//! Pairs from WebDataset shards: tar files with `KEY.jpg`, `.png` or `.webp`, `KEY.txt` and `KEY.json`.
//!
//! [`WebDatasetSource::open`] reads the headers of the shards' members once, in parallel, and keeps per
//! usable pair where its picture and caption lie; both are read by position afterwards. Members of
//! one key may lie anywhere in their shard. Gzipped shards are unpacked first ([`archives`]). The index
//! is kept on disk ([`kept_index`](super::kept_index)), and holds the captions of shards on S3.

mod archives;
mod group;
mod index;
mod json_fields;
mod scan;
#[cfg(test)]
pub(crate) mod tar_fixture;
#[cfg(test)]
mod tests;

use std::path::Path;

use self::archives::Archives;
use self::index::Index;
use self::json_fields::JsonFields;
use super::cache_folder::{CacheFolder, cache_folder};
use super::decode::decode_bytes;
use super::failures::Failures;
use super::kept_index::{self, IndexKey};
use super::object_reader::Patience;
use super::shard_files;
use super::{DataError, LabelColumn, OpenProgress, PairSource, SampleId, SkipReason, SkipReport};
use crate::config::{DataConfig, DataFacts};

/// Endings of shards in a folder.
pub(super) const ENDINGS: [&str; 3] = [".tar", ".tar.gz", ".tgz"];

/// Shards on S3 that are looked through at a time; each may hold a block of 8 MiB.
const REMOTE_SHARDS: usize = 8;

/// Opened and indexed shards.
#[derive(Debug)]
pub struct WebDatasetSource {
    name: String,
    archives: Archives,
    fields: JsonFields,
    index: Index,
    failures: Failures,
}

impl WebDatasetSource {
    /// Indexes the shards that `config` names. `progress` is told bytes done and in all, and may
    /// cancel.
    ///
    /// # Errors
    /// When a shard or label field is absent, no pair is usable, or more than `max_broken_share` of
    /// the pairs or of the shards are broken; each says what was found and what to change.
    pub fn open(config: &DataConfig, progress: OpenProgress<'_>) -> Result<Self, DataError> {
        Self::open_with(config, cache_folder(), progress)
    }

    pub(super) fn open_with(
        config: &DataConfig,
        cache: Option<&CacheFolder>,
        progress: OpenProgress<'_>,
    ) -> Result<Self, DataError> {
        let path = config.path.clone().unwrap_or_default();
        let files = shard_files::find(&path, &ENDINGS, Patience::Long)?;
        let fields = JsonFields::of(config);
        let key = IndexKey::new("webdataset", &fields.settings(), &files);
        let archives = Archives::open(files, &key, cache, progress)?;
        let index = match kept_index::load(cache, &key, Index::read) {
            Some((index, base)) => index.with(base),
            None => {
                let scan = || scan::scan(&archives, &fields, progress);
                let index = match archives.is_remote() {
                    true => remote_threads()?.install(scan)?,
                    false => scan()?,
                };
                kept_index::store(cache, &key, &index.base, |file| index.write(file));
                index
            }
        };
        let refusal = match index.base.report.rows {
            0 => Some(format!(
                "no member KEY.jpg, .png or .webp with KEY.txt or KEY.json is in the {} shards",
                archives.len()
            )),
            _ => index.base.report.refusal(config, "pairs", index.len()),
        };
        let refusal = refusal
            .or_else(|| broken_shards(config, &index.base.report, archives.len()))
            .or_else(|| fields.absent_from(&index.base.labels));
        if let Some(message) = refusal {
            return Err(DataError::format(path.display(), message));
        }
        Ok(Self {
            name: name_of(&path),
            failures: Failures::new(index.base.report.clone()),
            archives,
            fields,
            index,
        })
    }

    fn located(&self, sample: SampleId) -> Result<index::Located, DataError> {
        let found = self.index.locate(sample);
        found.ok_or_else(|| DataError::no_such_sample(&self.name, sample, self.len()))
    }

    /// `shard.tar!KEY.png`.
    fn place(&self, sample: SampleId, located: &index::Located) -> String {
        let (shard, key) = (self.archives.name(located.shard), self.index.key(sample));
        format!("{shard}!{key}.{}", located.extension)
    }
}

/// Why too many shards are broken, if they are.
fn broken_shards(config: &DataConfig, report: &SkipReport, shards: usize) -> Option<String> {
    let counted = report.by_reason.iter();
    let broken = counted
        .filter(|(reason, _)| *reason == SkipReason::BrokenShard)
        .map(|(_, count)| *count)
        .sum::<u64>();
    (broken as f64 > config.max_broken_share * shards as f64).then(|| {
        format!(
            "{broken} of {shards} shards cannot be read to their end, more than data.max_broken_share = {} allows; fetch them again or raise it",
            config.max_broken_share
        )
    })
}

/// Threads that wait for storage rather than for the processor.
fn remote_threads() -> Result<rayon::ThreadPool, DataError> {
    let threads = rayon::current_num_threads().max(REMOTE_SHARDS);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    let pool = pool
        .thread_name(|number| format!("shards-{number}"))
        .build();
    pool.map_err(|e| DataError::threads(std::io::Error::other(e)))
}

fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The last part of a key, which may have folders.
fn stem(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}

impl PairSource for WebDatasetSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.index.len()
    }

    fn caption(&self, sample: SampleId) -> Result<String, DataError> {
        let located = self.located(sample)?;
        if let Some(caption) = self.index.kept_caption(sample) {
            return Ok(caption.to_owned());
        }
        let bytes = self.archives.read(located.shard, located.caption)?;
        let caption = match located.caption_in_json {
            true => self.fields.caption_in(&bytes).ok(),
            false => String::from_utf8(bytes).ok(),
        };
        let caption = caption.as_deref().map(str::trim).filter(|c| !c.is_empty());
        caption.map(str::to_owned).ok_or_else(|| {
            DataError::format(
                self.place(sample, &located),
                "the caption is no longer what it was; leave the shards unchanged while they are in use, or open them again",
            )
        })
    }

    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError> {
        let located = self.located(sample)?;
        let bytes = self.archives.read(located.shard, located.picture)?;
        decode_bytes(&bytes).map_err(|message| {
            let origin = self.place(sample, &located);
            let row = self.record_number(sample) + 1;
            let reason = SkipReason::BrokenImage;
            self.failures
                .note(sample, row, origin.clone(), reason, message.clone());
            DataError::Image { origin, message }
        })
    }

    fn is_remote(&self) -> bool {
        self.archives.is_remote()
    }

    fn fetch(&self, samples: &[SampleId]) -> Result<(), DataError> {
        let located = samples.iter().filter_map(|&s| self.index.locate(s));
        let members: Vec<_> = located.map(|l| (l.shard, l.picture)).collect();
        self.archives.fetch(&members)
    }

    fn origin(&self, sample: SampleId) -> String {
        self.located(sample)
            .map_or_else(|e| e.to_string(), |located| self.place(sample, &located))
    }

    fn labels(&self) -> &[LabelColumn] {
        &self.index.base.labels
    }

    fn balance_groups(&self) -> Option<&[u32]> {
        None
    }

    fn fingerprint(&self) -> &str {
        &self.index.base.fingerprint
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
        self.index.record_number(sample)
    }

    fn key(&self, sample: SampleId) -> Result<String, DataError> {
        self.located(sample)?;
        Ok(stem(self.index.key(sample)).to_owned())
    }
}
