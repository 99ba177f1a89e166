//! Who computes which rows of an answer.

/// Spreads the rows of an answer over threads.
pub trait Share {
    /// Calls `fill` with the first row and the values of parts of `out` that are whole rows of
    /// `row` values, until all are filled. All of them cost about `multiplications`.
    fn rows(
        &self,
        out: &mut [f32],
        row: usize,
        multiplications: usize,
        fill: &(dyn Fn(usize, &mut [f32]) + Sync),
    );

    /// How many threads there are.
    fn threads(&self) -> usize;
}

/// The thread that calls, and no other.
pub struct Alone;

impl Share for Alone {
    fn rows(&self, out: &mut [f32], _: usize, _: usize, fill: &(dyn Fn(usize, &mut [f32]) + Sync)) {
        fill(0, out);
    }

    fn threads(&self) -> usize {
        1
    }
}
