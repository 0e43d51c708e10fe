//! Lloyd's iterations with restarts.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::assign::{Assignment, Meter, Samples};
use super::split::split_for_empty;
use super::{KMeansConfig, KMeansError, KMeansProgress, KMeansResult};
use crate::prototypes::group_means::group_means;

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
        let assignments = config.restarts as u64 * config.iterations as u64 + 1;
        Self {
            samples,
            config,
            meter: Meter::new(assignments * samples.count() as u64, progress),
        }
    }

    pub(super) fn run(mut self, initial: Option<&[f32]>) -> Result<KMeansResult, KMeansError> {
        let restart = if self.config.count == self.samples.count() {
            Restart {
                centroids: self.samples.features.to_vec(),
                trace: Vec::new(),
                splits: Vec::new(),
            }
        } else {
            self.best_restart(initial)?
        };
        self.meter.reach(self.assignments(self.config.restarts))?;
        let assignment = self.samples.assign(&restart.centroids, &mut self.meter)?;
        Ok(result(self.samples.dim, restart, assignment))
    }

    fn best_restart(&mut self, initial: Option<&[f32]>) -> Result<Restart, KMeansError> {
        let mut best = self.restart(0, initial)?;
        if initial.is_some() {
            return Ok(best);
        }
        for number in 1..self.config.restarts {
            let other = self.restart(number, None)?;
            if other.trace.last() < best.trace.last() {
                best = other;
            }
        }
        Ok(best)
    }

    pub(super) fn restart(
        &mut self,
        number: usize,
        initial: Option<&[f32]>,
    ) -> Result<Restart, KMeansError> {
        self.meter.reach(self.assignments(number))?;
        let mut random = ChaCha8Rng::seed_from_u64(self.config.seed);
        random.set_stream(number as u64);
        let mut restart = Restart {
            centroids: match initial {
                Some(initial) => initial.to_vec(),
                None => self.draw_centroids(&mut random),
            },
            trace: Vec::new(),
            splits: Vec::new(),
        };
        for _ in 0..self.config.iterations {
            if self.iterate(&mut restart, &mut random)? {
                break;
            }
        }
        Ok(restart)
    }

    /// Assigns and updates once; whether the objective stayed as it was.
    fn iterate(
        &mut self,
        restart: &mut Restart,
        random: &mut ChaCha8Rng,
    ) -> Result<bool, KMeansError> {
        let samples = self.samples;
        let assignment = samples.assign(&restart.centroids, &mut self.meter)?;
        let objective = assignment.objective();
        let unchanged = restart.trace.last() == Some(&objective);
        restart.trace.push(objective);
        let groups = group_means(
            samples.features,
            samples.dim,
            &assignment.nearest,
            self.config.count,
        );
        restart.centroids = groups.means;
        restart.splits.push(split_for_empty(
            &mut restart.centroids,
            &groups.counts,
            samples.count(),
            random,
        ));
        Ok(unchanged)
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

    /// Sample assignments of `restarts` whole restarts.
    fn assignments(&self, restarts: usize) -> u64 {
        restarts as u64 * self.config.iterations as u64 * self.samples.count() as u64
    }
}

fn result(dim: usize, restart: Restart, assignment: Assignment) -> KMeansResult {
    KMeansResult {
        dim,
        inertia: assignment.objective(),
        centroids: restart.centroids,
        distances: assignment.squares.iter().map(|&s| s.sqrt()).collect(),
        assignments: assignment.nearest,
        trace: restart.trace,
    }
}
