//! Fitting one CNN from scratch.

use std::path::Path;
use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bytes, Device, Tensor, TensorData};
use ndarray::{Axis, CowArray, Ix3};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::batches::{Batch, Batches, Sample};
use super::options::{Augmentation, FitOptions};
use crate::dataset::{Task, label_counts};
use crate::error::{Error, Result};
use crate::features::{LogMel, patches};
use crate::files;
use crate::interrupt;
use crate::metrics::Epoch;
use crate::model::{CustomCnn, Standardization, layers, probabilities};
use crate::progress;
use crate::progress::Bar;
use crate::run::{CnnConfig, MemberMetrics, Score, Speed};
use crate::train::adamw;
use crate::train::average::mean;
use crate::train::checkpoint::{
    Checkpoints, Write, load_module, load_optimizer, module_bytes, module_from_bytes, save_module,
    save_optimizer,
};
use crate::train::embeddings::Embeddings;
use crate::train::epoch::{finite, record};
use crate::train::objective::BinaryLoss;
use crate::train::prediction::TrackPrediction;
use crate::train::schedule::factor;
use crate::train::stopping::EarlyStopping;

/// Patches computed at once where nothing is learned.
const EVALUATED_AT_ONCE: usize = 64;

/// What does not change while a CNN is fitted.
#[derive(Clone, Copy, Debug)]
pub struct CnnTask<'a> {
    /// The architecture.
    pub cnn: &'a CnnConfig,
    /// Frames of a patch, and from one patch to the next when tracks are scored.
    pub patch: [usize; 2],
    /// Genres.
    pub classes: usize,
    /// What is told of a track.
    pub task: Task,
    /// How the weights are fitted.
    pub options: &'a FitOptions,
    /// How patches are varied.
    pub augmentation: &'a Augmentation,
    /// The teacher's share of the target.
    pub teacher_share: f64,
    /// Seed of weights, order and variation.
    pub seed: u64,
    /// Where to compute, without autodiff.
    pub device: &'a Device,
    /// Shows no progress bar.
    pub quiet: bool,
}

/// A fitted CNN.
#[derive(Clone, Debug)]
pub struct FittedCnn {
    /// The moving average of the weights at the best epoch.
    pub model: CustomCnn,
    /// Its score on the validation tracks, where there are any.
    pub validation: Option<Score>,
    /// The epoch it was taken from, counted from one.
    pub epoch: usize,
    /// How fast it learned.
    pub speed: Speed,
}

impl FittedCnn {
    /// What a run says of it.
    pub fn metrics(&self) -> MemberMetrics {
        MemberMetrics { validation: self.validation, epoch: self.epoch, speed: self.speed }
    }
}

/// How far a fit has come: what a checkpoint says beside its weights.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct CnnProgress {
    epoch: usize,
    #[serde(flatten)]
    stopping: EarlyStopping,
    speed: Speed,
    history: Vec<Epoch>,
}

/// The network as it learns.
struct State {
    model: CustomCnn,
    /// Moving average of the weights, without autodiff.
    average: CustomCnn,
    /// The average of the best epoch, in burn's own format.
    best: Option<Bytes>,
    optimizer: ModuleOptimizer,
    /// What is learned from, several labels a track.
    binary: Option<BinaryLoss>,
    progress: CnnProgress,
}

