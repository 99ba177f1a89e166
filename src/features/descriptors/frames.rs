//! The frames that descriptors are made of.

/// Samples per second that the definitions are for, in Hz.
pub const RATE: u32 = 22_050;

/// The least number of samples to describe: one frame.
pub const MIN_SAMPLES: usize = FRAME;

/// Samples in a frame.
pub(super) const FRAME: usize = 2048;
/// Samples from one frame to the next.
pub(super) const HOP: usize = 512;
/// Bins of a frame's spectrum.
pub(super) const BINS: usize = FRAME / 2 + 1;

/// Frequency of a bin, in Hz.
pub(super) fn hertz(bin: usize) -> f64 {
    bin as f64 * f64::from(RATE) / FRAME as f64
}
