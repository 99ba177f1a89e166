//! Who computes which rows of an answer.

use rayon::prelude::*;

/// Fills the rows of an answer from one on: given its number and the values of as many as there
/// are.
pub type Fill<'a> = &'a (dyn Fn(usize, &mut [f32]) + Sync + 'a);

/// Spreads the rows of an answer over threads.
pub trait Share {
    /// Calls `fill` with the first row and the values of parts of `out` that are whole rows of
    /// `row` values, until all are filled. All of them cost about `multiplications`.
    fn rows(&self, out: &mut [f32], row: usize, multiplications: usize, fill: Fill);

    /// How many threads there are.
    fn threads(&self) -> usize;
}

/// The thread that calls, and no other.
pub struct Alone;

impl Share for Alone {
    fn rows(&self, out: &mut [f32], _: usize, _: usize, fill: Fill) {
        fill(0, out);
    }

    fn threads(&self) -> usize {
        1
    }
}

/// Parts of an answer for each thread: one that is ready early takes another.
const PARTS: usize = 4;

/// The threads of rayon, some rows each.
pub struct Together;

impl Share for Together {
    fn rows(&self, out: &mut [f32], row: usize, _: usize, fill: Fill) {
        in_parts(out, row, PARTS * self.threads(), fill);
    }

    fn threads(&self) -> usize {
        rayon::current_num_threads()
    }
}

/// Calls `fill` with `parts` parts of `out` of about one size, of whole rows of `row` values, on the
/// threads of rayon.
pub fn in_parts(out: &mut [f32], row: usize, parts: usize, fill: Fill) {
    let row = row.max(1);
    let rows = (out.len() / row).div_ceil(parts.max(1)).max(1);
    let parts = out.par_chunks_mut(rows * row).enumerate();
    parts.for_each(|(at, part)| fill(at * rows, part));
}
