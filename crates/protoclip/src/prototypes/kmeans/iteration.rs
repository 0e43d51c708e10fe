//! One iteration after the other: assign samples, move centroids.

use rand::Rng;

use super::KMeansError;
use super::assign::{Assignment, Meter, Samples};
use super::movement::moved;
use super::split::split_for_empty;
use crate::prototypes::group_means::refresh_group_means;

/// What one iteration hands to the next.
#[derive(Debug)]
pub(super) struct Iteration<'a> {
    samples: &'a Samples<'a>,
    pub(super) assignment: Assignment<'a>,
    /// `[n]`: the assignment that the centroids are means of; empty before the first update.
    groups: Vec<u32>,
    /// `[k]`: how far each centroid moved in the last update; empty before the first.
    moved: Vec<f32>,
    /// Centroids that are no means, as a split changed them.
    split: Vec<usize>,
}

impl<'a> Iteration<'a> {
    pub(super) fn new(samples: &'a Samples<'a>) -> Self {
        Self {
            samples,
            assignment: Assignment::new(samples),
            groups: Vec::new(),
            moved: Vec::new(),
            split: Vec::new(),
        }
    }

    /// Assigns all samples to `centroids` `[k, dim]`, which the last update left.
    pub(super) fn assign(
        &mut self,
        centroids: &[f32],
        meter: &mut Meter<'_>,
    ) -> Result<(), KMeansError> {
        match self.moved.is_empty() {
            true => self.assignment.assign(centroids, meter),
            false => self.assignment.reassign(centroids, &self.moved, meter),
        }
    }

    /// Moves every centroid to the mean of its samples, and those without samples to halves of
    /// others; the number of those.
    pub(super) fn update(&mut self, centroids: &mut [f32], random: &mut impl Rng) -> usize {
        let Samples { features, dim, .. } = *self.samples;
        let before = centroids.to_vec();
        let groups: Vec<u32> = self.assignment.nearest().map(|(id, _)| id).collect();
        let stale = self.stale(&groups, centroids.len() / dim);
        let counts = refresh_group_means(features, dim, &groups, centroids, &stale);
        self.groups = groups;
        self.split = split_for_empty(centroids, &counts, self.samples.count(), random);
        self.moved = moved(&before, centroids, dim);
        self.split.len() / 2
    }

    /// The centroids whose samples are others than at the last update.
    fn stale(&self, groups: &[u32], count: usize) -> Vec<bool> {
        if self.groups.is_empty() {
            return vec![true; count];
        }
        let mut stale = vec![false; count];
        for (&before, &now) in self.groups.iter().zip(groups) {
            if before != now {
                stale[before as usize] = true;
                stale[now as usize] = true;
            }
        }
        for &centroid in &self.split {
            stale[centroid] = true;
        }
        stale
    }
}
