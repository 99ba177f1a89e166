//! The shape of a frame's magnitude spectrum.

use super::frames::hertz;

/// The share of a spectrum below its roll-off.
const ROLLOFF: f64 = 0.85;

/// In Hz.
pub(super) struct Shape {
    /// Mean frequency, weighted by magnitude.
    pub(super) centroid: f32,
    /// Standard deviation of the frequency around it.
    pub(super) bandwidth: f32,
    /// The frequency below which 85 % of the magnitude lies.
    pub(super) rolloff: f32,
}

/// The shape of a spectrum; all 0 for silence.
pub(super) fn shape(magnitude: &[f32]) -> Shape {
    let total: f64 = magnitude.iter().copied().map(f64::from).sum();
    // librosa leaves undivided what is below the least normal number.
    let scale = if total < f64::from(f32::MIN_POSITIVE) { 1.0 } else { total };
    let moment = |of: &dyn Fn(f64) -> f64| -> f64 {
        let terms = magnitude.iter().enumerate().map(|(bin, &m)| f64::from(m) * of(hertz(bin)));
        terms.sum::<f64>() / scale
    };
    let centroid = moment(&|hz| hz);
    let bandwidth = moment(&|hz| (hz - centroid).powi(2)).sqrt();
    let mut below = 0.0;
    let reached = magnitude.iter().position(|&m| {
        below += f64::from(m);
        below >= ROLLOFF * total
    });
    let rolloff = hertz(reached.unwrap_or(0));
    Shape { centroid: centroid as f32, bandwidth: bandwidth as f32, rolloff: rolloff as f32 }
}
