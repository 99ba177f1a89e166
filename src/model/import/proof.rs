//! The proof of an import: the module's answers beside those of the original file in tract.

use std::path::Path;

use ndarray::{Array3, ArrayD};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Result};
use crate::run::Proof;
use crate::runtime::{self, PatchInput, Runtime};

/// The largest difference, relative to the output's largest value, that still counts as equal.
pub const TOLERANCE: f32 = 1e-3;

/// Patches in the proof's batch: more than one, so that a confused batch axis shows.
pub(super) const PROBES: usize = 2;

/// The proof that `ours` is what tract answers, `theirs`.
///
/// # Errors
/// [`Error::Onnx`] naming the file at `path`, if the two differ.
pub(super) fn prove(path: &Path, ours: &[f32], theirs: &[f32]) -> Result<Proof> {
    if ours.len() != theirs.len() {
        let reason =
            format!("imported, it gives {} values instead of {}", ours.len(), theirs.len());
        return Err(Error::onnx(path, reason));
    }
    let proof = Proof::of(ours, theirs);
    // Written so that NaN fails.
    if proof.relative() <= TOLERANCE {
        Ok(proof)
    } else {
        Err(Error::onnx(
            path,
            format!(
                "imported into burn, its outputs differ by {:e} from tract's, whose largest is {:e} \
                 (allowed: {TOLERANCE:e} of that); the file still works as a frozen backbone",
                proof.max_abs_difference, proof.largest_value
            ),
        ))
    }
}

/// Seeded patches `[count, frames, mels]` in the range of log-mels.
pub(super) fn probes(shape: [usize; 3]) -> Array3<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(0);
    Array3::from_shape_simple_fn(shape, || random.random_range(-4.0..3.0))
}

/// What the original file answers to the probes at `output`.
pub(super) fn original(
    path: &Path,
    input: &PatchInput,
    output: &str,
    probes: &Array3<f32>,
) -> Result<ArrayD<f32>> {
    let options = runtime::Options::default();
    let mut session = runtime::open(Runtime::Tract, path, &options)?;
    let Some(index) = session.outputs().iter().position(|name| name == output) else {
        return Err(Error::onnx(path, format!("it has no output \"{output}\"")));
    };
    Ok(session.run(input.arrange(probes.view()).view())?.swap_remove(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_fails_on_nan_and_on_a_small_error() {
        let path = Path::new("m.onnx");
        assert!(prove(path, &[1.0, 2.0], &[1.0, 2.0005]).is_ok());
        assert!(prove(path, &[1.0, 2.0], &[1.0, 2.01]).is_err());
        assert!(prove(path, &[1.0, f32::NAN], &[1.0, 2.0]).is_err());
        assert!(prove(path, &[1.0], &[1.0, 2.0]).is_err());
    }
}
