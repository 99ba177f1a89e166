//! How the learning rate moves.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the learning rate moves over the steps of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Up linearly over the warm-up, then down to nothing as a half cosine.
    #[default]
    Cosine,
    /// Up and down as half cosines, over 30 % and 70 % of the steps (Smith & Topin 2018).
    OneCycle,
}

/// The factor on the learning rate after `done` of the steps, from 0 to 1, if it rises over the
/// share `warm_up` of them.
pub(super) fn factor(schedule: Schedule, warm_up: f64, done: f64) -> f64 {
    let half_cosine = |from: f64, to: f64| {
        let along = ((done - from) / (to - from).max(1e-9)).clamp(0.0, 1.0);
        0.5 * (1.0 + (std::f64::consts::PI * along).cos())
    };
    let (rising, linear) = match schedule {
        Schedule::Cosine => (warm_up, true),
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
