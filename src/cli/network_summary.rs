//! A finished run of a network in a few lines.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::run::{Exported, Metrics, Run};
use crate::text::counted;

/// The bootstrap's interval, where there is one: if all tracks are right, or all wrong, every
/// resample is like the others.
fn certainty([low, high]: [f64; 2]) -> String {
    if low == high {
        "no interval: the bootstrap has none for all right or all wrong".to_owned()
    } else {
        format!("95 % interval {low:.3} to {high:.3}")
    }
}

/// The lines that `finetune` and `train-cnn` end with.
///
/// # Errors
/// Errors of the run's files.
pub fn text(run: &Run, exported: &Exported) -> Result<String> {
    let (metrics, split) = (run.metrics()?, run.split()?);
    let mut text = String::new();
    let mut line = |content: String| text += &format!("{content}\n");
    line(format!(
        "{} on {}: {} tracks, {} genres, split {} with seed {}",
        metrics.name(),
        metrics.data.name,
        metrics.data.tracks,
        split.genres.len(),
        split.method,
        split.seed
    ));
    if metrics.data.skipped > 0 {
        line(format!("skipped: {} that could not be read", counted(metrics.data.skipped, "file")));
    }
    if let Some(folds) = &metrics.cross_validation {
        line(format!(
            "cross-validation, {}: accuracy {:.3} over {} folds ({}), macro-F1 {:.3}",
            folds.model,
            folds.pooled.tracks.accuracy,
            folds.folds.len(),
            certainty(folds.pooled.tracks.interval),
            folds.pooled.tracks.macro_f1
        ));
    }
    if let (Some(frozen), Some(unfrozen)) = (metrics.frozen_validation, metrics.unfrozen_validation)
    {
        let why = if metrics.kept_as_asked { "--keep" } else { "the lower loss" };
        line(format!(
            "validation: loss {:.3} accuracy {:.3} frozen, loss {:.3} accuracy {:.3} with \
             unfrozen layers; kept: {} ({why})",
            frozen.loss, frozen.accuracy, unfrozen.loss, unfrozen.accuracy, metrics.kept
        ));
    }
    let test = &metrics.test;
    line(format!(
        "test: accuracy {:.3} of {} tracks ({}), macro-F1 {:.3}; {:.3} of {} patches",
        test.tracks.accuracy,
        test.tracks.count,
        certainty(test.tracks.interval),
        test.tracks.macro_f1,
        test.patch_accuracy,
        test.patches
    ));
    line(format!("run:   {} ({:.1} s)", run.folder().display(), metrics.seconds));
    text += &format!("model: {exported}");
    Ok(text)
}

/// The finished run as JSON: `run`, `metrics` and `export`.
///
/// # Errors
/// Errors of the run's files.
pub fn json(run: &Run, exported: &Exported) -> Result<String> {
    // A struct and not a `Value`, which would print an f32 with the digits of an f64.
    #[derive(Serialize)]
    struct Summary<'a> {
        run: &'a Path,
        metrics: Metrics,
        export: &'a Exported,
    }
    let summary = Summary { run: run.folder(), metrics: run.metrics()?, export: exported };
    serde_json::to_string_pretty(&summary).map_err(|e| Error::format(run.folder(), e))
}
