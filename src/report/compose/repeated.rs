//! Models that were trained several times: with other seeds, or on other folds.

use super::context::Context;
use crate::report::document::{Document, Table};
use crate::report::entry::Entry;
use crate::report::group::{Seeds, mean_and_deviation, seeds};
use crate::report::text::{interval, percent_number, thousands};
use crate::run::{CrossValidation, Kept};

/// How far chance moves the figures of one recipe.
pub(super) fn add_seeds(document: &mut Document, context: &Context) {
    let mut table = Table::new(
        "Runs that differ in the seed only",
        &[
            "Model",
            "Runs>",
            "Test parts>",
            "Accuracy, mean %>",
            "Standard deviation>",
            "Lowest>",
            "Highest>",
            "Macro-F1, mean>",
        ],
    );
    for Seeds { entries, splits } in seeds(context.entries) {
        let all = |of: fn(&Entry) -> f64| entries.iter().map(|e| of(e)).collect::<Vec<_>>();
        let accuracies = all(|entry| entry.test.tracks.accuracy);
        let (mean, deviation) = mean_and_deviation(&accuracies);
        table.row([
            entries[0].label.clone(),
            entries.len().to_string(),
            splits.to_string(),
            percent_number(mean),
            percent_number(deviation),
            percent_number(lowest(&accuracies)),
            percent_number(highest(&accuracies)),
            format!("{:.3}", mean_and_deviation(&all(|entry| entry.test.tracks.macro_f1)).0),
        ]);
    }
    table.note = "Test parts: how many different ones; with one, the spread is that of weights \
                  and order alone, with several, that of the draw of tracks as well."
        .into();
    if !table.rows.is_empty() {
        document.heading(2, "Several seeds");
        document.table(table);
    }
}

/// The cross-validations, where there are any.
pub(super) fn add_cross_validations(document: &mut Document, context: &Context) {
    let mut table = Table::new(
        "Every track at hand tested once",
        &[
            "Model",
            "Run",
            "Folds>",
            "Tracks>",
            "Accuracy %>",
            "95 % interval>",
            "Macro-F1>",
            "Lowest fold %>",
            "Highest fold %>",
        ],
    );
    for entry in context.by_number() {
        let Some(CrossValidation { folds, pooled, .. }) = &entry.cross_validation else {
            continue;
        };
        table.row([
            entry.label.clone(),
            entry.run.clone(),
            folds.len().to_string(),
            thousands(pooled.tracks.count),
            percent_number(pooled.tracks.accuracy),
            interval(pooled.tracks.interval),
            format!("{:.3}", pooled.tracks.macro_f1),
            percent_number(lowest(folds)),
            percent_number(highest(folds)),
        ]);
    }
    table.note = "A fold is tested by a head on the frozen network that learned from the other \
                  folds; accuracy, interval and macro-F1 are over the tracks of all folds \
                  together, not over the test tracks of the tables above."
        .into();
    if !table.rows.is_empty() {
        document.heading(2, "Cross-validation");
        document.table(table);
    }
}

/// The frozen and the tuned network of every run that trained layers of its backbone.
pub(super) fn add_tunings(document: &mut Document, context: &Context) {
    let mut table = Table::new(
        "The two networks of each fine-tuning, on its validation tracks",
        &[
            "Backbone",
            "Run",
            "Frozen: loss>",
            "accuracy %>",
            "Tuned: loss>",
            "accuracy %>",
            "Kept",
            "Because",
        ],
    );
    for entry in context.by_number() {
        let Some(tuning) = &entry.tuning else { continue };
        let reason = if tuning.as_asked { "it was asked for" } else { "its loss is lower" };
        table.row([
            entry.label.clone(),
            entry.run.clone(),
            format!("{:.3}", tuning.frozen.loss),
            percent_number(tuning.frozen.quality.value()),
            format!("{:.3}", tuning.tuned.loss),
            percent_number(tuning.tuned.quality.value()),
            if tuning.kept == Kept::Unfrozen { "tuned" } else { "frozen" }.to_owned(),
            reason.to_owned(),
        ]);
    }
    table.note = "Only the network that was kept has been on the test tracks.".into();
    if !table.rows.is_empty() {
        document.heading(2, "Frozen and tuned");
        document.table(table);
    }
}

fn lowest(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(f64::INFINITY, f64::min)
}

fn highest(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(0.0, f64::max)
}
