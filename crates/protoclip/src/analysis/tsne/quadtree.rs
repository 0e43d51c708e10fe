//! Repulsion of all points by all others, through a quadtree.
//!
//! Points are sorted along a Morton curve, so that every cell is a range of them. Blocks of
//! neighbouring points share one list of what repels them: cells that look small from everywhere in
//! the block, as one point of their mass, and single points nearby.

use rayon::prelude::*;

use crate::kernels::student::{Repulsion, Sources, TARGETS, repel};

/// Bits of a coordinate on the curve.
const BITS: u32 = 16;
/// Points of a cell that is not divided any more.
const LEAF: usize = 8;
/// Where the missing targets of the last block are: they feel nothing.
const FAR_AWAY: f32 = 1e15;

/// A square with points in it.
#[derive(Debug, Clone, Copy)]
struct Cell {
    /// Centre of mass.
    x: f32,
    y: f32,
    mass: f32,
    /// Squared side.
    square: f32,
    /// Its parts in `cells`; none for a leaf.
    children: (u32, u32),
    /// Its points along the curve.
    points: (u32, u32),
}

impl Cell {
    /// A cell over points along the curve, its centre yet unknown.
    fn over(start: usize, end: usize, side: f32) -> Self {
        Self {
            x: 0.0,
            y: 0.0,
            mass: (end - start) as f32,
            square: side * side,
            children: (0, 0),
            points: (start as u32, end as u32),
        }
    }
}

/// What repels every point.
#[derive(Debug, Default)]
pub(super) struct Field {
    /// `[n]`: Σ q² (own − other) over all others.
    pub(super) forces: Vec<[f32; 2]>,
    /// Σ q over all pairs of different points, each counted twice.
    pub(super) weight: f64,
    tree: Tree,
}

#[derive(Debug, Default)]
struct Tree {
    /// Code on the curve and number of each point, sorted.
    order: Vec<(u32, u32)>,
    spare: Vec<(u32, u32)>,
    x: Vec<f32>,
    y: Vec<f32>,
    cells: Vec<Cell>,
}

impl Field {
    /// Computes the repulsion between `points` `[n, 2]`; a cell counts as one point where its side is
    /// less than `theta` times its distance.
    pub(super) fn compute(&mut self, points: &[[f32; 2]], theta: f32) {
        self.tree.build(points);
        let (tree, near) = (&self.tree, 1.0 / (theta * theta));
        let blocks: Vec<Repulsion> = (0..points.len().div_ceil(TARGETS))
            .into_par_iter()
            .map_init(Scratch::default, |scratch, block| {
                tree.repel_block(block * TARGETS, near, scratch)
            })
            .collect();
        self.forces.resize(points.len(), [0.0; 2]);
        self.weight = 0.0;
        for (&(_, point), at) in tree.order.iter().zip(0..) {
            let (sums, lane) = (&blocks[at / TARGETS], at % TARGETS);
            self.forces[point as usize] = [sums.x[lane], sums.y[lane]];
            // Every point is among the sources and meets itself with weight 1.
            self.weight += f64::from(sums.weight[lane]) - 1.0;
        }
    }
}

#[derive(Debug, Default)]
struct Scratch {
    sources: Sources,
    stack: Vec<u32>,
}

impl Tree {
    fn build(&mut self, points: &[[f32; 2]]) {
        let (low, side) = square_around(points);
        let scale = (1u32 << BITS) as f32 / side;
        let code = |point: &[f32; 2]| {
            let along = |axis: usize| {
                let cell = ((point[axis] - low[axis]) * scale) as u32;
                spread(cell.min((1 << BITS) - 1))
            };
            along(0) | along(1) << 1
        };
        self.order.clear();
        self.order.extend(points.iter().map(code).zip(0..));
        sort_by_code(&mut self.order, &mut self.spare);
        self.x.clear();
        self.y.clear();
        for &(_, point) in &self.order {
            let [x, y] = points[point as usize];
            self.x.push(x);
            self.y.push(y);
        }
        self.cells.clear();
        self.cells.push(Cell::over(0, points.len(), side));
        self.divide(0, BITS, side);
    }

