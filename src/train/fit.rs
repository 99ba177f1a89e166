//! Fitting a head on embeddings.

use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};

use super::adamw;
use super::config::HeadOptions;
use super::embeddings::Embeddings;
use super::epoch::{finite, record, show, shuffled};
use super::objective::{Objective, Targets};
use super::prediction::TrackPrediction;
use super::stopping::EarlyStopping;
use crate::dataset::{Dataset, Task};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::metrics::Epoch;
use crate::model::{Head, Standardization};
use crate::progress;
use crate::run::{HeadSpec, Score};

/// A track to learn from or to be scored on.
#[derive(Clone, Copy, Debug)]
pub struct Example<'a> {
    /// Indices of its labels: one, unless the task is to tell several.
    pub labels: &'a [usize],
    /// Its patches' embeddings.
    pub embeddings: &'a Embeddings,
}

impl<'a> Example<'a> {
    /// A track with one label.
    pub fn single(label: &'a usize, embeddings: &'a Embeddings) -> Self {
        Self { labels: std::slice::from_ref(label), embeddings }
    }

    /// `tracks` of a collection, each with its embeddings.
    pub fn of_tracks(
        dataset: &'a Dataset,
        tracks: &[usize],
        embeddings: impl IntoIterator<Item = &'a Embeddings>,
    ) -> Vec<Self> {
        let labels = tracks.iter().map(|track| &*dataset.tracks[*track].labels);
        labels.zip(embeddings).map(|(labels, embeddings)| Self { labels, embeddings }).collect()
    }
}

/// A head to be fitted, and what on.
#[derive(Clone, Copy, Debug)]
pub struct HeadTask<'a> {
    /// Shape of the head.
    pub spec: HeadSpec,
    /// Tracks to learn from.
    pub train: &'a [Example<'a>],
    /// Tracks to choose the best epoch by; without any, the last one is taken.
    pub validation: &'a [Example<'a>],
    /// How it learns.
    pub options: &'a HeadOptions,
    /// Seed of weights and order.
    pub seed: u64,
    /// Where to compute, without autodiff.
    pub device: &'a Device,
}

/// A head fitted by [`HeadTask::fit`].
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
        let standardized = Embeddings { data: rows, ..*embeddings };
        predict_raw(head, &standardized, device)
    }
}

/// What a head says of a track whose embeddings are as the head takes them.
pub(super) fn predict_raw(
    head: &Head,
    embeddings: &Embeddings,
    device: &Device,
) -> TrackPrediction {
    let shape = [embeddings.rows().len(), embeddings.features];
    let rows = Tensor::from_data(TensorData::new(embeddings.data.clone(), shape), device);
    let probabilities = head.probabilities(rows);
    let classes = probabilities.dims()[1];
    TrackPrediction::new(probabilities.into_data().iter().collect(), classes)
}

impl HeadTask<'_> {
    /// Fits the head, stopping when the validation tracks no longer improve, and keeps the epoch
    /// with the lowest validation loss. `history` gets its epochs, with `stage` as what they
    /// are of.
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C; [`Error::Diverged`] if the loss stops being a number;
    /// [`Error::OutOfRange`] for no epoch at all.
    pub fn fit(&self, stage: &str, history: &mut Vec<Epoch>) -> Result<Fitted> {
        let rows = self.train.iter().flat_map(|example| example.embeddings.rows());
        let standardization = Standardization::of(rows, self.spec.features);
        let labels: Vec<&[usize]> = self.validation.iter().map(|example| example.labels).collect();
        let mut learning = Learning::new(self, &standardization);
        let mut head = self.spec.init(self.seed, &learning.device);
        let (mut best, mut stopping) = (None, EarlyStopping::default());
        let bar = progress::begin(self.options.epochs, &format!("training {stage}"), "epochs");
        for epoch in 1..=self.options.epochs {
            interrupt::check("the head trains in seconds; run it again")?;
            let started = Instant::now();
            let train_loss;
            (head, train_loss) = learning.epoch(head, epoch)?;
            let (valid, standardization) = (head.valid(), standardization.clone());
            let mut fitted = Fitted { head: valid, standardization, validation: None, epoch };
            let found = fitted.predict(self.validation, self.device);
            fitted.validation = learning.objective.score(&found, &labels);
            let record = record(stage, epoch, train_loss, fitted.validation, started);
            show(&bar, &record);
            history.push(record);
            if stopping.improves(epoch, fitted.validation) {
                best = Some(fitted);
            }
            if stopping.patience_exhausted(epoch, self.options.patience) {
                break;
            }
        }
        drop(bar);
        best.ok_or_else(|| Error::out_of_range("epochs", self.options.epochs, "give at least 1"))
    }

    /// The loss: by the patches a class to learn from, or by the tracks that have a label, so that
    /// unfrozen layers are compared by the same.
    fn objective(&self, device: &Device) -> Objective {
        let weight = |example: &Example| match self.spec.task {
            Task::SingleLabel => example.embeddings.rows().len(),
            Task::MultiLabel => 1,
        };
        let mut counts = vec![0; self.spec.classes];
        for example in self.train {
            example.labels.iter().for_each(|label| counts[*label] += weight(example));
        }
        let total = self.train.iter().map(weight).sum();
        Objective::new(self.spec.task, &counts, total, device)
    }
}

