//! How the learning rate moves.

use super::options::{FitOptions, Schedule};

/// The factor on the learning rate after `done` of the steps, from 0 to 1.
pub(super) fn factor(options: &FitOptions, done: f64) -> f64 {
    let half_cosine = |from: f64, to: f64| {
        let along = ((done - from) / (to - from).max(1e-9)).clamp(0.0, 1.0);
        0.5 * (1.0 + (std::f64::consts::PI * along).cos())
    };
    let (rising, linear) = match options.schedule {
        Schedule::Cosine => (options.warm_up, true),
        Schedule::OneCycle => (0.3, false),
    };
    if done >= rising {
        half_cosine(rising, 1.0)
    } else if linear {
        (done / rising).max(0.01)
    } else {
        (1.0 - half_cosine(0.0, rising)).max(0.04)
    }
}
