//! Inner products of many query rows with many candidate rows, without a matrix of all pairs.
//!
//! Called by k-means, cluster quality and retrieval, from any thread. Both sides are packed once:
//! [`Queries`] as groups of rows, [`Panels`] as groups of candidates, each candidate with a bias.
//! [`for_each_tile`] then hands `bias + query · candidate` to a visitor, one row and one panel at a
//! time. The products of a pair do not depend on which block or thread computes them. The CPU's
//! vector units are chosen at run time; the loops themselves are plain Rust.

/// Candidates of one panel; a visitor gets this many products at once.
pub(crate) const LANES: usize = 16;

/// Query rows whose products with a panel are kept in registers together.
const ROWS: usize = 6;

/// Query rows `[n, dim]`, packed as `[groups][dim][ROWS]`; the last group is filled up with zeros.
#[derive(Debug)]
pub(crate) struct Queries {
    count: usize,
    dim: usize,
    data: Vec<f32>,
}

/// Candidate rows `[m, dim]`, packed as `[panels][dim][LANES]`, and their biases. Lanes after the
/// last candidate have bias −∞, so their products never win.
#[derive(Debug)]
pub(crate) struct Panels {
    dim: usize,
    data: Vec<f32>,
    bias: Vec<[f32; LANES]>,
}

impl Queries {
    /// Packs finite rows `[n, dim]` relative to `origin` `[dim]`.
    pub(crate) fn pack(rows: &[f32], dim: usize, origin: &[f32]) -> Self {
        let data = pack::<ROWS>(rows, dim, origin);
        Self {
            count: rows.len() / dim,
            dim,
            data,
        }
    }
}

impl Panels {
    /// Packs finite rows `[m, dim]` relative to `origin` `[dim]`, with bias 0: products are inner
    /// products.
    pub(crate) fn products(rows: &[f32], dim: usize, origin: &[f32]) -> Self {
        Self::with_bias(rows, dim, origin, |_, _| 0.0)
    }

    /// The same for those that take part `[m]`; products with others are −∞.
    pub(crate) fn products_of(
        rows: &[f32],
        dim: usize,
        origin: &[f32],
        takes_part: &[bool],
    ) -> Self {
        Self::with_bias(rows, dim, origin, |candidate, _| {
            match takes_part.get(candidate) {
                Some(true) => 0.0,
                _ => f32::NEG_INFINITY,
            }
        })
    }

    /// The same with bias −½‖candidate‖²: of all candidates, the one with the largest product is
    /// nearest to the query, as ‖q − c‖² = ‖q‖² − 2 (q·c − ½‖c‖²).
    pub(crate) fn nearest(rows: &[f32], dim: usize, origin: &[f32]) -> Self {
        Self::with_bias(rows, dim, origin, |_, row| {
            let square: f64 = row
                .iter()
                .zip(origin)
                .map(|(&v, &o)| f64::from(v - o).powi(2))
                .sum();
            (-0.5 * square) as f32
        })
    }

    /// The same with the bias that each candidate gets by its number and row.
    pub(crate) fn with_bias(
        rows: &[f32],
        dim: usize,
        origin: &[f32],
        bias: impl Fn(usize, &[f32]) -> f32,
    ) -> Self {
        let count = rows.len() / dim;
        let mut lanes = vec![[f32::NEG_INFINITY; LANES]; count.div_ceil(LANES)];
        let slots = lanes.iter_mut().flatten().zip(rows.chunks_exact(dim));
        for (candidate, (slot, row)) in slots.enumerate() {
            *slot = bias(candidate, row);
        }
        Self {
            dim,
            data: pack::<LANES>(rows, dim, origin),
            bias: lanes,
        }
    }
}

/// `[n, dim]` → `[ceil(n / WIDTH)][dim][WIDTH]`, less `origin`.
fn pack<const WIDTH: usize>(rows: &[f32], dim: usize, origin: &[f32]) -> Vec<f32> {
    let groups = (rows.len() / dim).div_ceil(WIDTH);
    let mut data = vec![0.0; groups * dim * WIDTH];
    for (index, row) in rows.chunks_exact(dim).enumerate() {
        let group = &mut data[(index / WIDTH) * dim * WIDTH..][..dim * WIDTH];
        let lane = index % WIDTH;
        for ((column, &value), &o) in group.chunks_exact_mut(WIDTH).zip(row).zip(origin) {
            column[lane] = value - o;
        }
    }
    data
}

/// Calls `visit(row, first, products)` for each query row and each panel, where `products[l]` is
/// `bias + query · candidate` of candidate `first + l`, −∞ after the last one. For one row, `first`
/// rises.
pub(crate) fn for_each_tile(
    queries: &Queries,
    panels: &Panels,
    visit: impl FnMut(usize, usize, &[f32; LANES]),
) {
    Path::detect().sweep(queries, panels, visit);
}

/// ‖a − b‖² of two rows of equal length, summed in eight partial sums: the same bits on every CPU.
pub(crate) fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        #[allow(unsafe_code, reason = "calls a function compiled for AVX2")]
        // SAFETY: this CPU has AVX2.
        return unsafe { squared_distance_avx2(a, b) };
    }
    eight_sums(a, b)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn squared_distance_avx2(a: &[f32], b: &[f32]) -> f32 {
    eight_sums(a, b)
}

#[inline(always)]
fn eight_sums(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for ((sum, &x), &y) in sums.iter_mut().zip(a).zip(b) {
            *sum += (x - y) * (x - y);
        }
    }
    let rest: f32 = a_rest
        .iter()
        .zip(b_rest)
        .map(|(&x, &y)| (x - y) * (x - y))
        .sum();
    sums.iter().sum::<f32>() + rest
}

