//! Maps of samples in the plane by a choice of methods, each able to go on from an earlier map.
//!
//! Called by the studio's map thread, on the caller's thread and the current rayon pool. A map depends
//! on features, method and start only; it is the same at every call and with any number of threads.

mod alignment;
mod reductions;

use serde::{Deserialize, Serialize};

use super::{AnalysisError, Pca, TsneConfig, TsneError, TsnePhase, tsne};
pub use alignment::{EarlierMap, aligned_to, carried_start};

/// Most samples of a diffusion map, whose time grows with their square.
pub const MOST_DIFFUSED: usize = 6000;

/// Iterations of a t-SNE map that goes on from an earlier one; measured to be enough for the
/// divergence of a map made afresh when features moved by one episode of training.
const CONTINUED_ITERATIONS: usize = 300;
const ITERATIONS: usize = 750;
const REPORT_EVERY: usize = 10;

/// How samples get their place in the plane.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum MapMethod {
    /// t-SNE: neighbours stay together, distances between groups mean little.
    #[default]
    Tsne,
    /// The two directions of largest variance.
    Pca,
    /// Diffusion map: distances along paths of near neighbours (Coifman and Lafon 2006).
    Diffusion,
    /// Two random directions (Johnson and Lindenstrauss 1984): what no method has chosen.
    Random,
}

/// A finished map.
#[derive(Debug, Clone, PartialEq)]
pub struct PlaneMap {
    /// `[n, 2]`, row-major.
    pub points: Vec<f32>,
    pub quality: Option<MapQuality>,
}

/// How well a map shows the features.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MapQuality {
    /// Kullback–Leibler divergence of the neighbourhoods, in nats; smaller is better.
    Kl(f64),
    /// Share of the features' variance along the two directions.
    Variance(f64),
}

/// Where a map is; [`PlaneObserver`] sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlaneProgress<'a> {
    /// What is being done: `neighbours`, `exaggeration`, `refinement` or `map`.
    pub phase: &'static str,
    pub done: usize,
    pub total: usize,
    /// `[n, 2]`, the unfinished map, now and then.
    pub points: Option<&'a [f32]>,
}

/// Returns `false` to cancel.
pub type PlaneObserver<'a> = &'a dyn Fn(&PlaneProgress<'_>) -> bool;

/// Why there is no map.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlaneError {
    #[error(transparent)]
    Features(#[from] AnalysisError),
    #[error(transparent)]
    Tsne(TsneError),
    #[error(
        "a diffusion map takes time that grows with the square of the samples; {samples} are more than {MOST_DIFFUSED}: choose t-SNE, PCA or a random projection"
    )]
    TooMany { samples: usize },
    #[error("the {method} failed: {message}")]
    Method {
        method: &'static str,
        message: String,
    },
    #[error("the map was cancelled")]
    Cancelled,
}

impl From<TsneError> for PlaneError {
    fn from(error: TsneError) -> Self {
        match error {
            TsneError::Cancelled => Self::Cancelled,
            TsneError::Features(error) => Self::Features(error),
            other => Self::Tsne(other),
        }
    }
}

impl MapMethod {
    pub const ALL: [Self; 4] = [Self::Tsne, Self::Pca, Self::Diffusion, Self::Random];

    /// The name in addresses and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tsne => "tsne",
            Self::Pca => "pca",
            Self::Diffusion => "diffusion",
            Self::Random => "random",
        }
    }

    /// The name for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Tsne => "t-SNE",
            Self::Pca => "PCA",
            Self::Diffusion => "Diffusion map",
            Self::Random => "Random projection",
        }
    }
}

/// Maps `features` `[n, dim]`, row-major, to the plane.
///
/// `start` `[n, 2]` are places to begin from ([`carried_start`]): t-SNE goes on from them. The other
/// methods do not need a start; turn their map with [`aligned_to`].
///
/// # Errors
/// When a shape does not fit, a value is not finite, there are too few or too many samples for the
/// method, or the observer cancelled.
pub fn map_to_plane(
    features: &[f32],
    dim: usize,
    method: MapMethod,
    start: Option<&[f32]>,
    observer: PlaneObserver<'_>,
) -> Result<PlaneMap, PlaneError> {
    let samples = super::error::checked_rows("feature", features, dim)?;
    if method == MapMethod::Tsne {
        return tsne_map(features, dim, samples, start, observer);
    }
    let tell = |done| {
        let progress = PlaneProgress {
            phase: "map",
            done,
            total: samples,
            points: None,
        };
        match observer(&progress) {
            true => Ok(()),
            false => Err(PlaneError::Cancelled),
        }
    };
    tell(0)?;
    let map = match method {
        MapMethod::Pca => principal(features, dim),
        MapMethod::Diffusion => reductions::diffusion(features, dim, samples),
        MapMethod::Tsne | MapMethod::Random => reductions::random(features, dim),
    }?;
    tell(samples)?;
    Ok(map)
}

