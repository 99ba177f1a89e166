//! Products of few rows with a large matrix, such as a dense layer's with a small batch.
//!
//! The matrix is read, or written, once and where it is: to bring it into the order that a general
//! product wants would take longer than the multiplications.

// Loops that count to a constant are unrolled; iterators of vectors are not always.
#![allow(clippy::needless_range_loop)]

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::lanes::{Vectors, load, load_some, store};

/// Rows that are computed at a time.
const ROWS: usize = 8;

/// The most rows for which this is made.
pub const FEW: usize = 32;

/// Rows of the matrix that make one part of a sum. Fixed, so that the order of the sum, and with it
/// the result, does not depend on the number of threads.
const PART: usize = 512;

/// Values of a row whose products are summed up at a time: of [`ROWS`] of them, half of a
/// first-level cache.
const STRETCH: usize = 512;

/// `x` `[rows, length]` with zeros for rows and values until there are [`ROWS`], or a multiple, of
/// whole vectors.
fn filled(x: &[f32], rows: usize, length: usize, width: usize) -> (Vec<f32>, usize) {
    let wide = length.next_multiple_of(width.max(1));
    let mut filled = vec![0f32; rows.next_multiple_of(ROWS) * wide];
    for (row, x) in x.chunks_exact(length.max(1)).enumerate() {
        filled[row * wide..][..length].copy_from_slice(x);
    }
    (filled, wide)
}

/// `out` `[rows, columns]` is the product of `x` `[rows, inner]` and `matrix` `[inner, columns]`.
pub fn times(x: &[f32], matrix: &[f32], [rows, inner, columns]: [usize; 3], out: &mut [f32]) {
    assert_eq!((x.len(), matrix.len()), (rows * inner, inner * columns), "factors");
    assert_eq!(out.len(), rows * columns, "product");
    let vectors = Vectors::widest();
    let (x, _) = filled(x, rows, inner, 1);
    let parts: Vec<Vec<f32>> = matrix
        .par_chunks((PART * columns).max(1))
        .enumerate()
        .map(|(part, matrix)| {
            let mut sums = vec![0f32; rows.next_multiple_of(ROWS) * columns];
            let first = part * PART;
            vectors.dispatch(Times { x: &x, inner, first, matrix, columns, sums: &mut sums });
            sums
        })
        .collect();
    out.fill(0.0);
    for part in parts {
        out.iter_mut().zip(part).for_each(|(sum, value)| *sum += value);
    }
}

struct Times<'a> {
    x: &'a [f32],
    inner: usize,
    /// The first of the matrix' rows.
    first: usize,
    matrix: &'a [f32],
    columns: usize,
    sums: &'a mut [f32],
}

impl Times<'_> {
    /// Adds `N` rows of the matrix, from `row` on, to the sums of rows from `first` on.
    #[inline(always)]
    fn add<S: Simd, const N: usize>(&mut self, simd: S, row: usize, first: usize) {
        let columns = self.columns;
        let mut factors = [[simd.splat_f32s(0.0); N]; ROWS];
        for r in 0..ROWS {
            for n in 0..N {
                let at = (first + r) * self.inner + self.first + row + n;
                factors[r][n] = simd.splat_f32s(self.x[at]);
            }
        }
        for column in (0..columns).step_by(S::F32_LANES) {
            let count = S::F32_LANES.min(columns - column);
            let mut values = [simd.splat_f32s(0.0); N];
            for n in 0..N {
                let from = &self.matrix[(row + n) * columns + column..][..count];
                values[n] = load_some(simd, from);
            }
            for r in 0..ROWS {
                let sums = &mut self.sums[(first + r) * columns + column..][..count];
                let mut sum = load_some(simd, sums);
                for n in 0..N {
                    sum = simd.mul_add_f32s(factors[r][n], values[n], sum);
                }
                store(simd, sums, sum);
            }
        }
    }
}

