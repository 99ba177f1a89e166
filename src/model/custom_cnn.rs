//! CNNs of our own, trained from scratch on spectrograms.
//!
//! One [`CnnConfig`] describes the whole family: plain blocks in the manner of VGG
//! (Simonyan & Zisserman 2015), residual ones (He et al. 2016), squeeze-and-excitation
//! (Hu et al. 2018), and how the map of features becomes one embedding.

use burn::module::{Module, Param};
use burn::nn::pool::{AvgPool2d, AvgPool2dConfig, MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear};
use burn::tensor::activation::{relu, sigmoid, softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::head::{Head, Standardization, he_uniform};
use super::layers::{Geometry, correlate, correlate_normalized, max_pool_2x2};
use crate::dataset::Task;
use crate::error::Result;
use crate::run::{BlockPooling, CnnConfig, EnsembleSpec, GlobalPooling, HeadSpec};

impl CnnConfig {
    /// The module with seeded weights for patches of `[frames, mels]`.
    pub fn init(
        &self,
        input: [usize; 2],
        classes: usize,
        scale: &Standardization,
        seed: u64,
        device: &Device,
    ) -> CustomCnn {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut channels = 1;
        let stem = self.stem_stride.map(|stride| {
            let unit = Unit::init([1, self.filters[0]], self, stride, &mut random, device);
            channels = self.filters[0];
            unit
        });
        let mut blocks = vec![];
        for filters in &self.filters {
            blocks.push(Block::init([channels, *filters], self, &mut random, device));
            channels = *filters;
        }
        let dense =
            self.dense.map(|units| he_uniform([self.pooled(input), units], &mut random, device));
        let head = HeadSpec {
            features: self.features(input),
            hidden: self.head,
            classes,
            task: Task::SingleLabel,
        };
        let row = |values: Vec<f32>| {
            let shape = [1, 1, values.len()];
            Param::from_data(TensorData::new(values, shape), device)
        };
        let (mean, scale) = scale.shift_and_scale();
        CustomCnn {
            mean: row(mean).set_require_grad(false),
            scale: row(scale).set_require_grad(false),
            stem,
            blocks,
            dense,
            head: head.init(random.random(), device),
            global_pooling: self.global_pooling,
            keep_bands: self.keep_bands,
        }
    }
}

/// Convolution weights after He et al. (2015): normal with a variance of two over the fan-in.
fn he_normal(shape: [usize; 4], random: &mut ChaCha8Rng, device: &Device) -> Param<Tensor<4>> {
    let deviation = (2.0 / (shape[1] * shape[2] * shape[3]) as f32).sqrt();
    let count = shape.iter().product();
    let normal = rand_distr::StandardNormal;
    let values: Vec<f32> =
        (0..count).map(|_| deviation * random.sample::<f32, _>(normal)).collect();
    Param::from_data(TensorData::new(values, shape), device)
}

/// A convolution with its normalization; the activation is the block's.
#[derive(Module, Debug)]
struct Unit {
    weight: Param<Tensor<4>>,
    bias: Option<Param<Tensor<1>>>,
    norm: Option<BatchNorm>,
    stride: usize,
}

impl Unit {
    fn init(
        [from, to]: [usize; 2],
        config: &CnnConfig,
        stride: usize,
        random: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        Self::with_kernel([from, to], config.kernel, config.batch_norm, stride, random, device)
    }

    fn with_kernel(
        [from, to]: [usize; 2],
        kernel: usize,
        batch_norm: bool,
        stride: usize,
        random: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        Self {
            weight: he_normal([to, from, kernel, kernel], random, device),
            // A batch normalization has a shift of its own.
            bias: (!batch_norm).then(|| Param::from_tensor(Tensor::zeros([to], device))),
            norm: batch_norm.then(|| BatchNormConfig::new(to).init(device)),
            stride,
        }
    }

    /// The convolution, its normalization, and ReLU if `rectify`.
    fn forward(&self, x: Tensor<4>, rectify: bool) -> Tensor<4> {
        let [.., kernel] = self.weight.dims();
        let (weight, geometry) = (self.weight.val(), Geometry::even(self.stride, kernel / 2));
        match &self.norm {
            Some(norm) => correlate_normalized(norm, x, weight, geometry, rectify),
            None => {
                let bias = self.bias.as_ref().map(|bias| bias.val());
                correlate(x, weight, bias, geometry, rectify)
            }
        }
    }
}

/// Channel weights from the map's own means.
#[derive(Module, Debug)]
struct SqueezeExcitation {
    squeeze: Param<Tensor<4>>,
    excite: Param<Tensor<4>>,
}

impl SqueezeExcitation {
    /// Channels over hidden units; 16 in the paper, whose maps have more channels.
    const REDUCTION: usize = 8;

    fn init(channels: usize, random: &mut ChaCha8Rng, device: &Device) -> Self {
        let hidden = (channels / Self::REDUCTION).max(4);
        Self {
            squeeze: he_normal([hidden, channels, 1, 1], random, device),
            excite: he_normal([channels, hidden, 1, 1], random, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let point = Geometry::even(1, 0);
        let means = whole(&x, false).average.forward(x.clone());
        let hidden = correlate(means, self.squeeze.val(), None, point, true);
        x * sigmoid(correlate(hidden, self.excite.val(), None, point, false))
    }
}

/// Convolutions at one resolution, then the pooling.
#[derive(Module, Debug)]
struct Block {
    units: Vec<Unit>,
    /// Fits the input's channels to the output's, where they differ.
    shortcut: Option<Unit>,
    excitation: Option<SqueezeExcitation>,
    residual: bool,
    #[module(skip)]
    pooling: BlockPooling,
    /// How often the map is halved: a window of 4 x 4 is four of 2 x 2, whose largest value, or
    /// mean, is that of theirs.
    halvings: usize,
}

impl Block {
    fn init(
        [from, to]: [usize; 2],
        config: &CnnConfig,
        random: &mut ChaCha8Rng,
        device: &Device,
    ) -> Self {
        let unit = |n: usize| {
            let from = if n == 0 { from } else { to };
            Unit::init([from, to], config, 1, random, device)
        };
        let units = (0..config.convolutions).map(unit).collect();
        let shortcut = (config.residual && from != to)
            .then(|| Unit::with_kernel([from, to], 1, config.batch_norm, 1, random, device));
        let excitation =
            config.squeeze_excitation.then(|| SqueezeExcitation::init(to, random, device));
        Self {
            units,
            shortcut,
            excitation,
            residual: config.residual,
            pooling: config.pooling,
            halvings: config.pool_size.ilog2() as usize,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = input.clone();
        for (n, unit) in self.units.iter().enumerate() {
            x = unit.forward(x, !self.residual || n + 1 < self.units.len());
        }
        if let Some(excitation) = &self.excitation {
            x = excitation.forward(x);
        }
        if self.residual {
            let shortcut = match &self.shortcut {
                Some(shortcut) => shortcut.forward(input, false),
                None => input,
            };
            x = relu(x + shortcut);
        }
        (0..self.halvings).fold(x, |x, _| match self.pooling {
            BlockPooling::Max => max_pool_2x2(x),
            BlockPooling::Average => {
                AvgPool2dConfig::new([2, 2]).with_strides([2, 2]).init().forward(x)
            }
        })
    }
}

/// Pooling over a whole map, as windows of its size: what burn's ONNX exporter knows.
struct Whole {
    average: AvgPool2d,
    max: MaxPool2d,
}

/// Over time and frequency, or over time only.
fn whole(x: &Tensor<4>, keep_bands: bool) -> Whole {
    let [.., height, width] = x.dims();
    let width = if keep_bands { 1 } else { width };
    Whole {
        average: AvgPool2dConfig::new([height, width]).with_strides([1, 1]).init(),
        max: MaxPool2dConfig::new([height, width]).with_strides([1, 1]).init(),
    }
}

/// A CNN on log-mel patches: `[batch, frames, mels]` to logits `[batch, classes]`.
#[derive(Module, Debug)]
pub struct CustomCnn {
    /// Mean of each mel band over the training part.
    mean: Param<Tensor<3>>,
    /// One over its standard deviation.
    scale: Param<Tensor<3>>,
    stem: Option<Unit>,
    blocks: Vec<Block>,
    dense: Option<Linear>,
    head: Head,
    #[module(skip)]
    global_pooling: GlobalPooling,
    keep_bands: bool,
}

impl CustomCnn {
    /// Logits `[batch, classes]` and embeddings `[batch, features]` of log-mel patches
    /// `[batch, frames, mels]`.
    pub fn forward(&self, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        let embeddings = self.embeddings(self.pooled(log_mel));
        (self.head.forward(embeddings.clone()), embeddings)
    }

    /// The logits to learn from: of pooled values multiplied with `kept` `[batch, pooled]`,
    /// zero where a value is dropped. The caller draws it, since burn's own dropout draws
    /// from a generator that all threads share.
    pub fn learn(&self, log_mel: Tensor<3>, kept: Tensor<2>) -> Tensor<2> {
        self.head.forward(self.embeddings(self.pooled(log_mel) * kept))
    }

    fn embeddings(&self, pooled: Tensor<2>) -> Tensor<2> {
        match &self.dense {
            Some(dense) => relu(dense.forward(pooled)),
            None => pooled,
        }
    }

    /// The last map's values, pooled.
    fn pooled(&self, log_mel: Tensor<3>) -> Tensor<2> {
        let [batch, frames, mels] = log_mel.dims();
        let x = (log_mel - self.mean.val()) * self.scale.val();
        let x = x.reshape([batch, 1, frames, mels]);
        let x = match &self.stem {
            Some(stem) => stem.forward(x, true),
            None => x,
        };
        let x = self.blocks.iter().fold(x, |x, block| block.forward(x));
        let Whole { average, max } = whole(&x, self.keep_bands);
        let x = match self.global_pooling {
            GlobalPooling::Average => average.forward(x),
            GlobalPooling::Max => max.forward(x),
            GlobalPooling::AverageMax => {
                Tensor::cat(vec![average.forward(x.clone()), max.forward(x)], 1)
            }
            GlobalPooling::Flatten => x,
        };
        let [_, channels, height, width] = x.dims();
        x.reshape([batch, channels * height * width])
    }
}

/// CNNs whose probabilities are averaged: one, or the folds of a cross-validation.
#[derive(Module, Debug)]
pub struct CnnEnsemble {
    /// The members, at least one.
    pub members: Vec<CustomCnn>,
    /// What they tell of a track.
    #[module(skip)]
    pub task: Task,
}

impl EnsembleSpec {
    /// The module with this shape, its weights to be filled from a file.
    ///
    /// # Errors
    /// Those of [`CnnConfig::check`].
    pub fn init(&self, device: &Device) -> Result<CnnEnsemble> {
        self.cnn.check(self.input)?;
        let neutral = Standardization::none(self.input[1]);
        let member = |_| self.cnn.init(self.input, self.classes, &neutral, 0, device);
        Ok(CnnEnsemble { members: (0..self.members).map(member).collect(), task: self.task })
    }
}

impl CnnEnsemble {
    /// Logits of all members side by side `[batch, members * classes]`, and their
    /// embeddings `[batch, members * features]`.
    pub fn forward(&self, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        if let [only] = &self.members[..] {
            return only.forward(log_mel);
        }
        let each = self.members.iter().map(|member| member.forward(log_mel.clone()));
        let (logits, embeddings) = each.unzip();
        (Tensor::cat(logits, 1), Tensor::cat(embeddings, 1))
    }

    /// Probabilities `[batch, classes]`, the mean of the members', and embeddings.
    pub fn probabilities(&self, log_mel: Tensor<3>) -> (Tensor<2>, Tensor<2>) {
        let members = self.members.len();
        let (logits, embeddings) = self.forward(log_mel);
        let [batch, width] = logits.dims();
        let logits = logits.reshape([batch, members, width / members]);
        let each = match self.task {
            Task::SingleLabel => softmax(logits, 2),
            Task::MultiLabel => sigmoid(logits),
        };
        let mean = each.mean_dim(1).reshape([batch, width / members]);
        (mean, embeddings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Preset;

    const PATCH: [usize; 2] = [128, 128];

    fn patches(count: usize) -> Tensor<3> {
        let values: Vec<f32> = (0..count * 128 * 128).map(|i| (i % 97) as f32 / 97.0).collect();
        Tensor::from_data(TensorData::new(values, [count, 128, 128]), &Device::flex())
    }

    #[test]
    fn every_kind_of_network_answers_with_the_sizes_it_says() {
        let device = Device::flex();
        let kinds = [
            Preset::Simple.config(),
            Preset::Vgg.config(),
            Preset::Resnet.config(),
            Preset::Searched.config(),
            CnnConfig { dense: Some(8), ..Preset::Vgg.config() },
            CnnConfig {
                batch_norm: false,
                pooling: BlockPooling::Average,
                global_pooling: GlobalPooling::Max,
                head: Some(8),
                kernel: 5,
                ..Preset::Resnet.config()
            },
        ];
        for cnn in kinds {
            let features = cnn.check(PATCH).unwrap();
            let scale = Standardization::none(128);
            let network = cnn.init(PATCH, 3, &scale, 1, &device);
            let (logits, embeddings) = network.forward(patches(2));
            assert_eq!((logits.dims(), embeddings.dims()), ([2, 3], [2, features]), "{cnn}");
            let again = cnn.init(PATCH, 3, &scale, 1, &device).forward(patches(2)).1;
            let difference = (again - embeddings.clone()).abs().max().into_scalar::<f32>();
            assert_eq!(difference, 0.0);
            assert!(embeddings.abs().max().into_scalar::<f32>() > 0.0);
        }
    }

    #[test]
    fn windows_of_4_are_pooled_as_they_stand() {
        let device = Device::flex();
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let values: Vec<f32> = (0..2 * 9 * 14).map(|_| random.random_range(-1.0..1.0)).collect();
        let x = Tensor::from_data(TensorData::new(values, [1, 2, 9, 14]), &device);
        for (pooling, wanted) in [
            (
                BlockPooling::Max,
                MaxPool2dConfig::new([4, 4]).with_strides([4, 4]).init().forward(x.clone()),
            ),
            (
                BlockPooling::Average,
                AvgPool2dConfig::new([4, 4]).with_strides([4, 4]).init().forward(x.clone()),
            ),
        ] {
            let block = Block {
                units: vec![],
                shortcut: None,
                excitation: None,
                residual: false,
                pooling,
                halvings: 2,
            };
            let found = block.forward(x.clone());
            assert_eq!(found.dims(), [1, 2, 2, 3]);
            assert!((found - wanted).abs().max().into_scalar::<f32>() < 1e-6);
        }
    }

    #[test]
    fn an_ensemble_averages_probabilities() {
        let device = Device::flex();
        let cnn = CnnConfig::default();
        let member = |seed| {
            let mut network = cnn.init(PATCH, 3, &Standardization::none(128), seed, &device);
            // A linear output starts at zero, where all members agree.
            let head =
                HeadSpec { features: 64, hidden: Some(4), classes: 3, task: Task::SingleLabel };
            network.head = head.init(seed, &device);
            network
        };
        let members = vec![member(1), member(2)];
        let alone: Vec<Tensor<2>> =
            members.iter().map(|m| softmax(m.forward(patches(2)).0, 1)).collect();
        let together = CnnEnsemble { members, task: Task::SingleLabel }.probabilities(patches(2)).0;
        let mean = (alone[0].clone() + alone[1].clone()) / 2.0;
        let difference = |a: Tensor<2>, b: Tensor<2>| (a - b).abs().max().into_scalar::<f32>();
        assert!(difference(together.clone(), mean) < 1e-6);
        assert!(difference(together, alone[0].clone()) > 1e-4);
    }
}
