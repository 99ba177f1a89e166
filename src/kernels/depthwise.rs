//! A convolution whose filters see one channel each.
//!
//! For each vector of channels the weights stay in registers, if there are as many, while the
//! window moves along a row, and along the next ones where rows are short.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::ending::Ending;
use super::lanes::{Vectors, load_some, store};
use super::share::Share;
use super::window::Window;

/// Positions that are computed for one vector of channels after the other.
const AT_ONCE: usize = 64;

/// Weights `[channels, places of the kernel]` the other way round.
pub fn by_place(weights: &[f32], channels: usize) -> Vec<f32> {
    let places = weights.len() / channels.max(1);
    (0..weights.len()).map(|at| weights[at % channels * places + at / channels]).collect()
}

/// A convolution of maps `[batch, height, width, channels]`, of each channel by itself.
#[derive(Clone, Debug)]
pub struct Depthwise {
    kernel: [usize; 2],
    channels: usize,
    vectors: Vectors,
    /// `[down, across, channels]`
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Depthwise {
    /// Of `weights` `[channels, 1, down, across]` and `bias` `[channels]`.
    pub fn new(vectors: Vectors, kernel: [usize; 2], weights: &[f32], bias: &[f32]) -> Self {
        let (channels, places) = (bias.len(), kernel[0] * kernel[1]);
        assert_eq!(weights.len(), channels * places, "weights");
        Self {
            kernel,
            channels,
            vectors,
            weights: by_place(weights, channels),
            bias: bias.to_vec(),
        }
    }

    /// Channels, as many before as after.
    pub fn channels(&self) -> usize {
        self.channels
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
        assert_eq!(x.len(), shape.iter().product::<usize>(), "values of {shape:?}");
        assert_eq!(
            (shape[3], window.kernel),
            (self.channels, self.kernel),
            "weights are of others"
        );
        let [batch, rows, columns, _] = window.output(shape, self.channels);
        let stretches = stretches(window, shape[2], columns);
        let row = (columns * self.channels).max(1);
        let multiplications = batch * rows * columns * self.weights.len();
        share.rows(out, row, multiplications, &|first, out| {
            let mut at = first;
            let mut left = out;
            while !left.is_empty() {
                let (image, position) = (at / rows, at % rows);
                let map = Map { values: x, shape, image, window, stretches: &stretches };
                let most = (AT_ONCE / columns.max(1)).max(1).min(left.len() / row);
                let down = window.inside(0, shape[1], position);
                let alike = |next: &usize| window.inside(0, shape[1], *next) == down;
                let count = (position..rows.min(position + most)).take_while(alike).count();
                let (out, rest) = left.split_at_mut(count * row);
                let band = Band { depthwise: self, map, first: position, count, ending, out };
                self.vectors.dispatch(band);
                (at, left) = (at + count, rest);
            }
        });
    }
}

/// Positions side by side at which the same columns of the window lie in the map.
struct Stretch {
    positions: Range<usize>,
    inside: Range<usize>,
}

fn stretches(window: &Window, width: usize, columns: usize) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = vec![];
    for at in 0..columns {
        let inside = window.inside(1, width, at);
        match found.last_mut() {
            Some(last) if last.inside == inside => last.positions.end = at + 1,
            _ => found.push(Stretch { positions: at..at + 1, inside }),
        }
    }
    found
}

/// One of some maps, and how a window moves over it.
struct Map<'a> {
    values: &'a [f32],
    shape: [usize; 4],
    image: usize,
    window: &'a Window,
    stretches: &'a [Stretch],
}

/// Some rows of positions at which the same rows of the window lie in the map.
struct Band<'a> {
    depthwise: &'a Depthwise,
    map: Map<'a>,
    first: usize,
    count: usize,
    ending: &'a Ending,
    out: &'a mut [f32],
}

impl WithSimd for Band<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Map { shape: [_, height, width, channels], image, window, stretches, .. } = self.map;
        let down = window.inside(0, height, self.first);
        // Where in the map and in the weights, each at its first channel, the terms of a sum are.
        let mut terms = vec![];
        for stretch in stretches {
            terms.clear();
            let first = stretch.positions.start;
            for y in down.clone() {
                let row = image * height + window.seen(0, self.first, y);
                for x in stretch.inside.clone() {
                    let place = row * width + window.seen(1, first, x);
                    terms.push([place * channels, (y * window.kernel[1] + x) * channels]);
                }
            }
            match terms.len() {
                25 => self.stretch::<S, 25>(simd, stretch, &terms),
                20 => self.stretch::<S, 20>(simd, stretch, &terms),
                15 => self.stretch::<S, 15>(simd, stretch, &terms),
                9 => self.stretch::<S, 9>(simd, stretch, &terms),
                6 => self.stretch::<S, 6>(simd, stretch, &terms),
                4 => self.stretch::<S, 4>(simd, stretch, &terms),
                _ => self.any(simd, stretch, &terms, 0),
            }
        }
    }
}

