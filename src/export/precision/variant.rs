//! A graph in 32-bit floats made one of another precision.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use super::trial::Trial;
use super::{fp16, int8_dynamic, int8_static, int8_weights};
use crate::error::Result;
use crate::run::Precision;

impl Precision {
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