impl CnnTask<'_> {
    /// Fits the network on `train`.
    ///
    /// With validation tracks, the epoch with their lowest loss is kept, else the last.
    /// Every epoch leaves a checkpoint, from which a killed run goes on to the same end,
    /// and calls `watch` with all epochs so far.
    ///
    /// # Errors
    /// [`Error::Interrupted`] on Ctrl-C, [`Error::Diverged`] if the loss stops being a
    /// number, [`Error::InvalidInput`] if the architecture does not fit the patches, errors of
    /// the checkpoint folder.
    pub fn fit(
        &self,
        stage: &str,
        train: &[Sample],
        validation: &[Sample],
        checkpoints: Option<&Checkpoints>,
        watch: &mut dyn FnMut(&[Epoch]) -> Result<()>,
    ) -> Result<FittedCnn> {
        let mels = train.first().map_or(0, |sample| sample.log_mel.ncols());
        self.cnn.check([self.patch[0], mels])?;
        let frames = train.iter().flat_map(|sample| sample.log_mel.outer_iter());
        let scale = Standardization::of(frames, mels);
        let mut state = self.start(&scale, train, checkpoints)?;
        // A kill between a checkpoint and what is made of its history would leave the last epoch out.
        if !state.progress.history.is_empty() {
            watch(&state.progress.history)?;
        }
        let length = self.options.epochs * train.len();
        let bar = if self.quiet {
            Bar::hidden()
        } else {
            progress::begin(length, &format!("training {stage}"), "examples")
        };
        while !self.is_over(&state.progress) {
            bar.set_position((state.progress.epoch * train.len()) as u64);
            let started = Instant::now();
            let loss = self.epoch(&mut state, train, scale.level(), &bar)?;
            self.close_epoch(&mut state, stage, loss, validation, started)?;
            if let Some(checkpoints) = checkpoints {
                state.save(checkpoints)?;
            }
            watch(&state.progress.history)?;
        }
        drop(bar);
        layers::free();
        self.finish(state)
    }

    /// Probabilities of tracks, the means over an even grid of patches.
    pub fn predict(&self, model: &CustomCnn, tracks: &[Sample]) -> Vec<TrackPrediction> {
        let log_mels: Vec<&LogMel> = tracks.iter().map(|track| &track.log_mel).collect();
        predict(&log_mels, self.patch, self.classes, self.device, |x| {
            probabilities(self.task, model.forward(x).0)
        })
    }

    fn start(
        &self,
        scale: &Standardization,
        train: &[Sample],
        checkpoints: Option<&Checkpoints>,
    ) -> Result<State> {
        let learning = self.device.clone().autodiff();
        let input = [self.patch[0], scale.features()];
        let init = |device: &Device| self.cnn.init(input, self.classes, scale, self.seed, device);
        let clip = GradientClippingConfig::Norm(self.options.clip as f32).init();
        let optimizer = adamw::optimizer(self.options.weight_decay, 1e-8).with_grad_clipping(clip);
        let mut state = State {
            model: init(&learning),
            average: init(self.device),
            best: None,
            optimizer,
            binary: self.binary(train),
            progress: CnnProgress::default(),
        };
        if let Some(checkpoints) = checkpoints {
            state.load(checkpoints)?;
        }
        Ok(state)
    }

    /// The loss of several labels a track, by the tracks that have each.
    fn binary(&self, train: &[Sample]) -> Option<BinaryLoss> {
        let counts = label_counts(train.iter().flat_map(|sample| &sample.labels), self.classes);
        (!self.task.is_single()).then(|| BinaryLoss::new(&counts, train.len()))
    }

    fn is_over(&self, CnnProgress { epoch, stopping, .. }: &CnnProgress) -> bool {
        let exhausted = |patience| stopping.patience_exhausted(*epoch, patience);
        *epoch >= self.options.epochs || self.options.patience.is_some_and(exhausted)
    }

    fn batches<'b>(&'b self, train: &'b [Sample], level: [f32; 2]) -> Batches<'b> {
        Batches {
            samples: train,
            batch: self.options.batch,
            patch_frames: self.patch[0],
            classes: self.classes,
            task: self.task,
            augmentation: self.augmentation,
            label_smoothing: self.options.label_smoothing as f32,
            teacher_share: self.teacher_share as f32,
            level,
            seed: self.seed,
        }
    }

    /// One pass over the tracks; the mean loss.
    fn epoch(
        &self,
        state: &mut State,
        train: &[Sample],
        level: [f32; 2],
        bar: &Bar,
    ) -> Result<f64> {
        let epoch = state.progress.epoch + 1;
        let batches = self.batches(train, level);
        let steps = batches.steps();
        let started = Instant::now();
        let mut total = 0.0;
        let waited = std::thread::scope(|scope| {
            let mut stream = batches.stream(scope, epoch, 0);
            let mut step = (epoch - 1) * steps;
            while let Some(batch) = stream.next() {
                interrupt::check("the epochs so far are saved; go on with ‹resume›")?;
                let count = batch.count;
                let loss = self.step(state, batch, step, steps * self.options.epochs)?;
                total += loss * count as f64;
                step += 1;
                bar.advance(count as u64);
                let validation = state.progress.history.last().and_then(Epoch::quality);
                let validation = validation.map_or(String::new(), |(name, value)| {
                    format!(", validation {name} {value:.3}")
                });
                bar.note(&format!("epoch {epoch}, loss {loss:.3}{validation}"));
            }
            Ok::<_, Error>(stream.waited)
        })?;
        state.progress.speed.add(train.len(), started.elapsed(), waited);
        Ok(total / train.len() as f64)
    }

    /// Learns from one batch; its loss.
    fn step(&self, state: &mut State, batch: Batch, step: usize, steps: usize) -> Result<f64> {
        let learning = self.device.clone().autodiff();
        let mels = batch.patches.len() / batch.count / self.patch[0];
        let count = batch.count;
        let x = TensorData::new(batch.patches, [count, self.patch[0], mels]);
        let targets = TensorData::new(batch.targets, [count, self.classes]);
        let kept = self.dropout_mask(count, self.cnn.pooled([self.patch[0], mels]), step);
        let kept = Tensor::from_data(kept, &learning);
        let logits = state.model.learn(Tensor::from_data(x, &learning), kept);
        let targets = Tensor::<2>::from_data(targets, &learning);
        let loss = match &state.binary {
            Some(binary) => binary.forward(logits, targets),
            None => -(log_softmax(logits, 1) * targets).sum() / count as f64,
        };
        let rate = self.options.learning_rate;
        let value = finite(&loss, step, "‹lr›", rate)?;
        let gradients = GradientsParams::from_grads(loss.backward(), &state.model);
        state.learn(self.rate(step, steps), gradients);
        // The average starts as the weights themselves and forgets its beginning.
        let decay = self.options.ema.min((1.0 + step as f64) / (10.0 + step as f64));
        state.average(if self.options.ema > 0.0 { decay as f32 } else { 0.0 });
        Ok(value)
    }

    /// Which of a batch's pooled values are kept at `step`, and by how much they are raised for it.
    fn dropout_mask(&self, count: usize, pooled: usize, step: usize) -> TensorData {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(step as u64);
        let raised = (1.0 / (1.0 - self.cnn.dropout)) as f32;
        let one = |_| if random.random_bool(self.cnn.dropout) { 0.0 } else { raised };
        TensorData::new((0..count * pooled).map(one).collect::<Vec<f32>>(), [count, pooled])
    }

    fn close_epoch(
        &self,
        state: &mut State,
        stage: &str,
        train_loss: f64,
        validation: &[Sample],
        started: Instant,
    ) -> Result<()> {
        let labels: Vec<&[usize]> = validation.iter().map(|track| &*track.labels).collect();
        let found = self.predict(&state.average, validation);
        let score = match &state.binary {
            Some(binary) => binary.score(&found, &labels),
            None => Score::of(&found, &labels),
        };
        let progress = &mut state.progress;
        progress.epoch += 1;
        if progress.stopping.improves(progress.epoch, score) {
            state.best = Some(module_bytes(&state.average, Path::new("network"))?);
        }
        progress.history.push(record(stage, progress.epoch, train_loss, score, started));
        Ok(())
    }

    fn finish(&self, state: State) -> Result<FittedCnn> {
        let none = || Error::out_of_range("epochs", self.options.epochs, "give at least 1");
        let best = state.best.ok_or_else(none)?;
        Ok(FittedCnn {
            model: module_from_bytes(best, state.average, Path::new("network"))?,
            validation: state.progress.stopping.best,
            epoch: state.progress.stopping.best_epoch,
            speed: state.progress.speed,
        })
    }

    /// The learning rate at `step` of `steps`.
    fn rate(&self, step: usize, steps: usize) -> f64 {
        let FitOptions { schedule, warm_up, learning_rate, .. } = *self.options;
        learning_rate * factor(schedule, warm_up, step as f64 / steps.max(1) as f64)
    }
}

