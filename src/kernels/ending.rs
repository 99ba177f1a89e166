//! What follows the products of a convolution while they are still in registers.

use pulp::Simd;

use super::lanes;

/// The values that an activation lets through (ReLU, ReLU6, clip).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// The least; negative infinity for any.
    pub low: f32,
    /// The largest; infinity for any.
    pub high: f32,
}

impl Bounds {
    /// Every value.
    pub const NONE: Self = Self { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// What is not below nothing.
    pub const RELU: Self = Self { low: 0.0, high: f32::INFINITY };

    /// Whether anything is kept out.
    pub fn bind(self) -> bool {
        self != Self::NONE
    }

    /// The value, or the bound that it passes. Not the smaller and larger of two: what is no
    /// number must stay none.
    pub fn keep(self, value: f32) -> f32 {
        let value = if value < self.low { self.low } else { value };
        if value > self.high { self.high } else { value }
    }
}

/// Bounds, and behind them a scale and a shift of each channel: batch normalization.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    /// What is let through.
    pub bounds: Bounds,
    /// Scale and shift `[channels]`.
    pub affine: Option<[Vec<f32>; 2]>,
}

impl Ending {
    /// Nothing at all.
    pub const NONE: Self = Self { bounds: Bounds::NONE, affine: None };

    /// The ending of the channels from `channel` on, as many of them as a vector has.
    #[inline(always)]
    pub(super) fn at<S: Simd>(&self, simd: S, channel: usize) -> EndingLanes<S> {
        // Not in a closure: that would be compiled for plain processors.
        #[allow(clippy::manual_map)]
        let affine = match &self.affine {
            Some([scale, shift]) => Some([
                lanes::load_some(simd, &scale[channel.min(scale.len())..]),
                lanes::load_some(simd, &shift[channel.min(shift.len())..]),
            ]),
            None => None,
        };
        let (low, high) = (simd.splat_f32s(self.bounds.low), simd.splat_f32s(self.bounds.high));
        EndingLanes { low, high, affine }
    }
}

/// The ending of a vector of channels.
#[derive(Clone, Copy)]
pub(super) struct EndingLanes<S: Simd> {
    low: S::f32s,
    high: S::f32s,
    affine: Option<[S::f32s; 2]>,
}

impl<S: Simd> EndingLanes<S> {
    #[inline(always)]
    pub(super) fn apply(&self, simd: S, values: S::f32s) -> S::f32s {
        let values = if S::F32_LANES == 1 {
            let values = simd.select_f32s(simd.less_than_f32s(values, self.low), self.low, values);
            simd.select_f32s(simd.greater_than_f32s(values, self.high), self.high, values)
        } else {
            // Of two of which one is no number, vectors take the second (x86) or neither.
            simd.min_f32s(self.high, simd.max_f32s(self.low, values))
        };
        match self.affine {
            Some([scale, shift]) => simd.mul_add_f32s(values, scale, shift),
            None => values,
        }
    }
}
