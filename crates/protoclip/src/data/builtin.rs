//! The built-in data set: emoji pictures with captions made from their names.
//!
//! Pictures come from the crate `twemoji-assets` (72 × 72 PNG, decoded on demand), names, groups
//! and skin tones from the crate `emojis`. Nothing is read from disk. Skin tones of one emoji form
//! a balance group, so that an episode draws one of them.

mod caption;
mod subgroup;

use std::sync::Arc;

use emojis::{Emoji, Group};
use twemoji_assets::png::PngTwemojiAsset;

use self::subgroup::SubgroupCursor;
use super::decode::decode_bytes;
use super::{DataError, LabelColumn, PairSource, SampleId, SkipReport};
use crate::config::DataFacts;

/// All emoji that have a picture.
#[derive(Debug)]
pub struct BuiltinSource {
    pairs: Vec<Pair>,
    labels: Vec<LabelColumn>,
    balance_groups: Vec<u32>,
    fingerprint: String,
    facts: DataFacts,
}

struct Pair {
    emoji: &'static str,
    caption: String,
    png: &'static [u8],
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.emoji, self.caption)
    }
}

#[derive(Default)]
struct Columns {
    group: Vec<u32>,
    subgroup: Vec<u32>,
    balance: Vec<u32>,
}

impl BuiltinSource {
    /// Lists every emoji and its skin tones; takes some milliseconds, decodes nothing.
    pub fn new() -> Self {
        let mut pairs = Vec::new();
        let mut columns = Columns::default();
        let mut cursor = SubgroupCursor::default();
        let mut bases = 0;
        for base in emojis::iter() {
            let subgroup = cursor.of(base);
            let before = pairs.len();
            for emoji in tones(base) {
                let Some(png) = picture(emoji.as_str()) else {
                    continue;
                };
                pairs.push(Pair {
                    emoji: emoji.as_str(),
                    caption: caption::caption(emoji, base),
                    png,
                });
                columns.group.push(group_index(base.group()));
                columns.subgroup.push(subgroup);
                columns.balance.push(bases);
            }
            bases += u32::from(pairs.len() > before);
        }
        Self {
            fingerprint: fingerprint(&pairs),
            facts: DataFacts {
                pairs: pairs.len(),
                balanced_pairs: bases as usize,
            },
            labels: labels(columns.group, columns.subgroup),
            balance_groups: columns.balance,
            pairs,
        }
    }

    fn pair(&self, sample: SampleId) -> Result<&Pair, DataError> {
        self.pairs
            .get(sample as usize)
            .ok_or_else(|| DataError::no_such_sample(self.name(), sample, self.len()))
    }
}

impl Default for BuiltinSource {
    fn default() -> Self {
        Self::new()
    }
}

fn tones(base: &'static Emoji) -> impl Iterator<Item = &'static Emoji> {
    let single = base.skin_tones().is_none().then_some(base);
    single
        .into_iter()
        .chain(base.skin_tones().into_iter().flatten())
}

/// The picture of an emoji, found by its fully qualified form only (which gives the documented
/// 3,724 of them; some 220 more are filed without the variation selector).
fn picture(emoji: &str) -> Option<&'static [u8]> {
    PngTwemojiAsset::from_emoji(emoji).map(|asset| asset.data.0)
}

fn group_index(group: Group) -> u32 {
    Group::iter().take_while(|g| *g != group).count() as u32
}

fn labels(group: Vec<u32>, subgroup: Vec<u32>) -> Vec<LabelColumn> {
    let column = |name: &str, classes: Vec<&str>, of_sample: Vec<u32>| LabelColumn {
        name: name.into(),
        classes: classes.into_iter().map(str::to_owned).collect(),
        of_sample: Arc::from(of_sample),
    };
    vec![
        column(
            "group",
            Group::iter().map(subgroup::group_name).collect(),
            group,
        ),
        column("subgroup", subgroup::names().collect(), subgroup),
    ]
}

