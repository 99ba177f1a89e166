//! Finished baselines in a few lines.

use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::baseline::BaselineRun;
use crate::error::Result;
use crate::run::{Agreement, BaselineMetrics};
use crate::runtime::Runtime;

/// The table that `baseline` ends with.
#[must_use]
pub fn text(runs: &[BaselineRun]) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(run) = runs.first() {
        let metrics = &run.metrics;
        let rows = if metrics.windows { "windows" } else { "rows" };
        let _ = writeln!(
            text,
            "{}: trained on {} {rows}, tested on {} songs ({} {rows})",
            metrics.data.name, metrics.train_rows, metrics.test.tracks.count, metrics.test.patches
        );
        if metrics.leaky {
            text += "LEAKY SPLIT: windows of one song are in training and test. These figures are \
                     too good;\nthey show what the mistake does.\n";
        }
    }
    let _ = writeln!(
        text,
        "{:<9} {:>6} {:>13} {:>6} {:>6} {:>6} {:>9} {:>9}  hyper-parameters",
        "model", "songs", "95 %", "rows", "F1", "s", "ort", "tract"
    );
    for BaselineRun { metrics, .. } in runs {
        let test = &metrics.test;
        let [low, high] = test.tracks.interval;
        let _ = writeln!(
            text,
            "{:<9} {:>6.3} {:>13} {:>6.3} {:>6.3} {:>6.1} {:>9} {:>9}  {}",
            metrics.model,
            test.tracks.accuracy,
            format!("{low:.3}-{high:.3}"),
            test.patch_accuracy,
            test.tracks.macro_f1,
            metrics.seconds,
            runs_in(run_agreement(metrics, Runtime::Ort)),
            runs_in(run_agreement(metrics, Runtime::Tract)),
            metrics.hyper_parameters.map_or_else(String::new, |chosen| chosen.to_string())
        );
    }
    text += "songs, rows: share given the right genre, a song by the mean of its rows. ort, tract: \
             largest\ndifference of a probability from the fitted model's; - where it cannot be run.\n";
    for run in runs {
        let _ = writeln!(text, "run: {}", run.folder.display());
    }
    let reasons = runs.iter().flat_map(|run| run.metrics.export.iter().map(move |e| (run, e)));
    for (run, exported) in reasons {
        for Agreement { runtime, reason, .. } in &exported.agreement {
            if let Some(reason) = reason {
                let _ = writeln!(text, "{} in {runtime}: {reason}", run.metrics.model);
            }
        }
    }
    text
}

fn run_agreement(metrics: &BaselineMetrics, runtime: Runtime) -> Option<f32> {
    let agreement = metrics.export.iter().flat_map(|exported| &exported.agreement);
    agreement.filter(|a| a.runtime == runtime).find_map(|a| a.max_abs_difference)
}

fn runs_in(difference: Option<f32>) -> String {
    difference.map_or_else(|| "-".to_owned(), |difference| format!("{difference:.0e}"))
}

/// The finished runs as JSON: for every model its `run` folder and `metrics`.
///
/// # Errors
/// None that a finished run can cause.
pub fn json(runs: &[BaselineRun]) -> Result<String> {
    #[derive(Serialize)]
    struct Finished<'a> {
        run: &'a Path,
        metrics: &'a BaselineMetrics,
    }
    let all: Vec<Finished> =
        runs.iter().map(|run| Finished { run: &run.folder, metrics: &run.metrics }).collect();
    serde_json::to_string_pretty(&all).map_err(|e| crate::Error::format("standard output", e))
}