impl State {
    fn learn(&mut self, rate: f64, gradients: GradientsParams) {
        // Out of the state, so that the optimizer may write into the weights where they are.
        let model = std::mem::replace(&mut self.model, self.average.clone());
        self.model = self.optimizer.step(rate, model, gradients);
    }

    /// Moves the average towards the weights.
    fn average(&mut self, decay: f32) {
        let average = std::mem::replace(&mut self.average, self.model.clone());
        self.average = mean(average, decay, &self.model);
    }

    fn save(&self, checkpoints: &Checkpoints) -> Result<()> {
        let model = |path: &Path| save_module(&self.model, path);
        let average = |path: &Path| save_module(&self.average, path);
        let optimizer = |path: &Path| save_optimizer(&self.optimizer, path);
        let mut files: Vec<(&str, Write)> =
            vec![("model.bpk", &model), ("average.bpk", &average), ("optimizer.bpk", &optimizer)];
        let best = self.best.as_ref().map(|best| |path: &Path| files::write(path, best));
        files.extend(best.iter().map(|best| ("best.bpk", best as Write)));
        checkpoints.write(&self.progress.epoch.to_string(), &files, &self.progress)
    }

    fn load(&mut self, checkpoints: &Checkpoints) -> Result<()> {
        let Some((folder, progress)) = checkpoints.read::<CnnProgress>()? else { return Ok(()) };
        self.model = load_module(&folder.join("model.bpk"), self.model.clone())?;
        self.average = load_module(&folder.join("average.bpk"), self.average.clone())?;
        self.optimizer = load_optimizer(&folder.join("optimizer.bpk"), &self.optimizer)?;
        let best = folder.join("best.bpk");
        self.best = if best.exists() {
            Some(Bytes::from_bytes_vec(std::fs::read(&best).map_err(Error::io(&best))?))
        } else {
            None
        };
        self.progress = progress;
        Ok(())
    }
}

