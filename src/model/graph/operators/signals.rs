//! Spectra, their windows and their filters: the front ends of networks that take samples.

use std::f64::consts::{LN_10, TAU};

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node, axis};
use super::super::value::Value;
use super::indexing::at_places;
use super::matrix::along_axis;

/// A number that has to be there.
fn integer(inputs: &mut Inputs, index: usize) -> Outcome<i64> {
    match inputs.list(index)?[..] {
        [value] => Ok(value),
        _ => refuse(format!("its input {index} is not one number")),
    }
}

/// Hann's, Hamming's and Blackman's windows.
pub(super) fn window(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let size = usize::try_from(integer(inputs, 0)?).unwrap_or(usize::MAX);
    count(&[size])?;
    let period = if node.flag("periodic", true) { size as f64 } else { size as f64 - 1.0 };
    let weights: [f64; 3] = match node.operator.as_str() {
        "HannWindow" => [0.5, 0.5, 0.0],
        "HammingWindow" => [25.0 / 46.0, 21.0 / 46.0, 0.0],
        _ => [0.42, 0.5, 0.08],
    };
    let value = |at: usize| {
        let angle = TAU * at as f64 / period;
        (weights[0] - weights[1] * angle.cos() + weights[2] * (2.0 * angle).cos()) as f32
    };
    let values = (0..size).map(value).collect();
    Ok(vec![Value::Float(Floats::new(values, vec![size], &inputs.device)?)])
}

/// Triangular filters `[bins, filters]` that are even in mel.
pub(super) fn mel_weights(_: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let mut size = |index| Ok(usize::try_from(integer(inputs, index)?).unwrap_or(usize::MAX));
    let (filters, length, rate) = (size(0)?, size(1)?, size(2)?);
    let mut edge = |index| -> Outcome<f64> {
        inputs
            .optional_number(index)?
            .map_or_else(|| refuse("an edge is missing"), |hertz| Ok(f64::from(hertz)))
    };
    let (low, high) = (edge(3)?, edge(4)?);
    if rate == 0 || length == usize::MAX || !(0.0 <= low && low <= high && high.is_finite()) {
        return refuse(format!("{low} to {high} Hz of {rate}"));
    }
    let bins = length / 2 + 1;
    count(&[bins, filters.saturating_add(2)])?;
    let mel = |hertz: f64| 2595.0 * (hertz / 700.0).ln_1p() / LN_10;
    let step = (mel(high) - mel(low)) / (filters + 2) as f64;
    let edges: Vec<usize> = (0..filters + 2)
        .map(|at| {
            let hertz = 700.0 * ((at as f64 * step + mel(low)) / 2595.0 * LN_10).exp_m1();
            ((length + 1) as f64 * hertz / rate as f64).floor() as usize
        })
        .collect();
    if edges.iter().any(|edge| *edge >= bins) {
        return refuse(format!("{high} Hz is beyond half of {rate}"));
    }
    let mut values = vec![0.0; bins * filters];
    for filter in 0..filters {
        let [left, center, right] = [edges[filter], edges[filter + 1], edges[filter + 2]];
        let mut put = |bin: usize, value: f32| values[bin * filters + filter] = value;
        if left == center {
            put(center, 1.0);
        }
        for bin in left..=center {
            if left < center {
                put(bin, (bin - left) as f32 / (center - left) as f32);
            }
        }
        for bin in center..right {
            put(bin, (right - bin) as f32 / (right - center) as f32);
        }
    }
    Ok(vec![Value::Float(Floats::new(values, vec![bins, filters], &inputs.device)?)])
}

/// How a spectrum is taken.
#[derive(Clone, Copy)]
struct Transform {
    /// Values that a period has; fewer ones are followed by zeros.
    length: usize,
    inverse: bool,
    /// Only the half of the spectrum that is not the other's mirror.
    onesided: bool,
}

impl Transform {
    /// The matrices `[to, from]` of cosines and sines.
    fn matrices(self, from: usize, inputs: &Inputs) -> Outcome<[Floats; 2]> {
        let back = self.inverse && self.onesided;
        let to = if self.onesided && !back { self.length / 2 + 1 } else { self.length };
        let used = if back { self.length / 2 + 1 } else { self.length };
        count(&[to, from])?;
        let matrix = |function: fn(f64) -> f64| {
            let value = |at: usize| {
                let (row, column) = (at / from, at % from);
                if column >= used {
                    return 0.0;
                }
                // The angle's turns are counted in integers, so that it stays exact.
                let turns = (row as u64 * column as u64) % self.length as u64;
                let value = function(TAU * turns as f64 / self.length as f64);
                let mirrored = back && column > 0 && 2 * column != self.length;
                let weight = if mirrored { 2.0 } else { 1.0 };
                let scale = if self.inverse { 1.0 / self.length as f64 } else { 1.0 };
                (value * weight * scale) as f32
            };
            let values = (0..to * from).map(value).collect();
            Floats::new(values, vec![to, from], &inputs.device)
        };
        Ok([matrix(f64::cos)?, matrix(f64::sin)?])
    }