    /// Divides a cell into its parts, whose points differ in the next two of `level` pairs of bits,
    /// and computes its centre.
    fn divide(&mut self, number: usize, level: u32, side: f32) {
        let mut cell = self.cells[number];
        let (start, end) = (cell.points.0 as usize, cell.points.1 as usize);
        if end - start <= LEAF || level == 0 {
            cell.x = self.x[start..end].iter().sum::<f32>() / cell.mass;
            cell.y = self.y[start..end].iter().sum::<f32>() / cell.mass;
        } else {
            let first = self.cells.len();
            let mut from = start;
            for quarter in 0..4 {
                let shift = 2 * (level - 1);
                let inside = |&(code, _): &(u32, u32)| (code >> shift) & 3 <= quarter;
                let to = from + self.order[from..end].partition_point(inside);
                if to > from {
                    self.cells.push(Cell::over(from, to, 0.5 * side));
                }
                from = to;
            }
            let last = self.cells.len();
            cell.children = (first as u32, last as u32);
            for part in first..last {
                self.divide(part, level - 1, 0.5 * side);
                let part = &self.cells[part];
                cell.x += part.x * (part.mass / cell.mass);
                cell.y += part.y * (part.mass / cell.mass);
            }
        }
        self.cells[number] = cell;
    }

    /// The sums of the block of points that starts at `start` along the curve.
    fn repel_block(&self, start: usize, near: f32, scratch: &mut Scratch) -> Repulsion {
        let end = (start + TARGETS).min(self.x.len());
        let mut x = [FAR_AWAY; TARGETS];
        let mut y = [FAR_AWAY; TARGETS];
        x[..end - start].copy_from_slice(&self.x[start..end]);
        y[..end - start].copy_from_slice(&self.y[start..end]);
        self.list_sources(start, end, near, scratch);
        let mut sums = Repulsion::ZERO;
        repel(&x, &y, &scratch.sources, &mut sums);
        sums
    }

    fn list_sources(&self, start: usize, end: usize, near: f32, scratch: &mut Scratch) {
        let (low_x, high_x) = bounds(&self.x[start..end]);
        let (low_y, high_y) = bounds(&self.y[start..end]);
        let Scratch { sources, stack } = scratch;
        sources.clear();
        stack.clear();
        stack.push(0);
        while let Some(number) = stack.pop() {
            let cell = &self.cells[number as usize];
            let dx = (low_x - cell.x).max(cell.x - high_x).max(0.0);
            let dy = (low_y - cell.y).max(cell.y - high_y).max(0.0);
            if cell.square * near < dx * dx + dy * dy {
                sources.push(cell.x, cell.y, cell.mass);
            } else if cell.children.0 == cell.children.1 {
                for point in cell.points.0 as usize..cell.points.1 as usize {
                    sources.push(self.x[point], self.y[point], 1.0);
                }
            } else {
                stack.extend(cell.children.0..cell.children.1);
            }
        }
    }
}

fn bounds(values: &[f32]) -> (f32, f32) {
    let widen = |(low, high): (f32, f32), &v: &f32| (low.min(v), high.max(v));
    values.iter().fold((f32::MAX, f32::MIN), widen)
}

/// Lowest corner and side of a square that holds all points.
fn square_around(points: &[[f32; 2]]) -> ([f32; 2], f32) {
    let mut low = [f32::MAX; 2];
    let mut high = [f32::MIN; 2];
    for point in points {
        for axis in 0..2 {
            low[axis] = low[axis].min(point[axis]);
            high[axis] = high[axis].max(point[axis]);
        }
    }
    let side = (high[0] - low[0]).max(high[1] - low[1]);
    (low, side * 1.0001 + f32::MIN_POSITIVE)
}

/// The bits of a 16-bit number, a zero after each.
fn spread(value: u32) -> u32 {
    let value = (value | value << 8) & 0x00FF_00FF;
    let value = (value | value << 4) & 0x0F0F_0F0F;
    let value = (value | value << 2) & 0x3333_3333;
    (value | value << 1) & 0x5555_5555
}

/// Sorts by the 32-bit code, equal codes in the order they were, in three passes of 11 bits.
fn sort_by_code(order: &mut Vec<(u32, u32)>, spare: &mut Vec<(u32, u32)>) {
    const DIGIT: u32 = 11;
    spare.resize(order.len(), (0, 0));
    for pass in 0..3 {
        let digit = |code: u32| (code >> (pass * DIGIT)) as usize & ((1 << DIGIT) - 1);
        let mut next = [0usize; 1 << DIGIT];
        for &(code, _) in order.iter() {
            next[digit(code)] += 1;
        }
        let mut total = 0;
        for slot in &mut next {
            (*slot, total) = (total, total + *slot);
        }
        for &entry in order.iter() {
            let slot = &mut next[digit(entry.0)];
            spare[*slot] = entry;
            *slot += 1;
        }
        std::mem::swap(order, spare);
    }
}
