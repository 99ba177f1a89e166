//! The opset that a variant's operators need.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use crate::error::{Error, Result};
use crate::onnx::opset;
use crate::run::Precision;

/// Refuses a graph whose opset, which may be its backbone's author's, is older than `oldest`.
pub(super) fn check_opset(
    path: &Path,
    model: &ModelProto,
    precision: Precision,
    oldest: i64,
) -> Result<()> {
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