impl Band<'_> {
    /// Of `T` terms, a number known when this is compiled.
    #[inline(always)]
    fn stretch<S: Simd, const T: usize>(
        &mut self,
        simd: S,
        stretch: &Stretch,
        terms: &[[usize; 2]],
    ) {
        let (channels, [down, across]) = (self.depthwise.channels, self.steps());
        let Some(known) = terms.first_chunk::<T>() else { return };
        let whole = channels / S::F32_LANES * S::F32_LANES;
        let (begin, count) = (stretch.positions.start, stretch.positions.len());
        let row = self.out.len() / self.count;
        // All of one length, so that one look tells that all have a place.
        let length = (self.count - 1) * down + (count - 1) * across + S::F32_LANES;
        for channel in (0..whole).step_by(S::F32_LANES) {
            let bias = load_some(simd, &self.depthwise.bias[channel..]);
            // No vectors in closures: those would be compiled for plain processors.
            let mut weights = [bias; T];
            let values: [&[f32]; T] =
                std::array::from_fn(|t| &self.map.values[known[t][0] + channel..][..length]);
            for t in 0..T {
                weights[t] = load_some(simd, &self.depthwise.weights[known[t][1] + channel..]);
            }
            let ending = self.ending.at(simd, channel);
            for (number, out) in self.out.chunks_exact_mut(row).enumerate() {
                let out = out[begin * channels + channel..].chunks_mut(channels);
                for (position, out) in out.take(count).enumerate() {
                    let at = number * down + position * across;
                    let mut sum = bias;
                    for t in 0..T {
                        let values = &values[t][at..at + S::F32_LANES];
                        sum = simd.mul_add_f32s(S::as_simd_f32s(values).0[0], weights[t], sum);
                    }
                    let out = &mut out[..S::F32_LANES];
                    S::as_mut_simd_f32s(out).0[0] = ending.apply(simd, sum);
                }
            }
        }
        if whole < channels {
            self.any(simd, stretch, terms, whole);
        }
    }

    /// From row to row, and from position to position, in the map.
    #[inline(always)]
    fn steps(&self) -> [usize; 2] {
        let Map { shape: [_, _, width, channels], window, .. } = self.map;
        [window.stride[0] * width * channels, window.stride[1] * channels]
    }

    /// Of any number of terms, the channels from `from` on.
    #[inline(always)]
    fn any<S: Simd>(&mut self, simd: S, stretch: &Stretch, terms: &[[usize; 2]], from: usize) {
        let (channels, [down, across]) = (self.depthwise.channels, self.steps());
        let row = self.out.len() / self.count;
        for channel in (from..channels).step_by(S::F32_LANES) {
            let count = S::F32_LANES.min(channels - channel);
            let ending = self.ending.at(simd, channel);
            for (number, out) in self.out.chunks_exact_mut(row).enumerate() {
                for (step, position) in stretch.positions.clone().enumerate() {
                    let at = number * down + step * across + channel;
                    let mut sum = load_some(simd, &self.depthwise.bias[channel..]);
                    for [map, weight] in terms {
                        let values = &self.map.values[map + at..][..count];
                        let weights = &self.depthwise.weights[weight + channel..][..count];
                        let (values, weights) = (load_some(simd, values), load_some(simd, weights));
                        sum = simd.mul_add_f32s(values, weights, sum);
                    }
                    let out = &mut out[position * channels + channel..][..count];
                    store(simd, out, ending.apply(simd, sum));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{answers, cases, config, ended, ending, holds, numbers};
    use super::super::testing::{places, seen, vectors};
    use super::*;

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn a_depthwise_convolution_is_that_of_the_definition(
            (window, shape, _) in cases(), kind in 0usize..6,
        ) {
            let channels = shape[3];
            let kernel = window.kernel[0] * window.kernel[1];
            let x = numbers(shape.iter().product(), 1);
            let weights = numbers(channels * kernel, 2);
            let (bias, ending) = (numbers(channels, 3), ending(channels, kind));
            let output = window.output(shape, channels);
            let wanted: Vec<f32> = answers(output)
                .map(|(image, position, channel)| {
                    let mut sum = bias[channel];
                    for (at, place) in places(&window).enumerate() {
                        let value = seen(&window, (&x, shape), image, position, place, channel);
                        sum += value.unwrap_or(0.0) * weights[channel * kernel + at];
                    }
                    ended(&ending, channel, sum)
                })
                .collect();
            for vectors in vectors() {
                let depthwise = Depthwise::new(vectors, window.kernel, &weights, &bias);
                holds(&wanted, |out, share| {
                    depthwise.run(&window, (&x, shape), &ending, out, share);
                })?;
            }
        }
    }
}
