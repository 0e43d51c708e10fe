//! Products against their definition. Operands are small integers, so that every order of additions
//! gives the same number, and a wrong element cannot hide behind a tolerance.

use super::*;

/// Rows, columns and inner indices: less than a tile, rests of tiles on both sides, several blocks of rows
/// and of inner indices, and rows that collide in the cache.
const SIZES: [[usize; 3]; 10] = [
    [1, 1, 1],
    [4, 4, 4],
    [7, 9, 5],
    [6, 16, 8],
    [65, 65, 64],
    [103, 33, 257],
    [97, 50, 1024],
    [33, 130, 700],
    [2, 300, 200],
    [200, 17, 90],
];

fn integers(seed: usize, count: usize) -> Vec<f32> {
    (0..count)
        .map(|i| ((i * seed + i / 7) % 7) as f32 - 3.0)
        .collect()
}

fn definition(left: Matrix<'_>, right: Matrix<'_>) -> Vec<f32> {
    let at = |m: Matrix<'_>, i: usize, j: usize| m.values[i * m.row_stride + j * m.column_stride];
    (0..left.rows * right.columns)
        .map(|index| {
            let (i, j) = (index / right.columns, index % right.columns);
            (0..left.columns)
                .map(|p| at(left, i, p) * at(right, p, j))
                .sum()
        })
        .collect()
}

fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len() / columns;
    (0..values.len())
        .map(|i| values[i % rows * columns + i / rows])
        .collect()
}

/// Each size with both orders of both operands.
fn for_all_layouts(check: impl Fn(Matrix<'_>, Matrix<'_>)) {
    for [m, n, k] in SIZES {
        let (a, b) = (integers(5, m * k), integers(3, k * n));
        let (at, bt) = (transposed(&a, k), transposed(&b, n));
        let lefts = [Matrix::new(&a, k), Matrix::new(&at, m).transpose()];
        let rights = [Matrix::new(&b, n), Matrix::new(&bt, k).transpose()];
        for (left, right) in lefts.into_iter().flat_map(|l| rights.map(|r| (l, r))) {
            check(left, right);
        }
    }
}

/// Every way of computing in f32 that this machine has: the target, whether to add, the threads.
type Way = fn(Matrix<'_>, Matrix<'_>, Target<'_>, bool, usize);

fn ways() -> Vec<Way> {
    let mut ways: Vec<Way> = vec![multiply_by_crate];
    #[cfg(target_arch = "x86_64")]
    if blocked::usable() {
        ways.push(blocked::multiply);
    }
    ways
}

#[test]
fn products_follow_their_definition_in_every_layout() {
    for_all_layouts(|left, right| {
        let wanted = definition(left, right);
        let (m, n) = (left.rows, right.columns);
        for (way, threads) in ways().into_iter().flat_map(|w| [1, 3].map(|t| (w, t))) {
            for add in [false, true] {
                // Rows with a gap between them, which must stay as it is.
                let stride = n + 3;
                let mut values = vec![0.5; m * stride];
                let target = Target {
                    values: overwrite(&mut values),
                    row_stride: stride,
                };
                way(left, right, target, add, threads);
                for (row, wanted) in values.chunks(stride).zip(wanted.chunks(n)) {
                    let base = if add { 0.5 } else { 0.0 };
                    let wanted = wanted.iter().map(|w| w + base);
                    assert!(row[..n].iter().copied().eq(wanted), "{m} {n}, add {add}");
                    assert_eq!(row[n..], [0.5; 3]);
                }
            }
        }
    });
}

#[test]
fn sums_of_columns_come_with_a_product() {
    for_all_layouts(|left, right| {
        let ones = vec![1.0; right.rows];
        let sums = definition(Matrix::new(&ones, right.rows), right);
        let (product, on_the_way) = times_and_sums(left, right, Precision::F32);
        assert_eq!(product, definition(left, right));
        assert!(on_the_way.is_none_or(|on_the_way| on_the_way == sums));
        #[cfg(target_arch = "x86_64")]
        if blocked::usable() {
            for threads in [1, 2, 5] {
                let mut values = vec![0.0; product.len()];
                let target = Target::rows(overwrite(&mut values), right.columns);
                let of_threads = blocked::multiply_and_sum(left, right, target, threads);
                assert_eq!((values, of_threads), (product.clone(), sums.clone()));
            }
        }
    });
}

#[test]
fn a_repeated_operand_adds_bias_and_base() {
    for_all_layouts(|left, right| {
        if !left.rows_in_order() {
            return;
        }
        let n = right.columns;
        let bias = integers(11, n);
        let base = integers(13, left.rows * n);
        let product = definition(left, right);
        for precision in [Precision::F32, Precision::Bf16] {
            let repeated = Repeated::new(left.rows, right, Some(&bias), precision);
            for base in [None, Some(base.as_slice())] {
                let mut output = vec![0.0; product.len()];
                repeated.multiply(left.span(), base, overwrite(&mut output));
                for (i, y) in output.iter().enumerate() {
                    let wanted = product[i] + bias[i % n] + base.map_or(0.0, |base| base[i]);
                    assert_eq!(*y, wanted);
                }
            }
        }
    });
}

/// Numbers whose sums depend on the order of additions.
#[test]
fn products_do_not_depend_on_the_number_of_threads() {
    let series = |seed: usize, n: usize| -> Vec<f32> {
        (0..n)
            .map(|i| ((i * seed) % 1013) as f32 / 300.0 - 1.7)
            .collect()
    };
    for [m, n, k] in [[300, 70, 192], [96, 192, 2000], [500, 40, 700]] {
        let (a, b) = (series(7, m * k), series(11, k * n));
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().expect("a pool").install(|| {
                let (left, right) = (Matrix::new(&a, k), Matrix::new(&b, n));
                let across = Matrix::new(&a, m).transpose();
                (
                    left.times(right, Threads::Pool, Precision::F32),
                    times_and_sums(across, right, Precision::F32),
                )
            })
        };
        let one = run(1);
        assert!(
            [2, 3].into_iter().all(|threads| run(threads) == one),
            "{m} {n} {k}"
        );
    }
}
