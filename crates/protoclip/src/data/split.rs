//! Training pairs and held-out pairs of one source.
//!
//! Both parts are sources of their own, views of the whole: they renumber its pairs and share its
//! file. The rule is [`Holdout`]; it depends on each pair alone, so that adding rows to a file never
//! moves a pair from one side to the other.

use std::fmt;
use std::sync::Arc;

use super::{DataError, LabelColumn, PairSource, SampleId, SkipReport};
use crate::config::{DataFacts, Holdout};

/// For every pair of `source`, whether `holdout` holds it out.
///
/// # Errors
/// When a key cannot be read, or the named column or value does not exist; lists those that do.
pub fn held_out(source: &dyn PairSource, holdout: &Holdout) -> Result<Vec<bool>, DataError> {
    match holdout {
        Holdout::Sha1 { one_in } => (0..source.len() as SampleId)
            .map(|sample| Ok(sha1_modulo(&source.key(sample)?, *one_in) == 0))
            .collect(),
        Holdout::Column { name, value } => {
            let column = source.labels().iter().find(|column| column.name == *name);
            let column = column.ok_or_else(|| {
                let names = source.labels().iter().map(|c| c.name.as_str());
                refused(source, format!(
                    "holding out {holdout}: there is no label column {name:?}, only {}; add it to data.label_columns",
                    listed(names)
                ))
            })?;
            let class = column.classes.iter().position(|class| class == value);
            let class = class.ok_or_else(|| {
                let classes = column.classes.iter().map(String::as_str);
                refused(
                    source,
                    format!(
                        "holding out {holdout}: no pair has {value:?}; the column holds {}",
                        listed(classes)
                    ),
                )
            })?;
            Ok(column
                .of_sample
                .iter()
                .map(|&c| c as usize == class)
                .collect())
        }
    }
}

/// The pairs to train on; [`PairSource::held_out`] of the result gives the others.
///
/// # Errors
/// As [`held_out`], and when either side would be empty.
pub fn training_part(
    source: Arc<dyn PairSource>,
    holdout: &Holdout,
) -> Result<Arc<dyn PairSource>, DataError> {
    let held_out = held_out(&*source, holdout)?;
    let (test, train): (Vec<SampleId>, Vec<SampleId>) =
        (0..source.len() as SampleId).partition(|&sample| held_out[sample as usize]);
    if train.is_empty() || test.is_empty() {
        let (train, test) = (train.len(), test.len());
        let message = format!(
            "holding out {holdout} leaves {train} pairs to train on and {test} to evaluate; choose another data.holdout"
        );
        return Err(refused(&*source, message));
    }
    let test = Part::new(Arc::clone(&source), test, holdout, None);
    let test: Arc<dyn PairSource> = Arc::new(test);
    Ok(Arc::new(Part::new(source, train, holdout, Some(test))))
}

/// The SHA-1 of `key`, read as one big-endian number, modulo `modulus`.
fn sha1_modulo(key: &str, modulus: u64) -> u64 {
    let digest = sha1_smol::Sha1::from(key).digest().bytes();
    let digits = digest.iter().map(|&byte| u128::from(byte));
    let modulus = u128::from(modulus.max(1));
    digits.fold(0, |rest, digit| (rest * 256 + digit) % modulus) as u64
}

fn refused(source: &dyn PairSource, message: String) -> DataError {
    DataError::format(source.name(), message)
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 12;
    let mut shown: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    if shown.len() > MOST {
        let more = shown.len() - MOST;
        shown.truncate(MOST);
        shown.push(format!("and {more} more"));
    }
    match shown.is_empty() {
        true => "none".to_owned(),
        false => shown.join(", "),
    }
}

/// Some pairs of a source.
struct Part {
    whole: Arc<dyn PairSource>,
    /// Sample of the whole, for every sample of the part.
    samples: Vec<SampleId>,
    labels: Vec<LabelColumn>,
    balance_groups: Option<Vec<u32>>,
    picture_groups: Option<Vec<u32>>,
    fingerprint: String,
    held_out: Option<Arc<dyn PairSource>>,
}

impl Part {
    fn new(
        whole: Arc<dyn PairSource>,
        samples: Vec<SampleId>,
        holdout: &Holdout,
        held_out: Option<Arc<dyn PairSource>>,
    ) -> Self {
        let pick = |all: &[u32]| -> Vec<u32> { samples.iter().map(|&s| all[s as usize]).collect() };
        let splits = |column: &LabelColumn| match holdout {
            Holdout::Sha1 { .. } => false,
            Holdout::Column { name, .. } => column.name == *name,
        };
        let labels = whole.labels().iter().filter(|column| !splits(column));
        let side = if held_out.is_some() {
            "train"
        } else {
            "held out"
        };
        let fingerprint = format!("{} {side} {holdout}", whole.fingerprint());
        Self {
            labels: labels
                .map(|column| LabelColumn {
                    of_sample: Arc::from(pick(&column.of_sample)),
                    ..column.clone()
                })
                .collect(),
            balance_groups: whole.balance_groups().map(pick),
            picture_groups: whole.picture_groups().map(pick),
            fingerprint: blake3::hash(fingerprint.as_bytes()).to_hex().to_string(),
            samples,
            whole,
            held_out,
        }
    }