fn fingerprint(pairs: &[Pair]) -> String {
    let mut hash = blake3::Hasher::new();
    for pair in pairs {
        hash.update(&(pair.caption.len() as u64).to_le_bytes());
        hash.update(pair.caption.as_bytes());
        hash.update(&(pair.png.len() as u64).to_le_bytes());
        hash.update(pair.png);
    }
    hash.finalize().to_hex().to_string()
}

impl PairSource for BuiltinSource {
    fn name(&self) -> &str {
        "built-in emoji"
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn caption(&self, sample: SampleId) -> Result<String, DataError> {
        Ok(self.pair(sample)?.caption.clone())
    }

    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError> {
        let pair = self.pair(sample)?;
        decode_bytes(pair.png).map_err(|message| DataError::Image {
            origin: pair.emoji.into(),
            message,
        })
    }

    fn origin(&self, sample: SampleId) -> String {
        self.pair(sample)
            .map_or_else(|_| String::new(), |pair| pair.emoji.to_owned())
    }

    fn labels(&self) -> &[LabelColumn] {
        &self.labels
    }

    fn balance_groups(&self) -> Option<&[u32]> {
        Some(&self.balance_groups)
    }

    /// The same for all skin tones of an emoji, so that no near-copy of a training picture is held
    /// out.
    fn key(&self, sample: SampleId) -> Result<String, DataError> {
        self.pair(sample)?;
        Ok(self.balance_groups[sample as usize].to_string())
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn skipped(&self) -> SkipReport {
        SkipReport {
            rows: self.pairs.len() as u64,
            ..SkipReport::default()
        }
    }

    fn facts(&self) -> DataFacts {
        self.facts
    }
}

/// Whether an emoji is one of several skin tones, the default one included.
#[cfg(test)]
fn is_toned(emoji: &str) -> bool {
    emojis::get(emoji)
        .and_then(Emoji::skin_tone)
        .is_some_and(|tone| tone != emojis::SkinTone::Default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_3724_pictures_have_a_caption_labels_and_a_balance_group() {
        let source = BuiltinSource::new();
        assert_eq!(source.len(), 3724);
        assert!(source.pairs.iter().all(|p| !p.caption.is_empty()));
        for column in source.labels() {
            assert_eq!(column.of_sample.len(), source.len());
            let classes = column.classes.len() as u32;
            assert!(column.of_sample.iter().all(|&c| c < classes));
        }
        let groups = source.balance_groups().expect("balanced");
        let highest = *groups.iter().max().expect("not empty") as usize;
        assert_eq!(highest + 1, source.facts().balanced_pairs);
        assert_eq!(source.facts().pairs, source.len());
    }

    #[test]
    fn a_balance_group_holds_at_most_one_untoned_emoji() {
        let source = BuiltinSource::new();
        let mut untoned = vec![0; source.facts().balanced_pairs];
        for (pair, &group) in source.pairs.iter().zip(&source.balance_groups) {
            untoned[group as usize] += u32::from(!is_toned(pair.emoji));
        }
        assert!(untoned.iter().all(|&count| count <= 1));
    }

    #[test]
    fn pictures_decode_on_white() {
        let source = BuiltinSource::new();
        let last = source.len() as SampleId - 1;
        for sample in [0, 500, last] {
            let picture = source.image(sample).expect("decodes");
            assert_eq!(picture.dimensions(), (72, 72));
        }
        let smiley = source.image(0).expect("decodes");
        assert_eq!(smiley.get_pixel(0, 0).0, [255, 255, 255], "corner");
        assert_ne!(smiley.get_pixel(36, 36).0, [255, 255, 255], "centre");
        assert!(source.image(last + 1).is_err());
    }

    #[test]
    fn the_fingerprint_is_stable() {
        assert_eq!(
            BuiltinSource::new().fingerprint(),
            BuiltinSource::new().fingerprint()
        );
    }
}
