//! Convolution and its gradients as matrix products, in parallel over images, after
//! cuDNN's paper (Chetlur et al. 2014): maps in memory channel by channel, NCHW.
//!
//! The columns of an image, `[in * kernel * kernel, positions]`, are what each position
//! of the output sees; they are made for a few rows of the output at a time, so that they
//! stay in the cache until the product has used them.

use std::ops::Range;

use rayon::prelude::*;

use super::ending::Ending;
use super::product::{Matrix, Store, multiply};
use crate::kernels::{Bounds, Window};

/// Values that the columns of one tile may have: 256 KiB, half of a usual second-level cache.
const TILE: usize = 64 * 1024;

/// Images whose weight gradients are summed up by one thread. Fixed, so that the order
/// of the sum, and with it the result, does not depend on the number of threads.
pub(super) const IMAGES_A_SUM: usize = 4;

/// How a kernel moves over a map; down and across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Steps of the kernel.
    pub stride: [usize; 2],
    /// Zeros before and after the map.
    pub padding: [(usize, usize); 2],
}

impl Geometry {
    /// The same step and padding on all sides.
    pub fn even(stride: usize, padding: usize) -> Self {
        Self { stride: [stride; 2], padding: [(padding, padding); 2] }
    }

    /// The kernel at every place of the map.
    pub(super) fn is_still(&self) -> bool {
        *self == Self::even(1, 0)
    }
}

/// How the values of maps `[batch, channels, height, width]` lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Channel by channel: NCHW.
    Planes,
    /// Place by place, each with all channels: NHWC. Not for filters that see some of several
    /// channels, nor for all geometries ([`fits_places`](super::fits_places)).
    Places,
}

/// A convolution but for its sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct How {
    /// The kernel's way.
    pub geometry: Geometry,
    /// The order of the values in memory; that of the input is made so.
    pub order: Order,
    /// What is let through behind it.
    pub bounds: Bounds,
}

/// Weights `[filters, channels, down, across]` as `[channels, filters, down, across]`, each kernel
/// from its last place to its first.
pub(super) fn turned(weight: &[f32], filters: usize, channels: usize) -> Vec<f32> {
    let places = weight.len() / (filters * channels).max(1);
    let mut turned = vec![0f32; weight.len()];
    let kernels = turned.par_chunks_mut((filters * places).max(1)).enumerate();
    kernels.for_each(|(channel, turned)| {
        for (filter, turned) in turned.chunks_exact_mut(places.max(1)).enumerate() {
            let kernel = &weight[(filter * channels + channel) * places..][..places];
            turned.iter_mut().zip(kernel.iter().rev()).for_each(|(to, from)| *to = *from);
        }
    });
    turned
}

/// A convolution of these sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Convolution {
    pub batch: usize,
    /// Input channels, height and width.
    pub from: [usize; 3],
    /// Output channels, height and width.
    pub to: [usize; 3],
    /// Channels that one filter sees, height and width of the kernel.
    pub seen: [usize; 3],
    pub geometry: Geometry,
}

impl Convolution {
    pub(super) fn new(
        [batch, channels, height, width]: [usize; 4],
        [filters, seen, down, across]: [usize; 4],
        geometry: Geometry,
    ) -> Self {
        let along = |axis: usize, size: usize, kernel: usize| {
            let (before, after) = geometry.padding[axis];
            (size + before + after - kernel) / geometry.stride[axis].max(1) + 1
        };
        Self {
            batch,
            from: [channels, height, width],
            to: [filters, along(0, height, down), along(1, width, across)],
            seen: [seen, down, across],
            geometry,
        }
    }

    /// Shape of the input, `[batch, channels, height, width]`.
    pub(super) fn input(&self) -> [usize; 4] {
        let [channels, height, width] = self.from;
        [self.batch, channels, height, width]
    }

    /// Shape of the output, `[batch, channels, height, width]`.
    pub(super) fn output(&self) -> [usize; 4] {
        let [channels, height, width] = self.to;
        [self.batch, channels, height, width]
    }

    /// Shape of the weights, `[out, in, down, across]`.
    pub(super) fn weight(&self) -> [usize; 4] {
        let [seen, down, across] = self.seen;
        [self.to[0], seen, down, across]
    }

    /// Rows of the columns' matrix.
    fn inner(&self) -> usize {
        self.seen.iter().product()
    }

    /// Places of an output map.
    pub(super) fn positions(&self) -> usize {
        self.to[1] * self.to[2]
    }