    fn of_whole(&self, sample: SampleId) -> Result<SampleId, DataError> {
        let found = self.samples.get(sample as usize).copied();
        found.ok_or_else(|| DataError::no_such_sample(self.name(), sample, self.len()))
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.samples.len(), self.whole)
    }
}

impl PairSource for Part {
    fn name(&self) -> &str {
        self.whole.name()
    }

    fn len(&self) -> usize {
        self.samples.len()
    }

    fn caption(&self, sample: SampleId) -> Result<String, DataError> {
        self.whole.caption(self.of_whole(sample)?)
    }

    fn image(&self, sample: SampleId) -> Result<image::RgbImage, DataError> {
        self.whole.image(self.of_whole(sample)?)
    }

    fn is_remote(&self) -> bool {
        self.whole.is_remote()
    }

    fn fetch(&self, samples: &[SampleId]) -> Result<(), DataError> {
        let samples = samples.iter().map(|&sample| self.of_whole(sample));
        self.whole.fetch(&samples.collect::<Result<Vec<_>, _>>()?)
    }

    fn origin(&self, sample: SampleId) -> String {
        self.of_whole(sample)
            .map_or_else(|e| e.to_string(), |sample| self.whole.origin(sample))
    }

    fn labels(&self) -> &[LabelColumn] {
        &self.labels
    }

    fn balance_groups(&self) -> Option<&[u32]> {
        self.balance_groups.as_deref()
    }

    fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn skipped(&self) -> SkipReport {
        self.whole.skipped()
    }

    fn facts(&self) -> DataFacts {
        let balanced_pairs = self.balance_groups.as_ref().map_or(self.len(), |groups| {
            let mut groups = groups.clone();
            groups.sort_unstable();
            groups.dedup();
            groups.len()
        });
        DataFacts {
            pairs: self.len(),
            balanced_pairs,
        }
    }

    fn record_number(&self, sample: SampleId) -> u64 {
        self.of_whole(sample)
            .map_or(u64::MAX, |sample| self.whole.record_number(sample))
    }

    fn key(&self, sample: SampleId) -> Result<String, DataError> {
        self.whole.key(self.of_whole(sample)?)
    }

    fn picture_groups(&self) -> Option<&[u32]> {
        self.picture_groups.as_deref()
    }

    fn in_whole(&self) -> Option<(&[SampleId], usize)> {
        Some((&self.samples, self.whole.len()))
    }

    fn held_out(&self) -> Option<Arc<dyn PairSource>> {
        self.held_out.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::BuiltinSource;

    fn rule(text: &str) -> Holdout {
        text.parse().expect(text)
    }

    /// Computed with Python: `int(hashlib.sha1(key).hexdigest(), 16) % 10`, and `% 97`.
    #[test]
    fn hashes_are_those_of_other_programs() {
        for (key, ten, ninety_seven) in EXPECTED {
            assert_eq!(
                (sha1_modulo(key, 10), sha1_modulo(key, 97)),
                (ten, ninety_seven),
                "{key}"
            );
        }
    }

    const EXPECTED: [(&str, u64, u64); 4] = [
        ("00000000", 5, 63),
        ("00011942", 1, 10),
        ("red fox", 3, 22),
        ("é", 5, 86),
    ];

    #[test]
    fn both_parts_together_are_the_whole() {
        let whole: Arc<dyn PairSource> = Arc::new(BuiltinSource::new());
        let train = training_part(Arc::clone(&whole), &rule("sha1:5")).expect("splits");
        let test = train.held_out().expect("has the other side");
        assert_eq!(train.len() + test.len(), whole.len());
        assert!((600..900).contains(&test.len()), "{}", test.len());
        assert_ne!(train.fingerprint(), test.fingerprint());
        assert!(test.held_out().is_none());
        let mut records = Vec::new();
        for part in [&train, &test] {
            for sample in [0, part.len() as u32 - 1] {
                let record = part.record_number(sample);
                records.push(record);
                let same = whole.caption(record as u32).expect("caption");
                assert_eq!(part.caption(sample).expect("caption"), same);
                let (part, of_whole) = (&part.labels()[1], &whole.labels()[1]);
                let class = part.of_sample[sample as usize];
                assert_eq!(class, of_whole.of_sample[record as usize]);
            }
            assert!(part.facts().balanced_pairs < part.len());
            assert!(part.caption(part.len() as u32).is_err());
        }
        records.sort_unstable();
        records.dedup();
        assert_eq!(records.len(), 4, "no pair is on both sides");
    }

    #[test]
    fn a_column_splits_and_is_no_label_any_more() {
        let whole: Arc<dyn PairSource> = Arc::new(BuiltinSource::new());
        let train = training_part(Arc::clone(&whole), &rule("column:group=flags")).expect("splits");
        let names: Vec<&str> = train.labels().iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["subgroup"]);
        let test = train.held_out().expect("has the other side");
        assert_eq!(test.len(), 269);
        let error = |text| {
            held_out(&*whole, &rule(text))
                .expect_err("refused")
                .to_string()
        };
        assert!(error("column:split=test").contains("\"subgroup\""));
        assert!(error("column:group=flag").contains("\"flags\""));
    }
}
