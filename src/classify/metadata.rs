//! What is wrong with what a file says of itself.

use std::path::Path;

use crate::error::{Cause, Error};

/// An entry of a file's metadata that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{key} in its metadata: {source}")]
struct InMetadata {
    key: &'static str,
    source: Cause,
}

/// The error that this entry of the metadata of the file at `path` cannot be used.
pub(super) fn in_metadata(path: &Path, key: &'static str, reason: impl Into<Cause>) -> Error {
    Error::onnx(path, InMetadata { key, source: reason.into() })
}
