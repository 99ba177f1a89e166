//! Probabilities of an already trained run, as targets to learn from (Hinton et al. 2015).

use std::collections::HashSet;
use std::path::Path;

use ndarray::Axis;
use rayon::prelude::*;

use super::batches::Sample;
use crate::dataset::source::{self, Source};
use crate::dataset::{Dataset, Split};
use crate::error::{Error, Result};
use crate::features::patches;
use crate::metrics::mean_probabilities;
use crate::progress;
use crate::run::Run;
use crate::runtime::{self, Batch, Options, PatchInput};

/// Patches the teacher is given at a time.
const BATCH: usize = 32;

/// Fills in the teacher's probabilities of the tracks `learned` that its collection holds.
///
/// # Errors
/// [`Error::Config`] if the run has other genres, or has learned from tracks of the test
/// part, which would reach the pupil through it; errors of the run and its data.
pub fn ask(
    folder: &Path,
    split: &Split,
    dataset: &Dataset,
    learned: &[usize],
    samples: &mut [Sample],
) -> Result<()> {
    let run = Run::open(folder)?;
    let refuse =
        |what: String| Err(Error::Config(format!("--teacher {}: {what}", folder.display())));
    if run.labels()? != split.genres {
        return refuse("it knows other genres than the collection has".to_owned());
    }
    let theirs = run.split()?;
    let test: HashSet<&String> = split.test.iter().collect();
    if let Some(seen) = theirs.train.iter().chain(&theirs.validation).find(|id| test.contains(id)) {
        return refuse(format!(
            "it has learned from {seen}, which is in the test part; train it with --split on \
             this run's split.json first"
        ));
    }
    let preprocessor = run.preprocessor()?;
    let data = run.options()?.data();
    let (their_data, _) = source::resolve(data.as_deref(), Some(Source::of(&preprocessor)))?;
    let reader = preprocessor.reader()?;
    let known: Vec<(usize, &Path)> = learned
        .iter()
        .filter_map(|at| {
            let id = &dataset.tracks[*at].id;
            let track = their_data.tracks.binary_search_by(|track| track.id.cmp(id)).ok()?;
            Some((*at, their_data.tracks[track].path.as_path()))
        })
        .collect();
    if known.is_empty() {
        return refuse("its collection has none of the tracks to learn from".to_owned());
    }
    tracing::info!("the teacher knows {} of {} tracks to learn from", known.len(), learned.len());
    let ([frames, mels], hop) = (preprocessor.patch(), preprocessor.hop());
    let model = run.onnx_path();
    let bar = progress::begin(known.len(), "teacher", "tracks");
    let mut session = runtime::open(runtime::preferred(), &model, &Options::default())?;
    let input = PatchInput::new(&session.input().dims, frames, mels)
        .map_err(|reason| Error::onnx(&model, reason))?;
    for some in known.chunks(BATCH) {
        // Reading in parallel, the network one after another.
        let log_mels: Vec<_> =
            some.par_iter().map(|(_, path)| reader.read(path)).collect::<Result<_>>()?;
        for ((at, _), log_mel) in some.iter().zip(log_mels) {
            let patches = patches(&log_mel, frames, hop);
            let mut probabilities = vec![];
            for some in patches.axis_chunks_iter(Axis(0), input.batch.unwrap_or(BATCH)) {
                let batch = Batch::new(some, input.batch);
                let outputs = session.run(input.arrange(batch.rows()))?;
                probabilities.extend_from_slice(batch.answers(&outputs[0]));
            }
            samples[*at].teacher = Some(mean_probabilities(&probabilities, split.genres.len()));
            bar.advance(1);
        }
    }
    drop(bar);
    Ok(())
}
