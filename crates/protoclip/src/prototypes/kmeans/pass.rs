//! One assignment: which distances are computed, block by block.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use super::KMeansError;
use super::assign::{Meter, Samples};
use super::near::{Near, Neighbourhood};
use super::order::Order;
use super::products::Products;
use super::search::Search;
use crate::kernels::byte_scan::{Tour, scan_bytes};
use crate::kernels::distance::squared_distance;
use crate::prototypes::byte_distances::CentroidBytes;

/// Samples of one block: they and a panel of centroids stay in the first cache.
const BLOCK: usize = 96;

/// Byte products between two calls of the progress callback: a few hundredths of a second.
const WAVE_WORK: usize = 2_000_000_000;

/// Centroids that are compared with a sample before all are.
const SCOUTED: usize = 512;

/// One assignment: samples and centroids `[k, dim]`.
pub(super) struct Pass<'a> {
    pub(super) samples: &'a Samples<'a>,
    centroids: &'a [f32],
    order: &'a Order,
    /// Their bytes, in that order.
    all: &'a CentroidBytes,
    /// By how much rounding may move a computed distance against another.
    pub(super) tolerance: f32,
    products: OnceLock<Products>,
    pub(super) crowd: Crowd,
}

/// How often the sieve of bytes tells enough.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// Rows of blocks that were sieved, and of those where most centroids passed.
    sieved: AtomicUsize,
    untold: AtomicUsize,
}

impl Crowd {
    /// Whether sieving is mostly in vain.
    pub(super) fn is_dense(&self) -> bool {
        let sieved = self.sieved.load(Ordering::Relaxed);
        sieved >= 10 * BLOCK && 2 * self.untold.load(Ordering::Relaxed) > sieved
    }

