//! What every training loop does with an epoch: order it, look at its losses, record it.

use std::time::Instant;

use burn::tensor::Tensor;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::metrics::Epoch;
use crate::progress::Bar;
use crate::run::{Quality, Score};

/// The order of the `count` examples in `epoch`: a function of both and the seed,
/// so that a resumed run sees what the uninterrupted one would have.
pub fn shuffled(count: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut random);
    order
}

/// Where `count` patches of each track begin, as tracks and places: a track, in which a patch has so many
/// `places` to begin at, is divided into as many stretches, and one begins somewhere in each.
pub fn spread(
    places: impl Iterator<Item = usize>,
    count: usize,
    random: &mut ChaCha8Rng,
) -> Vec<(usize, usize)> {
    let mut found = vec![];
    for (track, places) in places.enumerate() {
        for stretch in 0..count {
            let [from, to] = [stretch, stretch + 1].map(|stretch| stretch * places / count);
            found.push((track, random.random_range(from..to.max(from + 1))));
        }
    }
    found
}

/// The loss at `step` as a number; `options` are what set the learning `rate`.
///
/// # Errors
/// [`Error::Diverged`] if it is none.
pub fn finite(loss: &Tensor<1>, step: usize, options: &'static str, rate: f64) -> Result<f64> {
    let loss = loss.clone().into_scalar::<f64>();
    if loss.is_finite() { Ok(loss) } else { Err(Error::Diverged { step, loss, options, rate }) }
}

/// What is to be said of the `epoch` that ends now.
pub fn record(
    stage: &str,
    epoch: usize,
    train_loss: f64,
    validation: Option<Score>,
    started: Instant,
) -> Epoch {
    let quality = validation.map(|score| score.quality);
    Epoch {
        stage: stage.to_owned(),
        epoch,
        train_loss,
        validation_loss: validation.map(|score| score.loss),
        validation_accuracy: match quality {
            Some(Quality::Accuracy(accuracy)) => Some(accuracy),
            _ => None,
        },
        validation_average_precision: match quality {
            Some(Quality::AveragePrecision(precision)) => Some(precision),
            _ => None,
        },
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// Shows an epoch's figures on its progress bar.
pub fn show(bar: &Bar, epoch: &Epoch) {
    let validation = match (epoch.validation_loss, epoch.quality()) {
        (Some(loss), Some((name, value))) => {
            format!(", validation loss {loss:.3} {name} {value:.3}")
        }
        _ => String::new(),
    };
    bar.note(&format!("loss {:.3}{validation}", epoch.train_loss));
    bar.advance(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_are_spread_over_a_track() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..20 {
            let found = spread([100, 3, 1].into_iter(), 4, &mut random);
            let tracks: Vec<usize> = found.iter().map(|(track, _)| *track).collect();
            assert_eq!(tracks, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
            let stretches: Vec<usize> = found[..4].iter().map(|(_, place)| place / 25).collect();
            assert_eq!(stretches, [0, 1, 2, 3]);
            // Fewer places than patches: some begin at the same.
            assert!(found[4..8].iter().all(|(_, place)| *place < 3), "{found:?}");
            assert!(found[8..].iter().all(|(_, place)| *place == 0), "{found:?}");
        }
    }

    #[test]
    fn every_epoch_has_its_own_order() {
        assert_eq!(shuffled(50, 1, 4), shuffled(50, 1, 4));
        assert_ne!(shuffled(50, 1, 4), shuffled(50, 1, 5));
        assert_ne!(shuffled(50, 1, 4), shuffled(50, 2, 4));
    }
}