impl WithSimd for Times<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let count = self.matrix.len() / self.columns.max(1);
        let groups = self.sums.len() / (ROWS * self.columns).max(1);
        let mut row = 0;
        while row < count {
            let many = row + 4 <= count;
            for group in 0..groups {
                if many {
                    self.add::<S, 4>(simd, row, group * ROWS);
                } else {
                    self.add::<S, 1>(simd, row, group * ROWS);
                }
            }
            row += if many { 4 } else { 1 };
        }
    }
}

/// `out` `[rows, columns]` is the product of `x` `[rows, inner]` and the transposed of `matrix`
/// `[columns, inner]`.
pub fn times_turned(
    x: &[f32],
    matrix: &[f32],
    [rows, inner, columns]: [usize; 3],
    out: &mut [f32],
) {
    assert_eq!((x.len(), matrix.len()), (rows * inner, inner * columns), "factors");
    assert_eq!(out.len(), rows * columns, "product");
    let vectors = Vectors::widest();
    let (x, wide) = filled(x, rows, inner, vectors.width());
    let many = rows.next_multiple_of(ROWS);
    // For each row of the matrix its products with all rows.
    let mut products = vec![0f32; columns * many];
    let parts = products.par_chunks_mut(64 * many).zip(matrix.par_chunks((64 * inner).max(1)));
    parts.for_each(|(products, matrix)| {
        vectors.dispatch(TimesTurned { x: &x, wide, matrix, inner, many, products });
    });
    for (row, out) in out.chunks_exact_mut(columns.max(1)).enumerate() {
        let products = products.chunks_exact(many.max(1)).map(|products| products[row]);
        out.iter_mut().zip(products).for_each(|(out, product)| *out = product);
    }
}

struct TimesTurned<'a> {
    x: &'a [f32],
    /// Values of a row of `x`.
    wide: usize,
    matrix: &'a [f32],
    inner: usize,
    /// Rows of `x`.
    many: usize,
    products: &'a mut [f32],
}

impl TimesTurned<'_> {
    /// Adds the products of `N` rows of the matrix, from `row` on, with the rows from `first` on, over
    /// a stretch that begins at `begin`.
    #[inline(always)]
    fn add<S: Simd, const N: usize>(&mut self, simd: S, row: usize, first: usize, begin: usize) {
        let end = (begin + STRETCH).min(self.inner);
        let mut sums = [[simd.splat_f32s(0.0); N]; ROWS];
        for at in (begin..end).step_by(S::F32_LANES) {
            let count = S::F32_LANES.min(end - at);
            let mut values = [simd.splat_f32s(0.0); N];
            for n in 0..N {
                values[n] = load_some(simd, &self.matrix[(row + n) * self.inner + at..][..count]);
            }
            for r in 0..ROWS {
                let x = load::<S>(&self.x[(first + r) * self.wide + at..]);
                for n in 0..N {
                    sums[r][n] = simd.mul_add_f32s(x, values[n], sums[r][n]);
                }
            }
        }
        let done = sums;
        for r in 0..ROWS {
            for n in 0..N {
                self.products[(row + n) * self.many + first + r] +=
                    simd.reduce_sum_f32s(done[r][n]);
            }
        }
    }
}

impl WithSimd for TimesTurned<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let count = self.products.len() / self.many.max(1);
        for begin in (0..self.inner).step_by(STRETCH) {
            for first in (0..self.many).step_by(ROWS) {
                for row in (0..count / 2 * 2).step_by(2) {
                    self.add::<S, 2>(simd, row, first, begin);
                }
                if !count.is_multiple_of(2) {
                    self.add::<S, 1>(simd, count - 1, first, begin);
                }
            }
        }
    }
}