    pub(super) fn count(&self, rows: usize, told: bool) {
        self.sieved.fetch_add(rows, Ordering::Relaxed);
        if !told {
            self.untold.fetch_add(rows, Ordering::Relaxed);
        }
    }
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        samples: &'a Samples<'a>,
        centroids: &'a [f32],
        order: &'a Order,
        all: &'a CentroidBytes,
    ) -> Self {
        // Eight partial sums: dim / 8 + 8 additions, and three roundings of each square.
        let roundings = (samples.dim / 8 + 16) as f32;
        Self {
            samples,
            centroids,
            order,
            all,
            tolerance: 1.0 + 2.0 * roundings * f32::EPSILON,
            products: OnceLock::new(),
            crowd: Crowd::default(),
        }
    }

    /// All centroids for products in f32, made when first asked for.
    pub(super) fn products(&self) -> &Products {
        let row = |id: u32| self.centroid(id as usize);
        let origin = self.samples.bytes.scale.origin();
        let made = || Products::new(&self.all.ids, origin, row);
        self.products.get_or_init(made)
    }

    fn centroid(&self, id: usize) -> &'a [f32] {
        &self.centroids[id * self.samples.dim..][..self.samples.dim]
    }

    fn count(&self) -> usize {
        self.centroids.len() / self.samples.dim
    }

    /// Rows of one wave against `candidates`: whole blocks, at least one for each thread.
    fn wave_rows(&self, candidates: usize) -> usize {
        let work = BLOCK * self.samples.bytes.width() * candidates.max(64);
        BLOCK * (WAVE_WORK / work).max(rayon::current_num_threads())
    }

    /// Measures the distance of every row to its own centroid again, where that moved.
    pub(super) fn measure_own(&self, rows: &mut [Neighbourhood], moved: &[f32]) {
        rows.par_iter_mut().enumerate().for_each(|(sample, row)| {
            let own = row.nearest as usize;
            if moved[own] > 0.0 {
                row.square = squared_distance(self.samples.row(sample), self.centroid(own));
            }
        });
    }

    /// Compares all rows with the centroids that moved farther than `allowance`; the rows for which that is not enough.
    pub(super) fn look_at_moved(
        &self,
        rows: &mut [Neighbourhood],
        moved: &[f32],
        allowance: f32,
        meter: &mut Meter<'_>,
    ) -> Result<Vec<u32>, KMeansError> {
        let is_far = |&id: &u32| moved[id as usize] > allowance;
        let far = self.order.ids.iter().copied().filter(is_far).collect();
        let far = self.samples.bytes.scale.centroids(self.centroids, far);
        let mut open = Vec::new();
        let wave = self.wave_rows(far.ids.len());
        for (number, rows) in rows.chunks_mut(wave).enumerate() {
            let blocks = rows.par_chunks_mut(BLOCK).enumerate().map(|(block, rows)| {
                rows.iter_mut().for_each(|row| row.age(moved, allowance));
                let start = number * wave + block * BLOCK;
                self.compare_block(start, rows, &far)
            });
            let left: Vec<Vec<u32>> = blocks.collect();
            let before = open.len();
            open.extend(left.into_iter().flatten());
            meter.advance(rows.len() - (open.len() - before))?;
        }
        Ok(open)
    }

    /// The same for one block of rows, the first of which is `start`.
    fn compare_block(
        &self,
        start: usize,
        rows: &mut [Neighbourhood],
        far: &CentroidBytes,
    ) -> Vec<u32> {
        let bytes = &self.samples.bytes;
        let mut thresholds: Vec<i16> = rows
            .iter()
            .enumerate()
            .map(|(i, row)| match self.is_settled(row) {
                true => bytes.threshold(start + i, row.floor),
                false => i16::MAX,
            })
            .collect();
        let mut found: Vec<Vec<Near>> = vec![Vec::new(); rows.len()];
        let byte_rows = bytes.rows(start, rows.len());
        scan_bytes(
            byte_rows,
            &far.panels,
            Tour::of_all_from(0),
            &mut thresholds,
            |row, place, score, threshold| {
                let least = bytes.least_distance(start + row, score);
                found[row].push(Near {
                    id: far.ids[place],
                    least,
                });
                threshold
            },
        );
        let mut open = Vec::new();
        for (i, (row, found)) in rows.iter_mut().zip(&mut found).enumerate() {
            let sample = start + i;
            if self.is_settled(row) {
                row.learn(found, bytes.least_distance(sample, thresholds[i]));
                self.settle(sample, row);
            }
            if !self.is_settled(row) {
                open.push(sample as u32);
            }
        }
        open
    }

    /// Finds a centroid for every row that is likely not far from the nearest, at or after the `places`
    /// where it may stand.
    pub(super) fn scout(
        &self,
        rows: &mut [Neighbourhood],
        places: &[u32],
        meter: &mut Meter<'_>,
    ) -> Result<(), KMeansError> {
        let mut sorted: Vec<u32> = (0..rows.len() as u32).collect();
        sorted.sort_unstable_by_key(|&row| (places[row as usize], row));
        for wave in sorted.chunks(self.wave_rows(SCOUTED)) {
            let blocks = wave.par_chunks(BLOCK).map(|block| {
                let samples: Vec<usize> = block.iter().map(|&row| row as usize).collect();
                let tour = Tour {
                    first: places[samples[samples.len() / 2]] as usize,
                    count: SCOUTED,
                };
                Search::new(self, self.all, tour, 1.0).scout(&samples)
            });
            let found: Vec<Vec<(u32, f32)>> = blocks.collect();
            for (&row, best) in wave.iter().zip(found.into_iter().flatten()) {
                rows[row as usize].set_best(best);
            }
            meter.advance(0)?;
        }
        Ok(())
    }

    /// Compares the rows `open` with all centroids and remembers those within `margin` times the
    /// distance of the nearest.
    pub(super) fn look_at_all(
        &self,
        rows: &mut [Neighbourhood],
        open: &[u32],
        margin: f32,
        meter: &mut Meter<'_>,
    ) -> Result<(), KMeansError> {
        if open.is_empty() {
            return Ok(());
        }
        let open = self.alike_side_by_side(rows, open);
        for wave in open.chunks(self.wave_rows(self.count())) {
            let blocks = wave.par_chunks(BLOCK).map(|block| {
                let samples: Vec<usize> = block.iter().map(|&row| row as usize).collect();
                let own: Vec<Neighbourhood> = samples.iter().map(|&i| rows[i].clone()).collect();
                let tour = Tour::of_all_from(self.place(&own[own.len() / 2]) as usize);
                Search::new(self, self.all, tour, margin).run(&samples, own)
            });
            let found: Vec<Vec<Neighbourhood>> = blocks.collect();
            for (&row, new) in wave.iter().zip(found.into_iter().flatten()) {
                rows[row as usize] = new;
            }
            meter.advance(wave.len())?;
        }
        Ok(())
    }

    /// Rows that are about as far from their centroid, these by the place of that centroid: what one of
    /// them may give up, its neighbours in the block mostly may, too.
    fn alike_side_by_side(&self, rows: &[Neighbourhood], open: &[u32]) -> Vec<u32> {
        let square = |row: u32| rows[row as usize].square;
        let mut squares: Vec<f32> = open.iter().map(|&row| square(row)).collect();
        squares.sort_unstable_by(f32::total_cmp);
        let limits = [2, 4, 8, 16].map(|share| squares[squares.len() - 1 - squares.len() / share]);
        let mut keyed: Vec<(usize, u32, u32)> = open
            .iter()
            .map(|&row| {
                let far = limits.iter().filter(|&&limit| square(row) > limit).count();
                (far, self.place(&rows[row as usize]), row)
            })
            .collect();
        keyed.sort_unstable();
        keyed.into_iter().map(|(_, _, row)| row).collect()
    }

    /// Where a row's centroid stands.
    fn place(&self, row: &Neighbourhood) -> u32 {
        let (nearest, _) = row.best();
        match (nearest as usize) < self.count() {
            true => self.order.place(nearest),
            false => 0,
        }
    }

    /// Lets a centroid compete for being the nearest of a sample; its squared distance.
    pub(super) fn compete(&self, sample: usize, id: u32, best: &mut (u32, f32)) -> f32 {
        let square = squared_distance(self.samples.row(sample), self.centroid(id as usize));
        if square < best.1 || (square == best.1 && id < best.0) {
            *best = (id, square);
        }
        square
    }

    /// Finds the nearest of the listed centroids and the row's own.
    pub(super) fn settle(&self, sample: usize, row: &mut Neighbourhood) {
        let mut best = row.best();
        let nearer = |a: &&Near, b: &&Near| a.least.total_cmp(&b.least);
        if let Some(likely) = row.near().iter().min_by(nearer)
            && likely.id != best.0
            && likely.least <= best.1.sqrt() * self.tolerance
        {
            self.compete(sample, likely.id, &mut best);
        }
        for near in row.near_mut() {
            if near.id != best.0 && near.least <= best.1.sqrt() * self.tolerance {
                let square = self.compete(sample, near.id, &mut best);
                near.least = near.least.max(square.sqrt() / self.tolerance);
            }
        }
        row.set_best(best);
    }

    /// Whether no centroid outside the list can be the nearest.
    pub(super) fn is_settled(&self, row: &Neighbourhood) -> bool {
        row.floor > row.square.sqrt() * self.tolerance
    }
}
