//! Why a node cannot be computed.

use std::fmt::Display;

/// A reason, without the node: whoever runs the node names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

/// The result of a node.
pub(super) type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// The reason in words.
    pub(super) fn new(reason: impl Display) -> Self {
        Self(reason.to_string())
    }
}

/// Refuses to compute.
pub(super) fn refuse<T>(reason: impl Display) -> Outcome<T> {
    Err(Fault::new(reason))
}