fn tsne_map(
    features: &[f32],
    dim: usize,
    samples: usize,
    start: Option<&[f32]>,
    observer: PlaneObserver<'_>,
) -> Result<PlaneMap, PlaneError> {
    let defaults = TsneConfig::default();
    let largest = samples.saturating_sub(1) as f64 / 3.0;
    let config = TsneConfig {
        perplexity: defaults.perplexity.min(largest),
        iterations: if start.is_some() {
            CONTINUED_ITERATIONS
        } else {
            ITERATIONS
        },
        report_every: REPORT_EVERY,
        ..defaults
    };
    let watch = |progress: &super::TsneProgress<'_>| {
        observer(&PlaneProgress {
            phase: match progress.phase {
                TsnePhase::Neighbours => "neighbours",
                TsnePhase::Exaggeration => "exaggeration",
                TsnePhase::Refinement => "refinement",
            },
            done: progress.done,
            total: progress.total,
            points: progress.map.map(|map| map.points),
        })
    };
    let map = tsne(features, dim, &config, start, &watch)?;
    Ok(PlaneMap {
        points: map.points,
        quality: Some(MapQuality::Kl(map.kl)),
    })
}

fn principal(features: &[f32], dim: usize) -> Result<PlaneMap, PlaneError> {
    let pca = Pca::fit(features, dim, 2)?;
    Ok(PlaneMap {
        points: pca.transform(features)?,
        quality: Some(MapQuality::Variance(
            pca.explained_variance_ratio().iter().sum(),
        )),
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Three bunches of 30 samples in 8 dimensions; and which is whose.
    pub(super) fn bunches() -> (Vec<f32>, Vec<usize>) {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut features = Vec::new();
        let owners: Vec<usize> = (0..90).map(|i| i % 3).collect();
        for &owner in &owners {
            let noise = || random.random::<f32>() * 0.2;
            let mut row: Vec<f32> = std::iter::repeat_with(noise).take(8).collect();
            row[owner] += 1.0;
            features.extend(row);
        }
        (features, owners)
    }

    fn distance(points: &[f32], a: usize, b: usize) -> f32 {
        (points[2 * a] - points[2 * b]).hypot(points[2 * a + 1] - points[2 * b + 1])
    }

    #[test]
    fn every_method_keeps_bunches_apart_but_the_random_one_and_repeats_itself() {
        let (features, owners) = bunches();
        for method in MapMethod::ALL {
            let make = || map_to_plane(&features, 8, method, None, &|_| true).expect("maps");
            let map = make();
            assert_eq!(map, make(), "{method:?}");
            assert_eq!(map.points.len(), 180);
            assert!(map.points.iter().all(|v| v.is_finite()), "{method:?}");
            let mut nearest_is_kin = 0;
            for a in 0..90 {
                let others = (0..90).filter(|&b| b != a);
                let near = others
                    .min_by(|&b, &c| {
                        distance(&map.points, a, b).total_cmp(&distance(&map.points, a, c))
                    })
                    .expect("some");
                nearest_is_kin += usize::from(owners[near] == owners[a]);
            }
            let enough = if method == MapMethod::Random { 45 } else { 85 };
            assert!(nearest_is_kin >= enough, "{method:?}: {nearest_is_kin}");
        }
    }

    #[test]
    fn t_sne_shows_itself_on_the_way_and_every_method_can_be_cancelled() {
        let (features, _) = bunches();
        let shown = std::cell::Cell::new(0);
        let watch = |progress: &PlaneProgress<'_>| {
            shown.set(shown.get() + usize::from(progress.points.is_some()));
            true
        };
        map_to_plane(&features, 8, MapMethod::Tsne, None, &watch).expect("maps");
        assert!(shown.get() >= ITERATIONS / REPORT_EVERY);
        for method in MapMethod::ALL {
            let cancelled = map_to_plane(&features, 8, method, None, &|_| false);
            assert_eq!(cancelled, Err(PlaneError::Cancelled), "{method:?}");
        }
    }

    #[test]
    fn features_that_have_no_map_are_refused_with_the_reason() {
        let too_few = map_to_plane(&[1.0; 6], 2, MapMethod::Tsne, None, &|_| true);
        assert!(too_few.expect_err("few").to_string().contains("at least 4"));
        let mut broken = vec![0.5; 40];
        broken[7] = f32::NAN;
        for method in MapMethod::ALL {
            let error = map_to_plane(&broken, 2, method, None, &|_| true).expect_err("NaN");
            assert!(error.to_string().contains("row 3"), "{error}");
        }
        let many = vec![0.5; MOST_DIFFUSED + 1];
        let error = map_to_plane(&many, 1, MapMethod::Diffusion, None, &|_| true);
        assert!(error.expect_err("many").to_string().contains("t-SNE"));
        // One dimension has no second direction.
        let flat = map_to_plane(&[0.1, 0.4, 0.9, 0.2], 1, MapMethod::Random, None, &|_| true);
        assert!(flat.is_err());
    }
}
