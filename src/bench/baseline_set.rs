//! The test rows of a baseline's run.

use std::path::Path;

use ndarray::Array2;

use super::set::EvaluationSet;
use crate::baseline::{BaselineRun, values};
use crate::dataset::Task;
use crate::error::{Error, Result};
use crate::metrics::Average;

/// The test rows of the baseline run in `folder`; none if it is no such run, or its table
/// is gone.
///
/// # Errors
/// Errors of the run's files and of its table.
pub(super) fn evaluation_set(folder: &Path) -> Result<Option<EvaluationSet>> {
    let Some(run) = BaselineRun::find(folder)? else { return Ok(None) };
    let problem = match run.problem() {
        Ok(problem) => problem,
        // A run outlives the table it was trained on.
        Err(
            error @ (Error::TooFew(_)
            | Error::Mismatch(_)
            | Error::NotFound { .. }
            | Error::Io { .. }),
        ) => {
            tracing::warn!("accuracy stays unknown: {error}");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (table, rows) = (&problem.table, &problem.test_rows);
    let mut songs: Vec<&str> = rows.iter().map(|&row| table.rows[row].song.as_str()).collect();
    let of_row = songs.clone();
    songs.sort_unstable();
    songs.dedup();
    let track_of_patch: Vec<usize> =
        of_row.iter().filter_map(|song| songs.binary_search(song).ok()).collect();
    let mut labels = vec![vec![]; songs.len()];
    for (&row, &song) in rows.iter().zip(&track_of_patch) {
        labels[song] = vec![table.rows[row].label];
    }
    let data = values(table, rows);
    let shape = (rows.len(), data.len() / rows.len().max(1));
    let patches =
        Array2::from_shape_vec(shape, data).map_err(|e| Error::Mismatch(e.to_string()))?;
    Ok(Some(EvaluationSet {
        patches: patches.into_dyn(),
        track_of_patch,
        task: Task::SingleLabel,
        labels,
        average: Average::Arithmetic,
        patch_hop_seconds: Some(table.seconds),
    }))
}
