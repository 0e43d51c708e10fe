//! t-SNE: a map of samples in the plane that keeps neighbours together.
//!
//! Called by the studio's space view and by `bench`, on the caller's thread and the current rayon
//! pool; the observer is called on the caller's thread. The result depends on features, settings and
//! start, never on the number of threads.
//!
//! Affinities come from exact neighbours and a search for each sample's width (van der Maaten and
//! Hinton, 2008), repulsion from a quadtree (van der Maaten, 2014), learning rate and exaggeration from
//! Belkina et al. (2019) and Kobak and Berens (2019): n / 12 while affinities are 12 times as large, then
//! n; the start is the first two principal components.

mod affinities;
mod neighbours;
mod optimizer;
mod progress;
mod quadtree;
#[cfg(test)]
mod tests;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use progress::{MapSnapshot, TsnePhase, TsneProgress};

use super::error::checked_rows;
use super::{AnalysisError, Pca};
use affinities::Affinities;
use neighbours::Neighbours;
use optimizer::Optimizer;
use progress::Watch;

/// Neighbours per unit of perplexity.
const NEIGHBOURS: f64 = 3.0;

/// Standard deviation of the first coordinate of a start from principal components.
const START_SPREAD: f64 = 1e-4;
/// Random shift of a start, in standard deviations, so that copies do not stay on one another.
const START_SHIFT: f32 = 1e-2;

/// Settings of [`tsne`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TsneConfig {
    /// Effective number of neighbours, at least 1 and less than a third of the samples.
    pub perplexity: f64,
    /// Iterations in all.
    pub iterations: usize,
    /// The first of them, which exaggerate affinities; none of a map that starts from another.
    pub exaggeration_iterations: usize,
    /// A cell of points repels as one where its side is less than this times its distance. Smaller is
    /// more exact and slower; above 0.
    pub theta: f32,
    /// Iterations between two maps for the observer; 0 for none.
    pub report_every: usize,
    /// Seed of the shift that separates copies.
    pub seed: u64,
}

impl Default for TsneConfig {
    fn default() -> Self {
        Self {
            perplexity: 30.0,
            iterations: 1000,
            exaggeration_iterations: 250,
            theta: 0.6,
            report_every: 50,
            seed: 0,
        }
    }
}

/// A finished map.
#[derive(Debug, Clone, PartialEq)]
pub struct TsneMap {
    /// `[n, 2]`, row-major, around 0.
    pub points: Vec<f32>,
    /// Kullback–Leibler divergence of the map's neighbourhoods from the samples', in nats; over the
    /// neighbours that have affinities, with the repulsion's sum from the quadtree.
    pub kl: f64,
}

/// Why there is no map.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TsneError {
    #[error(transparent)]
    Features(#[from] AnalysisError),
    #[error(
        "perplexity {perplexity} does not fit {samples} samples; give one between 1 and {largest:.1}"
    )]
    Perplexity {
        perplexity: f64,
        samples: usize,
        largest: f64,
    },
    #[error("{samples} samples are too few for a map; at least 4 are needed")]
    TooFewSamples { samples: usize },
    #[error("theta must be above 0 and at most 2, got {0}")]
    Theta(f32),
    #[error("the initial map has {found} values, wanted {wanted}: two for each sample")]
    InitialLength { found: usize, wanted: usize },
    #[error("the initial map, row {row}: NaN or infinite; coordinates must be finite numbers")]
    InitialNotFinite { row: usize },
    #[error("t-SNE was cancelled")]
    Cancelled,
}

/// Progress of [`tsne`]; return `false` to cancel. Called after every iteration and every few
/// hundredths of a second of the search for neighbours.
pub type TsneObserver<'a> = &'a dyn Fn(&TsneProgress<'_>) -> bool;

/// Maps `features` `[n, dim]`, row-major, to the plane.
///
/// `initial` `[n, 2]` is a map to go on from, such as that of the previous episode: it is not
/// exaggerated, so that it moves little where samples moved little.
///
/// # Errors
/// When a shape does not fit, a value is not finite, perplexity or theta is out of range, or the
/// observer cancelled.
pub fn tsne(
    features: &[f32],
    dim: usize,
    config: &TsneConfig,
    initial: Option<&[f32]>,
    observer: TsneObserver<'_>,
) -> Result<TsneMap, TsneError> {
    let samples = checked_rows("feature", features, dim)?;
    check_settings(samples, config)?;
    if let Some(initial) = initial {
        check_initial(initial, samples)?;
    }
    let watch = Watch::new(observer);
    let count = (NEIGHBOURS * config.perplexity).round() as usize;
    let neighbours = Neighbours::find(features, dim, count.clamp(1, samples - 1), &watch)?;
    let affinities = Affinities::new(&neighbours, config.perplexity);
    drop(neighbours);
    let (start, exaggerated) = match initial {
        Some(initial) => (initial.as_chunks::<2>().0.to_vec(), 0),
        None => (
            principal_start(features, dim, config.seed)?,
            config.exaggeration_iterations.min(config.iterations),
        ),
    };
    Optimizer::new(&affinities, config, start).run(exaggerated, &watch)
}

fn check_settings(samples: usize, config: &TsneConfig) -> Result<(), TsneError> {
    if samples < 4 {
        return Err(TsneError::TooFewSamples { samples });
    }
    let largest = (samples - 1) as f64 / NEIGHBOURS;
    if !(1.0..=largest).contains(&config.perplexity) {
        return Err(TsneError::Perplexity {
            perplexity: config.perplexity,
            samples,
            // Rounded down to what the message shows.
            largest: (largest * 10.0).floor() / 10.0,
        });
    }
    if !(config.theta > 0.0 && config.theta <= 2.0) {
        return Err(TsneError::Theta(config.theta));
    }
    Ok(())
}

fn check_initial(initial: &[f32], samples: usize) -> Result<(), TsneError> {
    if initial.len() != 2 * samples {
        return Err(TsneError::InitialLength {
            found: initial.len(),
            wanted: 2 * samples,
        });
    }
    match initial.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(TsneError::InitialNotFinite { row: at / 2 }),
        None => Ok(()),
    }
}

/// The first two principal components, small, and shifted a little at random.
fn principal_start(features: &[f32], dim: usize, seed: u64) -> Result<Vec<[f32; 2]>, TsneError> {
    let components = dim.min(2);
    let mapped = Pca::fit(features, dim, components)?.transform(features)?;
    let samples = mapped.len() / components;
    let square: f64 = mapped
        .iter()
        .step_by(components)
        .map(|&v| f64::from(v).powi(2))
        .sum();
    let spread = (square / samples as f64).sqrt();
    let scale = if spread > 0.0 {
        START_SPREAD / spread
    } else {
        0.0
    };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut shift = || (random.random::<f32>() - 0.5) * START_SHIFT * START_SPREAD as f32;
    let place = |row: &[f32]| {
        let along = |axis: usize| {
            row.get(axis)
                .map_or(0.0, |v| (f64::from(*v) * scale) as f32)
        };
        [along(0) + shift(), along(1) + shift()]
    };
    Ok(mapped.chunks_exact(components).map(place).collect())
}
