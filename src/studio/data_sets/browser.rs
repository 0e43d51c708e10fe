//! Looking through a data set: pages of pairs, words, repeated captions, classes.

use std::collections::HashMap;

use protoclip::data::{LabelColumn, PairSource};
use serde::Serialize;

use super::super::{Studio, StudioError};
use super::{DataSet, DataSetId};

/// Which pairs to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairQuery {
    /// Words that a caption must contain, in any case.
    pub q: String,
    /// Label column and class that a pair must have.
    pub class: Option<(String, String)>,
    /// Matching pairs to pass over.
    pub offset: usize,
    pub limit: usize,
}

/// A page of pairs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairPage {
    pub pairs: Vec<PairView>,
    /// Pairs that match; of those looked at.
    pub matching: usize,
    /// Pairs that were looked at: captions are searched up to [`SEARCHED`].
    pub searched: usize,
    pub total: usize,
}

/// One pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairView {
    pub sample: u32,
    pub caption: String,
    pub origin: String,
    /// Label column and class.
    pub labels: Vec<(String, String)>,
    pub image_url: String,
}

/// A class of a label column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassCount {
    pub class: String,
    pub pairs: u64,
}

/// What the captions are like.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaptionSummary {
    /// Captions looked at, evenly spread over the data set.
    pub captions: usize,
    /// Words, each with the number of captions that have it; most frequent first.
    pub words: Vec<(String, u32)>,
    /// Captions that occur more than once, with how often; most frequent first.
    pub repeated: Vec<(String, u32)>,
    /// Captions whose text another pair has too.
    pub in_repeats: usize,
    /// Mean number of words.
    pub mean_words: f64,
    /// Pictures, where several captions can share one.
    pub pictures: Option<usize>,
    /// Groups of near-copies, where the data set knows them.
    pub near_copies: Option<usize>,
}

/// Captions that a search reads, so that it ends within seconds on a data set of any size.
pub const SEARCHED: usize = 200_000;
/// Most pairs of one page.
pub const MOST_PAIRS: usize = 200;
const WORDS: usize = 60;
const REPEATED: usize = 20;

impl Studio {
    /// A page of the pairs of a data set. Without words or class it takes the same time at any size.
    ///
    /// # Errors
    /// When the data set is not known or cannot be opened.
    pub fn pairs(&self, id: &DataSetId, query: &PairQuery) -> Result<PairPage, StudioError> {
        let set = self.data_sets.get(id)?;
        let source = &*set.source;
        let limit = query.limit.min(MOST_PAIRS);
        let total = source.len();
        if query.q.trim().is_empty() && query.class.is_none() {
            let last = query.offset.saturating_add(limit).min(total);
            let pairs = (query.offset.min(total)..last).map(|sample| pair(&set, sample as u32));
            return Ok(PairPage {
                pairs: pairs.collect(),
                matching: total,
                searched: total,
                total,
            });
        }
        let searched = total.min(SEARCHED);
        let matching: Vec<u32> = (0..searched as u32)
            .filter(|&sample| has_class(source, sample, query.class.as_ref()))
            .filter(|&sample| has_words(source, sample, &query.q))
            .collect();
        let page = matching.iter().skip(query.offset).take(limit);
        Ok(PairPage {
            pairs: page.map(|&sample| pair(&set, sample)).collect(),
            matching: matching.len(),
            searched,
            total,
        })
    }

    /// What the captions of a data set are like.
    ///
    /// # Errors
    /// When the data set is not known or cannot be opened.
    pub fn caption_summary(&self, id: &DataSetId) -> Result<CaptionSummary, StudioError> {
        let set = self.data_sets.get(id)?;
        let summary = set
            .summary
            .get_or_init(|| CaptionSummary::read(&*set.source));
        Ok(summary.clone())
    }

    /// The classes of each label column with their numbers of pairs, the largest first.
    ///
    /// # Errors
    /// When the data set is not known or cannot be opened.
    pub fn classes(&self, id: &DataSetId) -> Result<Vec<(String, Vec<ClassCount>)>, StudioError> {
        let set = self.data_sets.get(id)?;
        let column = |column: &LabelColumn| {
            let mut counts = vec![0; column.classes.len()];
            for &class in column.of_sample.iter() {
                if let Some(count) = counts.get_mut(class as usize) {
                    *count += 1;
                }
            }
            let named = column.classes.iter().cloned().zip(counts);
            let mut classes: Vec<ClassCount> = named
                .map(|(class, pairs)| ClassCount { class, pairs })
                .collect();
            classes.sort_by(|a, b| b.pairs.cmp(&a.pairs).then_with(|| a.class.cmp(&b.class)));
            (column.name.clone(), classes)
        };
        Ok(set.source.labels().iter().map(column).collect())
    }
}

