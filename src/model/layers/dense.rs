//! Convolution with filters that see all channels, and its gradients, of maps that lie in memory
//! place by place (NHWC).
//!
//! The answer, and the gradient of the input, which is a convolution with the same weights turned
//! round, are computed straight from the map by `kernels`. The gradient of the weights is a matrix
//! product for each row of the kernel: columns of the kernel lie side by side in memory, so the
//! places that a row of it sees are a matrix whose rows overlap, and nothing is copied into columns.

use rayon::prelude::*;

use super::convolution::{Convolution, Geometry, IMAGES_A_SUM, turned};
use super::memory::{keep, zeros};
use super::product::{Matrix, Store, multiply};
use crate::kernels::{self, Alone, Bounds, Dense, Together, Vectors, Window};

/// Whether a convolution of maps of this shape with such weights can be computed here, and the
/// processor has vectors that make it faster than a matrix product of columns.
pub(super) fn is_for(convolution: &Convolution) -> bool {
    let Convolution { from: [channels, height, width], to: [filters, ..], .. } = *convolution;
    let ([seen, down, across], Geometry { stride, padding }) =
        (convolution.seen, convolution.geometry);
    let padded = |axis: usize, size: usize| size + padding[axis].0 + padding[axis].1;
    let map = padded(0, height).saturating_mul(padded(1, width)).saturating_mul(channels);
    // Weights are kept for whole blocks of filters.
    let blocks = |filters: usize| filters.next_multiple_of(BLOCK);
    let packed = (blocks(filters) * channels).max(blocks(channels) * filters);
    // The gradients are computed at more places than there are: in every row of weights' at those
    // of the padded map, for the input's at those that the kernel reaches.
    let [_, rows, columns] = convolution.to;
    let reached = (height + down - 1).saturating_mul(width + across - 1);
    seen == channels
        && stride[0] == stride[1]
        && convolution.reaches_over_padding()
        && padded(1, width) <= 4 * columns
        && reached <= 8 * rows * columns
        && map <= MOST.max(2 * convolution.image())
        && packed.saturating_mul(down * across) <= MOST.max(4 * filters * seen * down * across)
        && Vectors::widest().width() >= 8
}

/// Filters of a block, at most.
const BLOCK: usize = 32;

/// Values of a padded map or of weights, if they are many more than there are without padding.
const MOST: usize = 1 << 22;

/// Runs `dense` over maps `[batch, height, width, channels]`: images side by side on several
/// threads, or the rows of few.
fn run(
    dense: &Dense,
    window: &Window,
    (x, shape): (&[f32], [usize; 4]),
    bounds: Bounds,
    out: &mut [f32],
) {
    let ending = kernels::Ending { bounds, affine: None };
    let [batch, height, width, channels] = shape;
    if batch < rayon::current_num_threads() {
        return dense.run(window, (x, shape), &ending, out, &Together);
    }
    let image = (height * width * channels).max(1);
    let answer = (out.len() / batch.max(1)).max(1);
    out.par_chunks_mut(answer).zip(x.par_chunks(image)).for_each(|(out, x)| {
        dense.run(window, (x, [1, height, width, channels]), &ending, out, &Alone);
    });
}

/// Weights `[filters, channels, down, across]` and bias in the order that is computed with.
pub(super) fn pack(convolution: &Convolution, weight: &[f32], bias: &[f32]) -> Dense {
    let Convolution { from: [channels, ..], to: [filters, ..], .. } = *convolution;
    let kernel = convolution.window().kernel;
    Dense::new(Vectors::widest(), kernel, weight, [filters, channels], bias)
}

/// Fills `out` with the convolution of `x` with what was packed.
pub(super) fn forward(
    convolution: &Convolution,
    x: &[f32],
    dense: &Dense,
    bounds: Bounds,
    out: &mut [f32],
) {
    let Convolution { batch, from: [channels, height, width], .. } = *convolution;
    run(dense, &convolution.window(), (x, [batch, height, width, channels]), bounds, out);
}

