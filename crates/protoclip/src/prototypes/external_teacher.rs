//! Features of an external teacher, one row per pair, whose clusters supervise both towers.
//!
//! `lsa` needs no download: TF-IDF of caption words and character n-grams, reduced by PCA. `npy`
//! reads features that another model has computed. Both give L2-normalised rows.

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

/// Progress of getting features, rows done and in all; returns `false` to cancel.
type Progress<'a> = &'a dyn Fn(u64, u64) -> bool;

/// Features of every pair of a data set.
#[derive(Debug, Clone, PartialEq)]
pub struct TeacherFeatures {
    /// Dimensions of a row.
    pub dim: usize,
    /// `[pairs, dim]`, L2-normalised; a row without any information is all zero.
    pub rows: Vec<f32>,
}

impl TeacherFeatures {
    /// The features of a pair, `[dim]`.
    ///
    /// # Panics
    /// When the data set has no such pair.
    pub fn row(&self, sample: SampleId) -> &[f32] {
        &self.rows[sample as usize * self.dim..][..self.dim]
    }

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

/// The features that a configuration asks for; `None` without a teacher. `seed` chooses the captions
/// that `lsa` is fitted on where there are more than it looks at. `progress` may cancel.
///
/// # Errors
/// When captions or file cannot be read or do not fit the data set; says what was wanted.
pub fn teacher_features(
    config: &TeacherConfig,
    source: &dyn PairSource,
    seed: u64,
    progress: Progress<'_>,
) -> Result<Option<TeacherFeatures>, DataError> {
    match config.kind {
        TeacherKind::None => Ok(None),
        TeacherKind::Lsa => lsa(config.dim, source, seed, progress).map(Some),
        TeacherKind::Npy => {
            let path = config.path.clone().unwrap_or_default();
            npy::read(&path, source, progress).map(Some)
        }
    }
}

fn lsa(
    dim: usize,
    source: &dyn PairSource,
    seed: u64,
    progress: Progress<'_>,
) -> Result<TeacherFeatures, DataError> {
    let pairs = source.len();
    let report = |done: usize| {
        if progress(done as u64, pairs as u64) {
            Ok(())
        } else {
            Err(DataError::Cancelled)
        }
    };
    report(0)?;
    let model = Lsa::fit(&captions(source, &fitted_on(pairs, seed))?, dim)
        .map_err(|message| DataError::format(source.name(), message))?;
    let mut rows = Vec::with_capacity(pairs * dim);
    for start in (0..pairs).step_by(CHUNK) {
        report(start)?;
        let chunk: Vec<SampleId> = (start..(start + CHUNK).min(pairs))
            .map(|sample| sample as SampleId)
            .collect();
        rows.extend(model.features(&captions(source, &chunk)?));
    }
    report(pairs)?;
    Ok(TeacherFeatures { dim, rows })
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

    #[test]
    fn no_teacher_gives_no_features() {
        let none = teacher_features(&config(TeacherKind::None), &source(9), 1, &|_, _| true);
        assert_eq!(none.expect("no error"), None);
    }

    #[test]
    fn lsa_gives_a_row_per_pair_whatever_the_chunking() {
        let (config, source) = (config(TeacherKind::Lsa), source(2500));
        let all = teacher_features(&config, &source, 1, &|_, _| true)
            .expect("fits")
            .expect("a teacher");
        assert_eq!((all.dim, all.rows.len()), (4, 2500 * 4));
        // Captions repeat every 35 pairs, across chunk borders.
        assert_eq!(all.row(10), all.row(10 + 35 * 60));
        assert_ne!(all.row(10), all.row(11));
    }

    #[test]
    fn progress_is_reported_and_cancels() {
        let (config, source) = (config(TeacherKind::Lsa), source(2500));
        let last = AtomicU64::new(0);
        let report = |done, total| {
            assert_eq!(total, 2500);
            last.store(done, Ordering::Relaxed);
            true
        };
        teacher_features(&config, &source, 1, &report).expect("fits");
        assert_eq!(last.into_inner(), 2500);
        let cancelled = teacher_features(&config, &source, 1, &|done, _| done < 1024);
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
        let error = teacher_features(&config, &source(9), 1, &|_, _| true).expect_err("absent");
        assert!(error.to_string().contains("/nowhere/features.npy"));
    }
}
