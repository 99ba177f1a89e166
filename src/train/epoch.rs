//! What every training loop does with an epoch: order it, look at its losses, record it.

use std::time::Instant;

use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::metrics::Epoch;
use crate::progress::Bar;
use crate::run::Score;

/// The order of the `count` examples in `epoch`: a function of both and the seed,
/// so that a resumed run sees what the uninterrupted one would have.
pub fn shuffled(count: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut random);
    order
}

/// The cross-entropy loss for classes that have so many patches.
pub fn loss(counts: &[usize], device: &Device) -> CrossEntropyLoss {
    CrossEntropyLossConfig::new().with_weights(class_weights(counts)).init(device)
}

/// The cross-entropy against probabilities instead of one class.
#[derive(Debug)]
pub struct SoftLoss {
    /// One a class, `[1, classes]`, where they differ.
    weights: Option<Tensor<2>>,
}

impl SoftLoss {
    /// For classes that have so many patches.
    pub fn new(counts: &[usize], device: &Device) -> Self {
        let weights = class_weights(counts).map(|weights| {
            let shape = [1, weights.len()];
            Tensor::from_data(TensorData::new(weights, shape), device)
        });
        Self { weights }
    }

    /// The weighted mean over patches, given `logits` and `targets` `[patches, classes]`.
    pub fn forward(&self, logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
        let targets = match &self.weights {
            Some(weights) => targets * weights.clone(),
            None => targets,
        };
        let total = targets.clone().sum();
        -(log_softmax(logits, 1) * targets).sum() / total
    }
}

/// Weights that make every genre count the same, or none where they already do:
/// the mean class size over the class's own, over patches.
fn class_weights(counts: &[usize]) -> Option<Vec<f32>> {
    let present = counts.iter().filter(|count| **count > 0);
    let (least, most) = (present.clone().min()?, present.clone().max()?);
    // A tenth more or less is what padding and stratification leave behind.
    if *most as f64 <= 1.1 * *least as f64 {
        return None;
    }
    let mean = counts.iter().sum::<usize>() as f32 / present.count() as f32;
    Some(counts.iter().map(|count| mean / (*count).max(1) as f32).collect())
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
    Epoch {
        stage: stage.to_owned(),
        epoch,
        train_loss,
        validation_loss: validation.map(|score| score.loss),
        validation_accuracy: validation.map(|score| score.accuracy),
        seconds: started.elapsed().as_secs_f64(),
    }
}

/// Shows an epoch's figures on its progress bar.
pub fn show(bar: &Bar, epoch: &Epoch) {
    let validation = match (epoch.validation_loss, epoch.validation_accuracy) {
        (Some(loss), Some(accuracy)) => {
            format!(", validation loss {loss:.3} accuracy {accuracy:.3}")
        }
        _ => String::new(),
    };
    bar.note(&format!("loss {:.3}{validation}", epoch.train_loss));
    bar.advance(1);
}

#[cfg(test)]
mod tests {
    use burn::tensor::Int;

    use super::*;

    #[test]
    fn weights_only_where_classes_differ() {
        assert_eq!(class_weights(&[100, 105, 99]), None);
        assert_eq!(class_weights(&[10, 30]), Some(vec![2.0, 2.0 / 3.0]));
    }

    /// Where every target is one class, both losses are one.
    #[test]
    fn a_soft_loss_of_hard_targets_is_the_hard_one() {
        let device = Device::flex();
        let logits = Tensor::<2>::from_floats([[2.0, -1.0], [0.5, 0.25], [-3.0, 1.0]], &device);
        let labels = Tensor::<1, Int>::from_ints([0, 1, 1], &device);
        let targets = Tensor::<2>::from_floats([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], &device);
        for counts in [[10, 10], [10, 30]] {
            let hard = loss(&counts, &device).forward(logits.clone(), labels.clone());
            let soft = SoftLoss::new(&counts, &device).forward(logits.clone(), targets.clone());
            let difference = (hard - soft).abs().into_scalar::<f32>();
            assert!(difference < 1e-6, "{counts:?}: {difference}");
        }
    }

    #[test]
    fn every_epoch_has_its_own_order() {
        assert_eq!(shuffled(50, 1, 4), shuffled(50, 1, 4));
        assert_ne!(shuffled(50, 1, 4), shuffled(50, 1, 5));
        assert_ne!(shuffled(50, 1, 4), shuffled(50, 2, 4));
    }
}
