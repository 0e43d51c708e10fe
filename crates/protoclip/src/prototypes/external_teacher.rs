//! Features of an external teacher, one row per pair, whose clusters supervise both towers.
//!
//! `lsa` needs no download: TF-IDF of caption words and character n-grams, reduced by PCA. `npy`
//! reads features that another model has computed. Both give L2-normalised rows, those of `lsa` when an
//! episode asks for them, so that a large data set costs what its episodes do.

mod lsa;
mod npy;
mod tfidf;

use rand::seq::index;

use self::lsa::Lsa;
use crate::config::{TeacherConfig, TeacherKind};
use crate::data::{DataError, PairSource, Purpose, SampleId, generator};

/// Captions that vocabulary and reduction of the `lsa` teacher are fitted on, at most.
const MOST_FITTED: usize = 20_000;
/// Captions turned into features together.
const CHUNK: usize = 1024;

/// Progress of getting ready, captions or rows done and in all; returns `false` to cancel.
type Progress<'a> = &'a dyn Fn(u64, u64) -> bool;

/// A teacher that is ready to give the features of the pairs of one data set.
#[derive(Debug)]
pub struct ExternalTeacher(Kind);

#[derive(Debug)]
enum Kind {
    /// Made when they are asked for.
    Lsa(Box<Lsa>),
    /// Read before.
    Npy(TeacherFeatures),
}

/// Features of every pair of a data set.
#[derive(Debug, Clone, PartialEq)]
struct TeacherFeatures {
    /// Dimensions of a row.
    dim: usize,
    /// `[pairs, dim]`, L2-normalised; a row without any information is all zero.
    rows: Vec<f32>,
}

impl TeacherFeatures {
    /// Appends a row at length 1.
    fn push_normalised(&mut self, values: impl Iterator<Item = f32>) -> Result<(), String> {
        let start = self.rows.len();
        self.rows.extend(values);
        let row = &mut self.rows[start..];
        if let Some(value) = row.iter().find(|v| !v.is_finite()) {
            return Err(format!("found {value}, wanted finite numbers"));
        }
        // Squares of large f32 values need the range of f64.
        let norm = row
            .iter()
            .map(|&v| f64::from(v).powi(2))
            .sum::<f64>()
            .sqrt();
        if norm > 0.0 {
            for value in row {
                *value = (f64::from(*value) / norm) as f32;
            }
        }
        Ok(())
    }
}

impl ExternalTeacher {
    /// The teacher that a configuration asks for; `None` without one. `seed` chooses the captions that
    /// `lsa` is fitted on where there are more than it looks at. `progress` may cancel.
    ///
    /// # Errors
    /// When captions or file cannot be read or do not fit the data set; says what was wanted.
    pub fn open(
        config: &TeacherConfig,
        source: &dyn PairSource,
        seed: u64,
        progress: Progress<'_>,
    ) -> Result<Option<Self>, DataError> {
        let kind = match config.kind {
            TeacherKind::None => return Ok(None),
            TeacherKind::Lsa => Kind::Lsa(Box::new(lsa(config.dim, source, seed, progress)?)),
            TeacherKind::Npy => {
                let path = config.path.clone().unwrap_or_default();
                Kind::Npy(npy::read(&path, source, progress)?)
            }
        };
        Ok(Some(Self(kind)))
    }

    /// Dimensions of a feature.
    pub fn dim(&self) -> usize {
        match &self.0 {
            Kind::Lsa(model) => model.dim(),
            Kind::Npy(features) => features.dim,
        }
    }

