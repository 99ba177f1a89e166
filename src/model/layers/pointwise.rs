//! Convolution with a kernel of one place, and its gradients, of maps that lie in memory place by
//! place (NHWC): one matrix product over the places of all images.

use rayon::prelude::*;

use super::convolution::Convolution;
use super::ending::Ending;
use super::product::{Matrix, Store, multiply};

/// Values of a part of the answer: 256 KiB, half of a usual second-level cache.
const PART: usize = 64 * 1024;

/// The fewest places of a part: below, the weights are packed too often.
const FEWEST: usize = 256;

/// Places whose weight gradients are summed up by one thread. Fixed, so that the order of the
/// sum, and with it the result, does not depend on the number of threads.
const PLACES_A_SUM: usize = 8192;

/// Filters whose weight gradients one thread computes where there are few places.
const FILTERS_A_PART: usize = 64;

fn row_major(values: &[f32], columns: usize) -> Matrix<'_> {
    Matrix { values, steps: [columns, 1] }
}

fn turned(values: &[f32], columns: usize) -> Matrix<'_> {
    Matrix { values, steps: [1, columns] }
}

/// Fills `out` `[places, columns]` with the product of `x` `[places, inner]` and `right`
/// `[inner, columns]`, and each part of it with `ending`.
fn product(
    x: &[f32],
    [inner, columns]: [usize; 2],
    right: Matrix,
    out: &mut [f32],
    ending: Option<Ending>,
) {
    let places = (PART / columns.max(1)).max(FEWEST);
    let parts = out.par_chunks_mut(places * columns).zip(x.par_chunks(places * inner));
    parts.for_each(|(out, x)| {
        let size = [out.len() / columns, inner, columns];
        multiply(size, row_major(x, inner), right, out, columns, Store::Replace);
        if let Some(ending) = ending {
            ending.rows(out);
        }
    });
}

/// Fills `out` with the convolution of `x` with `weight` `[filters, channels]`.
pub(super) fn forward(
    convolution: &Convolution,
    x: &[f32],
    weight: &[f32],
    ending: Ending,
    out: &mut [f32],
) {
    let [channels, filters] = [convolution.from[0], convolution.to[0]];
    product(x, [channels, filters], turned(weight, channels), out, Some(ending));
}

/// Fills `out` with the gradient of the input, given that of the output.
pub(super) fn input_gradient(
    convolution: &Convolution,
    weight: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) {
    let [channels, filters] = [convolution.from[0], convolution.to[0]];
    product(gradient, [filters, channels], row_major(weight, channels), out, None);
}

/// Adds to `out` the gradient of the weights, given that of the output.
pub(super) fn weight_gradient(
    convolution: &Convolution,
    x: &[f32],
    gradient: &[f32],
    out: &mut [f32],
) {
    let [channels, filters] = [convolution.from[0], convolution.to[0]];
    let places = convolution.batch * convolution.positions();
    if places <= PLACES_A_SUM {
        let parts = out.par_chunks_mut(FILTERS_A_PART * channels).enumerate();
        return parts.for_each(|(part, out)| {
            let gradient = turned(&gradient[part * FILTERS_A_PART..], filters);
            let size = [out.len() / channels, places, channels];
            multiply(size, gradient, row_major(x, channels), out, channels, Store::Accumulate);
        });
    }
    let parts = x.par_chunks(PLACES_A_SUM * channels);
    let sums: Vec<Vec<f32>> = parts
        .zip(gradient.par_chunks(PLACES_A_SUM * filters))
        .map(|(x, gradient)| {
            let mut sum = vec![0f32; filters * channels];
            let size = [filters, x.len() / channels, channels];
            let (left, right) = (turned(gradient, filters), row_major(x, channels));
            multiply(size, left, right, &mut sum, channels, Store::Replace);
            sum
        })
        .collect();
    for sum in sums {
        out.iter_mut().zip(sum).for_each(|(sum, value)| *sum += value);
    }
}