/// Probabilities of each of `tracks` over an even grid of patches `[frames, hop]`.
pub fn predict(
    tracks: &[&LogMel],
    grid: [usize; 2],
    classes: usize,
    device: &Device,
    probabilities: impl Fn(Tensor<3>) -> Tensor<2>,
) -> Vec<TrackPrediction> {
    let rows = answers(tracks, grid, device, probabilities);
    rows.into_iter().map(|(rows, _)| TrackPrediction::new(rows, classes)).collect()
}

/// Embeddings of each of `tracks` over the same grid.
pub fn embed(
    tracks: &[&LogMel],
    grid: [usize; 2],
    device: &Device,
    embeddings: impl Fn(Tensor<3>) -> Tensor<2>,
) -> Vec<Embeddings> {
    let rows = answers(tracks, grid, device, embeddings);
    let one = |(data, features)| Embeddings { data, features, padded: false };
    rows.into_iter().map(one).collect()
}

/// What a network answers for each of `tracks`, `[patches, width]`, and the width.
fn answers(
    tracks: &[&LogMel],
    [length, hop]: [usize; 2],
    device: &Device,
    answer: impl Fn(Tensor<3>) -> Tensor<2>,
) -> Vec<(Vec<f32>, usize)> {
    let of_tracks: Vec<_> = tracks.iter().map(|track| patches(track, length, hop)).collect();
    let patches: Vec<_> = of_tracks.iter().flat_map(|patches| patches.outer_iter()).collect();
    let mels = tracks.first().map_or(0, |track| track.ncols());
    let (mut found, mut width) = (vec![], 1);
    for some in patches.chunks(EVALUATED_AT_ONCE) {
        let values: Vec<f32> = some.iter().flatten().copied().collect();
        let x = TensorData::new(values, [some.len(), length, mels]);
        let rows = answer(Tensor::from_data(x, device));
        width = rows.dims()[1];
        found.extend(rows.into_data().iter::<f32>());
    }
    let mut found = found.into_iter();
    let mut take = |patches: &CowArray<'_, f32, Ix3>| {
        let count = patches.len_of(Axis(0)) * width;
        (found.by_ref().take(count).collect(), width)
    };
    of_tracks.iter().map(&mut take).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checkpoints of older versions are gone on from.
    #[test]
    fn a_checkpoint_says_what_it_always_said() {
        let best = Some(Score::of_genres(0.25, 1.0));
        let stopping = EarlyStopping { best_epoch: 2, best };
        let progress = CnnProgress { epoch: 3, stopping, ..CnnProgress::default() };
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(
            text,
            r#"{"epoch":3,"best_epoch":2,"best":{"loss":0.25,"accuracy":1.0},"speed":{"examples":0,"seconds":0.0,"waiting":0.0},"history":[]}"#
        );
        let read: CnnProgress = serde_json::from_str(&text).unwrap();
        assert_eq!((read.epoch, read.stopping), (3, stopping));
    }
}
