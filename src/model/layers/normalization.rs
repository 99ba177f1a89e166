//! Batch normalization (Ioffe & Szegedy 2015) with ReLU in the same pass, of maps that lie in memory
//! channel by channel.

use rayon::prelude::*;

use crate::kernels::Bounds;

/// The planes `[height, width]` of one channel of a row-major map
/// `[batch, channels, height, width]`, an image each.
fn planes(
    x: &[f32],
    [_, channels, height, width]: [usize; 4],
    channel: usize,
) -> impl Iterator<Item = &[f32]> {
    x.chunks_exact((height * width).max(1)).skip(channel).step_by(channels.max(1))
}

/// The sum of some values, exact enough for a million of them.
fn sum(values: impl Iterator<Item = f32>) -> f64 {
    values.map(f64::from).sum()
}

/// Mean and (biased) variance of each channel.
pub(super) fn statistics(x: &[f32], shape: [usize; 4]) -> Vec<(f32, f32)> {
    let [batch, channels, height, width] = shape;
    let count = (batch * height * width).max(1) as f64;
    let of_channel = |channel: usize| {
        let mean = planes(x, shape, channel).map(|p| lanes(p, |v| v)).sum::<f64>() / count;
        let mean = mean as f32;
        let square = |v: f32| (v - mean) * (v - mean);
        let variance = planes(x, shape, channel).map(|p| lanes(p, square)).sum::<f64>() / count;
        (mean, variance as f32)
    };
    (0..channels).into_par_iter().map(of_channel).collect()
}

/// The sum of `value` over a plane, in 16 lanes that the compiler turns into vectors.
fn lanes(plane: &[f32], value: impl Fn(f32) -> f32) -> f64 {
    let mut sums = [0f32; 16];
    let chunks = plane.chunks_exact(16);
    let rest = sum(chunks.remainder().iter().map(|v| value(*v)));
    for chunk in chunks {
        sums.iter_mut().zip(chunk).for_each(|(sum, v)| *sum += value(*v));
    }
    sum(sums.into_iter()) + rest
}

/// The sums of both numbers of `value` over a pair of planes, in 16 lanes that the compiler
/// turns into vectors.
fn lanes_of_pairs(a: &[f32], b: &[f32], value: impl Fn(f32, f32) -> [f32; 2]) -> [f64; 2] {
    let mut sums = [[0f32; 16]; 2];
    let (a_chunks, b_chunks) = (a.chunks_exact(16), b.chunks_exact(16));
    let mut total = [0f64; 2];
    for (a, b) in a_chunks.remainder().iter().zip(b_chunks.remainder()) {
        let [first, second] = value(*a, *b);
        total = [total[0] + f64::from(first), total[1] + f64::from(second)];
    }
    for (a, b) in a_chunks.zip(b_chunks) {
        for lane in 0..16 {
            let [first, second] = value(a[lane], b[lane]);
            sums[0][lane] += first;
            sums[1][lane] += second;
        }
    }
    [total[0] + sum(sums[0].into_iter()), total[1] + sum(sums[1].into_iter())]
}

/// Slope and offset that normalize each channel.
pub(super) fn affine(
    statistics: &[(f32, f32)],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
) -> Vec<(f32, f32)> {
    let one = |(((mean, variance), gamma), beta): (((&f32, &f32), &f32), &f32)| {
        let slope = gamma / (variance + epsilon).sqrt();
        (slope, beta - slope * mean)
    };
    statistics.iter().map(|(m, v)| (m, v)).zip(gamma).zip(beta).map(one).collect()
}

/// Normalizes `x` into `out`.
pub(super) fn forward(
    x: &[f32],
    [_, channels, height, width]: [usize; 4],
    affine: &[(f32, f32)],
    rectify: bool,
    out: &mut [f32],
) {
    let plane = (height * width).max(1);
    let bounds = if rectify { Bounds::RELU } else { Bounds::NONE };
    out.par_chunks_mut(plane).zip(x.par_chunks(plane)).enumerate().for_each(|(at, (out, x))| {
        let (slope, offset) = affine[at % channels];
        out.iter_mut().zip(x).for_each(|(out, x)| *out = bounds.keep(slope * x + offset));
    });
}

/// What the gradients of one normalization have in common.
pub(super) struct Backward<'a> {
    x: &'a [f32],
    shape: [usize; 4],
    statistics: &'a [(f32, f32)],
    /// Slope and offset of each channel.
    affine: Vec<(f32, f32)>,
    epsilon: f32,
    rectify: bool,
}

impl<'a> Backward<'a> {
    pub(super) fn new(
        x: &'a [f32],
        shape: [usize; 4],
        statistics: &'a [(f32, f32)],
        affine: Vec<(f32, f32)>,
        epsilon: f32,
        rectify: bool,
    ) -> Self {
        Self { x, shape, statistics, affine, epsilon, rectify }
    }

    /// The gradient that comes through the ReLU.
    fn through(&self, gradient: f32, x: f32, (slope, offset): (f32, f32)) -> f32 {
        if self.rectify && slope * x + offset <= 0.0 { 0.0 } else { gradient }
    }

    /// Mean and reciprocal of the standard deviation of a channel.
    fn mean_and_inverse_deviation(&self, channel: usize) -> (f32, f32) {
        let (mean, variance) = self.statistics[channel];
        (mean, 1.0 / (variance + self.epsilon).sqrt())
    }

    /// Turns the gradient of the answer into that of the input; for each channel the gradients of
    /// beta and gamma.
    pub(super) fn gradients(&self, gradient: &mut [f32]) -> Vec<(f32, f32)> {
        let sums = self.sums(gradient);
        self.input(gradient, &sums);
        sums
    }

    /// For each channel the sums of the gradient (that of beta) and of the gradient times
    /// the normalized value (that of gamma).
    fn sums(&self, gradient: &[f32]) -> Vec<(f32, f32)> {
        let of_channel = |channel: usize| {
            let (mean, inverse) = self.mean_and_inverse_deviation(channel);
            let affine = self.affine[channel];
            let pair = |x: f32, gradient: f32| {
                let gradient = self.through(gradient, x, affine);
                [gradient, gradient * (x - mean) * inverse]
            };
            let pairs =
                planes(self.x, self.shape, channel).zip(planes(gradient, self.shape, channel));
            let totals = pairs.map(|(x, g)| lanes_of_pairs(x, g, pair));
            let [beta, gamma] =
                totals.fold([0.0, 0.0], |sum, more| [sum[0] + more[0], sum[1] + more[1]]);
            (beta as f32, gamma as f32)
        };
        (0..self.shape[1]).into_par_iter().map(of_channel).collect()
    }

    /// Turns the gradient of the answer into that of the input.
    fn input(&self, gradient: &mut [f32], sums: &[(f32, f32)]) {
        let [batch, channels, height, width] = self.shape;
        let plane = (height * width).max(1);
        let count = (batch * plane) as f32;
        let planes = gradient.par_chunks_mut(plane).zip(self.x.par_chunks(plane)).enumerate();
        planes.for_each(|(at, (gradient, x))| {
            let channel = at % channels;
            let (mean, inverse) = self.mean_and_inverse_deviation(channel);
            let affine = self.affine[channel];
            let (of_beta, of_gamma) = (sums[channel].0 / count, sums[channel].1 / count);
            for (gradient, x) in gradient.iter_mut().zip(x) {
                let left = self.through(*gradient, *x, affine);
                *gradient = affine.0 * (left - of_beta - (x - mean) * inverse * of_gamma);
            }
        });
    }
}