    /// Rows of the output, a tile at a time.
    fn tiles(&self) -> impl Iterator<Item = Range<usize>> {
        let [_, height, width] = self.to;
        let rows = (TILE / (self.inner() * width).max(1)).clamp(1, height.max(1));
        (0..height).step_by(rows).map(move |first| first..(first + rows).min(height))
    }

    /// The way of its kernel.
    pub(super) fn window(&self) -> Window {
        let ([_, down, across], Geometry { stride, padding }) = (self.seen, self.geometry);
        Window { kernel: [down, across], stride, dilation: [1, 1], padding }
    }

    /// Height and width of the answer with the places that the kernel steps over between.
    pub(super) fn spread(&self) -> [usize; 2] {
        let ([_, rows, columns], [down, across]) = (self.to, self.geometry.stride);
        [rows.saturating_sub(1) * down + 1, columns.saturating_sub(1) * across + 1]
    }

    /// The gradient of the input is a convolution of that of the output, spread, with the weights
    /// [`turned`]: its window. Padding must be less than the kernel is long.
    pub(super) fn turned_window(&self) -> Window {
        let ([_, height, width], [_, down, across]) = (self.from, self.seen);
        let (padding, [high, wide]) = (self.geometry.padding, self.spread());
        let before = [down - 1 - padding[0].0, across - 1 - padding[1].0];
        // What is left is behind the last place that the kernel has seen.
        let after = [height + down - 1 - high - before[0], width + across - 1 - wide - before[1]];
        Window {
            kernel: [down, across],
            stride: [1, 1],
            dilation: [1, 1],
            padding: [(before[0], after[0]), (before[1], after[1])],
        }
    }

    /// Whether no position of the kernel lies in the padding alone.
    pub(super) fn reaches_over_padding(&self) -> bool {
        let ([_, down, across], padding) = (self.seen, self.geometry.padding);
        let reaches = |kernel: usize, (before, after): (usize, usize)| before.max(after) < kernel;
        reaches(down, padding[0]) && reaches(across, padding[1])
    }

    /// Whether each filter sees a channel of its own.
    pub(super) fn is_depthwise(&self) -> bool {
        self.seen[0] == 1 && self.to[0] == self.from[0]
    }

    /// Whether an image is its own columns.
    pub(super) fn is_pointwise(&self) -> bool {
        self.seen == [self.from[0], 1, 1] && self.geometry.is_still()
    }

    /// Fills `out` with the convolution of `x` with `weight`, all row-major.
    /// Each image ends with `ending`.
    pub(super) fn forward(&self, x: &[f32], weight: &[f32], ending: Ending, out: &mut [f32]) {
        let [filters, _, width] = self.to;
        let (inner, positions) = (self.inner(), self.positions());
        let weight = Matrix { values: weight, steps: [inner, 1] };
        let images = out.par_chunks_mut((filters * positions).max(1));
        images.zip(x.par_chunks(self.image())).for_each_init(Vec::new, |columns, (out, x)| {
            if self.is_pointwise() {
                let (size, x) =
                    ([filters, inner, positions], Matrix { values: x, steps: [positions, 1] });
                multiply(size, weight, x, out, positions, Store::Replace);
                return ending.planes(out, positions);
            }
            for rows in self.tiles() {
                let count = rows.len() * width;
                self.columns(x, &rows, columns);
                let right = Matrix { values: columns, steps: [count, 1] };
                let out = &mut out[rows.start * width..];
                multiply([filters, inner, count], weight, right, out, positions, Store::Replace);
            }
            ending.planes(out, positions);
        });
    }

    /// Adds to `out` the gradient of the weights, given that of the output.
    pub(super) fn weight_gradient(&self, x: &[f32], gradient: &[f32], out: &mut [f32]) {
        let [filters, _, width] = self.to;
        let (inner, positions) = (self.inner(), self.positions());
        let groups = x.par_chunks(IMAGES_A_SUM * self.image());
        let gradients = gradient.par_chunks((IMAGES_A_SUM * filters * positions).max(1));
        let partial = |(x, gradient): (&[f32], &[f32])| {
            let (mut sum, mut columns) = (vec![0f32; filters * inner], vec![]);
            let images = x.chunks(self.image()).zip(gradient.chunks((filters * positions).max(1)));
            for (x, gradient) in images {
                for rows in self.tiles() {
                    let count = rows.len() * width;
                    self.columns(x, &rows, &mut columns);
                    let left =
                        Matrix { values: &gradient[rows.start * width..], steps: [positions, 1] };
                    // The columns, lying on their side.
                    let right = Matrix { values: &columns, steps: [1, count] };
                    multiply(
                        [filters, count, inner],
                        left,
                        right,
                        &mut sum,
                        inner,
                        Store::Accumulate,
                    );
                }
            }
            sum
        };
        let partials: Vec<Vec<f32>> = groups.zip(gradients).map(partial).collect();
        for partial in partials {
            out.iter_mut().zip(partial).for_each(|(sum, value)| *sum += value);
        }
    }

