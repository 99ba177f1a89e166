//! The numbers an exported file is made of.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tract_onnx::pb::ModelProto;

use super::trial::Trial;
use super::{fp16, int8_dynamic, int8_static, int8_weights};

use crate::error::{Error, Result};

/// The numbers an exported file is made of. Inputs and outputs are 32-bit floats in every one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// Weights stored as 16-bit floats, half the size; made 32-bit ones when the file is
    /// opened, so that any runtime runs it, as fast as before.
    Fp16,
    /// Weights stored as bytes with a scale for each output channel, a quarter of the size;
    /// made floats when the file is opened.
    Int8Weights,
    /// Weights as bytes, and activations made bytes as they come: arithmetic with bytes in any
    /// runtime that has `ConvInteger` and `MatMulInteger`, without calibration.
    Int8,
    /// Weights and activations as bytes (`QuantizeLinear`, `DequantizeLinear`), calibrated on
    /// training clips: for runtimes that turn these into arithmetic with bytes, as ONNX
    /// Runtime does.
    Int8Static,
}

impl Precision {
    /// All of them, the largest file first.
    pub const ALL: [Self; 5] =
        [Self::Fp32, Self::Fp16, Self::Int8Weights, Self::Int8, Self::Int8Static];

    /// `fp32`, `fp16`, `int8-weights`, `int8` or `int8-static`, as `precision` in a file's
    /// metadata says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8Weights => "int8-weights",
            Self::Int8 => "int8",
            Self::Int8Static => "int8-static",
        }
    }

    /// What stays in 32-bit floats, for the file's metadata; none where nothing else does.
    pub(in crate::export) fn kept_in_float(self) -> Option<&'static str> {
        match self {
            Self::Fp32 => None,
            Self::Fp16 => Some("front end, biases, arithmetic"),
            Self::Int8Weights => Some("front end, biases, head, layers of few weights, arithmetic"),
            Self::Int8 => Some("front end, biases, first and grouped convolutions, head"),
            Self::Int8Static => Some("front end, first convolution, head"),
        }
    }

    /// Makes `model`, which takes log-mels, one of this precision.
    pub(in crate::export) fn apply(
        self,
        path: &Path,
        model: &mut ModelProto,
        trial: &Trial,
    ) -> Result<()> {
        match self {
            Self::Fp32 => Ok(()),
            Self::Fp16 => fp16::store(path, model),
            Self::Int8Weights => int8_weights::store(path, model),
            Self::Int8 => {
                int8_dynamic::convert(path, model)?;
                int8_weights::store(path, model)
            }
            Self::Int8Static => {
                let plan = int8_static::Plan::of(path, model)?;
                let ranges = trial.ranges(plan.watched(model))?;
                plan.carry_out(path, model, &ranges)
            }
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| {
            Error::Config(format!(
                "unknown precision \"{text}\"; choose fp32, fp16, int8-weights, int8 \
                 or int8-static"
            ))
        })
    }
}
