//! Batch normalization with ReLU in the same pass, of maps that lie in memory place by place (NHWC):
//! all channels side by side, which are the lanes of vectors.

use pulp::Arch;
use rayon::prelude::*;

use crate::kernels::Bounds;

/// Values that one thread sums up before anything else. Fixed, so that the order of the sum, and
/// with it the result, does not depend on the number of threads.
const PART: usize = 16 * 1024;

/// Values of the places that are looked at together: with few channels a place alone is too short.
const TOGETHER: usize = 256;

/// How many values of `channels` are worked on together: those of whole places.
fn together(channels: usize) -> usize {
    channels * (TOGETHER / channels.max(1)).max(1)
}

/// Values of a part: those of whole groups of places.
fn part(channels: usize) -> usize {
    let together = together(channels).max(1);
    together * (PART / together).max(1)
}

/// A number of each channel as often as there are places together.
fn repeated(values: impl Iterator<Item = f32> + Clone, channels: usize) -> Vec<f32> {
    values.cycle().take(together(channels)).collect()
}

/// The sum of each channel over all places that are `together`.
fn folded(together: &[f32], channels: usize) -> Vec<f64> {
    let mut sums = vec![0f64; channels];
    for place in together.chunks_exact(channels.max(1)) {
        sums.iter_mut().zip(place).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    sums
}

/// Mean and (biased) variance of each channel: of parts first, which are put together after Chan,
/// Golub & LeVeque (1979).
pub(super) fn statistics(x: &[f32], channels: usize) -> Vec<(f32, f32)> {
    let arch = Arch::new();
    let moments = |x: &[f32]| {
        let places = (x.len() / channels.max(1)) as f64;
        let mut sums = vec![0f32; together(channels)];
        arch.dispatch(|| add(x, &mut sums));
        let means: Vec<f64> = folded(&sums, channels).into_iter().map(|sum| sum / places).collect();
        let centre = repeated(means.iter().map(|mean| *mean as f32), channels);
        sums.fill(0.0);
        arch.dispatch(|| add_squares(x, &centre, &mut sums));
        (places, means, folded(&sums, channels))
    };
    let parts: Vec<_> = x.par_chunks(part(channels)).map(moments).collect();
    let of_channel = |channel: usize| {
        let (mut count, mut mean, mut squares) = (0f64, 0f64, 0f64);
        for (places, means, of_part) in &parts {
            let (total, distance) = (count + places, means[channel] - mean);
            mean += distance * places / total;
            squares += of_part[channel] + distance * distance * count * places / total;
            count = total;
        }
        (mean as f32, (squares / count.max(1.0)) as f32)
    };
    (0..channels).map(of_channel).collect()
}

#[inline(always)]
fn add(x: &[f32], sums: &mut [f32]) {
    for x in x.chunks(sums.len()) {
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
    }
}

#[inline(always)]
fn add_squares(x: &[f32], centre: &[f32], sums: &mut [f32]) {
    for x in x.chunks(sums.len()) {
        for ((sum, x), centre) in sums.iter_mut().zip(x).zip(centre) {
            *sum += (x - centre) * (x - centre);
        }
    }
}

/// Normalizes `x` into `out`, given slope and offset of each channel.
pub(super) fn forward(x: &[f32], affine: &[(f32, f32)], rectify: bool, out: &mut [f32]) {
    let channels = affine.len();
    let slope = repeated(affine.iter().map(|(slope, _)| *slope), channels);
    let offset = repeated(affine.iter().map(|(_, offset)| *offset), channels);
    let bounds = if rectify { Bounds::RELU } else { Bounds::NONE };
    let arch = Arch::new();
    let part = part(channels);
    out.par_chunks_mut(part).zip(x.par_chunks(part)).for_each(|(out, x)| {
        arch.dispatch(|| scale(x, [&slope, &offset], bounds, out));
    });
}

#[inline(always)]
fn scale(x: &[f32], [slope, offset]: [&[f32]; 2], bounds: Bounds, out: &mut [f32]) {
    for (x, out) in x.chunks(slope.len()).zip(out.chunks_mut(slope.len())) {
        for (((out, x), slope), offset) in out.iter_mut().zip(x).zip(slope).zip(offset) {
            *out = bounds.keep(slope * x + offset);
        }
    }
}

/// What the gradients of one normalization have in common: numbers of each channel, as often as
/// there are places together.
pub(super) struct Backward<'a> {
    x: &'a [f32],
    channels: usize,
    slope: Vec<f32>,
    offset: Vec<f32>,
    mean: Vec<f32>,
    /// One over the standard deviation.
    inverse: Vec<f32>,
    rectify: bool,
}

