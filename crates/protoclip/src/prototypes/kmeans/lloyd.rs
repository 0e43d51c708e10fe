//! Lloyd's iterations with restarts.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::assign::{Assignment, Meter, Samples};
use super::iteration::Iteration;
use super::{KMeansConfig, KMeansError, KMeansProgress, KMeansResult};

/// One call of k-means: its samples, settings and progress.
pub(super) struct Lloyd<'a> {
    samples: &'a Samples<'a>,
    config: &'a KMeansConfig,
    meter: Meter<'a>,
}

/// What one restart found.
pub(super) struct Restart {
    pub(super) centroids: Vec<f32>,
    /// Objective before each update.
    pub(super) trace: Vec<f64>,
    /// Empty centroids that were repaired after each update.
    pub(super) splits: Vec<usize>,
}

impl<'a> Lloyd<'a> {
    pub(super) fn new(
        samples: &'a Samples<'a>,
        config: &'a KMeansConfig,
        progress: KMeansProgress<'a>,
    ) -> Self {
        let total = assignments(config, samples.count(), config.restarts);
        Self {
            samples,
            config,
            meter: Meter::new(total, progress),
        }
    }

    pub(super) fn run(mut self, initial: Option<&[f32]>) -> Result<KMeansResult, KMeansError> {
        let (restart, assignment) = if self.config.count == self.samples.count() {
            let copies = Restart::from(self.samples.features.to_vec());
            let mut assignment = Assignment::new(self.samples);
            assignment.assign(&copies.centroids, &mut self.meter)?;
            (copies, assignment)
        } else {
            self.best_restart(initial)?
        };
        self.meter.reach(self.meter.total())?;
        Ok(result(self.samples.dim, restart, &assignment))
    }

    fn best_restart(
        &mut self,
        initial: Option<&[f32]>,
    ) -> Result<(Restart, Assignment<'a>), KMeansError> {
        let first = self.restart(0, initial)?;
        let mut best = self.finish(first)?;
        if initial.is_some() {
            return Ok(best);
        }
        for number in 1..self.config.restarts {
            let other = self.restart(number, None)?;
            if other.0.trace.last() < best.0.trace.last() {
                best = self.finish(other)?;
            }
        }
        Ok(best)
    }

    /// Assigns to the centroids of the last update.
    fn finish(
        &mut self,
        (restart, mut lloyd): (Restart, Iteration<'a>),
    ) -> Result<(Restart, Assignment<'a>), KMeansError> {
        lloyd.assign(&restart.centroids, &mut self.meter)?;
        Ok((restart, lloyd.assignment))
    }

    /// The centroids after the last update, and what the next assignment starts from.
    pub(super) fn restart(
        &mut self,
        number: usize,
        initial: Option<&[f32]>,
    ) -> Result<(Restart, Iteration<'a>), KMeansError> {
        let before = assignments(self.config, self.samples.count(), number);
        self.meter.reach(before)?;
        let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
        random.set_stream(number as u64);
        let mut restart = Restart::from(match initial {
            Some(initial) => initial.to_vec(),
            None => self.draw_centroids(&mut random),
        });
        let mut iteration = Iteration::new(self.samples);
        for _ in 0..self.config.iterations {
            iteration.assign(&restart.centroids, &mut self.meter)?;
            let objective = iteration.assignment.objective();
            let unchanged = restart.trace.last() == Some(&objective);
            restart.trace.push(objective);
            let splits = iteration.update(&mut restart.centroids, &mut random);
            restart.splits.push(splits);
            if unchanged {
                break;
            }
        }
        Ok((restart, iteration))
    }

    /// The samples that lead a permutation of all.
    fn draw_centroids(&self, random: &mut ChaCha8Rng) -> Vec<f32> {
        let Samples { features, dim, .. } = *self.samples;
        let mut order: Vec<usize> = (0..self.samples.count()).collect();
        let mut centroids = Vec::with_capacity(self.config.count * dim);
        for place in 0..self.config.count {
            let drawn = random.random_range(place..order.len());
            order.swap(place, drawn);
            centroids.extend_from_slice(&features[order[place] * dim..][..dim]);
        }
        centroids
    }
}

/// Assignments of `samples` in whole restarts: one for each iteration, and one to the last centroids.
fn assignments(config: &KMeansConfig, samples: usize, restarts: usize) -> u64 {
    restarts as u64 * (config.iterations as u64 + 1) * samples as u64
}

impl From<Vec<f32>> for Restart {
    fn from(centroids: Vec<f32>) -> Self {
        Self {
            centroids,
            trace: Vec::new(),
            splits: Vec::new(),
        }
    }
}

fn result(dim: usize, restart: Restart, assignment: &Assignment<'_>) -> KMeansResult {
    KMeansResult {
        dim,
        inertia: assignment.objective(),
        centroids: restart.centroids,
        distances: assignment.nearest().map(|(_, s)| s.sqrt()).collect(),
        assignments: assignment.nearest().map(|(id, _)| id).collect(),
        trace: restart.trace,
    }
}
