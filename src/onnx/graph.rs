//! A model's graph.

use std::path::Path;

use tract_onnx::pb::{GraphProto, ModelProto};

use crate::error::{Error, Result};

/// The model's graph.
///
/// # Errors
/// [`Error::Onnx`] if there is none, which [`read`](super::read::read) has already ruled out.
pub(crate) fn graph<'a>(path: &Path, model: &'a ModelProto) -> Result<&'a GraphProto> {
    model.graph.as_ref().ok_or_else(|| Error::onnx(path, "there is no graph inside"))
}

/// The model's graph, to be changed.
///
/// # Errors
/// [`Error::Onnx`] if there is none, which [`read`](super::read::read) has already ruled out.
pub(crate) fn graph_mut<'a>(path: &Path, model: &'a mut ModelProto) -> Result<&'a mut GraphProto> {
    model.graph.as_mut().ok_or_else(|| Error::onnx(path, "there is no graph inside"))
}