    /// Features `[samples, dim]` of pairs of the data set it was opened with, L2-normalised; a row
    /// without any information is all zero. `None` when `go_on` returns `false`.
    ///
    /// # Errors
    /// When a caption can no longer be read.
    ///
    /// # Panics
    /// When the data set has no such pair.
    pub fn features(
        &self,
        source: &dyn PairSource,
        samples: &[SampleId],
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<Vec<f32>>, DataError> {
        let mut rows = Vec::with_capacity(samples.len() * self.dim());
        for chunk in samples.chunks(CHUNK) {
            if !go_on() {
                return Ok(None);
            }
            match &self.0 {
                Kind::Lsa(model) => rows.extend(model.features(&captions(source, chunk)?)),
                Kind::Npy(TeacherFeatures { dim, rows: all }) => rows.extend(
                    chunk
                        .iter()
                        .flat_map(|&sample| &all[sample as usize * dim..][..*dim]),
                ),
            }
        }
        Ok(Some(rows))
    }
}

fn lsa(
    dim: usize,
    source: &dyn PairSource,
    seed: u64,
    progress: Progress<'_>,
) -> Result<Lsa, DataError> {
    let chosen = fitted_on(source.len(), seed);
    let total = chosen.len() as u64;
    let mut read = Vec::with_capacity(chosen.len());
    for chunk in chosen.chunks(CHUNK) {
        if !progress(read.len() as u64, total) {
            return Err(DataError::Cancelled);
        }
        read.extend(captions(source, chunk)?);
    }
    let model =
        Lsa::fit(&read, dim).map_err(|message| DataError::format(source.name(), message))?;
    match progress(total, total) {
        true => Ok(model),
        false => Err(DataError::Cancelled),
    }
}

/// All samples, or a random choice of [`MOST_FITTED`] in order.
fn fitted_on(pairs: usize, seed: u64) -> Vec<SampleId> {
    if pairs <= MOST_FITTED {
        return (0..pairs as SampleId).collect();
    }
    let mut random = generator(seed, Purpose::Teacher, 0, 0);
    let mut chosen: Vec<SampleId> = index::sample(&mut random, pairs, MOST_FITTED)
        .into_iter()
        .map(|sample| sample as SampleId)
        .collect();
    chosen.sort_unstable();
    chosen
}

fn captions(source: &dyn PairSource, samples: &[SampleId]) -> Result<Vec<String>, DataError> {
    samples.iter().map(|&s| source.caption(s)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::config::TargetKind;
    use crate::data::scripted::ScriptedSource;

    fn config(kind: TeacherKind) -> TeacherConfig {
        TeacherConfig {
            kind,
            path: None,
            dim: 4,
            target: TargetKind::Hard,
        }
    }

    fn source(captions: usize) -> ScriptedSource {
        let things = ["flag", "heart", "cat face", "red apple", "blue car"];
        let places = ["Chad", "Peru", "Chile", "Mali", "Togo", "Fiji", "Oman"];
        ScriptedSource::with_captions(
            (0..captions)
                .map(|i| format!("{} of {}", things[i % 5], places[i % 7]))
                .collect(),
        )
    }

    fn opened(config: &TeacherConfig, source: &ScriptedSource) -> ExternalTeacher {
        let teacher = ExternalTeacher::open(config, source, 1, &|_, _| true);
        teacher.expect("fits").expect("a teacher")
    }

    #[test]
    fn no_teacher_gives_no_features() {
        let none = ExternalTeacher::open(&config(TeacherKind::None), &source(9), 1, &|_, _| true);
        assert!(none.expect("no error").is_none());
    }

    #[test]
    fn lsa_gives_the_same_row_in_whatever_company() {
        let source = source(2500);
        let teacher = opened(&config(TeacherKind::Lsa), &source);
        let every: Vec<SampleId> = (0..2500).collect();
        let features = |samples: &[SampleId]| {
            let rows = teacher.features(&source, samples, &|| true);
            rows.expect("reads").expect("goes on")
        };
        let all = features(&every);
        assert_eq!((teacher.dim(), all.len()), (4, 2500 * 4));
        // Captions repeat every 35 pairs, across chunk borders.
        let row = |sample: usize| &all[sample * 4..][..4];
        assert_eq!(row(10), row(10 + 35 * 60));
        assert_ne!(row(10), row(11));
        assert_eq!(
            features(&[2300, 11, 2300]),
            [row(2300), row(11), row(2300)].concat()
        );
    }

    #[test]
    fn only_the_captions_of_fit_and_episode_are_read() {
        let source = source(MOST_FITTED + 5000);
        let fitted = fitted_on(source.len(), 1);
        let reached = AtomicU64::new(0);
        let report = |done, total| {
            assert_eq!(total, fitted.len() as u64);
            reached.store(done, Ordering::Relaxed);
            true
        };
        let teacher = ExternalTeacher::open(&config(TeacherKind::Lsa), &source, 1, &report);
        assert_eq!(reached.into_inner(), MOST_FITTED as u64);
        let teacher = teacher.expect("fits").expect("a teacher");
        let chunks = AtomicU64::new(0);
        let samples: Vec<SampleId> = (0..3000).collect();
        let twice = || chunks.fetch_add(1, Ordering::Relaxed) < 2;
        let stopped = teacher.features(&source, &samples, &twice);
        assert_eq!(stopped.expect("reads"), None);
        assert_eq!(chunks.into_inner(), 3);
    }

    #[test]
    fn opening_can_be_cancelled() {
        let (config, source) = (config(TeacherKind::Lsa), source(2500));
        let cancelled = ExternalTeacher::open(&config, &source, 1, &|done, _| done < 1024);
        assert!(matches!(cancelled, Err(DataError::Cancelled)));
    }

    #[test]
    fn large_data_sets_are_fitted_on_a_seeded_choice() {
        let chosen = fitted_on(100_000, 3);
        assert_eq!(chosen.len(), MOST_FITTED);
        assert!(chosen.is_sorted() && chosen.windows(2).all(|w| w[0] != w[1]));
        assert_eq!(chosen, fitted_on(100_000, 3));
        assert_ne!(chosen, fitted_on(100_000, 4));
    }

    #[test]
    fn a_missing_npy_file_is_named() {
        let mut config = config(TeacherKind::Npy);
        config.path = Some("/nowhere/features.npy".into());
        let error =
            ExternalTeacher::open(&config, &source(9), 1, &|_, _| true).expect_err("absent");
        assert!(error.to_string().contains("/nowhere/features.npy"));
    }
}
