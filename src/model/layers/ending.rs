//! What follows the products of a convolution: a bias, and an activation that keeps values between
//! two bounds (ReLU, ReLU6, clip), in one pass over what is still in the cache.

use pulp::Arch;
use rayon::prelude::*;

use crate::kernels::Bounds;

/// Bias of each channel, and bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ending<'a> {
    bias: &'a [f32],
    pub bounds: Bounds,
    has_bias: bool,
}

impl<'a> Ending<'a> {
    pub fn new(bias: &'a [f32], bounds: Bounds) -> Self {
        Self { bias, bounds, has_bias: bias.iter().any(|value| *value != 0.0) }
    }

    pub fn bias(&self) -> &'a [f32] {
        self.bias
    }

    /// Of places one after the other, each with all channels.
    pub fn rows(&self, out: &mut [f32]) {
        if !self.has_bias && !self.bounds.bind() {
            return;
        }
        for row in out.chunks_exact_mut(self.bias.len().max(1)) {
            for (value, bias) in row.iter_mut().zip(self.bias) {
                *value = self.bounds.keep(*value + bias);
            }
        }
    }

    /// Of channels one after the other, each with `places`.
    pub fn planes(&self, out: &mut [f32], places: usize) {
        if !self.has_bias && !self.bounds.bind() {
            return;
        }
        for (plane, bias) in out.chunks_exact_mut(places.max(1)).zip(self.bias) {
            plane.iter_mut().for_each(|value| *value = self.bounds.keep(*value + bias));
        }
    }
}

/// Values that one thread looks at.
const PART: usize = 64 * 1024;

/// The gradient before the bounds, given the answer `y` and the gradient of it: nothing passes
/// where the answer lies on a bound.
pub(super) fn bounded_gradient(y: &[f32], bounds: Bounds, gradient: &mut [f32]) {
    let arch = Arch::new();
    gradient.par_chunks_mut(PART).zip(y.par_chunks(PART)).for_each(|(gradient, y)| {
        arch.dispatch(|| mask(y, bounds, gradient));
    });
}

#[inline(always)]
fn mask(y: &[f32], bounds: Bounds, gradient: &mut [f32]) {
    for (gradient, y) in gradient.iter_mut().zip(y) {
        // As bits: a choice would become a branch.
        let passes = u32::from(*y > bounds.low) & u32::from(*y < bounds.high);
        *gradient = f32::from_bits(gradient.to_bits() & passes.wrapping_neg());
    }
}

/// The sum over all places of each channel of a gradient that lies place by place.
pub(super) fn row_sums(gradient: &[f32], channels: usize) -> Vec<f32> {
    let rows = (PART / channels.max(1)).max(1);
    let arch = Arch::new();
    let parts: Vec<Vec<f32>> = gradient
        .par_chunks(rows * channels.max(1))
        .map(|part| {
            let mut sum = vec![0f32; channels];
            arch.dispatch(|| add_rows(part, &mut sum));
            sum
        })
        .collect();
    let mut sum = vec![0f32; channels];
    parts.iter().for_each(|part| add_rows(part, &mut sum));
    sum
}

#[inline(always)]
fn add_rows(rows: &[f32], sum: &mut [f32]) {
    for row in rows.chunks_exact(sum.len().max(1)) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
}

/// The sum over all places of each channel of a gradient that lies channel by channel.
pub(super) fn plane_sums(gradient: &[f32], channels: usize, places: usize) -> Vec<f32> {
    let image = (channels * places).max(1);
    let plane = |channel: usize| -> f32 {
        let begin = channel * places;
        let planes = gradient.chunks_exact(image).map(|image| &image[begin..][..places]);
        planes.map(|plane| plane.iter().sum::<f32>()).sum()
    };
    (0..channels).into_par_iter().map(plane).collect()
}
