//! The proof of an import: the graph's answers beside those of the original file elsewhere.

use std::path::Path;

use ndarray::{Array2, Array3, Axis};

use crate::error::{Error, Result};
use crate::model::feed::Feed;
use crate::run::Proof;
use crate::runtime::{self, Runtime};

/// The largest difference, relative to the output's largest value, that still counts as equal.
pub const TOLERANCE: f32 = 1e-3;

/// Patches in the proof's batch: more than one, so that a confused batch axis shows.
pub(super) const PROBES: usize = 2;

/// As [`TOLERANCE`], where the file computes in half floats or bytes, and this in 32 bits.
pub(super) const COARSE_TOLERANCE: f32 = 1e-2;

/// The proof that `ours` is what `runtime` answers, `theirs`, within `allowed`.
///
/// # Errors
/// [`Error::Onnx`] naming the file at `path`, if the two differ.
pub(super) fn prove(
    path: &Path,
    ours: &[f32],
    theirs: &[f32],
    runtime: Runtime,
    allowed: f32,
) -> Result<Proof> {
    if ours.len() != theirs.len() {
        let reason =
            format!("imported, it gives {} values instead of {}", ours.len(), theirs.len());
        return Err(Error::onnx(path, reason));
    }
    let proof = Proof::of(ours, theirs);
    // Written so that NaN fails.
    if proof.relative() <= allowed {
        return Ok(proof);
    }
    let reason = format!(
        "imported into burn, its outputs differ by {:e} from {runtime}'s, whose largest is {:e} \
         (allowed: {allowed:e} of that); the file still works as a frozen backbone",
        proof.max_abs_difference, proof.largest_value
    );
    Err(Error::onnx(path, reason))
}

/// What the original file answers to the probes, as many at a time as `sizes` say, and the
/// runtime that was asked: tract, or ort for what tract does not know.
pub(super) fn original(
    path: &Path,
    feed: &Feed,
    probes: &Array3<f32>,
    sizes: &[usize],
) -> Result<(Vec<Array2<f32>>, Runtime)> {
    match answers(path, feed, probes, sizes, Runtime::Tract) {
        Ok(found) => Ok((found, Runtime::Tract)),
        Err(error @ Error::Runtime { .. }) => {
            let found = answers(path, feed, probes, sizes, Runtime::Ort);
            // That ort is missing is not what is wrong with the file.
            found
                .map(|found| (found, Runtime::Ort))
                .map_err(|other| if Runtime::Ort.version().is_some() { other } else { error })
        }
        Err(error) => Err(error),
    }
}

/// What `runtime` answers to the probes.
pub(super) fn answers(
    path: &Path,
    feed: &Feed,
    probes: &Array3<f32>,
    sizes: &[usize],
    runtime: Runtime,
) -> Result<Vec<Array2<f32>>> {
    let mut session = runtime::open(runtime, path, &runtime::Options::default())?;
    let mut ask = |size: usize| {
        let some = probes.slice_axis(Axis(0), (..size).into());
        feed.embed(&mut *session, some, false)
    };
    sizes.iter().map(|size| ask(*size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_fails_on_nan_and_on_a_small_error() {
        let path = Path::new("m.onnx");
        let prove =
            |ours: &[f32], theirs: &[f32]| prove(path, ours, theirs, Runtime::Tract, TOLERANCE);
        assert!(prove(&[1.0, 2.0], &[1.0, 2.0005]).is_ok());
        assert!(prove(&[1.0, 2.0], &[1.0, 2.01]).is_err());
        assert!(prove(&[1.0, f32::NAN], &[1.0, 2.0]).is_err());
        assert!(prove(&[1.0], &[1.0, 2.0]).is_err());
    }
}
