//! Tables of runs that were tested on the same tracks.

use super::context::Context;
use crate::metrics::GenreScore;
use crate::report::document::Table;
use crate::report::entry::Entry;
use crate::report::group::Group;
use crate::report::significance::compare;
use crate::report::text::{
    UNKNOWN, counted, interval, megabytes, p_value, percent_number, thousands, three_digits,
};
use crate::runtime::Runtime;

/// Genres a table has room for.
const GENRES_A_TABLE: usize = 10;

/// All models with their figures, the best first.
pub(super) fn models(context: &Context, group: &Group) -> Table {
    let mut table = Table::new(
        format!("All models, tested on the same {}", counted(group.tracks(), "track")),
        &[
            "#>",
            "Model",
            "Run",
            "Accuracy %>",
            "95 % interval>",
            "Macro-F1>",
            "Patches right %>",
            "Tracks at hand>",
            "Parameters>",
            "ONNX MB>",
            "Training s>",
            "ort ms/patch>",
            "tract ms/patch>",
        ],
    );
    for entry in &group.entries {
        table.row(model(context, entry));
    }
    table.note = "Accuracy: share of tracks given the right genre, a track by the mean \
                  over its patches (arithmetic, or geometric where held-out tracks chose it); the \
                  interval is a bootstrap over the test tracks, and Clopper and Pearson's where all \
                  are right, or none. Patches right: the same for single patches, or rows of a table of features."
        .into();
    if group.entries.iter().any(|entry| entry.track_ms().is_some()) {
        table.note += " ms/patch: median milliseconds for one patch on one CPU thread, \
                       without spectrogram or features; patches of different models differ \
                       in length.";
    }
    table.without_empty_columns()
}

fn model(context: &Context, entry: &Entry) -> [String; 13] {
    let known = |value: Option<f64>| value.map_or(UNKNOWN.into(), three_digits);
    let tracks = &entry.test.tracks;
    [
        context.number(entry).to_string(),
        entry.label.clone(),
        entry.run.clone(),
        percent_number(tracks.accuracy),
        interval(tracks.interval),
        format!("{:.3}", tracks.macro_f1),
        percent_number(entry.test.patch_accuracy),
        thousands(entry.data.tracks),
        entry.parameters.map_or(UNKNOWN.into(), thousands),
        entry.onnx_bytes.map_or(UNKNOWN.into(), megabytes),
        known(entry.seconds),
        known(entry.patch_ms(Runtime::Ort)),
        known(entry.patch_ms(Runtime::Tract)),
    ]
}

/// Whether the best models differ, pair by pair.
pub(super) fn comparisons(context: &Context, group: &Group) -> Table {
    let contenders = group.contenders();
    let mut table = Table::new(
        "Are the best models different? McNemar's exact test on the same tracks",
        &[
            "Models",
            "Tracks>",
            "Only first right>",
            "Only second right>",
            "p>",
            "p (Holm)>",
            "Significant",
        ],
    );
    for c in compare(&contenders) {
        let (first, second) = (contenders[c.first], contenders[c.second]);
        table.row([
            format!("{} against {}", context.titles.of(first), context.titles.of(second)),
            thousands(c.tracks),
            thousands(c.only_first),
            thousands(c.only_second),
            p_value(c.p),
            p_value(c.p_holm),
            if c.is_significant() { "yes" } else { "no" }.into(),
        ]);
    }
    table.note = "Compared: the best of each kind of model, then the next best, at most four. \
                  Two-sided; p (Holm) is corrected for the number of comparisons and significant \
                  below 0.05."
        .into();
    table
}

/// The recall of every genre.
pub(super) fn recalls(context: &Context, group: &Group) -> Vec<Table> {
    by_genre(context, group, "Recall: of a genre's tracks, the share found (%)", |score| {
        (score.support > 0).then_some(score.recall)
    })
}

/// The precision of every genre.
pub(super) fn precisions(context: &Context, group: &Group) -> Vec<Table> {
    let caption = "Precision: of the tracks given a genre, the share that is right (%)";
    by_genre(context, group, caption, |score| {
        let is_given_or_there = score.precision > 0.0 || score.recall > 0.0 || score.support > 0;
        is_given_or_there.then_some(score.precision)
    })
}

/// A share of every genre for all models, as many genres a table as it has room for.
fn by_genre(
    context: &Context,
    group: &Group,
    caption: &str,
    share: fn(&GenreScore) -> Option<f64>,
) -> Vec<Table> {
    let Some(first) = group.entries.first() else { return vec![] };
    let genres: Vec<usize> = (0..first.genres().len()).collect();
    let table = |some: &[usize]| {
        let names: Vec<String> =
            some.iter().map(|genre| format!("{}>", first.genres()[*genre])).collect();
        let mut columns = vec!["Model"];
        columns.extend(names.iter().map(String::as_str));
        let mut table = Table::new(caption, &columns);
        for entry in &group.entries {
            let score = |genre: &usize| {
                let share = share(&entry.test.tracks.per_genre[*genre]);
                share.map_or(UNKNOWN.into(), |share| format!("{:.0}", share * 100.0))
            };
            let cells = std::iter::once(context.titles.of(entry)).chain(some.iter().map(score));
            table.rows.push(cells.collect());
        }
        table
    };
    genres.chunks(GENRES_A_TABLE).map(table).collect()
}
