//! How a backbone's file is fed, and which of its answers is the embedding.

use std::path::Path;

use tract_onnx::pb::ModelProto;

use crate::error::{Error, Result};
use crate::onnx;
use crate::onnx::{opset, output_name};
use crate::runtime::PatchInput;

/// What lies between patches `[count, frames, mels]` and a backbone's file on one side, and
/// between the file and embeddings `[count, features]` on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// How patches are arranged for the file's input, and how many it takes at a time.
    pub input: PatchInput,
    /// The output that the embeddings are made of.
    pub output: String,
}

impl Feed {
    /// How the file at `path`, read as `model`, takes patches of `frames` by `mels`; without
    /// a name, the output is `embeddings` if there is one, else the last.
    ///
    /// # Errors
    /// [`Error::Onnx`] if it takes no such patches or has no such output, or is of an opset that
    /// a trained model could not be exported in.
    pub(crate) fn of(
        path: &Path,
        model: &ModelProto,
        [frames, mels]: [usize; 2],
        output: Option<&str>,
    ) -> Result<Self> {
        // Here, because whoever trains asks this first.
        opset::check(path, model)?;
        let input = PatchInput::new(&onnx::input(model, path)?.dims, frames, mels)
            .map_err(|reason| Error::onnx(path, reason))?;
        Ok(Self { input, output: output_name(path, model, output)?.to_owned() })
    }
}
