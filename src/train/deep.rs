//! Fine-tuning the backbone's last layers together with the trained head, in burn.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{Axis, s};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::adamw;
use super::average::{mean, mean_of_learning};
use super::checkpoint::{
    Checkpoints, Write, load_module, load_optimizer, save_module, save_optimizer,
};
use super::config::{BatchNorm, DeepOptions, HeadOptions, Keep};
use super::embeddings::Embeddings;
use super::epoch::{finite, record, show, shuffled, spread};
use super::fit::Fitted;
use super::objective::{Objective, Targets};
use super::prediction::TrackPrediction;
use super::schedule::{Schedule, factor};
use super::stopping::EarlyStopping;
use super::variation::{cover, mix, mixing, smoothed};
use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::features::{LogMel, patches};
use crate::interrupt;
use crate::metrics::Epoch;
use crate::model::graph::OnnxGraph;
use crate::model::{GenreModel, Standardization, layers};
use crate::progress;
use crate::run::{Score, Speed};

/// A track as the backbone sees it.
#[derive(Clone, Debug)]
pub struct TrackLogMel {
    /// Indices of its labels: one, unless the task is to tell several.
    pub labels: Vec<usize>,
    /// Its log-mel, at least one patch long.
    pub log_mel: LogMel,
}

/// What does not change while the layers learn.
#[derive(Debug)]
pub struct DeepTask<'a> {
    /// Tracks to learn from.
    pub train: &'a [TrackLogMel],
    /// Tracks to stop by.
    pub validation: &'a [TrackLogMel],
    /// Genres.
    pub classes: usize,
    /// What is told of a track.
    pub task: Task,
    /// Frames of a patch, and from one patch to the next when tracks are scored.
    pub patch: [usize; 2],
    /// Values of a pixel, or 1 for a band of a log-mel.
    pub depth: usize,
    /// What covers masked values: the mean of those to learn from.
    pub level: f32,
    /// How the unfrozen layers learn.
    pub options: &'a DeepOptions,
    /// Weight decay and patience are the head's.
    pub head: &'a HeadOptions,
    /// Seed of patches and order.
    pub seed: u64,
    /// Where to compute.
    pub device: &'a Device,
}

/// The model that came out best on the validation tracks.
#[derive(Clone, Debug)]
pub struct Tuned {
    /// Backbone and head for standardized embeddings.
    pub model: GenreModel,
    /// How many of the backbone's layers learned.
    pub layers: usize,
    /// Its score on the validation tracks.
    pub validation: Option<Score>,
    /// How fast they learned.
    pub speed: Speed,
    /// How far its weights lie from those that it started with, 0, to those that it learned, 1.
    pub share: f64,
}

/// The places between the weights at the start and those learned that are tried (Wortsman et al.
/// 2022, "Robust fine-tuning of zero-shot models").
const SHARES: [f64; 3] = [0.75, 0.5, 0.25];

