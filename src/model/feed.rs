//! From patches through a backbone's file to embeddings.

use std::path::Path;

use ndarray::{Array2, ArrayD, ArrayView3, Axis, Slice};
use tract_onnx::pb::ModelProto;

use crate::error::{Error, Result};
use crate::features::PatchKind;
use crate::onnx;
use crate::onnx::Port;
use crate::onnx::opset;
pub use crate::run::Feed;
use crate::runtime::{Batch, PatchInput, Pool, Session, feature_axis, pooled};

/// Patches a backbone is given at a time where it takes any number.
const BATCH: usize = 32;

/// Where few sizes of a batch are wanted, they are multiples of this.
const FEW_SIZES: usize = 8;

/// An output that holds no embeddings.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "its output \"{output}\" is {shape:?} for {patches} {}; one embedding a patch is needed",
    if *.patches == 1 { "patch" } else { "patches" }
)]
pub(super) struct NoEmbeddings {
    output: String,
    shape: Vec<usize>,
    patches: usize,
}

impl Feed {
    /// How the file at `path`, read as `model`, takes patches of this kind (`[frames, mels]`
    /// stands for log-mels) as far as it says so itself; [`Feed::probe`] finds out whether that
    /// is true. Without a name, the output is `embeddings` if there is one, else the last; where
    /// it has several values of a feature, their mean is meant.
    ///
    /// # Errors
    /// [`Error::Onnx`] if it takes no such patches or has no such output, or is of an opset that
    /// a trained model could not be exported in.
    pub fn of(
        path: &Path,
        model: &ModelProto,
        patch: impl Into<PatchKind>,
        output: Option<&str>,
    ) -> Result<Self> {
        // Here, because whoever trains asks this first.
        opset::check(path, model)?;
        let input = PatchInput::of(&onnx::input(model, path)?, patch.into())
            .map_err(|reason| Error::onnx(path, reason))?;
        let port = onnx::output(model, path, output)?;
        let output = port.name.clone();
        let unread = Self { input, output, axis: 1, pool: None, features: None, rank: None };
        Ok(if port.dims.is_empty() { unread } else { unread.reading(&port, &port.dims, None) })
    }

    /// As runs that do not say it were fed: axes without names, all values of the output.
    ///
    /// # Errors
    /// [`Error::Onnx`] if it takes no such patches or has no such output.
    pub(crate) fn unrecorded(
        path: &Path,
        model: &ModelProto,
        [frames, mels]: [usize; 2],
        output: Option<&str>,
    ) -> Result<Self> {
        let input = PatchInput::new(&onnx::input(model, path)?.dims, frames, mels)
            .map_err(|reason| Error::onnx(path, reason))?;
        let output = onnx::output(model, path, output)?.name;
        Ok(Self { input, output, axis: 1, pool: None, features: None, rank: None })
    }

    /// With the place of the features in an output of this shape, declared as `port`; with
    /// `pool` where several values of a feature must become one.
    pub(super) fn reading(self, port: &Port, shape: &[Option<usize>], pool: Option<Pool>) -> Self {
        let (axis, is_more) = feature_axis(port, shape, self.is_single());
        // A number a patch is one feature and has no axis.
        let is_number = shape.is_empty() || (axis == 0 && !self.is_single());
        let features = if is_number { Some(1) } else { shape.get(axis).copied().flatten() };
        let pool = is_more.then(|| pool.unwrap_or_default());
        Self { axis, pool, features, rank: Some(shape.len()), ..self }
    }

    /// Embeddings `[patches, features]` of patches `[patches, frames, features]`, through the
    /// file opened as `session`; at most 32 at a time, and with `few_sizes` of few sizes, filled
    /// up with silence.
    ///
    /// # Errors
    /// [`Error::Runtime`] if the runtime fails, or the file's output is no embedding a patch or
    /// no finite numbers.
    pub fn embed(
        &self,
        session: &mut dyn Session,
        patches: ArrayView3<'_, f32>,
        few_sizes: bool,
    ) -> Result<Array2<f32>> {
        let mut all: Option<Array2<f32>> = None;
        for some in patches.axis_chunks_iter(Axis(0), self.input.batch.unwrap_or(BATCH)) {
            let count = some.len_of(Axis(0));
            let few = few_sizes.then(|| count.next_multiple_of(FEW_SIZES).min(BATCH));
            let batch = Batch::new(some, self.input.batch.or(few));
            let output = session.run(self.input.arrange(batch.rows()).view())?;
            let output = self.take_output(session, output)?;
            let shape = output.shape().to_vec();
            let rows = self.rows(output, batch.rows().len_of(Axis(0))).map_err(wrong)?;
            let rows = rows.slice_axis(Axis(0), Slice::from(..count));
            match &mut all {
                None => all = Some(rows.to_owned()),
                Some(all) => all
                    .append(Axis(0), rows)
                    .map_err(|_| wrong(self.no_embeddings(shape, count)))?,
            }
        }
        let all = all.ok_or_else(|| wrong("there are no patches"))?;
        if all.iter().all(|value| value.is_finite()) {
            Ok(all)
        } else {
            Err(wrong("its embeddings are not finite numbers"))
        }
    }

    /// Our output among all that `session` has answered.
    pub(super) fn take_output(
        &self,
        session: &dyn Session,
        mut outputs: Vec<ArrayD<f32>>,
    ) -> Result<ArrayD<f32>> {
        match session.outputs().iter().position(|name| *name == self.output) {
            Some(at) if at < outputs.len() => Ok(outputs.swap_remove(at)),
            _ => Err(wrong(format!("it has no output \"{}\"", self.output))),
        }
    }

    /// The embeddings in the output for `patches` patches, `[patches, features]`.
    pub(super) fn rows(
        &self,
        output: ArrayD<f32>,
        patches: usize,
    ) -> Result<Array2<f32>, NoEmbeddings> {
        let shape = output.shape().to_vec();
        let rows = match self.pool {
            Some(pool) => pooled(output, self.axis, self.is_single(), pool),
            // All that belongs to a patch.
            None if patches > 0 && output.len().is_multiple_of(patches) => {
                let features = output.len() / patches;
                Array2::from_shape_vec((patches, features), output.into_iter().collect()).ok()
            }
            None => None,
        };
        let is_right = |rows: &Array2<f32>| self.is_right(rows.dim().into(), patches);
        rows.filter(is_right).ok_or_else(|| self.no_embeddings(shape, patches))
    }

    /// Whether so many rows of so many values are an embedding for each of the patches.
    pub(super) fn is_right(&self, [rows, values]: [usize; 2], patches: usize) -> bool {
        rows == patches && self.features.is_none_or(|wanted| values == wanted)
    }

    /// What is wrong with an output of this shape for so many patches.
    pub(super) fn no_embeddings(&self, shape: Vec<usize>, patches: usize) -> NoEmbeddings {
        NoEmbeddings { output: self.output.clone(), shape, patches }
    }
}

/// What a backbone does not answer as it should.
fn wrong(reason: impl Into<crate::error::Cause>) -> Error {
    Error::runtime("backbone", reason)
}
