//! A model's graph, and the output of it that is wanted.

use std::path::Path;

use tract_onnx::pb::{GraphProto, ModelProto};

use super::names::EMBEDDINGS;
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

/// The output called `wanted`, else `embeddings`, else the last.
///
/// # Errors
/// [`Error::Onnx`] naming the outputs there are.
pub(crate) fn output_name<'a>(
    path: &Path,
    model: &'a ModelProto,
    wanted: Option<&str>,
) -> Result<&'a str> {
    let names: Vec<&str> =
        graph(path, model)?.output.iter().map(|output| output.name.as_str()).collect();
    let find = |wanted: &str| names.iter().copied().find(|name| *name == wanted);
    match wanted {
        Some(wanted) => find(wanted).ok_or_else(|| {
            Error::onnx(
                path,
                format!("it has no output \"{wanted}\"; it has: {}", names.join(", ")),
            )
        }),
        None => find(EMBEDDINGS)
            .or(names.last().copied())
            .ok_or_else(|| Error::onnx(path, "the graph has no output")),
    }
}
