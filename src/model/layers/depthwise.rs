//! Convolution of each channel with a kernel of its own, and its gradients, of maps that lie in
//! memory place by place (NHWC): the channels of a place are computed side by side, with the widest
//! vectors that the processor has.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::convolution::{Convolution, Geometry, turned};
use super::ending::Ending;
use crate::kernels::{self, Depthwise, Together, Vectors, by_place};

/// Vectors of channels whose weight gradients are summed up at a time: enough that the sums do not
/// wait for each other.
const AT_ONCE: usize = 4;

/// A row of places, each the sum over places of a map times weights.
struct Row<'a, F> {
    /// The map, and its channels.
    map: &'a [f32],
    channels: usize,
    /// Weights `[places of the kernel, channels]`.
    weight: &'a [f32],
    /// For each place of the row: which places of the map count, with which of the kernel.
    terms: F,
    out: &'a mut [f32],
}

impl<F: FnMut(usize, &mut Vec<[usize; 2]>)> WithSimd for Row<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let channels = self.channels;
        let zero = simd.splat_f32s(0.0);
        let mut terms = vec![];
        let mut vectors: Vec<[&[S::f32s]; 2]> = vec![];
        for (place, out) in self.out.chunks_exact_mut(channels).enumerate() {
            terms.clear();
            (self.terms)(place, &mut terms);
            let (out, out_rest) = S::as_mut_simd_f32s(out);
            vectors.clear();
            vectors.extend(terms.iter().map(|[at, kernel]| {
                let map = S::as_simd_f32s(&self.map[at * channels..][..channels]).0;
                let weight = S::as_simd_f32s(&self.weight[kernel * channels..][..channels]).0;
                [map, weight]
            }));
            for (at, out) in out.iter_mut().enumerate() {
                let mut sum = zero;
                for [map, weight] in &vectors {
                    sum = simd.mul_add_f32s(map[at], weight[at], sum);
                }
                *out = sum;
            }
            if out_rest.is_empty() {
                continue;
            }
            let rest = channels - out_rest.len();
            let mut sum = zero;
            for [at, kernel] in &terms {
                let map = &self.map[at * channels + rest..(at + 1) * channels];
                let weight = &self.weight[kernel * channels + rest..(kernel + 1) * channels];
                let (map, weight) = (simd.partial_load_f32s(map), simd.partial_load_f32s(weight));
                sum = simd.mul_add_f32s(map, weight, sum);
            }
            simd.partial_store_f32s(out_rest, sum);
        }
    }
}

/// Fills `out` with the convolution of `x` with `weight` `[channels, 1, down, across]`.
pub(super) fn forward(
    convolution: &Convolution,
    x: &[f32],
    weight: &[f32],
    ending: Ending,
    out: &mut [f32],
) {
    let Convolution { batch, from: [channels, height, width], .. } = *convolution;
    let window = convolution.window();
    let kernel = Depthwise::new(Vectors::widest(), window.kernel, weight, ending.bias());
    let ending = kernels::Ending { bounds: ending.bounds, affine: None };
    kernel.run(&window, (x, [batch, height, width, channels]), &ending, out, &Together);
}

/// Fills `out` with the gradient of the input, given that of the output.
pub(super) fn input_gradient(
    convolution: &Convolution,
    weight: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) {
    let Convolution { from: [channels, height, width], to: [_, rows, positions], .. } =
        *convolution;
    let [_, down, across] = convolution.seen;
    let Geometry { stride, padding: [(above, _), (left, _)] } = convolution.geometry;
    if stride == [1, 1] && convolution.reaches_over_padding() {
        let (window, turned) = (convolution.turned_window(), turned(weight, 1, channels));
        let shape = [convolution.batch, rows, positions, channels];
        let kernel =
            Depthwise::new(Vectors::widest(), window.kernel, &turned, &vec![0.0; channels]);
        return kernel.run(&window, (gradient, shape), &kernels::Ending::NONE, out, &Together);
    }
    let weight = by_place(weight, channels);
    let arch = Arch::new();
    let image = rows * positions * channels;
    out.par_chunks_mut((width * channels).max(1)).enumerate().for_each(|(at, out)| {
        let (number, y) = (at / height, at % height);
        // The position whose kernel has its `kernel`th place here, if there is one.
        let position = |here: usize, before: usize, kernel: usize, stride: usize| {
            let from = (here + before).checked_sub(kernel)?;
            (from % stride == 0).then_some(from / stride)
        };
        let terms = |x: usize, terms: &mut Vec<[usize; 2]>| {
            for kernel_row in 0..down {
                let row = position(y, above, kernel_row, stride[0]).filter(|row| *row < rows);
                let Some(row) = row else { continue };
                for kernel_column in 0..across {
                    let found = position(x, left, kernel_column, stride[1]);
                    if let Some(column) = found.filter(|column| *column < positions) {
                        terms.push([row * positions + column, kernel_row * across + kernel_column]);
                    }
                }
            }
        };
        let map = &gradient[number * image..][..image];
        arch.dispatch(Row { map, channels, weight: &weight, terms, out });
    });
}