/// What the epochs of a head share.
struct Learning<'a> {
    options: &'a HeadOptions,
    seed: u64,
    rows: Rows<'a>,
    objective: Objective,
    optimizer: ModuleOptimizer,
    /// Where to compute, with autodiff.
    device: Device,
}

impl<'a> Learning<'a> {
    fn new(task: &HeadTask<'a>, standardization: &Standardization) -> Self {
        let HeadTask { spec, train, options, seed, .. } = *task;
        let device = task.device.clone().autodiff();
        let rows = Rows::new(train, standardization, spec);
        Self {
            options,
            seed,
            objective: task.objective(&device),
            rows,
            optimizer: adamw::optimizer(options.weight_decay, adamw::EPSILON),
            device,
        }
    }

    /// One pass over the rows; the head after it, and the mean loss.
    fn epoch(&mut self, mut head: Head, epoch: usize) -> Result<(Head, f64)> {
        let HeadOptions { batch, learning_rate, .. } = *self.options;
        let count = self.rows.labels.len();
        let steps = count.div_ceil(batch);
        let mut total = 0.0;
        for (step, rows) in shuffled(count, self.seed, epoch).chunks(batch).enumerate() {
            let (x, y) = self.rows.batch(rows, &self.device);
            let value = self.objective.of(head.forward(x), y, &self.device);
            let number = finite(&value, (epoch - 1) * steps + step, "‹lr›", learning_rate)?;
            total += number * rows.len() as f64;
            let gradients = GradientsParams::from_grads(value.backward(), &head);
            head = self.optimizer.step(learning_rate, head, gradients);
        }
        Ok((head, total / count as f64))
    }
}

/// Standardized training rows, ready to be batched.
struct Rows<'a> {
    data: Vec<f32>,
    labels: Vec<&'a [usize]>,
    spec: HeadSpec,
}

impl<'a> Rows<'a> {
    fn new(examples: &[Example<'a>], standardization: &Standardization, spec: HeadSpec) -> Self {
        let mut data: Vec<f32> =
            examples.iter().flat_map(|e| e.embeddings.data.iter().copied()).collect();
        data.chunks_exact_mut(spec.features).for_each(|row| standardization.apply(row));
        let repeat = |e: &Example<'a>| std::iter::repeat_n(e.labels, e.embeddings.rows().len());
        Self { data, labels: examples.iter().flat_map(repeat).collect(), spec }
    }

    fn batch(&self, rows: &[usize], device: &Device) -> (Tensor<2>, Targets) {
        let HeadSpec { features, classes, task, .. } = self.spec;
        let pick = |row: &usize| &self.data[row * features..][..features];
        let data: Vec<f32> = rows.iter().flat_map(pick).copied().collect();
        let targets = Targets::of(task, rows.iter().map(|row| self.labels[*row]), classes);
        (Tensor::from_data(TensorData::new(data, [rows.len(), features]), device), targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Quality;

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
            .map(|(label, embeddings)| Example { labels: std::slice::from_ref(label), embeddings })
            .collect();
        let spec = HeadSpec { features: 2, hidden: None, classes: 2, task: Task::SingleLabel };
        let options = HeadOptions { epochs: 200, learning_rate: 0.05, ..HeadOptions::default() };
        let fit = || {
            let mut history = vec![];
            let (train, validation) = examples.split_at(8);
            let (options, device) = (&options, &device);
            let task = HeadTask { spec, train, validation, options, seed: 3, device };
            (task.fit("head", &mut history).unwrap(), history)
        };
        let (fitted, history) = fit();
        assert_eq!(fitted.validation.unwrap().quality, Quality::Accuracy(1.0));
        assert!(history.last().unwrap().train_loss < history[0].train_loss);
        let again = fit().0.predict(&examples, &device);
        let means = |p: &[TrackPrediction]| p.iter().map(|t| t.mean.clone()).collect::<Vec<_>>();
        assert_eq!(means(&fitted.predict(&examples, &device)), means(&again));
    }

    #[test]
    fn a_head_that_diverges_names_its_own_learning_rate() {
        let wild = embeddings(&[[f32::MAX, f32::MIN], [f32::INFINITY, 0.0]]);
        let train = [&[0], &[1]].map(|labels| Example { labels, embeddings: &wild });
        let task = HeadTask {
            spec: HeadSpec { features: 2, hidden: None, classes: 2, task: Task::SingleLabel },
            train: &train,
            validation: &[],
            options: &HeadOptions { learning_rate: 0.5, ..HeadOptions::default() },
            seed: 0,
            device: &Device::flex(),
        };
        let error = task.fit("head", &mut vec![]).unwrap_err();
        assert!(matches!(error, Error::Diverged { step: 0, options: "‹lr›", rate: 0.5, .. }));
        let text = error.to_string();
        assert!(text.ends_with("at step 0; use a smaller ‹lr› than 0.5"), "{text}");
    }
}