/// Fills `out` with the gradient of the input, given that of the output. Padding is less than the
/// kernel is long.
pub(super) fn input_gradient(
    convolution: &Convolution,
    weight: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) {
    let Convolution { batch, from: [channels, ..], to: [filters, rows, columns], .. } =
        *convolution;
    let stride = convolution.geometry.stride;
    let window = convolution.turned_window();
    let [high, wide] = convolution.spread();
    let weight = turned(weight, filters, channels);
    let bias = vec![0f32; channels];
    let dense = Dense::new(Vectors::widest(), window.kernel, &weight, [channels, filters], &bias);
    if stride == [1, 1] {
        return run(&dense, &window, (gradient, [batch, high, wide, filters]), Bounds::NONE, out);
    }
    let ending = kernels::Ending { bounds: Bounds::NONE, affine: None };
    let image = (rows * columns * filters).max(1);
    let images = out.par_chunks_mut(convolution.image()).zip(gradient.par_chunks(image));
    images.for_each_init(
        || vec![0f32; high * wide * filters],
        |apart, (out, gradient)| {
            for (place, values) in gradient.chunks_exact(filters.max(1)).enumerate() {
                let [row, column] = [place / columns * stride[0], place % columns * stride[1]];
                apart[(row * wide + column) * filters..][..filters].copy_from_slice(values);
            }
            dense.run(&window, (apart, [1, high, wide, filters]), &ending, out, &Alone);
        },
    );
}

/// Adds to `out` the gradient of the weights, given that of the output.
pub(super) fn weight_gradient(
    convolution: &Convolution,
    x: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) {
    let Convolution { from: [channels, ..], to: [filters, rows, columns], .. } = *convolution;
    let [_, down, across] = convolution.seen;
    let image = (rows * columns * filters).max(1);
    let groups = x.par_chunks(IMAGES_A_SUM * convolution.image());
    let gradients = gradient.par_chunks(IMAGES_A_SUM * image);
    let sums: Vec<Vec<f32>> = groups
        .zip(gradients)
        .map(|(x, gradient)| {
            // For each row of the kernel `[filters, across, channels]`.
            let mut sum = zeros(down * filters * across * channels);
            let (mut map, mut grid) = (vec![], vec![]);
            let images = x.chunks_exact(convolution.image()).zip(gradient.chunks_exact(image));
            for (x, gradient) in images {
                add_image(convolution, [x, gradient], &mut map, &mut grid, &mut sum);
            }
            sum
        })
        .collect();
    let places = down * across;
    out.par_chunks_mut((channels * places).max(1)).enumerate().for_each(|(filter, out)| {
        for sum in &sums {
            for row in 0..down {
                let sum = &sum[(row * filters + filter) * across * channels..][..across * channels];
                for (at, value) in sum.iter().enumerate() {
                    out[at % channels * places + row * across + at / channels] += value;
                }
            }
        }
    });
    sums.into_iter().for_each(keep);
}

/// Adds an image's weight gradients to `sum`; `map` and `grid` are memory for what is padded.
fn add_image(
    convolution: &Convolution,
    [x, gradient]: [&[f32]; 2],
    map: &mut Vec<f32>,
    grid: &mut Vec<f32>,
    sum: &mut [f32],
) {
    let Convolution { from: [channels, height, width], to: [filters, rows, columns], .. } =
        *convolution;
    let [_, down, across] = convolution.seen;
    let Geometry { stride, padding: [(above, below), (left, right)] } = convolution.geometry;
    let wide = left + width + right;
    map.clear();
    map.resize((above + height + below) * wide * channels, 0.0);
    let row = (width * channels).max(1);
    for (y, x) in x.chunks_exact(row).enumerate() {
        map[((above + y) * wide + left) * channels..][..row].copy_from_slice(x);
    }
    // The gradient with as many places in a row as the map has, so that one step leads from each
    // to the next; nothing where the kernel never was.
    let places = (rows - 1) * wide + columns;
    grid.clear();
    grid.resize(places * filters, 0.0);
    let row = (columns * filters).max(1);
    for (y, gradient) in gradient.chunks_exact(row).enumerate() {
        grid[y * wide * filters..][..row].copy_from_slice(gradient);
    }
    let left = Matrix { values: grid, steps: [1, filters] };
    let seen = across * channels;
    for (y, sum) in sum.chunks_exact_mut((filters * seen).max(1)).enumerate().take(down) {
        let right =
            Matrix { values: &map[y * wide * channels..], steps: [stride[1] * channels, 1] };
        multiply([filters, places, seen], left, right, sum, seen, Store::Accumulate);
    }
}
