//! Smaller variants of a model: weights as half floats or bytes, and arithmetic in bytes.

mod fp16;
mod int8_dynamic;
mod int8_static;
mod int8_weights;
mod layer;
mod trial;

use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, TensorProto};

use super::opset;
use crate::error::{Error, Result};
use crate::run::Precision;
pub(super) use trial::Trial;

impl Precision {
    /// What stays in 32-bit floats, for the file's metadata; none where nothing else does.
    pub(super) fn kept_in_float(self) -> Option<&'static str> {
        match self {
            Self::Fp32 => None,
            Self::Fp16 => Some("front end, biases, arithmetic"),
            Self::Int8Weights => Some("front end, biases, head, layers of few weights, arithmetic"),
            Self::Int8 => Some("front end, biases, first and grouped convolutions, head"),
            Self::Int8Static => Some("front end, first convolution, head"),
        }
    }

    /// Makes `model`, which takes log-mels, one of this precision.
    pub(super) fn apply(self, path: &Path, model: &mut ModelProto, trial: &Trial) -> Result<()> {
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

/// Refuses a graph whose opset, which may be its backbone's author's, is older than `oldest`.
fn check_opset(path: &Path, model: &ModelProto, precision: Precision, oldest: i64) -> Result<()> {
    let version = opset::of(model);
    if version < oldest {
        Err(Error::onnx(
            path,
            format!(
                "{precision} needs opset {oldest}, and the backbone's graph is written for \
                 {version}; convert it, or choose int8-weights"
            ),
        ))
    } else {
        Ok(())
    }
}

/// A tensor of signed bytes.
fn byte_tensor(name: String, shape: &[usize], bytes: &[i8]) -> TensorProto {
    TensorProto {
        name,
        dims: shape.iter().map(|size| *size as i64).collect(),
        data_type: DataType::Int8 as i32,
        raw_data: bytes.iter().map(|byte| byte.to_le_bytes()[0]).collect(),
        ..Default::default()
    }
}
