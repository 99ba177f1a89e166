//! What a runtime said, behind what it was said about.

use crate::error::Cause;

/// Another library's error, and what it is about: `model.onnx: …`, `cuda: …`.
#[derive(Debug, thiserror::Error)]
#[error("{about}: {source}")]
pub(super) struct Failure {
    about: String,
    source: Cause,
}

impl Failure {
    pub(super) fn new(about: impl ToString, source: impl Into<Cause>) -> Self {
        Self { about: about.to_string(), source: source.into() }
    }
}
