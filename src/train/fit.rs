//! Fitting a head on embeddings, and scoring probabilities by track.

use burn::module::Module;
use burn::nn::loss::{CrossEntropyLoss, CrossEntropyLossConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::config::HeadOptions;
use super::embeddings::Embeddings;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::metrics::{Epoch, argmax, mean_probabilities};
use crate::model::{Head, Standardization};
use crate::progress;
use crate::progress::Bar;
use crate::run::{HeadSpec, Score};

/// A track to learn from or to be scored on.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// Index of its genre.
    pub label: usize,
    /// Its patches' embeddings.
    pub embeddings: &'a Embeddings,
}

/// A track's probabilities: of each patch, and their mean.
#[derive(Clone, Debug)]
pub struct TrackPrediction {
    /// `[patches, classes]`, row-major.
    pub patches: Vec<f32>,
    /// The mean over patches, `[classes]`.
    pub mean: Vec<f32>,
}

impl TrackPrediction {
    /// From the probabilities of a track's patches.
    pub fn new(patches: Vec<f32>, classes: usize) -> Self {
        Self { mean: mean_probabilities(&patches, classes), patches }
    }
}

impl Score {
    /// The score of `predictions` against `labels`; none if there are no tracks.
    pub fn of(predictions: &[TrackPrediction], labels: &[usize]) -> Option<Self> {
        if labels.is_empty() {
            return None;
        }
        let count = labels.len() as f64;
        let pairs = || predictions.iter().zip(labels);
        let loss =
            pairs().map(|(p, label)| -f64::from(p.mean[*label].max(1e-12)).ln()).sum::<f64>();
        let right = pairs().filter(|(p, label)| argmax(&p.mean) == Some(**label)).count();
        Some(Self { loss: loss / count, accuracy: right as f64 / count })
    }
}

/// A head fitted by [`fit_head`].
#[derive(Clone, Debug)]
pub struct Fitted {
    /// The head, for standardized embeddings.
    pub head: Head,
    /// The statistics of its training embeddings.
    pub standardization: Standardization,
    /// Its score on the validation tracks, where there are any.
    pub validation: Option<Score>,
    /// The epoch it was taken from, counted from one.
    pub epoch: usize,
}

impl Fitted {
    /// The head for raw embeddings.
    pub fn folded(&self) -> Head {
        self.head.clone().fold(&self.standardization)
    }

    /// Probabilities of `examples`.
    pub fn predict(&self, examples: &[Example], device: &Device) -> Vec<TrackPrediction> {
        let head = self.head.valid();
        examples.iter().map(|e| self.predict_one(&head, e.embeddings, device)).collect()
    }

    fn predict_one(
        &self,
        head: &Head,
        embeddings: &Embeddings,
        device: &Device,
    ) -> TrackPrediction {
        let mut rows = embeddings.data.clone();
        rows.chunks_exact_mut(embeddings.features).for_each(|row| self.standardization.apply(row));
        let shape = [embeddings.rows().len(), embeddings.features];
        let logits = head.forward(Tensor::from_data(TensorData::new(rows, shape), device));
        let classes = logits.dims()[1];
        TrackPrediction::new(softmax(logits, 1).into_data().iter().collect(), classes)
    }
}

/// Weights that make every genre count the same, or none where they already do:
/// the mean class size over the class's own, over patches.
pub fn class_weights(counts: &[usize]) -> Option<Vec<f32>> {
    let present = counts.iter().filter(|count| **count > 0);
    let (least, most) = (present.clone().min()?, present.clone().max()?);
    // A tenth more or less is what padding and stratification leave behind.
    if *most as f64 <= 1.1 * *least as f64 {
        return None;
    }
    let mean = counts.iter().sum::<usize>() as f32 / present.count() as f32;
    Some(counts.iter().map(|count| mean / (*count).max(1) as f32).collect())
}

/// The cross-entropy loss for patches of these classes.
pub fn loss(counts: &[usize], device: &Device) -> CrossEntropyLoss {
    CrossEntropyLossConfig::new().with_weights(class_weights(counts)).init(device)
}

/// Patches a class in `examples`.
fn patch_counts(examples: &[Example], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    examples.iter().for_each(|e| counts[e.label] += e.embeddings.rows().len());
    counts
}

/// The order of the `count` examples in `epoch`: a function of both and the seed,
/// so that a resumed run sees what the uninterrupted one would have.
pub fn shuffled(count: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(epoch as u64);
    let mut order: Vec<usize> = (0..count).collect();
    order.shuffle(&mut random);
    order
}

/// Standardized training rows, ready to be batched.
struct Rows {
    data: Vec<f32>,
    labels: Vec<usize>,
    features: usize,
}

impl Rows {
    fn new(examples: &[Example], standardization: &Standardization, features: usize) -> Self {
        let mut data: Vec<f32> =
            examples.iter().flat_map(|e| e.embeddings.data.iter().copied()).collect();
        data.chunks_exact_mut(features).for_each(|row| standardization.apply(row));
        let repeat = |e: &Example| std::iter::repeat_n(e.label, e.embeddings.rows().len());
        Self { data, labels: examples.iter().flat_map(repeat).collect(), features }
    }

    fn batch(&self, rows: &[usize], device: &Device) -> (Tensor<2>, Tensor<1, Int>) {
        let pick = |row: &usize| &self.data[row * self.features..][..self.features];
        let data: Vec<f32> = rows.iter().flat_map(pick).copied().collect();
        let labels: Vec<i64> = rows.iter().map(|row| self.labels[*row] as i64).collect();
        (
            Tensor::from_data(TensorData::new(data, [rows.len(), self.features]), device),
            Tensor::from_data(TensorData::new(labels, [rows.len()]), device),
        )
    }
}

