//! How examples are varied while a network learns: mixed with each other, partly covered, and
//! labelled with less than certainty.

use std::ops::Range;

use clap::Args;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};

use super::check;
use crate::dataset::Task;
use crate::error::{Error, Result};

/// How patches are varied while unfrozen layers learn.
#[derive(Args, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variation {
    /// Alpha of mixup's Beta distribution (Zhang et al. 2018), for unfrozen layers; 0 for none
    #[arg(long, default_value_t = 0.0, value_name = "ALPHA")]
    pub mixup: f64,
    /// Masks over time and over frequency in each patch (SpecAugment, Park et al. 2019), for
    /// unfrozen layers
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub masks: usize,
    /// Widest mask, as a share of the patch in its direction
    #[arg(long, default_value_t = 0.15, value_name = "SHARE")]
    pub mask_width: f64,
    /// Probability taken from the right genre and given to all alike, for unfrozen layers
    #[arg(long, default_value_t = 0.0, value_name = "SHARE")]
    pub label_smoothing: f64,
}

impl Default for Variation {
    fn default() -> Self {
        Self { mixup: 0.0, masks: 0, mask_width: 0.15, label_smoothing: 0.0 }
    }
}

/// More would cover everything.
const MOST_MASKS: usize = 100;

impl Variation {
    pub(super) fn check(&self) -> Result<()> {
        check::not_negative("mixup", self.mixup, "number")?;
        check::below_one("mask-width", self.mask_width)?;
        if self.masks > MOST_MASKS {
            return Err(Error::out_of_range("masks", self.masks, "give at most 100"));
        }
        check::below_one("label-smoothing", self.label_smoothing)
    }

    /// Whether patches go to the network as they are.
    pub(super) fn is_none(&self) -> bool {
        self.mixup == 0.0 && self.masks == 0 && self.label_smoothing == 0.0
    }
}

/// The share of the first of two mixed patches: at least a half, so that a patch stays itself.
pub(super) fn mixing(alpha: f64, random: &mut ChaCha8Rng) -> f32 {
    let alpha = alpha as f32;
    let share: f32 = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(random));
    share.max(1.0 - share)
}

/// `share` of `values` and the rest of `others`.
pub(super) fn mix(values: &mut [f32], others: &[f32], share: f32) {
    for (value, other) in values.iter_mut().zip(others) {
        *value = share * *value + (1.0 - share) * other;
    }
}

/// Probability 1 for `labels` but for what `smoothing` gives to all of `classes` alike; where each
/// label has a probability of its own, it moves each of them towards a half.
pub(super) fn smoothed(task: Task, labels: &[usize], classes: usize, smoothing: f32) -> Vec<f32> {
    let everywhere = match task {
        Task::SingleLabel => smoothing / classes as f32,
        Task::MultiLabel => smoothing / 2.0,
    };
    let mut target = vec![everywhere; classes];
    labels.iter().for_each(|label| target[*label] += 1.0 - smoothing);
    target
}

/// Covers random frames and bands of a patch `[frames, bands, depth]` with the value `with`, as
/// often as there are `masks`, each at most `width` of the patch wide.
pub(super) fn cover(
    patch: &mut [f32],
    [frames, bands, depth]: [usize; 3],
    masks: usize,
    width: f64,
    with: f32,
    random: &mut ChaCha8Rng,
) {
    let row = bands * depth;
    for _ in 0..masks {
        let covered = covered(frames, width, random);
        patch[covered.start * row..covered.end * row].fill(with);
        let covered = self::covered(bands, width, random);
        for frame in patch.chunks_exact_mut(row) {
            frame[covered.start * depth..covered.end * depth].fill(with);
        }
    }
}

fn covered(size: usize, width: f64, random: &mut ChaCha8Rng) -> Range<usize> {
    let widest = (width * size as f64) as usize;
    let width = random.random_range(0..=widest);
    let first = random.random_range(0..=size - width);
    first..first + width
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_mask_covers_all_colours_of_whole_rows_and_columns() {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let mut patch: Vec<f32> = (0..12 * 10 * 3).map(|at| at as f32).collect();
        cover(&mut patch, [12, 10, 3], 2, 0.5, -1.0, &mut random);
        let hidden = |frame: usize, band: usize| {
            let colours = &patch[(frame * 10 + band) * 3..][..3];
            let count = colours.iter().filter(|value| **value == -1.0).count();
            assert!(count == 0 || count == 3, "{colours:?}");
            count == 3
        };
        let cells: Vec<Vec<bool>> =
            (0..12).map(|frame| (0..10).map(|band| hidden(frame, band)).collect()).collect();
        let frames: Vec<bool> = cells.iter().map(|row| row.iter().all(|cell| *cell)).collect();
        let bands: Vec<bool> = (0..10).map(|band| cells.iter().all(|row| row[band])).collect();
        assert!(frames.contains(&true) || bands.contains(&true));
        assert!(frames.contains(&false) && bands.contains(&false));
        for (frame, row) in cells.iter().enumerate() {
            for (band, cell) in row.iter().enumerate() {
                assert_eq!(*cell, frames[frame] || bands[band]);
            }
        }
    }

    #[test]
    fn a_mixed_patch_stays_itself_and_targets_stay_probabilities() {
        let mut random = ChaCha8Rng::seed_from_u64(6);
        for _ in 0..50 {
            let share = mixing(0.4, &mut random);
            assert!((0.5..=1.0).contains(&share));
            let mut target = smoothed(Task::SingleLabel, &[2], 5, 0.1);
            mix(&mut target, &smoothed(Task::SingleLabel, &[0], 5, 0.1), share);
            assert!((target.iter().sum::<f32>() - 1.0).abs() < 1e-6);
            assert!(target[2] + 1e-6 >= target[0] && target[0] >= 0.02);
        }
    }
}
