//! A convolution whose filters see all channels.
//!
//! A tile is some positions times two vectors of filters, whose sums stay in registers: each step
//! loads the two vectors of weights once, and one value of the map for each position.

// Loops that count to a constant are unrolled; iterators of vectors are not always.
#![allow(clippy::needless_range_loop)]

use std::borrow::Cow;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::ending::Ending;
use super::lanes::{Vectors, load, store};
use super::share::Share;
use super::window::Window;

/// Positions that are computed for one block of filters after the other: what they see of the map
/// stays in the cache meanwhile.
const BAND: usize = 96;

/// Positions of a tile where the processor has 32 registers.
const TILE: usize = 12;

/// Values between two addresses at which a line of the cache begins.
const LINE: usize = 16;

/// A convolution of maps `[batch, height, width, channels]` with filters that see all channels.
#[derive(Clone, Debug)]
pub struct Dense {
    kernel: [usize; 2],
    channels: usize,
    filters: usize,
    vectors: Vectors,
    /// Filters of a block: two vectors.
    width: usize,
    /// For each block of filters, row, column and channel of the window: the weights of the block's
    /// filters, zero where there are no more.
    weights: Vec<f32>,
    /// Where they begin: at a line of the cache.
    skip: usize,
    /// Of each filter, zero where there are no more.
    bias: Vec<f32>,
}

impl Dense {
    /// Of `weights` `[filters, channels, down, across]` and `bias` `[filters]`.
    pub fn new(
        vectors: Vectors,
        kernel: [usize; 2],
        weights: &[f32],
        [filters, channels]: [usize; 2],
        bias: &[f32],
    ) -> Self {
        let width = 2 * vectors.width();
        let blocks = filters.div_ceil(width);
        let places = kernel[0] * kernel[1];
        assert_eq!(weights.len(), filters * channels * places, "weights");
        assert_eq!(bias.len(), filters, "bias");
        let length = blocks * places * channels * width;
        let mut packed = vec![0f32; length + LINE];
        // As it is at this address; elsewhere it is only slower.
        let skip = packed.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        let block = (places * channels * width).max(1);
        let parts = packed[skip..][..length].par_chunks_mut(block);
        let weights = weights.par_chunks((width * channels * places).max(1));
        parts.zip(weights).for_each(|(packed, weights)| pack(weights, packed, channels, width));
        let mut bias = bias.to_vec();
        bias.resize(blocks * width, 0.0);
        Self { kernel, channels, filters, vectors, width, weights: packed, skip, bias }
    }

    /// Filters, which are the channels of the answer.
    pub fn filters(&self) -> usize {
        self.filters
    }

    /// Fills `out`, of the window's output shape, with the convolution of `x`, of `shape`.
    pub fn run(
        &self,
        window: &Window,
        (x, shape): (&[f32], [usize; 4]),
        ending: &Ending,
        out: &mut [f32],
        share: &dyn Share,
    ) {
        let [_, height, width, _] = shape;
        assert_eq!(x.len(), shape.iter().product::<usize>(), "values of {shape:?}");
        assert_eq!(
            (shape[3], window.kernel),
            (self.channels, self.kernel),
            "weights are of others"
        );
        let [_, rows, columns, _] = window.output(shape, self.filters);
        let positions = rows * columns;
        let (size, answer) = (height * width * self.channels, positions * self.filters);
        for image in 0..shape[0] {
            let out = &mut out[image * answer..][..answer];
            let (values, across) = self.padded(window, &x[image * size..][..size], [height, width]);
            // A window of one place has no rows.
            let (columns, across) =
                if window.is_still() { (positions, positions) } else { (columns, across) };
            self.image(&Image { values: &values, window, across, columns, ending }, out, share);
        }
    }

