//! A chain-shaped CNN: spatial layers on `[batch, channels, frames, mels]`, a
//! flatten, then dense layers on `[batch, features]`.
//!
//! Runs of older versions keep an imported backbone in this form ([`CnnSpec`] as JSON beside
//! the weights); today a backbone stays the graph that it came as.

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{
    AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig, AvgPool2d, AvgPool2dConfig, MaxPool2d,
    MaxPool2dConfig,
};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor};

use crate::run::{Activation, CnnSpec, DenseSpec, Pads, Pooling, SpatialSpec};

impl Activation {
    fn forward<const D: usize>(&self, x: Tensor<D>) -> Tensor<D> {
        match *self {
            Self::Relu => relu(x),
            Self::Sigmoid => sigmoid(x),
            // Written with ReLU because burn's ONNX exporter cannot lower a clamp.
            Self::Clip { min, max } => {
                let x = match min {
                    Some(min) => relu(x - min) + min,
                    None => x,
                };
                match max {
                    Some(max) => -relu(-x + max) + max,
                    None => x,
                }
            }
        }
    }
}

impl CnnSpec {
    /// The module with this shape and all weights zero, to be filled from a file.
    pub fn init(&self, device: &Device) -> Cnn {
        Cnn {
            spatial: self.spatial.iter().map(|layer| Spatial::init(layer, device)).collect(),
            dense: self.dense.iter().map(|layer| Dense::init(layer, device)).collect(),
        }
    }
}

/// A spatial layer as a burn module.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Spatial {
    /// See [`SpatialSpec::Conv`].
    Conv(Conv2d),
    /// See [`SpatialSpec::BatchNorm`].
    BatchNorm(BatchNorm),
    /// See [`SpatialSpec::Activation`].
    Activation(ActivationLayer),
    /// See [`SpatialSpec::Pool`].
    MaxPool(MaxPool2d),
    /// See [`SpatialSpec::Pool`].
    AveragePool(AvgPool2d),
    /// See [`SpatialSpec::GlobalAveragePool`].
    GlobalAveragePool(AdaptiveAvgPool2d),
}

/// A dense layer as a burn module.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Dense {
    /// See [`DenseSpec::Linear`].
    Linear(Linear),
    /// See [`DenseSpec::BatchNorm`].
    BatchNorm(BatchNorm),
    /// See [`DenseSpec::Activation`].
    Activation(ActivationLayer),
}

/// An [`Activation`] as a burn module without parameters.
#[derive(Module, Debug)]
pub struct ActivationLayer {
    #[module(skip)]
    kind: Activation,
}

/// A chain-shaped CNN as a burn module: `[batch, frames, mels]` to `[batch, features]`.
#[derive(Module, Debug)]
pub struct Cnn {
    /// Layers before the flatten.
    pub spatial: Vec<Spatial>,
    /// Layers after the flatten.
    pub dense: Vec<Dense>,
}

fn padding([top, left, bottom, right]: Pads) -> PaddingConfig2d {
    PaddingConfig2d::Explicit(top, left, bottom, right)
}

/// Batch normalization whose statistics stay those of the original training:
/// a few hundred songs are too few to estimate them anew.
fn fixed_batch_norm(channels: usize, epsilon: f64, device: &Device) -> BatchNorm {
    BatchNorm {
        training: Param::from_bool(false),
        ..BatchNormConfig::new(channels).with_epsilon(epsilon).init(device)
    }
}

