//! A finished run of a network in a few lines.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::run::{Exported, Metrics, Run, TagMetrics, TaskMetrics};
use crate::text::{counted, known};

/// The interval, where there is one: not of no tracks at all.
fn certainty([low, high]: [f64; 2]) -> String {
    if low == high {
        "no interval".to_owned()
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
        "{} on {}: {} tracks, {} {}, split {} with seed {}",
        metrics.name(),
        metrics.data.name,
        metrics.data.tracks,
        split.genres.len(),
        if split.task.is_single() { "genres" } else { "labels, several a track" },
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
        let name = frozen.quality.name();
        let why = if metrics.kept_as_asked { "--keep" } else { "the lower loss" };
        line(format!(
            "validation: loss {:.3} {name} {:.3} frozen, loss {:.3} {name} {:.3} with \
             unfrozen layers; kept: {} ({why})",
            frozen.loss,
            frozen.quality.value(),
            unfrozen.loss,
            unfrozen.quality.value(),
            metrics.kept
        ));
    }
    if let Some(share) = metrics.unfrozen_share.filter(|share| *share < 1.0) {
        line(format!(
            "unfrozen is {share} of the way from the weights that it started with to those learned: \
             the lowest validation loss"
        ));
    }
    if let Some(speed) = metrics.unfrozen_speed {
        line(format!(
            "learned from {:.0} patches a second with unfrozen layers",
            speed.examples_per_second()
        ));
    }
    line(tested(&metrics.test));
    line(format!("run:   {} ({:.1} s)", run.folder().display(), metrics.seconds));
    text += &format!("model: {exported}");
    Ok(text)
}

/// What the test part came to.
fn tested(test: &TaskMetrics) -> String {
    match test {
        TaskMetrics::SingleLabel(test) => format!(
            "test: accuracy {:.3} of {} tracks ({}), macro-F1 {:.3}; {:.3} of {} patches",
            test.tracks.accuracy,
            test.tracks.count,
            certainty(test.tracks.interval),
            test.tracks.macro_f1,
            test.patch_accuracy,
            test.patches
        ),
        TaskMetrics::MultiLabel(TagMetrics { tags, .. }) => {
            let left_out = match tags.left_out() {
                0 => String::new(),
                count => format!(" (without {} that no test track has)", counted(count, "label")),
            };
            format!(
                "test: macro average precision {}, macro ROC-AUC {}{left_out}, macro-F1 {:.3} at the \
                 thresholds; {}",
                known(tags.macro_average_precision),
                known(tags.macro_roc_auc),
                tags.macro_f1,
                counted(tags.count, "track")
            )
        }
    }
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
