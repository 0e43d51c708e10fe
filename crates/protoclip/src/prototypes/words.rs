//! The words that describe a prototype: those its captions use far more than all captions do.

use rustc_hash::FxHashMap;

/// How many of a data set's captions use each word.
#[derive(Debug, Clone, Default)]
pub struct CaptionStatistics {
    captions: u32,
    using: FxHashMap<String, u32>,
}

/// Words too common in any caption to describe one.
const STOP_WORDS: [&str; 24] = [
    "a", "an", "and", "are", "as", "at", "by", "for", "from", "in", "is", "it", "its", "of", "on",
    "or", "the", "this", "that", "to", "was", "with", "without", "s",
];

impl CaptionStatistics {
    /// Counts the words of all captions.
    pub fn of<'a>(captions: impl IntoIterator<Item = &'a str>) -> Self {
        let mut statistics = Self::default();
        for caption in captions {
            statistics.captions += 1;
            for word in distinct_words(caption) {
                *statistics.using.entry(word).or_default() += 1;
            }
        }
        statistics
    }

    /// ln((1 + N) / (1 + df)) + 1, the smoothed inverse document frequency.
    fn rarity(&self, word: &str) -> f64 {
        let using = self.using.get(word).copied().unwrap_or(0);
        ((1.0 + f64::from(self.captions)) / (1.0 + f64::from(using))).ln() + 1.0
    }
}

/// The `most` best describing words of a group of captions, best first: the share of its captions
/// that use a word times the word's rarity, ties in alphabetical order.
pub fn prototype_words<'a>(
    captions: impl IntoIterator<Item = &'a str>,
    statistics: &CaptionStatistics,
    most: usize,
) -> Vec<String> {
    let mut using: FxHashMap<String, u32> = FxHashMap::default();
    for caption in captions {
        for word in distinct_words(caption) {
            *using.entry(word).or_default() += 1;
        }
    }
    let mut scored: Vec<(f64, String)> = using
        .into_iter()
        .map(|(word, count)| (f64::from(count) * statistics.rarity(&word), word))
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    scored
        .into_iter()
        .take(most)
        .map(|(_, word)| word)
        .collect()
}

fn distinct_words(caption: &str) -> Vec<String> {
    let mut words: Vec<String> = caption
        .split(|c: char| !c.is_alphanumeric())
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .filter(|w| !STOP_WORDS.contains(&w.as_str()))
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_and_rare_words_come_first() {
        let all = [
            "flag of Chad",
            "flag of Peru",
            "red heart",
            "red apple",
            "flag in hole",
        ];
        let statistics = CaptionStatistics::of(all);
        let words = prototype_words(["flag of Chad", "flag of Peru"], &statistics, 2);
        assert_eq!(words, ["flag", "chad"]);
    }

    #[test]
    fn a_word_counts_once_per_caption() {
        let statistics = CaptionStatistics::of(["ha ha ha", "ho"]);
        assert_eq!(
            prototype_words(["ha ha ha", "ho", "ho"], &statistics, 1),
            ["ho"]
        );
    }
}
