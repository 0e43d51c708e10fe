//! Search of a block of samples among all centroids.

use super::near::{MOST_NEAR, Near, Neighbourhood};
use super::pass::Pass;
use super::products::Found;
use crate::kernels::byte_scan::{ByteRows, Tour, scan_bytes};
use crate::prototypes::byte_distances::CentroidBytes;

/// Reach of a close search, in distances to the nearest centroid, at least.
const CLOSE_MARGIN: f32 = 1.05;

/// Share of all pairs of a block, one in so many, that may pass the sieve of bytes besides the nearest.
const PASSING: usize = 16;

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
        let sieved = |i: &usize| !self.pass.crowd.is_dense() && bytes.is_rounded(block[*i]);
        let (sieved, mut others): (Vec<usize>, Vec<usize>) = (0..block.len()).partition(sieved);
        let mut told = self.find_near(block, &mut rows, &sieved);
        // Of some rows more centroids can be nearest, by their bytes, than a list holds.
        let crowded = |&i: &usize| !self.pass.is_settled(&rows[i]);
        let unsettled: Vec<usize> = sieved.iter().copied().filter(crowded).collect();
        told = told && self.find_all_near(block, &mut rows, &unsettled);
        self.pass.crowd.count(sieved.len(), told);
        if !told {
            others.extend(unsettled);
        }
        self.find_by_products(block, &mut rows, &others);
        rows
    }

    /// Finds the neighbourhoods of the rows `chosen` of a block by products in f32.
    fn find_by_products(&self, block: &[usize], rows: &mut [Neighbourhood], chosen: &[usize]) {
        if chosen.is_empty() {
            return;
        }
        let (samples, products) = (self.pass.samples, self.pass.products());
        let of_use = |i: &usize| products.are_of_use(samples.row(block[*i]));
        let (mut open, others): (Vec<usize>, Vec<usize>) = chosen.iter().copied().partition(of_use);
        for (i, mut found) in self.products_of(block, rows, &open, (self.margin, MOST_NEAR)) {
            rows[i].forget();
            rows[i].learn(&mut found.near, found.floor);
            self.pass.settle(block[i], &mut rows[i]);
        }
        open.retain(|&i| !self.pass.is_settled(&rows[i]));
        // As many as there are, such as copies of one centroid.
        let margin = self.pass.tolerance * self.pass.tolerance;
        for (i, Found { near, floor }) in self.products_of(block, rows, &open, (margin, usize::MAX))
        {
            let find = Find {
                near,
                ..Find::new(block[i], rows[i].best())
            };
            find.settle(self.pass, floor, &mut rows[i]);
        }
        for i in others {
            let mut best = rows[i].best();
            for &id in &self.all.ids {
                self.pass.compete(block[i], id, &mut best);
            }
            rows[i].forget();
            rows[i].set_best(best);
            rows[i].floor = 0.0;
        }
    }

    /// What products find of the rows `chosen` within `margin` times the distance that each has now.
    fn products_of<'c>(
        &self,
        block: &[usize],
        rows: &[Neighbourhood],
        chosen: &'c [usize],
        (margin, most): (f32, usize),
    ) -> impl Iterator<Item = (usize, Found)> + use<'c> {
        let samples = self.pass.samples;
        let reach = |&i: &usize| rows[i].best().1.sqrt() * margin;
        let reach: Vec<f32> = chosen.iter().map(reach).collect();
        let features = chosen.iter().flat_map(|&i| samples.row(block[i]));
        let features: Vec<f32> = features.copied().collect();
        let found = self.pass.products().find(&features, &reach, most);
        chosen.iter().copied().zip(found)
    }

    /// How many pairs of some rows may pass the sieve.
    fn passing(&self, rows: usize) -> Passing {
        Passing {
            left: rows * (self.all.ids.len() / PASSING + 2 * MOST_NEAR),
            exceeded: false,
        }
    }

    /// Finds the neighbourhoods of the rows `chosen` of a block; whether bytes tell enough of them. Where
    /// they do not, nothing is certain about some rows.
    fn find_near(&self, block: &[usize], rows: &mut [Neighbourhood], chosen: &[usize]) -> bool {
        let bytes = &self.pass.samples.bytes;
        let mut finds: Vec<Find> = chosen
            .iter()
            .map(|&i| Find::new(block[i], rows[i].best()))
            .collect();
        let reach = |find: &Find| self.threshold(find, self.margin);
        let mut thresholds: Vec<i16> = finds.iter().map(reach).collect();
        let mut passing = self.passing(chosen.len());
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
                if find.near.len() >= 2 * MOST_NEAR {
                    if !passing.admits(MOST_NEAR) {
                        return i16::MAX;
                    }
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
            if find.near.len() > MOST_NEAR && !passing.exceeded {
                // By bounds alone the dropped ones might be nearest, and all be looked at again.
                find.tidy(self.pass, self.margin);
            }
            let floor = match threshold {
                i16::MIN => f32::INFINITY,
                threshold => bytes.least_distance(find.sample, threshold),
            };
            rows[i].set_best(find.best);
            rows[i].learn(&mut find.near, find.floor.min(floor));
            self.pass.settle(find.sample, &mut rows[i]);
        }
        !passing.exceeded
    }

    /// The same, by the distances of all centroids that can be nearest, however many those are; leaves
    /// rows as they are where bytes do not tell enough.
    fn find_all_near(&self, block: &[usize], rows: &mut [Neighbourhood], chosen: &[usize]) -> bool {
        let bytes = &self.pass.samples.bytes;
        let mut finds: Vec<Find> = chosen
            .iter()
            .map(|&i| Find::new(block[i], rows[i].best()))
            .collect();
        let reach = |find: &Find| self.threshold(find, self.margin.max(CLOSE_MARGIN));
        let mut thresholds: Vec<i16> = finds.iter().map(reach).collect();
        let mut passing = self.passing(chosen.len());
        self.scan(block, chosen, &mut thresholds, |at, id, _, threshold| {
            if !passing.admits(1) {
                return i16::MAX;
            }
            finds[at].push(id, 0.0);
            threshold
        });
        if passing.exceeded {
            return false;
        }
        for ((find, &i), &threshold) in finds.into_iter().zip(chosen).zip(&thresholds) {
            let floor = bytes.least_distance(find.sample, threshold);
            find.settle(self.pass, floor, &mut rows[i]);
        }
        true
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

/// How many pairs may still pass the sieve of a block before bytes tell too little of it.
struct Passing {
    left: usize,
    exceeded: bool,
}

impl Passing {
    /// Lets `pairs` more pass, if they may.
    fn admits(&mut self, pairs: usize) -> bool {
        match self.left.checked_sub(pairs) {
            Some(fewer) => self.left = fewer,
            None => self.exceeded = true,
        }
        !self.exceeded
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

    /// Makes what was found all that is known of the sample: its distances, and that no other centroid
    /// is nearer than `floor`.
    fn settle(mut self, pass: &Pass<'_>, floor: f32, row: &mut Neighbourhood) {
        self.measure(pass);
        row.forget();
        row.set_best(self.best);
        row.learn(&mut self.near, floor);
    }

    /// Measures all that may be within reach and drops the others, and the farthest until there is
    /// room for as many again.
    fn tidy(&mut self, pass: &Pass<'_>, margin: f32) {
        self.drop_beyond(self.best.1.sqrt() * margin);
        self.measure(pass);
        self.drop_beyond(self.best.1.sqrt() * margin);
        if self.near.len() > MOST_NEAR {
            let (_, first, _) = self
                .near
                .select_nth_unstable_by(MOST_NEAR, Near::by_distance);
            self.floor = self.floor.min(first.least);
            self.near.truncate(MOST_NEAR);
        }
        self.measured = self.near.len();
    }

    /// Drops what is certain to be farther than `reach`.
    fn drop_beyond(&mut self, reach: f32) {
        let (mut place, mut measured) = (0, 0);
        self.near.retain(|near| {
            let within = near.least <= reach;
            if within {
                measured += usize::from(place < self.measured);
            } else {
                self.floor = self.floor.min(near.least);
            }
            place += 1;
            within
        });
        self.measured = measured;
    }
}
