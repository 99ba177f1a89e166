//! Probabilities of an already trained run, as targets to learn from (Hinton et al. 2015).

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use ndarray::{Array3, Axis};
use rayon::prelude::*;

use crate::dataset::source;
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::metrics::Average;
use crate::progress;
use crate::run::Run;
use crate::runtime::{self, Batch, Options, PatchInput, Session};

/// Patches the teacher is given at a time, and tracks that are read at a time.
const BATCH: usize = 32;

/// What the run in `folder` says of those of the tracks `learned` (indices into `dataset`) that
/// its collection has too: the track, and its mean probabilities `[classes]`.
///
/// # Errors
/// [`Error::Mismatch`] if the run has other genres, or has learned from tracks of the test
/// part, which would reach the student through it; errors of the run and its data.
pub(super) fn teacher_probabilities(
    folder: &Path,
    split: &Split,
    dataset: &Dataset,
    learned: &[usize],
) -> Result<Vec<(usize, Vec<f32>)>> {
    let run = Run::open(folder)?;
    let refuse = |what| Err(Error::Mismatch(format!("‹teacher› {}: {what}", folder.display())));
    if run.labels()? != split.genres {
        return refuse("it knows other genres than the collection has".to_owned());
    }
    if let Some(seen) = learned_from_test_part(&run.split()?, split) {
        return refuse(format!(
            "it has learned from {seen}, which is in the test part; train it with ‹split› on \
             this run's split.json first"
        ));
    }
    let theirs = run.split()?.task;
    if theirs != split.task {
        return refuse(format!("it tells {theirs}, and the student is to tell {}", split.task));
    }
    let preprocessor = run.preprocessor()?;
    let known = known(&run, &preprocessor, dataset, learned)?;
    if known.is_empty() {
        return refuse("its collection has none of the tracks to learn from".to_owned());
    }
    tracing::info!("the teacher knows {} of {} tracks to learn from", known.len(), learned.len());
    let average = run.trust()?.map(|trust| trust.average).unwrap_or_default();
    probabilities(&run.onnx_path(), &preprocessor, &known, (average, split.genres.len()))
}

/// A track of the test part of `ours` that `theirs` gave to learn from.
fn learned_from_test_part<'a>(theirs: &'a Split, ours: &Split) -> Option<&'a String> {
    let test: HashSet<&String> = ours.test.iter().collect();
    theirs.train.iter().chain(&theirs.validation).find(|id| test.contains(id))
}

/// Those of the tracks `learned` that the teacher's collection has, and their files there.
fn known(
    run: &Run,
    preprocessor: &Preprocessor,
    dataset: &Dataset,
    learned: &[usize],
) -> Result<Vec<(usize, PathBuf)>> {
    let data = run.options()?.data();
    let theirs = source::resolve_for(data.as_deref(), preprocessor, Some(dataset.task))?;
    let file = |at: &usize| {
        let id = &dataset.tracks[*at].id;
        let track = theirs.tracks.binary_search_by(|track| track.id.cmp(id)).ok()?;
        Some((*at, theirs.tracks[track].path.clone()))
    };
    Ok(learned.iter().filter_map(file).collect())
}

/// What `model` says of each of `tracks`.
fn probabilities(
    model: &Path,
    preprocessor: &Preprocessor,
    tracks: &[(usize, PathBuf)],
    (average, classes): (Average, usize),
) -> Result<Vec<(usize, Vec<f32>)>> {
    let reader = preprocessor.reader()?;
    let bar = progress::begin(tracks.len(), "teacher", "tracks");
    let mut session = runtime::open(runtime::preferred(), model, &Options::default())?;
    // A file of ours takes log-mels frames first, whatever its backbone's own order is.
    let kind = match preprocessor {
        Preprocessor::Audio(_) => preprocessor.patch().into(),
        other => other.patch_kind(),
    };
    let input =
        PatchInput::of(session.input(), kind).map_err(|reason| Error::onnx(model, reason))?;
    let mut found = vec![];
    for some in tracks.chunks(BATCH) {
        // Reading in parallel, the network one after another.
        let read: Vec<_> =
            some.par_iter().map(|(_, path)| reader.patches(path)).collect::<Result<_>>()?;
        for ((track, _), patches) in some.iter().zip(read) {
            let of_patches = patch_probabilities(model, &mut *session, &input, &patches.values)?;
            found.push((*track, average.of(&of_patches, classes)));
            bar.advance(1);
        }
    }
    Ok(found)
}

/// Probabilities `[patches, classes]`, row-major, of `patches` `[patches, frames, mels]`.
fn patch_probabilities(
    model: &Path,
    session: &mut dyn Session,
    input: &PatchInput,
    patches: &Array3<f32>,
) -> Result<Vec<f32>> {
    let mut probabilities = vec![];
    for some in patches.axis_chunks_iter(Axis(0), input.batch.unwrap_or(BATCH)) {
        let batch = Batch::new(some, input.batch);
        let outputs = session.run(input.arrange(batch.rows()).view())?;
        let answers = batch.answers(&outputs[0]).map_err(|wrong| Error::onnx(model, wrong))?;
        probabilities.extend_from_slice(&answers);
    }
    Ok(probabilities)
}
