//! Sums over pairs of points in the plane with the weight 1 / (1 + distance²) of Student's t: the
//! forces of t-SNE.
//!
//! Called by the map's optimizer, from any thread. The loops are plain Rust, compiled for the vector
//! units at hand; sums run over sources in the order given.

use super::multiversion::multiversion;

/// Targets of one block; their sums with all sources are computed together.
pub(crate) const TARGETS: usize = 64;

/// Targets whose sums are kept in registers together.
const LANES: usize = 16;

/// Edges whose forces are computed together.
const EDGES: usize = 8;

/// Points that others are repelled by: `mass` points at one place each.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) x: Vec<f32>,
    pub(crate) y: Vec<f32>,
    pub(crate) mass: Vec<f32>,
}

/// Sums of one block of targets.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Repulsion {
    /// Σ m q² (target − source), q = 1 / (1 + distance²).
    pub(crate) x: [f32; TARGETS],
    pub(crate) y: [f32; TARGETS],
    /// Σ m q.
    pub(crate) weight: [f32; TARGETS],
}

impl Sources {
    pub(crate) fn clear(&mut self) {
        self.x.clear();
        self.y.clear();
        self.mass.clear();
    }

    pub(crate) fn push(&mut self, x: f32, y: f32, mass: f32) {
        self.x.push(x);
        self.y.push(y);
        self.mass.push(mass);
    }
}

impl Repulsion {
    pub(crate) const ZERO: Self = Self {
        x: [0.0; TARGETS],
        y: [0.0; TARGETS],
        weight: [0.0; TARGETS],
    };
}

multiversion! {
    /// Overwrites `sums` with those of the targets at `x`, `y` over all sources.
    fn repel_block(
        x: &[f32; TARGETS],
        y: &[f32; TARGETS],
        sources: &Sources,
        sums: &mut Repulsion,
    ) = repel_body;

    /// Overwrites `force` with Σ w q (own − neighbour) over the neighbours of a point in `points`
    /// `[n, 2]`.
    fn attract_row(
        points: &[[f32; 2]],
        own: [f32; 2],
        neighbours: &[u32],
        weights: &[f32],
        force: &mut [f32; 2],
    ) = attract_body;
}

/// The sums of the targets at `x`, `y` over all sources. Targets that are missing in a last block may
/// be anywhere.
pub(crate) fn repel(
    x: &[f32; TARGETS],
    y: &[f32; TARGETS],
    sources: &Sources,
    sums: &mut Repulsion,
) {
    repel_block(x, y, sources, sums);
}

/// Σ w q (own − neighbour) over the neighbours of a point.
///
/// # Panics
/// When a neighbour is none of `points`.
pub(crate) fn attract(
    points: &[[f32; 2]],
    own: [f32; 2],
    neighbours: &[u32],
    weights: &[f32],
) -> [f32; 2] {
    let mut force = [0.0; 2];
    attract_row(points, own, neighbours, weights, &mut force);
    force
}

#[inline(always)]
fn fused<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

#[inline(always)]
fn repel_body<const FMA: bool>(
    x: &[f32; TARGETS],
    y: &[f32; TARGETS],
    sources: &Sources,
    sums: &mut Repulsion,
) {
    let (tx, _) = x.as_chunks::<LANES>();
    let (ty, _) = y.as_chunks::<LANES>();
    let (sum_x, _) = sums.x.as_chunks_mut::<LANES>();
    let (sum_y, _) = sums.y.as_chunks_mut::<LANES>();
    let (weight, _) = sums.weight.as_chunks_mut::<LANES>();
    for part in 0..TARGETS / LANES {
        let (tx, ty) = (&tx[part], &ty[part]);
        let (mut fx, mut fy, mut fw) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
        let all = sources.x.iter().zip(&sources.y).zip(&sources.mass);
        for ((&sx, &sy), &mass) in all {
            for lane in 0..LANES {
                let (dx, dy) = (tx[lane] - sx, ty[lane] - sy);
                let square = fused::<FMA>(dx, dx, fused::<FMA>(dy, dy, 1.0));
                let q = 1.0 / square;
                let mq = mass * q;
                let mqq = mq * q;
                fw[lane] += mq;
                fx[lane] = fused::<FMA>(mqq, dx, fx[lane]);
                fy[lane] = fused::<FMA>(mqq, dy, fy[lane]);
            }
        }
        (sum_x[part], sum_y[part], weight[part]) = (fx, fy, fw);
    }
}

#[inline(always)]
fn attract_body<const FMA: bool>(
    points: &[[f32; 2]],
    own: [f32; 2],
    neighbours: &[u32],
    weights: &[f32],
    force: &mut [f32; 2],
) {
    let (mut fx, mut fy) = ([0.0; EDGES], [0.0; EDGES]);
    let (ids, rest_ids) = neighbours.as_chunks::<EDGES>();
    let (ws, rest_ws) = weights.as_chunks::<EDGES>();
    for (ids, ws) in ids.iter().zip(ws) {
        let ends = ids.map(|id| points[id as usize]);
        for lane in 0..EDGES {
            let (dx, dy) = (own[0] - ends[lane][0], own[1] - ends[lane][1]);
            let square = fused::<FMA>(dx, dx, fused::<FMA>(dy, dy, 1.0));
            let w = ws[lane] / square;
            fx[lane] = fused::<FMA>(w, dx, fx[lane]);
            fy[lane] = fused::<FMA>(w, dy, fy[lane]);
        }
    }
    let (mut x, mut y) = (fx.iter().sum::<f32>(), fy.iter().sum::<f32>());
    for (&id, &w) in rest_ids.iter().zip(rest_ws) {
        let [px, py] = points[id as usize];
        let (dx, dy) = (own[0] - px, own[1] - py);
        let w = w / (1.0 + dx * dx + dy * dy);
        x += w * dx;
        y += w * dy;
    }
    *force = [x, y];
}