impl CaptionSummary {
    fn read(source: &dyn PairSource) -> Self {
        let stride = source.len().div_ceil(SEARCHED).max(1);
        let samples = (0..source.len()).step_by(stride);
        let captions = samples.filter_map(|sample| source.caption(sample as u32).ok());
        let mut summary = summarise(captions);
        let distinct = |groups: &[u32]| {
            let mut groups = groups.to_vec();
            groups.sort_unstable();
            groups.dedup();
            groups.len()
        };
        summary.pictures = source.picture_groups().map(distinct);
        summary.near_copies = source.balance_groups().map(distinct);
        summary
    }
}

pub(in crate::studio) fn pair(set: &DataSet, sample: u32) -> PairView {
    let source = &*set.source;
    let labels = source.labels().iter().filter_map(|column| {
        let class = column.of_sample.get(sample as usize)?;
        let class = column.classes.get(*class as usize)?;
        Some((column.name.clone(), class.clone()))
    });
    let fingerprint = source.fingerprint();
    let version = fingerprint.get(..16).unwrap_or(fingerprint);
    PairView {
        sample,
        caption: source.caption(sample).unwrap_or_else(|e| e.to_string()),
        origin: source.origin(sample),
        labels: labels.collect(),
        image_url: format!(
            "/api/datasets/{}/samples/{sample}/image?size=128&v={version}",
            set.id
        ),
    }
}

fn has_class(source: &dyn PairSource, sample: u32, wanted: Option<&(String, String)>) -> bool {
    let Some((column, class)) = wanted else {
        return true;
    };
    let column = source.labels().iter().find(|c| c.name == *column);
    column.is_some_and(|column| {
        let number = column.of_sample.get(sample as usize);
        let name = number.and_then(|&number| column.classes.get(number as usize));
        name == Some(class)
    })
}

fn has_words(source: &dyn PairSource, sample: u32, words: &str) -> bool {
    let Ok(caption) = source.caption(sample) else {
        return false;
    };
    let caption = caption.to_lowercase();
    let words = words.to_lowercase();
    words.split_whitespace().all(|word| caption.contains(word))
}

fn summarise(captions: impl Iterator<Item = String>) -> CaptionSummary {
    let (mut words, mut texts) = (HashMap::new(), HashMap::new());
    let (mut count, mut word_count) = (0, 0);
    for caption in captions {
        count += 1;
        let lower = caption.to_lowercase();
        let mut own: Vec<&str> = lower
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        word_count += own.len();
        own.sort_unstable();
        own.dedup();
        for word in own {
            *words.entry(word.to_owned()).or_insert(0) += 1;
        }
        *texts.entry(caption).or_insert(0) += 1;
    }
    texts.retain(|_, times| *times > 1);
    CaptionSummary {
        captions: count,
        in_repeats: texts.values().map(|&times| times as usize).sum(),
        words: most_frequent(words, WORDS),
        repeated: most_frequent(texts, REPEATED),
        mean_words: word_count as f64 / f64::from(u32::try_from(count.max(1)).unwrap_or(u32::MAX)),
        pictures: None,
        near_copies: None,
    }
}

fn most_frequent(counts: HashMap<String, u32>, most: usize) -> Vec<(String, u32)> {
    let mut all: Vec<(String, u32)> = counts.into_iter().collect();
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    all.truncate(most);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_count_once_per_caption_and_repeats_are_found() {
        let captions = ["a red fox", "red, red wine", "a red fox", "fin"];
        let summary = summarise(captions.iter().map(|&c| c.to_owned()));
        assert_eq!(summary.captions, 4);
        assert_eq!(summary.words[0], ("red".into(), 3));
        assert_eq!(summary.repeated, [("a red fox".into(), 2)]);
        assert_eq!(summary.in_repeats, 2);
        assert_eq!(summary.mean_words, 2.5);
    }
}
