//! Search of a block of samples among all centroids.

use super::near::{MOST_NEAR, Near, Neighbourhood};
use super::pass::Pass;
use crate::kernels::byte_scan::{ByteRows, Tour, scan_bytes};
use crate::prototypes::byte_distances::CentroidBytes;

/// Reach of a close search, in distances to the nearest centroid, at least.
const CLOSE_MARGIN: f32 = 1.05;

/// A search among `all` centroids for those within `margin` times the nearest one's distance.
pub(super) struct Search<'a> {
    pass: &'a Pass<'a>,
    all: &'a CentroidBytes,
    tour: Tour,
    margin: f32,
}

impl<'a> Search<'a> {
    pub(super) fn new(pass: &'a Pass<'a>, all: &'a CentroidBytes, tour: Tour, margin: f32) -> Self {
        Self {
            pass,
            all,
            tour,
            margin,
        }
    }

    /// The nearest centroids on the tour of the samples `block`, of which some are not looked at.
    pub(super) fn scout(&self, block: &[usize]) -> Vec<(u32, f32)> {
        let unknown = Neighbourhood::unknown();
        let mut best = vec![unknown.best(); block.len()];
        let bytes = &self.pass.samples.bytes;
        let rounded = |i: &usize| bytes.is_rounded(block[*i]);
        let chosen: Vec<usize> = (0..block.len()).filter(rounded).collect();
        let mut thresholds = vec![i16::MIN; chosen.len()];
        self.scan(block, &chosen, &mut thresholds, |at, id, score, _| {
            self.pass
                .compete(block[chosen[at]], id, &mut best[chosen[at]]);
            score
        });
        best
    }

    /// The neighbourhoods of the samples `block`; `rows` tells the centroids they had, if any.
    pub(super) fn run(&self, block: &[usize], mut rows: Vec<Neighbourhood>) -> Vec<Neighbourhood> {
        let bytes = &self.pass.samples.bytes;
        for row in &mut rows {
            row.forget();
        }
        let rounded = |i: &usize| bytes.is_rounded(block[*i]);
        let (rounded, others): (Vec<usize>, Vec<usize>) = (0..block.len()).partition(rounded);
        self.find_near(block, &mut rows, &rounded);
        // Of some rows more centroids can be nearest than a list holds.
        let crowded = |&i: &usize| !self.pass.is_settled(&rows[i]);
        let crowded: Vec<usize> = rounded.into_iter().filter(crowded).collect();
        self.find_all_near(block, &mut rows, &crowded);
        for i in others {
            let mut best = rows[i].best();
            for &id in &self.all.ids {
                self.pass.compete(block[i], id, &mut best);
            }
            rows[i].set_best(best);
        }
        rows
    }

    /// Finds the neighbourhoods of the rows `chosen` of a block.
    fn find_near(&self, block: &[usize], rows: &mut [Neighbourhood], chosen: &[usize]) {
        let bytes = &self.pass.samples.bytes;
        let mut finds: Vec<Find> = chosen
            .iter()
            .map(|&i| Find::new(block[i], rows[i].best()))
            .collect();
        let reach = |find: &Find| self.threshold(find, self.margin);
        let mut thresholds: Vec<i16> = finds.iter().map(reach).collect();
        self.scan(
            block,
            chosen,
            &mut thresholds,
            |at, id, score, threshold| {
                let find = &mut finds[at];
                let before = find.best.1;
                find.push(id, bytes.least_distance(find.sample, score));
                if score > find.highest {
                    find.highest = score;
                    self.pass.compete(find.sample, id, &mut find.best);
                }
                if find.near.len() == 2 * MOST_NEAR {
                    find.tidy(self.pass, self.margin);
                    let least = bytes.threshold(find.sample, find.floor);
                    return threshold.max(least).max(reach(find));
                }
                match find.best.1 < before {
                    true => threshold.max(reach(find)),
                    false => threshold,
                }
            },
        );
        for ((find, &i), &threshold) in finds.iter_mut().zip(chosen).zip(&thresholds) {
            let floor = match threshold {
                i16::MIN => f32::INFINITY,
                threshold => bytes.least_distance(find.sample, threshold),
            };
            rows[i].set_best(find.best);
            rows[i].learn(&mut find.near, find.floor.min(floor));
            self.pass.settle(find.sample, &mut rows[i]);
        }
    }