impl DeepTask<'_> {
    /// Trains the last `layers` of `graph` and the head of `fitted`, starting from both
    /// as they are, and keeps the best epoch by validation loss; or, where the better of tuned and
    /// frozen is to be kept, weights between those of that epoch and of the start, if they have a
    /// lower one.
    ///
    /// The rate rises linearly over the first epoch and falls as a half cosine after it.
    /// Every epoch, and Ctrl-C, leaves a checkpoint, from which the run goes on to the
    /// same end as without the interruption.
    ///
    /// # Errors
    /// [`Interrupted`](crate::error::Error::Interrupted) on Ctrl-C,
    /// [`Diverged`](crate::error::Error::Diverged) if the loss stops being a number, errors of
    /// the checkpoint folder.
    pub fn run(
        &self,
        graph: OnnxGraph,
        layers: usize,
        fitted: &Fitted,
        checkpoints: &Checkpoints,
        history: &mut Vec<Epoch>,
    ) -> Result<Tuned> {
        let learning = self.device.clone().autodiff();
        let graph = graph.learn_statistics(self.options.batch_norm == BatchNorm::Train);
        let model = GenreModel { backbone: graph, head: fitted.head.clone() };
        let start = model.clone();
        let model = model.fork(&learning).train();
        let model = GenreModel { backbone: model.backbone.unfreeze_last(layers), ..model };
        let clip = self.options.clip.map(|norm| GradientClippingConfig::Norm(norm as f32).init());
        let optimizer = || {
            let optimizer = adamw::optimizer(self.head.weight_decay, adamw::EPSILON);
            match &clip {
                Some(clip) => optimizer.with_grad_clipping(clip.clone()),
                None => optimizer,
            }
        };
        let mut state = State {
            best: model.valid(),
            model,
            backbone_optimizer: optimizer(),
            head_optimizer: optimizer(),
            progress: DeepProgress::default(),
        };
        if let Some(saved) = state.load(checkpoints)? {
            history.extend(saved);
        }
        let first = history.len() - state.progress.epoch;
        let bar = progress::begin(self.options.deep_epochs, "unfrozen layers", "epochs");
        bar.set_position(state.progress.epoch as u64);
        while !self.is_over(&state.progress) {
            let started = Instant::now();
            let history_of_these = &history[first..];
            // On a thread of the pool: from without, each of the many small shares of a step would
            // wake one and wait for it. (Of two trainings in one process one may wait for the other.)
            let record = rayon::scope(|_| {
                let total =
                    self.epoch(&mut state, fitted, checkpoints, history_of_these, &learning)?;
                state.pull_back(&start.backbone, self.options.pull_back);
                self.close_epoch(&mut state, &fitted.standardization, total, started)
            })?;
            show(&bar, &record);
            history.push(record);
            state.save(checkpoints, &history[first..])?;
        }
        drop(bar);
        layers::free();
        // What only training needs goes first.
        let State { best, progress: DeepProgress { stopping, speed, .. }, .. } = state;
        let tuned = Tuned { model: best, layers, validation: stopping.best, speed, share: 1.0 };
        if self.options.keep == Keep::Best && !self.validation.is_empty() {
            return rayon::scope(|_| self.between(start, tuned, &fitted.standardization));
        }
        Ok(tuned)
    }

    /// `tuned`, or a network between `start` and it with a lower loss on the validation tracks.
    fn between(
        &self,
        start: GenreModel,
        tuned: Tuned,
        standardization: &Standardization,
    ) -> Result<Tuned> {
        let learned = tuned.model.clone();
        let mut found = tuned;
        for share in SHARES {
            let model = mean(start.clone(), (1.0 - share) as f32, &learned);
            let validation = self.score(&model, standardization)?;
            if Score::loss_of(validation) < Score::loss_of(found.validation) {
                found = Tuned { model, validation, share, ..found };
            }
        }
        Ok(found)
    }

    fn score(&self, model: &GenreModel, scale: &Standardization) -> Result<Option<Score>> {
        let labels: Vec<&[usize]> = self.validation.iter().map(|track| &*track.labels).collect();
        let predictions = self.predict(model, scale, self.validation)?;
        Ok(self.objective(self.device).score(&predictions, &labels))
    }

    fn is_over(&self, progress: &DeepProgress) -> bool {
        progress.epoch >= self.options.deep_epochs
            || progress.stopping.patience_exhausted(progress.epoch, self.head.patience)
    }

    /// One pass over the tracks from the step the state is at; the mean loss.
    fn epoch(
        &self,
        state: &mut State,
        fitted: &Fitted,
        checkpoints: &Checkpoints,
        history: &[Epoch],
        learning: &Device,
    ) -> Result<f64> {
        let epoch = state.progress.epoch + 1;
        let crops = self.crops(epoch);
        let steps = crops.len().div_ceil(self.options.deep_batch);
        let loss = self.objective(learning);
        for (step, batch) in crops.chunks(self.options.deep_batch).enumerate() {
            if step < state.progress.step {
                continue;
            }
            if interrupt::requested() {
                state.save(checkpoints, history)?;
                interrupt::check("the training so far is saved; go on with ‹resume›")?;
            }
            let started = Instant::now();
            let Batch { patches, targets } = self.batch(batch, [epoch, step]);
            let waited = started.elapsed();
            let patches = Tensor::from_data(patches, learning);
            let found = state.model.backbone.forward(patches)?;
            let embeddings = fitted.standardization.forward(found);
            let value = loss.of(state.model.head.forward(embeddings), targets, learning);
            let at = (epoch - 1) * steps + step;
            let number = finite(&value, at, "‹lr› or ‹backbone-lr›", self.options.backbone_lr)?;
            state.progress.total += number * batch.len() as f64;
            let rate = self.rate(at, steps);
            let rates = [self.options.backbone_lr * rate, self.head.learning_rate * rate];
            state.step(value, rates, self.options.layer_decay);
            state.progress.speed.add(batch.len(), started.elapsed(), waited);
            state.progress.step = step + 1;
        }
        let mean = state.progress.total / crops.len() as f64;
        (state.progress.step, state.progress.total) = (0, 0.0);
        Ok(mean)
    }

    fn close_epoch(
        &self,
        state: &mut State,
        standardization: &Standardization,
        train_loss: f64,
        started: Instant,
    ) -> Result<Epoch> {
        state.progress.epoch += 1;
        let model = state.model.valid();
        let score = self.score(&model, standardization)?;
        let epoch = state.progress.epoch;
        if state.progress.stopping.improves(epoch, score) {
            state.best = model;
        }
        Ok(record("unfreeze", epoch, train_loss, score, started))
    }

    /// The factor on both rates at `step`.
    fn rate(&self, step: usize, steps_an_epoch: usize) -> f64 {
        if self.options.schedule == Schedule::OneCycle {
            let steps = self.options.deep_epochs * steps_an_epoch;
            return factor(Schedule::OneCycle, 0.0, step as f64 / steps.max(1) as f64);
        }
        let warm_up = steps_an_epoch;
        if step < warm_up {
            return (step + 1) as f64 / warm_up as f64;
        }
        let rest = (self.options.deep_epochs - 1) * steps_an_epoch;
        let done = (step - warm_up) as f64 / rest.max(1) as f64;
        0.5 * (1.0 + (std::f64::consts::PI * done).cos())
    }

    /// The loss, by the patches a class in one epoch.
    fn objective(&self, device: &Device) -> Objective {
        let patches = self.options.patches_per_track;
        let mut counts = vec![0; self.classes];
        let labels = self.train.iter().flat_map(|track| &track.labels);
        labels.for_each(|label| counts[*label] += patches);
        Objective::new(self.task, &counts, patches * self.train.len(), device)
    }

    /// The epoch's patches in order: which track, and its first frame.
    fn crops(&self, epoch: usize) -> Vec<(usize, usize)> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ 0x5eed);
        random.set_stream(epoch as u64);
        let places = self.train.iter().map(|track| track.log_mel.nrows() - self.patch[0] + 1);
        let crops = spread(places, self.options.patches_per_track, &mut random);
        shuffled(crops.len(), self.seed, epoch).into_iter().map(|at| crops[at]).collect()
    }

    fn cut(&self, (track, first): (usize, usize)) -> impl Iterator<Item = f32> {
        let [frames, _] = self.patch;
        self.train[track].log_mel.slice(s![first..first + frames, ..]).into_iter().copied()
    }

    /// The patches at `crops`, varied, and what the network should say of them: a function of
    /// the seed and of `[epoch, step]`.
    fn batch(&self, crops: &[(usize, usize)], at: [usize; 2]) -> Batch {
        let columns = self.train[0].log_mel.ncols();
        let shape = [crops.len(), self.patch[0], columns];
        let vary = &self.options.vary;
        if vary.is_none() {
            let values: Vec<f32> = crops.iter().flat_map(|crop| self.cut(*crop)).collect();
            let labels = crops.iter().map(|(track, _)| &*self.train[*track].labels);
            return Batch {
                patches: TensorData::new(values, shape),
                targets: Targets::of(self.task, labels, self.classes),
            };
        }
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ 0x00ba_7c4e_5eed);
        random.set_stream(((at[0] as u64) << 32) | at[1] as u64);
        let (mut values, mut probabilities) = (vec![], vec![]);
        for crop in crops {
            let (patch, target) = self.varied(*crop, &mut random);
            values.extend(patch);
            probabilities.extend(target);
        }
        let targets = Targets::Probabilities(probabilities);
        Batch { patches: TensorData::new(values, shape), targets }
    }

    /// One patch, mixed with another and partly covered, and its target.
    fn varied(&self, crop: (usize, usize), random: &mut ChaCha8Rng) -> (Vec<f32>, Vec<f32>) {
        let vary = &self.options.vary;
        let target = |(track, _): (usize, usize)| {
            let smoothing = vary.label_smoothing as f32;
            smoothed(self.task, &self.train[track].labels, self.classes, smoothing)
        };
        let (mut patch, mut wanted): (Vec<f32>, _) = (self.cut(crop).collect(), target(crop));
        if vary.mixup > 0.0 {
            let track = random.random_range(0..self.train.len());
            let last = self.train[track].log_mel.nrows() - self.patch[0];
            let other = (track, random.random_range(0..=last));
            let share = mixing(vary.mixup, random);
            mix(&mut patch, &self.cut(other).collect::<Vec<f32>>(), share);
            mix(&mut wanted, &target(other), share);
        }
        let size = [self.patch[0], self.train[0].log_mel.ncols() / self.depth, self.depth];
        cover(&mut patch, size, vary.masks, vary.mask_width, self.level, random);
        (patch, wanted)
    }

    /// Probabilities of tracks over the same grid of patches that inference uses, from a head for
    /// standardized embeddings.
    ///
    /// # Errors
    /// Those of [`OnnxGraph::forward`].
    fn predict(
        &self,
        model: &GenreModel,
        standardization: &Standardization,
        tracks: &[TrackLogMel],
    ) -> Result<Vec<TrackPrediction>> {
        let say = |embeddings| model.head.probabilities(standardization.forward(embeddings));
        let one =
            |track| Ok(TrackPrediction::new(self.rows(&model.backbone, track, say)?, self.classes));
        tracks.iter().map(one).collect()
    }

    /// Embeddings of tracks over the same grid of patches.
    ///
    /// # Errors
    /// Those of [`OnnxGraph::forward`].
    pub fn embeddings(
        &self,
        model: &GenreModel,
        tracks: &[TrackLogMel],
    ) -> Result<Vec<Embeddings>> {
        let features = model.head.features();
        let one = |track| {
            let data = self.rows(&model.backbone, track, |embeddings| embeddings)?;
            Ok(Embeddings { data, features, padded: false })
        };
        tracks.iter().map(one).collect()
    }

    /// What `say` makes of the embeddings of a track's patches, row by row.
    fn rows(
        &self,
        backbone: &OnnxGraph,
        track: &TrackLogMel,
        say: impl Fn(Tensor<2>) -> Tensor<2>,
    ) -> Result<Vec<f32>> {
        let [length, hop] = self.patch;
        let patches = patches(&track.log_mel, length, hop);
        let mut rows = vec![];
        for some in patches.axis_chunks_iter(Axis(0), self.options.deep_batch) {
            let values = some.iter().copied().collect::<Vec<f32>>();
            let x = Tensor::from_data(TensorData::new(values, some.shape()), self.device);
            rows.extend(say(backbone.forward(x)?).into_data().iter::<f32>());
        }
        Ok(rows)
    }
}