    /// Of `x` along axis `at`; its last axis holds real parts, or real and imaginary ones.
    fn of(self, x: Floats, at: usize, inputs: &Inputs) -> Outcome<Floats> {
        let last = x.rank() - 1;
        let parts = x.shape()[last];
        if self.length == 0 || x.len() == 0 || !matches!(parts, 1 | 2) || at == last {
            return refuse(format!("a spectrum of {:?} along axis {at}", x.shape()));
        }
        let mut wide = x.shape().to_vec();
        wide[at] = self.length;
        wide[last] = 2;
        count(&wide)?;
        let [cos, sin] = self.matrices(x.shape()[at], inputs)?;
        let real = at_places(x.clone(), last, vec![0])?;
        let product = |x: &Floats, matrix: &Floats| along_axis(x.clone(), at, matrix.clone());
        let (mut a, mut b) = (product(&real, &cos)?, product(&real, &sin)?);
        // Forth it turns to the negative side.
        let turn = if self.inverse { 1.0 } else { -1.0 };
        b = b.map(|b| b * turn);
        if parts == 2 {
            let imaginary = at_places(x, last, vec![1])?;
            let (c, d) = (product(&imaginary, &cos)?, product(&imaginary, &sin)?);
            a = a.zip(d, |a, d| a - d * turn)?;
            b = b.zip(c, |b, c| b + c)?;
        }
        if self.inverse && self.onesided {
            return Ok(a);
        }
        let mut shape = a.shape().to_vec();
        let length = a.len();
        shape[last] = 2;
        let column = |x: Floats| x.into_rank([length, 1]);
        let both = burn::tensor::Tensor::<2>::cat(vec![column(a), column(b)], 1);
        Ok(Floats::from_reshaped(both, shape))
    }
}

/// The discrete Fourier transform; its axis is an input since opset 20.
pub(super) fn fourier(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let length = inputs.optional_list(1)?.and_then(|list| list.first().copied());
    let usual = if node.opset < 20 { 1 } else { -2 };
    let at = match inputs.optional_list(2)?.and_then(|list| list.first().copied()) {
        Some(at) => at,
        None => node.int("axis", usual),
    };
    let x = inputs.filled(0)?;
    let at = axis(at, x.rank())?;
    let (inverse, onesided) = (node.flag("inverse", false), node.flag("onesided", false));
    let size = x.shape()[at];
    let length = match length {
        Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
        None if inverse && onesided => 2 * size.saturating_sub(1),
        None => size,
    };
    count(&[length])?;
    let y = Transform { length, inverse, onesided }.of(x, at, inputs)?;
    Ok(vec![Value::Float(y)])
}

/// Spectra of overlapping frames of `[batch, samples, 1 or 2]`.
pub(super) fn short_time_fourier(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let step = usize::try_from(integer(inputs, 1)?).unwrap_or(0);
    let window = inputs.optional_floats(2)?;
    let given = inputs.optional_list(3)?.and_then(|list| list.first().copied());
    let x = inputs.filled(0)?;
    let x = match *x.shape() {
        [batch, samples] => x.reshape(vec![batch, samples, 1])?,
        _ => x,
    };
    let &[batch, samples, parts] = x.shape() else {
        return refuse(format!("samples of shape {:?}", x.shape()));
    };
    let length = match (given, &window) {
        (Some(length), _) => usize::try_from(length).unwrap_or(usize::MAX),
        (None, Some(window)) => window.len(),
        (None, None) => samples,
    };
    if step == 0 || length == 0 || length > samples {
        return refuse(format!("frames of {length} every {step} in {samples} samples"));
    }
    let frames = (samples - length) / step + 1;
    let shape = vec![batch, frames, length, parts];
    count(&shape)?;
    let places = (0..frames).flat_map(|frame| frame * step..frame * step + length).collect();
    let mut x = at_places(x, 1, places)?.reshape(shape)?;
    if let Some(window) = window {
        if window.shape() != [length] {
            return refuse(format!("a window of {:?} for {length}", window.shape()));
        }
        x = x.zip(window.reshape(vec![length, 1])?, |x, window| x * window)?;
    }
    let onesided = node.flag("onesided", true);
    let y = Transform { length, inverse: false, onesided }.of(x, 2, inputs)?;
    Ok(vec![Value::Float(y)])
}