/// `out` `[down, across]` is the product of the transposed of `left` `[rows, down]` and `right`
/// `[rows, across]`.
pub fn turned_times(
    left: &[f32],
    right: &[f32],
    [down, rows, across]: [usize; 3],
    out: &mut [f32],
) {
    assert_eq!((left.len(), right.len()), (rows * down, rows * across), "factors");
    assert_eq!(out.len(), down * across, "product");
    let vectors = Vectors::widest();
    out.par_chunks_mut((64 * across).max(1)).enumerate().for_each(|(part, out)| {
        let first = part * 64;
        vectors.dispatch(TurnedTimes { left, down, first, right, across, out });
    });
}

struct TurnedTimes<'a> {
    left: &'a [f32],
    down: usize,
    /// The first row of the product.
    first: usize,
    right: &'a [f32],
    across: usize,
    out: &'a mut [f32],
}

impl TurnedTimes<'_> {
    #[inline(always)]
    fn fill<S: Simd, const N: usize>(&mut self, simd: S, row: usize) {
        let across = self.across;
        for column in (0..across).step_by(S::F32_LANES) {
            let count = S::F32_LANES.min(across - column);
            let mut sums = [simd.splat_f32s(0.0); N];
            let pairs = self.left.chunks_exact(self.down).zip(self.right.chunks_exact(across));
            for (left, right) in pairs {
                let values = load_some(simd, &right[column..][..count]);
                for n in 0..N {
                    let factor = simd.splat_f32s(left[self.first + row + n]);
                    sums[n] = simd.mul_add_f32s(factor, values, sums[n]);
                }
            }
            for n in 0..N {
                store(simd, &mut self.out[(row + n) * across + column..][..count], sums[n]);
            }
        }
    }
}

impl WithSimd for TurnedTimes<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let count = self.out.len() / self.across.max(1);
        for row in (0..count / 4 * 4).step_by(4) {
            self.fill::<S, 4>(simd, row);
        }
        for row in count / 4 * 4..count {
            self.fill::<S, 1>(simd, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{config, numbers};
    use super::*;

    /// `[rows, columns]` of what `value` says.
    fn table(rows: usize, columns: usize, value: impl Fn(usize, usize) -> f32) -> Vec<f32> {
        (0..rows * columns).map(|at| value(at / columns, at % columns)).collect()
    }

    fn near(given: &[f32], wanted: &[f32]) -> Result<(), TestCaseError> {
        let largest = wanted.iter().fold(1f32, |largest, value| largest.max(value.abs()));
        for (given, wanted) in given.iter().zip(wanted) {
            prop_assert!((given - wanted).abs() <= 1e-5 * largest, "{given} for {wanted}");
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(config())]

        /// By the definition of a product, longer than a part and a stretch too.
        #[test]
        fn products_are_those_of_arithmetic(
            rows in 1usize..20,
            inner in prop_oneof![1usize..70, 500usize..600, 1000usize..1100],
            columns in prop_oneof![1usize..70, 120usize..140],
        ) {
            let x = numbers(rows * inner, 1);
            let matrix = numbers(inner * columns, 2);
            let turned = table(columns, inner, |row, column| matrix[column * columns + row]);
            let wanted = table(rows, columns, |row, column| {
                (0..inner).map(|at| x[row * inner + at] * matrix[at * columns + column]).sum()
            });
            let mut out = vec![f32::NAN; rows * columns];
            times(&x, &matrix, [rows, inner, columns], &mut out);
            near(&out, &wanted)?;
            out.fill(f32::NAN);
            times_turned(&x, &turned, [rows, inner, columns], &mut out);
            near(&out, &wanted)?;
            // The same factors the other way round: `[columns, inner]` is what they share.
            let left = numbers(rows * inner, 3);
            let right = numbers(rows * columns, 4);
            let wanted = table(inner, columns, |row, column| {
                (0..rows).map(|at| left[at * inner + row] * right[at * columns + column]).sum()
            });
            let mut out = vec![f32::NAN; inner * columns];
            turned_times(&left, &right, [inner, rows, columns], &mut out);
            near(&out, &wanted)?;
        }
    }
}