/// A way to compute the tiles that this CPU can execute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Path {
    fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    #[allow(
        unsafe_code,
        reason = "functions compiled for more vector units than the build's baseline"
    )]
    fn sweep(
        self,
        queries: &Queries,
        panels: &Panels,
        visit: impl FnMut(usize, usize, &[f32; LANES]),
    ) {
        match self {
            Self::Portable => sweep::<false>(queries, panels, visit),
            // SAFETY: `detect` found avx2 and fma on this CPU, and nothing else makes this variant.
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => unsafe { sweep_avx2(queries, panels, visit) },
            // SAFETY: `detect` found avx512f on this CPU, and nothing else makes this variant.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => unsafe { sweep_avx512(queries, panels, visit) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn sweep_avx2(queries: &Queries, panels: &Panels, visit: impl FnMut(usize, usize, &[f32; LANES])) {
    sweep::<true>(queries, panels, visit);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx2,fma")]
fn sweep_avx512(
    queries: &Queries,
    panels: &Panels,
    visit: impl FnMut(usize, usize, &[f32; LANES]),
) {
    sweep::<true>(queries, panels, visit);
}

/// Panels outside, so that one panel stays in the first cache while all query rows pass by.
#[inline(always)]
fn sweep<const FUSED: bool>(
    queries: &Queries,
    panels: &Panels,
    mut visit: impl FnMut(usize, usize, &[f32; LANES]),
) {
    let dim = queries.dim;
    assert_eq!(
        dim, panels.dim,
        "queries and candidates differ in dimension"
    );
    let panel_list = panels.data.chunks_exact(dim * LANES).zip(&panels.bias);
    for (p, (panel, bias)) in panel_list.enumerate() {
        for (g, group) in queries.data.chunks_exact(dim * ROWS).enumerate() {
            let products = tile::<FUSED>(group, panel, bias);
            let first_row = g * ROWS;
            for (r, row) in products.iter().enumerate() {
                if first_row + r < queries.count {
                    visit(first_row + r, p * LANES, row);
                }
            }
        }
    }
}

/// Products `[ROWS][LANES]` of one group with one panel, summed in the order of the dimensions.
#[inline(always)]
fn tile<const FUSED: bool>(
    group: &[f32],
    panel: &[f32],
    bias: &[f32; LANES],
) -> [[f32; LANES]; ROWS] {
    let mut sums = [*bias; ROWS];
    let (group, _) = group.as_chunks::<ROWS>();
    let (panel, _) = panel.as_chunks::<LANES>();
    for (values, column) in group.iter().zip(panel) {
        for (sum, &value) in sums.iter_mut().zip(values) {
            for (s, &c) in sum.iter_mut().zip(column) {
                // A fused multiply-add is a library call where the CPU has none.
                *s = if FUSED {
                    value.mul_add(c, *s)
                } else {
                    value * c + *s
                };
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_products(path: Path, queries: &Queries, panels: &Panels, count: usize) -> Vec<f32> {
        let mut all = vec![f32::NAN; queries.count * count];
        path.sweep(queries, panels, |row, first, products| {
            for (lane, &value) in products.iter().enumerate() {
                match first + lane {
                    candidate if candidate < count => all[row * count + candidate] = value,
                    _ => assert_eq!(value, f32::NEG_INFINITY),
                }
            }
        });
        all
    }

    proptest! {
        /// Every path yields what the definition says, for every pair exactly once.
        #[test]
        fn products_follow_the_definition(
            dim in 1usize..40,
            rows in 1usize..20,
            count in 1usize..40,
            values in prop::collection::vec(-2.0f32..2.0, 40 * 61),
        ) {
            let (origin, rest) = values.split_at(dim);
            let (q, rest) = rest.split_at(rows * dim);
            let c = &rest[..count * dim];
            let queries = Queries::pack(q, dim, origin);
            for (nearest, panels) in [
                (false, Panels::products(c, dim, origin)),
                (true, Panels::nearest(c, dim, origin)),
            ] {
                for path in [Path::Portable, Path::detect()] {
                    let got = all_products(path, &queries, &panels, count);
                    for (row, x) in q.chunks_exact(dim).enumerate() {
                        for (candidate, y) in c.chunks_exact(dim).enumerate() {
                            let mut want = 0.0f64;
                            for ((&x, &y), &o) in x.iter().zip(y).zip(origin) {
                                let (x, y) = (f64::from(x - o), f64::from(y - o));
                                want += x * y - if nearest { 0.5 * y * y } else { 0.0 };
                            }
                            let value = f64::from(got[row * count + candidate]);
                            prop_assert!((value - want).abs() < 1e-4, "{path:?}: {value} {want}");
                        }
                    }
                }
            }
        }

        /// A pair's product is the same bits wherever its row stands in the block.
        #[test]
        fn products_do_not_depend_on_the_block(
            values in prop::collection::vec(-2.0f32..2.0, 9 * 24),
        ) {
            let dim = 9;
            let origin = [0.0; 9];
            let panels = Panels::products(&values, dim, &origin);
            let whole = all_products(Path::detect(), &Queries::pack(&values, dim, &origin), &panels, 24);
            for start in [1, 5, 7] {
                let part = Queries::pack(&values[start * dim..], dim, &origin);
                let got = all_products(Path::detect(), &part, &panels, 24);
                prop_assert_eq!(&got[..], &whole[start * 24..]);
            }
        }
    }
}