/// The weight gradient of one image, `[places of the kernel, channels]`.
struct Sums<'a> {
    convolution: &'a Convolution,
    x: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [f32],
}

/// A row of a map and of the gradient at which one place of the kernel meets them: from which
/// value on, and how far it is to the next place.
#[derive(Clone, Copy)]
struct Meeting {
    x: usize,
    gradient: usize,
    steps: [usize; 2],
    count: usize,
}

impl Sums<'_> {
    /// Adds `N` vectors of channels from `channel` on to `sums`.
    #[inline(always)]
    fn vectors<S: Simd, const N: usize>(&mut self, simd: S, meeting: Meeting, sums: usize) {
        let lanes = S::F32_LANES * N;
        let target = S::as_mut_simd_f32s(&mut self.out[sums..][..lanes]).0;
        let mut sum: [S::f32s; N] = std::array::from_fn(|at| target[at]);
        for place in 0..meeting.count {
            let x = &self.x[meeting.x + place * meeting.steps[0]..][..lanes];
            let gradient = &self.gradient[meeting.gradient + place * meeting.steps[1]..][..lanes];
            let (x, gradient) = (S::as_simd_f32s(x).0, S::as_simd_f32s(gradient).0);
            for at in 0..N {
                sum[at] = simd.mul_add_f32s(x[at], gradient[at], sum[at]);
            }
        }
        target.copy_from_slice(&sum);
    }

    /// Adds the last channels, fewer than a vector has.
    #[inline(always)]
    fn rest<S: Simd>(&mut self, simd: S, meeting: Meeting, sums: usize, count: usize) {
        let target = &mut self.out[sums..][..count];
        let mut sum = simd.partial_load_f32s(target);
        for place in 0..meeting.count {
            let x = &self.x[meeting.x + place * meeting.steps[0]..][..count];
            let gradient = &self.gradient[meeting.gradient + place * meeting.steps[1]..][..count];
            let (x, gradient) = (simd.partial_load_f32s(x), simd.partial_load_f32s(gradient));
            sum = simd.mul_add_f32s(x, gradient, sum);
        }
        simd.partial_store_f32s(target, sum);
    }

    #[inline(always)]
    fn meet<S: Simd>(&mut self, simd: S, meeting: Meeting, kernel: usize) {
        let channels = self.convolution.from[0];
        let mut channel = 0;
        while channel < channels {
            let meeting =
                Meeting { x: meeting.x + channel, gradient: meeting.gradient + channel, ..meeting };
            let (sums, left) = (kernel * channels + channel, channels - channel);
            if left >= AT_ONCE * S::F32_LANES {
                self.vectors::<S, AT_ONCE>(simd, meeting, sums);
                channel += AT_ONCE * S::F32_LANES;
            } else if left >= S::F32_LANES {
                self.vectors::<S, 1>(simd, meeting, sums);
                channel += S::F32_LANES;
            } else {
                self.rest(simd, meeting, sums, left);
                channel = channels;
            }
        }
    }
}

impl WithSimd for Sums<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Convolution { from: [channels, height, width], to: [_, rows, positions], .. } =
            *self.convolution;
        let [_, down, across] = self.convolution.seen;
        let Geometry { stride, padding: [(above, _), (left, _)] } = self.convolution.geometry;
        for row in 0..rows {
            for kernel_row in 0..down {
                let y = (row * stride[0] + kernel_row).wrapping_sub(above);
                if y >= height {
                    continue;
                }
                for kernel_column in 0..across {
                    let Range { start, end } = self.convolution.inside(kernel_column);
                    if start == end {
                        continue;
                    }
                    let x = start * stride[1] + kernel_column - left;
                    let meeting = Meeting {
                        x: (y * width + x) * channels,
                        gradient: (row * positions + start) * channels,
                        steps: [stride[1] * channels, channels],
                        count: end - start,
                    };
                    self.meet(simd, meeting, kernel_row * across + kernel_column);
                }
            }
        }
    }
}

/// Adds to `out` the gradient of the weights, given that of the output.
pub(super) fn weight_gradient(
    convolution: &Convolution,
    x: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) {
    let channels = convolution.from[0];
    let places = out.len() / channels.max(1);
    let arch = Arch::new();
    let image = (convolution.positions() * channels).max(1);
    let images = x.par_chunks(convolution.image()).zip(gradient.par_chunks(image));
    let sums: Vec<Vec<f32>> = images
        .map(|(x, gradient)| {
            let mut sum = vec![0f32; places * channels];
            arch.dispatch(Sums { convolution, x, gradient, out: &mut sum });
            sum
        })
        .collect();
    for sum in sums {
        for (at, value) in sum.into_iter().enumerate() {
            out[at % channels * places + at / channels] += value;
        }
    }
}