    /// The map with zeros around it, and its width.
    fn padded<'a>(
        &self,
        window: &Window,
        x: &'a [f32],
        [height, width]: [usize; 2],
    ) -> (Cow<'a, [f32]>, usize) {
        let [(above, below), (left, right)] = window.padding;
        if window.padding == [(0, 0); 2] {
            return (Cow::Borrowed(x), width);
        }
        let across = left + width + right;
        let mut padded = vec![0f32; (above + height + below) * across * self.channels];
        let row = (width * self.channels).max(1);
        for (y, x) in x.chunks_exact(row).enumerate() {
            padded[((above + y) * across + left) * self.channels..][..row].copy_from_slice(x);
        }
        (Cow::Owned(padded), across)
    }

    fn image(&self, image: &Image, out: &mut [f32], share: &dyn Share) {
        let positions = out.len() / self.filters.max(1);
        let multiplications = positions * self.weights.len();
        let blocks = self.filters.div_ceil(self.width);
        // Too few positions for the threads: the filters are shared out instead.
        if share.threads() > 1 && positions < BAND && blocks > 1 {
            let mut parts = vec![0f32; blocks * positions * self.width];
            let part = positions * self.width;
            share.rows(&mut parts, part, multiplications, &|first, parts| {
                for (at, part) in parts.chunks_exact_mut(part).enumerate() {
                    self.fill(image, first + at, 0, part, self.width);
                }
            });
            for (at, part) in parts.chunks_exact(part).enumerate() {
                let column = at * self.width;
                let wide = self.width.min(self.filters - column);
                let rows = out.chunks_exact_mut(self.filters).zip(part.chunks_exact(self.width));
                rows.for_each(|(out, part)| {
                    out[column..][..wide].copy_from_slice(&part[..wide]);
                });
            }
            return;
        }
        share.rows(out, self.filters, multiplications, &|first, out| {
            let positions = out.len() / self.filters;
            // Bands of about one size, in whole tiles.
            let size = positions.div_ceil(positions.div_ceil(BAND).max(1)).next_multiple_of(TILE);
            for (band, out) in out.chunks_mut(size.max(1) * self.filters).enumerate() {
                for at in 0..blocks {
                    let out = &mut out[at * self.width..];
                    self.fill(image, at, first + band * size, out, self.filters);
                }
            }
        });
    }

    /// Fills the answers of the `at`th block at the positions from `first` on, which are `row`
    /// values apart in `out`.
    fn fill(&self, image: &Image, at: usize, first: usize, out: &mut [f32], row: usize) {
        let block = self.kernel[0] * self.kernel[1] * self.channels * self.width;
        let column = at * self.width;
        self.vectors.dispatch(Block {
            dense: self,
            image,
            weights: &self.weights[self.skip + at * block..][..block],
            bias: &self.bias[column..][..self.width],
            column,
            filters: self.width.min(self.filters - column),
            first,
            out,
            row,
        });
    }
}

/// Brings weights `[filters, channels, places]` of a block in the order `[places, channels, width]`.
/// A few channels of all filters at a time: far apart as they lie, they would push each other out of
/// the cache.
fn pack(weights: &[f32], packed: &mut [f32], channels: usize, width: usize) {
    let places = packed.len() / (channels * width).max(1);
    let most = LINE.min(channels);
    let mut some = vec![0f32; width * most * places];
    for first in (0..channels).step_by(LINE) {
        let count = LINE.min(channels - first);
        let filters = weights.chunks_exact(channels * places).zip(some.chunks_mut(most * places));
        filters.for_each(|(weights, some)| {
            some[..count * places].copy_from_slice(&weights[first * places..][..count * places]);
        });
        for place in 0..places {
            for channel in 0..count {
                let packed = &mut packed[(place * channels + first + channel) * width..][..width];
                let some = some[channel * places + place..].iter().step_by(most * places);
                packed.iter_mut().zip(some).for_each(|(packed, weight)| *packed = *weight);
            }
        }
    }
}

/// A map with what lies around it.
struct Image<'a> {
    values: &'a [f32],
    window: &'a Window,
    /// Places of a row.
    across: usize,
    /// Positions in a row.
    columns: usize,
    ending: &'a Ending,
}

/// One block of filters at some positions.
struct Block<'a> {
    dense: &'a Dense,
    image: &'a Image<'a>,
    weights: &'a [f32],
    bias: &'a [f32],
    /// The first filter, and how many there are.
    column: usize,
    filters: usize,
    /// The first position.
    first: usize,
    out: &'a mut [f32],
    /// Values from one position's answers to the next one's.
    row: usize,
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let positions = self.out.len().div_ceil(self.row);
        let most = if S::REGISTER_COUNT >= 32 { TILE } else { TILE / 2 };
        let mut at = 0;
        while at < positions {
            let left = positions - at;
            // Even shares, rather than full tiles and a small one.
            let count = left.div_ceil(left.div_ceil(most));
            match (count, self.filters > S::F32_LANES) {
                (1, true) => self.tile::<S, 1, 2>(simd, at, count),
                (2, true) => self.tile::<S, 2, 2>(simd, at, count),
                (3..=4, true) => self.tile::<S, 4, 2>(simd, at, count),
                (5..=6, true) => self.tile::<S, 6, 2>(simd, at, count),
                (7..=8, true) => self.tile::<S, 8, 2>(simd, at, count),
                (9..=10, true) => self.tile::<S, 10, 2>(simd, at, count),
                (_, true) => self.tile::<S, TILE, 2>(simd, at, count),
                (1..=4, false) => self.tile::<S, 4, 1>(simd, at, count),
                (5..=8, false) => self.tile::<S, 8, 1>(simd, at, count),
                (_, false) => self.tile::<S, TILE, 1>(simd, at, count),
            }
            at += count;
        }
    }
}