    /// The same, by the distances of all centroids that can be nearest, however many those are.
    fn find_all_near(&self, block: &[usize], rows: &mut [Neighbourhood], chosen: &[usize]) {
        let bytes = &self.pass.samples.bytes;
        let mut finds: Vec<Find> = chosen
            .iter()
            .map(|&i| Find::new(block[i], rows[i].best()))
            .collect();
        let reach = |find: &Find| self.threshold(find, self.margin.max(CLOSE_MARGIN));
        let mut thresholds: Vec<i16> = finds.iter().map(reach).collect();
        self.scan(block, chosen, &mut thresholds, |at, id, _, threshold| {
            finds[at].push(id, 0.0);
            threshold
        });
        for ((find, &i), &threshold) in finds.iter_mut().zip(chosen).zip(&thresholds) {
            find.measure(self.pass);
            rows[i].forget();
            rows[i].set_best(find.best);
            let floor = bytes.least_distance(find.sample, threshold);
            rows[i].learn(&mut find.near, floor);
        }
    }

    /// The threshold of centroids that are farther than `margin` times the nearest so far.
    fn threshold(&self, find: &Find, margin: f32) -> i16 {
        let (_, square) = find.best;
        match square.is_finite() {
            true => {
                let reach = square.sqrt() * margin;
                self.pass.samples.bytes.threshold(find.sample, reach)
            }
            false => i16::MIN,
        }
    }

    /// Visits the scores of the rows `chosen` of a block by the number of the centroid.
    fn scan(
        &self,
        block: &[usize],
        chosen: &[usize],
        thresholds: &mut [i16],
        mut visit: impl FnMut(usize, u32, i16, i16) -> i16,
    ) {
        let bytes = &self.pass.samples.bytes;
        let mut values = Vec::with_capacity(chosen.len() * bytes.width());
        for &i in chosen {
            values.extend_from_slice(bytes.rows(block[i], 1).values);
        }
        let rows = ByteRows {
            width: bytes.width(),
            values: &values,
        };
        let CentroidBytes { panels, ids } = self.all;
        scan_bytes(
            rows,
            panels,
            self.tour,
            thresholds,
            |at, place, score, threshold| visit(at, ids[place], score, threshold),
        );
    }
}

/// What a scan found for one sample so far.
struct Find {
    sample: usize,
    best: (u32, f32),
    /// Highest score of all.
    highest: i16,
    near: Vec<Near>,
    /// How many of `near`, from the start, hold measured distances.
    measured: usize,
    /// A distance that no centroid that was dropped is below.
    floor: f32,
}

impl Find {
    fn new(sample: usize, best: (u32, f32)) -> Self {
        Self {
            sample,
            best,
            highest: i16::MIN,
            near: Vec::new(),
            measured: 0,
            floor: f32::INFINITY,
        }
    }

    fn push(&mut self, id: u32, least: f32) {
        self.near.push(Near { id, least });
    }

    /// Measures the distances that are only bounded yet.
    fn measure(&mut self, pass: &Pass<'_>) {
        for near in &mut self.near[self.measured..] {
            let square = pass.compete(self.sample, near.id, &mut self.best);
            near.least = square.sqrt() / pass.tolerance;
        }
        self.measured = self.near.len();
    }

    /// Measures all and drops what is out of reach, and the farthest of the others until there is
    /// room for as many again.
    fn tidy(&mut self, pass: &Pass<'_>, margin: f32) {
        self.measure(pass);
        let reach = self.best.1.sqrt() * margin;
        let mut dropped = f32::INFINITY;
        self.near.retain(|near| {
            if near.least > reach {
                dropped = dropped.min(near.least);
            }
            near.least <= reach
        });
        if self.near.len() > MOST_NEAR {
            let (_, first, _) = self
                .near
                .select_nth_unstable_by(MOST_NEAR, Near::by_distance);
            dropped = dropped.min(first.least);
            self.near.truncate(MOST_NEAR);
        }
        self.measured = self.near.len();
        self.floor = self.floor.min(dropped);
    }
}