    /// Adds to `out` the gradient of the input, given that of the output.
    pub(super) fn input_gradient(&self, weight: &[f32], gradient: &[f32], out: &mut [f32]) {
        let [filters, _, width] = self.to;
        let (inner, positions) = (self.inner(), self.positions());
        let weight = Matrix { values: weight, steps: [1, inner] };
        let gradients = gradient.par_chunks((filters * positions).max(1));
        let images = out.par_chunks_mut(self.image()).zip(gradients);
        images.for_each_init(Vec::new, |columns: &mut Vec<f32>, (out, gradient)| {
            for rows in self.tiles() {
                let count = rows.len() * width;
                columns.resize(inner * count, 0.0);
                let right =
                    Matrix { values: &gradient[rows.start * width..], steps: [positions, 1] };
                multiply([inner, filters, count], weight, right, columns, count, Store::Replace);
                self.add_columns(columns, &rows, out);
            }
        });
    }

    /// Values of one input image.
    pub(super) fn image(&self) -> usize {
        self.from.iter().product::<usize>().max(1)
    }

    /// Calls `each` for every row of the output in every line of the columns: where the row
    /// begins in the columns, which of its places lie inside the image,
    /// and where the first of them lies there.
    fn stretches(&self, rows: &Range<usize>, mut each: impl FnMut(usize, Range<usize>, usize)) {
        let ([channels, height, width], [_, _, out_width]) = (self.from, self.to);
        let Geometry { stride, padding: [(above, _), (left, _)] } = self.geometry;
        let [_, kernel_height, kernel_width] = self.seen;
        let mut begin = 0;
        for channel in 0..channels {
            for down in 0..kernel_height {
                for right in 0..kernel_width {
                    let inside = self.inside(right);
                    for row in rows.clone() {
                        let row = row * stride[0] + down;
                        if !inside.is_empty() && (above..height + above).contains(&row) {
                            let image = (channel * height + row - above) * width;
                            let first = image + inside.start * stride[1] + right - left;
                            each(begin, inside.clone(), first);
                        } else {
                            each(begin, 0..0, 0);
                        }
                        begin += out_width;
                    }
                }
            }
        }
    }

    /// Positions of a row at which the kernel's column `right` lies inside the map.
    pub(super) fn inside(&self, right: usize) -> Range<usize> {
        let Geometry { stride: [_, stride], padding: [_, (left, _)] } = self.geometry;
        let (width, positions) = (self.from[2], self.to[2]);
        let first = left.saturating_sub(right).div_ceil(stride).min(positions);
        let end = (width + left).saturating_sub(right).div_ceil(stride).min(positions);
        first..end.max(first)
    }

    /// What the positions in `rows` of the output see of the image `x`.
    fn columns(&self, x: &[f32], rows: &Range<usize>, columns: &mut Vec<f32>) {
        let width = self.to[2];
        // Not cleared first: every value is written below.
        columns.resize(self.inner() * rows.len() * width, 0.0);
        let stride = self.geometry.stride[1];
        self.stretches(rows, |begin, inside, from| {
            let target = &mut columns[begin..][..width];
            target[..inside.start].fill(0.0);
            target[inside.end..].fill(0.0);
            let target = &mut target[inside];
            match stride {
                1 => target.copy_from_slice(&x[from..][..target.len()]),
                _ => {
                    let source = x[from..].iter().step_by(stride);
                    target.iter_mut().zip(source).for_each(|(target, value)| *target = *value);
                }
            }
        });
    }

    /// Adds to the image `out` what `columns` say of it.
    fn add_columns(&self, columns: &[f32], rows: &Range<usize>, out: &mut [f32]) {
        let stride = self.geometry.stride[1];
        self.stretches(rows, |begin, inside, to| {
            let source = &columns[begin..][inside];
            match stride {
                1 => {
                    let target = &mut out[to..][..source.len()];
                    target.iter_mut().zip(source).for_each(|(target, value)| *target += value);
                }
                _ => {
                    let target = out[to..].iter_mut().step_by(stride);
                    target.zip(source).for_each(|(target, value)| *target += value);
                }
            }
        });
    }
}