impl Block<'_> {
    /// Where in the map what the positions from `first` on see begins; those from the `count`th on
    /// are as the last one.
    #[inline(always)]
    fn bases<const P: usize>(&self, first: usize, count: usize) -> [usize; P] {
        let (stride, columns) = (self.image.window.stride, self.image.columns);
        let (mut y, mut x) = (first / columns, first % columns);
        let mut bases = [0; P];
        for (p, base) in bases.iter_mut().enumerate() {
            *base = (y * stride[0] * self.image.across + x * stride[1]) * self.dense.channels;
            if p + 1 < count {
                x += 1;
                if x == columns {
                    (y, x) = (y + 1, 0);
                }
            }
        }
        bases
    }

    /// Computes `P` positions and `N` vectors of filters, and keeps the first `count` positions.
    #[inline(always)]
    fn tile<S: Simd, const P: usize, const N: usize>(&mut self, simd: S, at: usize, count: usize) {
        let Window { kernel: [_, across], dilation, .. } = *self.image.window;
        let channels = self.dense.channels;
        let bases: [usize; P] = self.bases(self.first + at, count);
        // Columns side by side in the window are so in memory.
        let (runs, run) =
            if dilation[1] == 1 { (1, across * channels) } else { (across, channels) };
        // No vectors in closures, here and below: those would be compiled for plain processors.
        let mut sums = [[simd.splat_f32s(0.0); P]; N];
        for n in 0..N {
            sums[n] = [load::<S>(&self.bias[n * S::F32_LANES..]); P];
        }
        for (number, weights) in
            self.weights.chunks_exact((run * 2 * S::F32_LANES).max(1)).enumerate()
        {
            let (y, x) = (number / runs * dilation[0], number % runs * dilation[1]);
            let skip = (y * self.image.across + x) * channels;
            let values: [&[f32]; P] =
                std::array::from_fn(|p| &self.image.values[bases[p] + skip..][..run]);
            let weights = &S::as_simd_f32s(weights).0.as_chunks::<2>().0[..run];
            for step in 0..run {
                let weights = weights[step];
                for p in 0..P {
                    let value = simd.splat_f32s(values[p][step]);
                    for n in 0..N {
                        sums[n][p] = simd.mul_add_f32s(value, weights[n], sums[n][p]);
                    }
                }
            }
        }
        let mut endings = [self.image.ending.at(simd, self.column); N];
        for n in 1..N {
            endings[n] = self.image.ending.at(simd, self.column + n * S::F32_LANES);
        }
        // A copy: asked for by a number that is only known when it runs, a vector lies in memory, and
        // these must not do so before the last step.
        let mut done = [[simd.splat_f32s(0.0); P]; N];
        for n in 0..N {
            for p in 0..P {
                done[n][p] = endings[n].apply(simd, sums[n][p]);
            }
        }
        for p in 0..count {
            let out = &mut self.out[(at + p) * self.row..][..self.filters];
            for n in 0..N {
                store(simd, &mut out[n * S::F32_LANES..], done[n][p]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::share::Alone;
    use super::super::testing::{answers, cases, config, ended, ending, holds, numbers};
    use super::super::testing::{places, seen, vectors};
    use super::*;

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_dense_convolution_is_that_of_the_definition(
            (window, shape, filters) in cases(), kind in 0usize..6,
        ) {
            let channels = shape[3];
            let kernel = window.kernel[0] * window.kernel[1];
            let x = numbers(shape.iter().product(), 1);
            let weights = numbers(filters * channels * kernel, 2);
            let (bias, ending) = (numbers(filters, 3), ending(filters, kind));
            let output = window.output(shape, filters);
            let wanted: Vec<f32> = answers(output)
                .map(|(image, position, filter)| {
                    let mut sum = f64::from(bias[filter]);
                    for (at, place) in places(&window).enumerate() {
                        for channel in 0..channels {
                            let value = seen(&window, (&x, shape), image, position, place, channel);
                            let weight = weights[(filter * channels + channel) * kernel + at];
                            sum += f64::from(value.unwrap_or(0.0)) * f64::from(weight);
                        }
                    }
                    ended(&ending, filter, sum as f32)
                })
                .collect();
            for vectors in vectors() {
                let dense = Dense::new(vectors, window.kernel, &weights, [filters, channels], &bias);
                holds(&wanted, |out, share| {
                    dense.run(&window, (&x, shape), &ending, out, share);
                })?;
            }
        }
    }

    #[test]
    fn what_is_no_number_stays_none_behind_a_convolution() {
        let window =
            Window { kernel: [1, 1], stride: [1, 1], dilation: [1, 1], padding: [(0, 0); 2] };
        let ending = Ending { bounds: super::super::Bounds { low: 0.0, high: 6.0 }, affine: None };
        for vectors in vectors() {
            let mut out = [0f32; 2];
            let dense = Dense::new(vectors, window.kernel, &[1.0, 1.0], [2, 1], &[0.0, 0.0]);
            dense.run(&window, (&[f32::NAN], [1, 1, 1, 1]), &ending, &mut out, &Alone);
            assert!(out.iter().all(|value| value.is_nan()), "{out:?}");
        }
    }
}