impl Spatial {
    pub(super) fn init(spec: &SpatialSpec, device: &Device) -> Self {
        match spec {
            SpatialSpec::Conv { channels, kernel, stride, dilation, pads, groups, bias } => {
                Self::Conv(
                    Conv2dConfig::new(*channels, *kernel)
                        .with_stride(*stride)
                        .with_dilation(*dilation)
                        .with_groups(*groups)
                        .with_padding(padding(*pads))
                        .with_bias(*bias)
                        .with_initializer(Initializer::Zeros)
                        .init(device),
                )
            }
            SpatialSpec::BatchNorm { channels, epsilon } => {
                Self::BatchNorm(fixed_batch_norm(*channels, *epsilon, device))
            }
            SpatialSpec::Activation(kind) => Self::Activation(ActivationLayer { kind: *kind }),
            SpatialSpec::Pool { kind: Pooling::Max, kernel, stride, pads } => Self::MaxPool(
                MaxPool2dConfig::new(*kernel)
                    .with_strides(*stride)
                    .with_padding(padding(*pads))
                    .init(),
            ),
            SpatialSpec::Pool { kind, kernel, stride, pads } => Self::AveragePool(
                AvgPool2dConfig::new(*kernel)
                    .with_strides(*stride)
                    .with_padding(padding(*pads))
                    .with_count_include_pad(*kind == Pooling::AveragePadded)
                    .init(),
            ),
            SpatialSpec::GlobalAveragePool => {
                Self::GlobalAveragePool(AdaptiveAvgPool2dConfig::new([1, 1]).init())
            }
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Self::Conv(layer) => layer.forward(x),
            Self::BatchNorm(layer) => layer.forward(x),
            Self::Activation(layer) => layer.kind.forward(x),
            Self::MaxPool(layer) => layer.forward(x),
            Self::AveragePool(layer) => layer.forward(x),
            Self::GlobalAveragePool(layer) => layer.forward(x),
        }
    }
}

impl Dense {
    pub(super) fn init(spec: &DenseSpec, device: &Device) -> Self {
        match spec {
            DenseSpec::Linear { features: [from, to], bias } => Self::Linear(
                LinearConfig::new(*from, *to)
                    .with_bias(*bias)
                    .with_initializer(Initializer::Zeros)
                    .init(device),
            ),
            DenseSpec::BatchNorm { channels, epsilon } => {
                Self::BatchNorm(fixed_batch_norm(*channels, *epsilon, device))
            }
            DenseSpec::Activation(kind) => Self::Activation(ActivationLayer { kind: *kind }),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Linear(layer) => layer.forward(x),
            Self::BatchNorm(layer) => layer.forward(x),
            Self::Activation(layer) => layer.kind.forward(x),
        }
    }
}

impl Cnn {
    /// Embeddings `[batch, features]` of log-mel patches `[batch, frames, mels]`.
    pub fn forward(&self, log_mel: Tensor<3>) -> Tensor<2> {
        let [batch, frames, mels] = log_mel.dims();
        let x = log_mel.reshape([batch, 1, frames, mels]);
        let x = self.spatial.iter().fold(x, |x, layer| layer.forward(x));
        let [batch, channels, height, width] = x.dims();
        let x = x.reshape([batch, channels * height * width]);
        self.dense.iter().fold(x, |x, layer| layer.forward(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> CnnSpec {
        let conv = |channels| SpatialSpec::Conv {
            channels,
            kernel: [3, 3],
            stride: [2, 2],
            dilation: [1, 1],
            pads: [0, 0, 1, 1],
            groups: 1,
            bias: true,
        };
        CnnSpec {
            input: [8, 4],
            spatial: vec![
                conv([1, 2]),
                SpatialSpec::BatchNorm { channels: 2, epsilon: 1e-3 },
                SpatialSpec::Activation(Activation::Relu),
                conv([2, 3]),
                SpatialSpec::GlobalAveragePool,
            ],
            dense: vec![
                DenseSpec::Linear { features: [3, 5], bias: true },
                DenseSpec::Activation(Activation::Sigmoid),
            ],
        }
    }

    #[test]
    fn shapes_are_checked_before_any_weight_exists() {
        assert_eq!(tiny().features().unwrap(), 5);
        assert_eq!(tiny().depth(), 3);
        let mut wrong = tiny();
        wrong.dense[0] = DenseSpec::Linear { features: [4, 5], bias: true };
        assert!(wrong.features().unwrap_err().to_string().contains("given 3"));
        let mut shrunk = tiny();
        shrunk.input = [1, 1];
        assert!(shrunk.features().is_err());
    }

    #[test]
    fn forward_has_the_promised_shape() {
        let device = Device::flex();
        let cnn = tiny().init(&device);
        assert_eq!(cnn.forward(Tensor::zeros([7, 8, 4], &device)).dims(), [7, 5]);
    }

    #[test]
    fn clip_is_a_clamp() {
        let device = Device::flex();
        let x = Tensor::<1>::from_floats([-7.0, -0.5, 0.0, 3.0, 9.0], &device);
        let clip = Activation::Clip { min: Some(-1.0), max: Some(6.0) };
        let values: Vec<f32> = clip.forward(x).into_data().iter().collect();
        assert_eq!(values, [-1.0, -0.5, 0.0, 3.0, 6.0]);
    }
}
