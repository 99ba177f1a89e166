//! What every training loop does with an epoch: order it, look at its losses, record it.

use std::time::Instant;

use burn::tensor::Tensor;
use rand::SeedableRng;
use rand::seq::SliceRandom;
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
    fn every_epoch_has_its_own_order() {
        assert_eq!(shuffled(50, 1, 4), shuffled(50, 1, 4));
        assert_ne!(shuffled(50, 1, 4), shuffled(50, 1, 5));
        assert_ne!(shuffled(50, 1, 4), shuffled(50, 2, 4));
    }
}