/// Fits a head on `train`, stopping when `validation` no longer improves, and keeps
/// the epoch with the lowest validation loss.
///
/// With `epochs` given, trains exactly that long and looks at no validation tracks.
///
/// # Errors
/// [`Error::Interrupted`] on Ctrl-C; [`Error::Diverged`] if the loss stops being a number.
#[allow(clippy::too_many_arguments)]
pub fn fit_head(
    stage: &str,
    spec: HeadSpec,
    train: &[Example],
    validation: &[Example],
    options: &HeadOptions,
    seed: u64,
    device: &Device,
    history: &mut Vec<Epoch>,
) -> Result<Fitted> {
    let rows = train.iter().flat_map(|example| example.embeddings.rows());
    let standardization = Standardization::of(rows, spec.features);
    let rows = Rows::new(train, &standardization, spec.features);
    let labels: Vec<usize> = validation.iter().map(|example| example.label).collect();
    let learning = device.clone().autodiff();
    let loss = loss(&patch_counts(train, spec.classes), &learning);
    let mut head = spec.init(seed, &learning);
    let mut optimizer = AdamWConfig::new().with_weight_decay(options.weight_decay as f32).init();
    let mut best: Option<Fitted> = None;
    let bar = progress::begin(options.epochs, &format!("training {stage}"), "epochs");
    for epoch in 1..=options.epochs {
        interrupt::check("the head trains in seconds; run it again")?;
        let started = std::time::Instant::now();
        let mut total = 0.0;
        let steps = rows.labels.len().div_ceil(options.batch);
        let order = shuffled(rows.labels.len(), seed, epoch);
        for (step, batch) in order.chunks(options.batch).enumerate() {
            let (x, y) = rows.batch(batch, &learning);
            let value = loss.forward(head.forward(x), y);
            let at = (epoch - 1) * steps + step;
            let number = finite(&value, at, "lr", options.learning_rate)?;
            total += number * batch.len() as f64;
            let gradients = GradientsParams::from_grads(value.backward(), &head);
            head = optimizer.step(options.learning_rate, head, gradients);
        }
        let mut now = Fitted {
            head: head.valid(),
            standardization: standardization.clone(),
            validation: None,
            epoch,
        };
        now.validation = Score::of(&now.predict(validation, device), &labels);
        let record = Epoch {
            stage: stage.to_owned(),
            epoch,
            train_loss: total / rows.labels.len() as f64,
            validation_loss: now.validation.map(|score| score.loss),
            validation_accuracy: now.validation.map(|score| score.accuracy),
            seconds: started.elapsed().as_secs_f64(),
        };
        show(&bar, &record);
        history.push(record);
        let score = |fitted: &Fitted| fitted.validation.map_or(f64::INFINITY, |score| score.loss);
        let improves =
            best.as_ref().is_none_or(|best| labels.is_empty() || score(&now) < score(best));
        if improves {
            best = Some(now);
        }
        if best.as_ref().is_some_and(|best| epoch - best.epoch >= options.patience) {
            break;
        }
    }
    drop(bar);
    best.ok_or_else(|| Error::Config("--epochs must be at least 1".to_owned()))
}

/// The loss at `step` as a number; `option` is what set the learning `rate`.
///
/// # Errors
/// [`Error::Diverged`] if it is none.
pub fn finite(loss: &Tensor<1>, step: usize, option: &'static str, rate: f64) -> Result<f64> {
    let loss = loss.clone().into_scalar::<f64>();
    if loss.is_finite() { Ok(loss) } else { Err(Error::Diverged { step, loss, option, rate }) }
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
    use super::*;

    fn embeddings(rows: &[[f32; 2]]) -> Embeddings {
        Embeddings { data: rows.concat(), features: 2, padded: false }
    }

    #[test]
    fn a_separable_problem_is_learned_and_repeats_itself() {
        let device = Device::flex();
        let tracks: Vec<(usize, Embeddings)> = (0..12)
            .map(|i| {
                let at = if i % 2 == 0 { 50.0 } else { 52.0 };
                let wobble = i as f32 / 40.0;
                (i % 2, embeddings(&[[at + wobble, -3.0], [at - wobble, 8.0]]))
            })
            .collect();
        let examples: Vec<Example> = tracks
            .iter()
            .map(|(label, embeddings)| Example { label: *label, embeddings })
            .collect();
        let spec = HeadSpec { features: 2, hidden: None, classes: 2 };
        let options = HeadOptions { epochs: 200, learning_rate: 0.05, ..HeadOptions::default() };
        let fit = || {
            let mut history = vec![];
            let (train, validation) = examples.split_at(8);
            let fitted =
                fit_head("head", spec, train, validation, &options, 3, &device, &mut history);
            (fitted.unwrap(), history)
        };
        let (fitted, history) = fit();
        assert_eq!(fitted.validation.unwrap().accuracy, 1.0);
        assert!(history.last().unwrap().train_loss < history[0].train_loss);
        let again = fit().0.predict(&examples, &device);
        let means = |p: &[TrackPrediction]| p.iter().map(|t| t.mean.clone()).collect::<Vec<_>>();
        assert_eq!(means(&fitted.predict(&examples, &device)), means(&again));
    }

    #[test]
    fn weights_only_where_classes_differ() {
        assert_eq!(class_weights(&[100, 105, 99]), None);
        assert_eq!(class_weights(&[10, 30]), Some(vec![2.0, 2.0 / 3.0]));
    }

    #[test]
    fn every_epoch_has_its_own_order() {
        assert_eq!(shuffled(50, 1, 4), shuffled(50, 1, 4));
        assert_ne!(shuffled(50, 1, 4), shuffled(50, 1, 5));
        assert_ne!(shuffled(50, 1, 4), shuffled(50, 2, 4));
    }
}