/// Patches `[count, frames, features]` and what the network should say of them.
struct Batch {
    patches: TensorData,
    targets: Targets,
}

/// How far the training has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct DeepProgress {
    /// Epochs finished.
    epoch: usize,
    /// Steps finished in the epoch after that.
    step: usize,
    /// The sum of losses over those steps' patches.
    total: f64,
    /// The best epoch so far.
    #[serde(flatten)]
    stopping: EarlyStopping,
    /// How fast it went.
    #[serde(default)]
    speed: Speed,
}

/// What a checkpoint says beside its weights.
#[derive(Serialize, Deserialize)]
struct SavedProgress {
    progress: DeepProgress,
    history: Vec<Epoch>,
}

/// What a checkpoint holds: enough to go on as if nothing had happened.
#[derive(Clone)]
struct State {
    model: GenreModel,
    best: GenreModel,
    backbone_optimizer: ModuleOptimizer,
    head_optimizer: ModuleOptimizer,
    progress: DeepProgress,
}

impl State {
    /// One step at the rates of backbone and head; the backbone's is multiplied by `decay` from
    /// each layer to the one before it.
    fn step(&mut self, loss: Tensor<1>, [backbone_rate, head_rate]: [f64; 2], decay: f64) {
        let mut gradients = loss.backward();
        let head = GradientsParams::from_module(&mut gradients, &self.model.head);
        // Out of the state, so that the optimizer may write into the weights where they are.
        let model = std::mem::replace(&mut self.model, self.best.clone());
        let GenreModel { mut backbone, head: old_head } = model;
        if decay == 1.0 {
            let found = GradientsParams::from_module(&mut gradients, &backbone);
            backbone = self.backbone_optimizer.step(backbone_rate, backbone, found);
        } else {
            let mut depths: BTreeMap<usize, Vec<ParamId>> = BTreeMap::new();
            for (depth, parameter) in backbone.depths() {
                depths.entry(depth).or_default().push(parameter);
            }
            for (depth, parameters) in depths {
                let found = GradientsParams::from_params(&mut gradients, &backbone, &parameters);
                let rate = backbone_rate * decay.powf(depth as f64);
                backbone = self.backbone_optimizer.step(rate, backbone, found);
            }
        }
        self.model =
            GenreModel { backbone, head: self.head_optimizer.step(head_rate, old_head, head) };
    }

