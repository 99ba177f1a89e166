//! How a backbone's file is fed, and which of its answers is the embedding.

use serde::{Deserialize, Serialize};

use crate::runtime::{PatchInput, Pool};

/// What lies between patches `[count, frames, features]` and a backbone's file on one side, and
/// between the file and embeddings `[count, features]` on the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    /// How patches are arranged for the file's input, and how many it takes at a time.
    pub input: PatchInput,
    /// The output that the embeddings are made of.
    pub output: String,
    /// The axis of the output that holds the features. Axis 0 is the patches', unless one is
    /// given at a time.
    pub axis: usize,
    /// How the values of a feature become one; none where there is only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// Size of an embedding, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<usize>,
    /// Axes of the output: as it was seen, or else as the file declares them. None if neither,
    /// and in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
}

impl Feed {
    /// Whether the file is given one patch at a time: then all of its output is about this one.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.input.batch == Some(1)
    }
}