impl<'a> Backward<'a> {
    pub(super) fn new(
        x: &'a [f32],
        statistics: &[(f32, f32)],
        affine: &[(f32, f32)],
        epsilon: f32,
        rectify: bool,
    ) -> Self {
        let channels = statistics.len();
        let inverse = |(_, variance): &(f32, f32)| 1.0 / (variance + epsilon).sqrt();
        Self {
            x,
            channels,
            slope: repeated(affine.iter().map(|(slope, _)| *slope), channels),
            offset: repeated(affine.iter().map(|(_, offset)| *offset), channels),
            mean: repeated(statistics.iter().map(|(mean, _)| *mean), channels),
            inverse: repeated(statistics.iter().map(inverse), channels),
            rectify,
        }
    }

    /// Turns the gradient of the answer into that of the input; for each channel the gradients of
    /// beta and gamma.
    pub(super) fn gradients(&self, gradient: &mut [f32]) -> Vec<(f32, f32)> {
        let sums = self.sums(gradient);
        self.input(gradient, &sums);
        sums
    }

    /// Takes from `gradient` what does not come through the ReLU; for each channel the sums of
    /// what is left (the gradient of beta) and of that times the normalized value (of gamma).
    fn sums(&self, gradient: &mut [f32]) -> Vec<(f32, f32)> {
        let (channels, arch, part) = (self.channels, Arch::new(), part(self.channels));
        let of_part = |(gradient, x): (&mut [f32], &[f32])| {
            let [mut beta, mut gamma] = [(); 2].map(|()| vec![0f32; together(channels)]);
            arch.dispatch(|| self.add_sums(x, gradient, &mut beta, &mut gamma));
            [folded(&beta, channels), folded(&gamma, channels)]
        };
        let parts: Vec<[Vec<f64>; 2]> =
            gradient.par_chunks_mut(part).zip(self.x.par_chunks(part)).map(of_part).collect();
        let total = |which: usize, channel: usize| -> f32 {
            parts.iter().map(|sums| sums[which][channel]).sum::<f64>() as f32
        };
        (0..channels).map(|channel| (total(0, channel), total(1, channel))).collect()
    }

    #[inline(always)]
    fn add_sums(&self, x: &[f32], gradient: &mut [f32], beta: &mut [f32], gamma: &mut [f32]) {
        let all = beta.len();
        let (slope, offset) = (&self.slope[..all], &self.offset[..all]);
        let (mean, inverse) = (&self.mean[..all], &self.inverse[..all]);
        let (beta, gamma) = (&mut beta[..all], &mut gamma[..all]);
        // As bits: a choice would become a branch.
        let always = u32::from(!self.rectify);
        for (x, gradient) in x.chunks(all).zip(gradient.chunks_mut(all)) {
            let gradient = &mut gradient[..x.len()];
            #[allow(clippy::needless_range_loop)]
            for at in 0..x.len().min(all) {
                // What is no number passes, as it does in burn.
                let normal = slope[at] * x[at] + offset[at];
                let passes = u32::from(normal > 0.0) | u32::from(normal.is_nan()) | always;
                let left = f32::from_bits(gradient[at].to_bits() & passes.wrapping_neg());
                gradient[at] = left;
                beta[at] += left;
                gamma[at] += left * ((x[at] - mean[at]) * inverse[at]);
            }
        }
    }

    /// Turns the gradient of the answer, less what the ReLU kept back, into that of the input.
    fn input(&self, gradient: &mut [f32], sums: &[(f32, f32)]) {
        let (channels, arch, part) = (self.channels, Arch::new(), part(self.channels));
        let count = (self.x.len() / channels.max(1)) as f32;
        let of_beta = repeated(sums.iter().map(|(beta, _)| beta / count), channels);
        let of_gamma = repeated(sums.iter().map(|(_, gamma)| gamma / count), channels);
        let of_gamma: Vec<f32> =
            of_gamma.iter().zip(&self.inverse).map(|(gamma, inverse)| gamma * inverse).collect();
        gradient.par_chunks_mut(part).zip(self.x.par_chunks(part)).for_each(|(gradient, x)| {
            arch.dispatch(|| self.turn(x, gradient, &of_beta, &of_gamma));
        });
    }

    #[inline(always)]
    fn turn(&self, x: &[f32], gradient: &mut [f32], of_beta: &[f32], of_gamma: &[f32]) {
        let all = self.slope.len();
        let (slope, mean) = (&self.slope[..all], &self.mean[..all]);
        let (of_beta, of_gamma) = (&of_beta[..all], &of_gamma[..all]);
        for (x, gradient) in x.chunks(all).zip(gradient.chunks_mut(all)) {
            let gradient = &mut gradient[..x.len()];
            #[allow(clippy::needless_range_loop)]
            for at in 0..x.len().min(all) {
                let normal = (x[at] - mean[at]) * of_gamma[at];
                gradient[at] = slope[at] * (gradient[at] - of_beta[at] - normal);
            }
        }
    }
}
