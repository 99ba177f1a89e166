//! A graph in 32-bit floats made one of another precision.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use super::trial::Trial;
use super::{fp16, int8_dynamic, int8_static, int8_weights};
use crate::error::{Error, Result};
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
    ///
    /// # Errors
    /// [`Error::Onnx`] if that changes nothing, or the graph's opset is too old for it; errors of
    /// the clips that it is calibrated on.
    pub(in crate::export) fn apply(
        self,
        path: &Path,
        model: &mut ModelProto,
        trial: &Trial,
    ) -> Result<()> {
        let changed = match self {
            Self::Fp32 => return Ok(()),
            Self::Fp16 => fp16::store(path, model)?,
            Self::Int8Weights => int8_weights::store(path, model)?,
            Self::Int8 => int8_dynamic::convert(path, model)? + int8_weights::store(path, model)?,
            Self::Int8Static => {
                let plan = int8_static::Plan::of(path, model)?;
                let count = plan.len();
                if count > 0 {
                    let ranges = trial.ranges(plan.watched(model))?;
                    plan.carry_out(path, model, &ranges)?;
                }
                count
            }
        };
        if changed > 0 {
            return Ok(());
        }
        let reason = format!(
            "{self} would change nothing: no layer that it is for has its weight in 32-bit floats; \
             keep to fp32"
        );
        Err(Error::onnx(path, reason))
    }
}