    /// Moves what learns of the backbone back towards `start`, by this share of the way.
    fn pull_back(&mut self, start: &OnnxGraph, share: f64) {
        if share > 0.0 {
            let backbone = std::mem::replace(&mut self.model.backbone, start.clone());
            self.model.backbone = mean_of_learning(backbone, (1.0 - share) as f32, start);
        }
    }

    /// Writes a checkpoint.
    fn save(&self, checkpoints: &Checkpoints, history: &[Epoch]) -> Result<()> {
        let progress = self.progress;
        let name = format!("{}-{}", progress.epoch, progress.step);
        let files: [(&str, Write); 4] = [
            ("model.bpk", &|path| save_module(&self.model, path)),
            ("best.bpk", &|path| save_module(&self.best, path)),
            ("backbone-optimizer.bpk", &|path| save_optimizer(&self.backbone_optimizer, path)),
            ("head-optimizer.bpk", &|path| save_optimizer(&self.head_optimizer, path)),
        ];
        checkpoints.write(&name, &files, SavedProgress { progress, history: history.to_vec() })
    }

    /// Goes on from the newest checkpoint, if there is one; its history.
    fn load(&mut self, checkpoints: &Checkpoints) -> Result<Option<Vec<Epoch>>> {
        let Some((folder, SavedProgress { progress, history })) = checkpoints.read()? else {
            return Ok(None);
        };
        self.model = load_module(&folder.join("model.bpk"), self.model.clone())
            .map_err(|error| unreadable(&error, &folder))?;
        self.best = load_module(&folder.join("best.bpk"), self.best.clone())
            .map_err(|error| unreadable(&error, &folder))?;
        let optimizer =
            |file: &str, optimizer: &ModuleOptimizer| load_optimizer(&folder.join(file), optimizer);
        self.backbone_optimizer = optimizer("backbone-optimizer.bpk", &self.backbone_optimizer)?;
        self.head_optimizer = optimizer("head-optimizer.bpk", &self.head_optimizer)?;
        self.progress = progress;
        Ok(Some(history))
    }
}

/// A checkpoint that cannot be read, with the way out: those of versions that kept the network in
/// another form are among them.
fn unreadable(error: &Error, folder: &Path) -> Error {
    let reason = error.reason_at(folder);
    Error::format(
        folder,
        format!("damaged, or written by an older version ({reason}); start again without ‹resume›"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The form of what a checkpoint says beside its weights stays.
    #[test]
    fn a_checkpoint_says_what_it_always_said() {
        let best = Some(Score::of_genres(0.25, 1.0));
        let stopping = EarlyStopping { best_epoch: 2, best };
        let speed = Speed::default();
        let progress = DeepProgress { epoch: 3, step: 4, total: 1.5, stopping, speed };
        let text = serde_json::to_string(&SavedProgress { progress, history: vec![] }).unwrap();
        assert_eq!(
            text,
            r#"{"progress":{"epoch":3,"step":4,"total":1.5,"best_epoch":2,"best":{"loss":0.25,"accuracy":1.0},"speed":{"examples":0,"seconds":0.0,"waiting":0.0}},"history":[]}"#
        );
        let read: SavedProgress = serde_json::from_str(&text).unwrap();
        assert_eq!(read.progress, progress);
    }
}
