//! `model.json`: the shape of a run's network, from which the module is made that its weights
//! are read into.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::architecture::CnnConfig;
use super::feed::Feed;
use crate::dataset::Task;
use crate::error::{Error, Result};

/// `model.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedModel {
    /// The shape.
    #[serde(flatten)]
    pub spec: Spec,
    /// SHA-256 of the model's files, by name; none in runs older than this field.
    #[serde(default)]
    pub sha256: BTreeMap<String, String>,
}

/// The shape of a run's network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Spec {
    /// CNNs of our own.
    Custom(EnsembleSpec),
    /// A head on a backbone.
    Backbone(ModelSpec),
}

/// The shape of CNNs whose probabilities are averaged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnsembleSpec {
    /// Architecture of every member.
    pub cnn: CnnConfig,
    /// Members.
    pub members: usize,
    /// Frames and mel bands of a patch.
    pub input: [usize; 2],
    /// Genres.
    pub classes: usize,
    /// What is told of a track; files of single labels do not say it.
    #[serde(default, skip_serializing_if = "Task::is_single")]
    pub task: Task,
}

/// The shape of a head on a backbone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The backbone's shape in runs of older versions, which kept its weights beside it; in all
    /// others it is an ONNX file.
    pub backbone: Option<CnnSpec>,
    /// Whether the backbone's file can be imported into burn.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// The head.
    pub head: HeadSpec,
    /// How the backbone's file is fed, as it was found before the training; none in runs older
    /// than this field, whose embeddings are all values of an output, of whatever rank.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<Feed>,
}

/// The shape of a genre head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadSpec {
    /// Size of the embeddings.
    pub features: usize,
    /// Units of the one hidden layer; none for logistic regression.
    pub hidden: Option<usize>,
    /// Genres.
    pub classes: usize,
    /// What is told of a track; files of single labels do not say it.
    #[serde(default, skip_serializing_if = "Task::is_single")]
    pub task: Task,
}

/// Padding around `[height, width]` in the order top, left, bottom, right.
pub type Pads = [usize; 4];

/// An elementwise non-linearity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `min(max(x, min), max)`; a missing bound is infinite.
    Clip {
        /// The lower bound.
        min: Option<f32>,
        /// The upper bound.
        max: Option<f32>,
    },
}

/// How a pooling window is reduced to one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The largest value.
    Max,
    /// The mean over the window, padding left out of the count.
    Average,
    /// The mean over the window, padding counted as zeros.
    AveragePadded,
}

/// A layer from `[batch, channels, height, width]` to the same rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpatialSpec {
    /// 2-D convolution (cross-correlation, as in ONNX).
    Conv {
        /// Input and output channels.
        channels: [usize; 2],
        /// Kernel height and width.
        kernel: [usize; 2],
        /// Stride in height and width.
        stride: [usize; 2],
        /// Dilation in height and width.
        dilation: [usize; 2],
        /// Padding with zeros.
        pads: Pads,
        /// Channel groups; equal to the input channels for a depthwise convolution.
        groups: usize,
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalization with fixed statistics.
    BatchNorm {
        /// Channels.
        channels: usize,
        /// Added to the variance.
        epsilon: f64,
    },
    /// An elementwise activation.
    Activation(Activation),
    /// Pooling over windows.
    Pool {
        /// Reduction of a window.
        kind: Pooling,
        /// Window height and width.
        kernel: [usize; 2],
        /// Stride in height and width.
        stride: [usize; 2],
        /// Padding (with minus infinity for [`Pooling::Max`]).
        pads: Pads,
    },
    /// The mean over height and width: `[batch, channels, 1, 1]`.
    GlobalAveragePool,
}

/// A layer from `[batch, features]` to the same rank.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenseSpec {
    /// A fully connected layer.
    Linear {
        /// Input and output features.
        features: [usize; 2],
        /// Whether a bias is added.
        bias: bool,
    },
    /// Batch normalization with fixed statistics.
    BatchNorm {
        /// Features.
        channels: usize,
        /// Added to the variance.
        epsilon: f64,
    },
    /// An elementwise activation.
    Activation(Activation),
}

/// The shape of a chain-shaped CNN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CnnSpec {
    /// Frames and mel bands of one log-mel patch.
    pub input: [usize; 2],
    /// Layers before the flatten.
    pub spatial: Vec<SpatialSpec>,
    /// Layers after the flatten.
    pub dense: Vec<DenseSpec>,
}

impl SpatialSpec {
    /// The output's `[channels, height, width]` for an input of that form.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the layer does not fit the input: other channels, or
    /// a window larger than the padded image.
    pub(crate) fn output(&self, input: [usize; 3]) -> Result<[usize; 3]> {
        let [channels, height, width] = input;
        let fits = |expected: usize| {
            if expected == channels {
                Ok(())
            } else {
                Err(Error::Mismatch(format!(
                    "layer {self:?} takes {expected} channels but is given {channels}"
                )))
            }
        };
        let windows = |kernel: [usize; 2], stride: [usize; 2], dilation: [usize; 2], pads: Pads| {
            let along = |size: usize, axis: usize| {
                let padded = size + pads[axis] + pads[axis + 2];
                let reach = dilation[axis] * (kernel[axis].max(1) - 1) + 1;
                if padded >= reach && kernel[axis] > 0 && stride[axis] > 0 {
                    Ok((padded - reach) / stride[axis] + 1)
                } else {
                    Err(Error::Mismatch(format!(
                        "layer {self:?} does not fit an image of {height} x {width}"
                    )))
                }
            };
            Ok::<_, Error>([along(height, 0)?, along(width, 1)?])
        };
        match self {
            Self::Conv { channels: [from, to], kernel, stride, dilation, pads, .. } => {
                fits(*from)?;
                let [height, width] = windows(*kernel, *stride, *dilation, *pads)?;
                Ok([*to, height, width])
            }
            Self::BatchNorm { channels, .. } => fits(*channels).map(|()| input),
            Self::Activation(_) => Ok(input),
            Self::Pool { kernel, stride, pads, .. } => {
                let [height, width] = windows(*kernel, *stride, [1, 1], *pads)?;
                Ok([channels, height, width])
            }
            Self::GlobalAveragePool => Ok([channels, 1, 1]),
        }
    }
}

impl CnnSpec {
    /// Features that leave the last layer: the embedding's size.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the layers do not fit each other.
    #[doc(hidden)]
    pub fn features(&self) -> Result<usize> {
        let mut shape = [1, self.input[0], self.input[1]];
        for layer in &self.spatial {
            shape = layer.output(shape)?;
        }
        let mut features = shape.iter().product();
        for layer in &self.dense {
            let (from, to) = match layer {
                DenseSpec::Linear { features: [from, to], .. } => (*from, *to),
                DenseSpec::BatchNorm { channels, .. } => (*channels, *channels),
                DenseSpec::Activation(_) => continue,
            };
            if from != features {
                return Err(Error::Mismatch(format!(
                    "layer {layer:?} takes {from} features but is given {features}"
                )));
            }
            features = to;
        }
        Ok(features)
    }

    /// How many layers have weights of their own (convolutions and fully connected
    /// layers): what the option `unfreeze` counts.
    #[doc(hidden)]
    pub fn depth(&self) -> usize {
        let convs = self.spatial.iter().filter(|l| matches!(l, SpatialSpec::Conv { .. })).count();
        let linears = self.dense.iter().filter(|l| matches!(l, DenseSpec::Linear { .. })).count();
        convs + linears
    }
}
