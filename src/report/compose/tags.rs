//! Runs that tell any number of labels a track.

use super::curves;
use crate::error::Result;
use crate::report::charts::{TagRow, tags};
use crate::report::document::{Document, Figure, Table};
use crate::report::tagged::{TagEntry, groups, headline};
use crate::report::text::{
    UNKNOWN, capital, counted, listed, megabytes, percent_number, thousands, three_digits,
};
use crate::runtime::Runtime;

/// Labels that a chart has room for.
const MOST_LABELS: usize = 60;

/// A section for every set of tracks that runs were tested on.
pub(super) fn add(document: &mut Document, tagged: &[TagEntry]) -> Result<()> {
    for (number, group) in groups(tagged).iter().enumerate() {
        add_group(document, group, number + 1)?;
    }
    Ok(())
}

fn add_group(document: &mut Document, group: &[&TagEntry], number: usize) -> Result<()> {
    let mut names: Vec<String> = group.iter().map(|entry| entry.data.name.clone()).collect();
    names.sort();
    names.dedup();
    let tracks = counted(group[0].test.tags.count, "test track");
    document.heading(2, format!("Several labels a track: {tracks} of {}", listed(&names)));
    document.paragraph(headline(group));
    document.table(models(group));
    for entry in group {
        document.heading(3, capital(&entry.title()));
        document.table(by_label(entry));
    }
    let charts = group.iter().enumerate().map(|(place, entry)| chart(entry, number, place + 1));
    document.figures(2, charts.collect::<Result<_>>()?);
    let curves = group.iter().enumerate().filter(|(_, entry)| entry.history.len() > 1);
    let curves = curves.map(|(place, entry)| {
        let (file, title) = (format!("curves-labels-{number}-{}.svg", place + 1), entry.title());
        let caption = format!("Learning curves of {title}");
        curves::figure(file, caption, &title, &entry.run, &entry.history)
    });
    document.figures(2, curves.collect::<Result<_>>()?);
    Ok(())
}

fn known(value: Option<f64>) -> String {
    value.map_or(UNKNOWN.into(), |value| format!("{value:.3}"))
}

/// All models with their figures, the best first.
fn models(group: &[&TagEntry]) -> Table {
    let mut table = Table::new(
        "All models, tested on the same tracks",
        &[
            "Model",
            "Run",
            "Macro AP>",
            "Macro ROC-AUC>",
            "Macro-F1>",
            "Labels>",
            "Left out>",
            "Split",
            "Seed>",
            "Train>",
            "Validation>",
            "Test>",
            "Parameters>",
            "ONNX MB>",
            "Training s>",
            "ort ms/patch>",
            "tract ms/patch>",
        ],
    );
    for entry in group {
        let (tags, split) = (&entry.test.tags, &entry.split);
        let latency = |runtime: Runtime| entry.latency.get(runtime.name()).copied();
        let figure = |value: Option<f64>| value.map_or(UNKNOWN.into(), three_digits);
        table.row([
            entry.label.clone(),
            entry.run.clone(),
            known(tags.macro_average_precision),
            known(tags.macro_roc_auc),
            format!("{:.3}", tags.macro_f1),
            thousands(tags.per_tag.len()),
            thousands(tags.left_out()),
            split.method.to_string(),
            split.seed.to_string(),
            thousands(split.train.len()),
            thousands(split.validation.len()),
            thousands(split.test.len()),
            entry.parameters.map_or(UNKNOWN.into(), thousands),
            entry.onnx_bytes.map_or(UNKNOWN.into(), megabytes),
            figure(Some(entry.seconds).filter(|seconds| *seconds > 0.0)),
            figure(latency(Runtime::Ort)),
            figure(latency(Runtime::Tract)),
        ]);
    }
    table.note =
        "AP: average precision, a track by the mean probability of its patches. Macro: the \
                  mean over labels; labels that no test track has are left out of it, and of \
                  ROC-AUC those that all have. F1 at the labels' thresholds, which were chosen for \
                  the highest F1 on the validation part."
            .into();
    table.without_empty_columns()
}

/// The figures of every label of a run.
fn by_label(entry: &TagEntry) -> Table {
    let mut table = Table::new(
        format!("{}, label by label", capital(&entry.title())),
        &["Label", "Tracks>", "AP>", "ROC-AUC>", "Threshold>", "Precision %>", "Recall %>", "F1>"],
    );
    for (name, tag) in entry.split.genres.iter().zip(&entry.test.tags.per_tag) {
        let there = |text: String| if tag.support > 0 { text } else { UNKNOWN.into() };
        table.row([
            name.clone(),
            thousands(tag.support),
            known(tag.average_precision),
            known(tag.roc_auc),
            format!("{:.3}", tag.threshold),
            percent_number(tag.precision),
            there(percent_number(tag.recall)),
            there(format!("{:.3}", tag.f1)),
        ]);
    }
    table.note = "Tracks: test tracks that have the label. Threshold: the probability from which \
                  on a track is given it."
        .into();
    table
}

/// Average precision and ROC-AUC of every label of a run, the best first.
fn chart(entry: &TagEntry, group: usize, place: usize) -> Result<Figure> {
    let tags_of = &entry.test.tags;
    let row = |(name, tag): (&String, &crate::metrics::TagScore)| TagRow {
        name: format!("{name} ({})", tag.support),
        share: tag.support as f64 / tags_of.count.max(1) as f64,
        average_precision: tag.average_precision,
        roc_auc: tag.roc_auc,
    };
    let mut rows: Vec<TagRow> = entry.split.genres.iter().zip(&tags_of.per_tag).map(row).collect();
    let precision = |row: &TagRow| row.average_precision.unwrap_or(-1.0);
    rows.sort_by(|a, b| precision(b).total_cmp(&precision(a)));
    let cut = rows.len().saturating_sub(MOST_LABELS);
    rows.truncate(MOST_LABELS);
    let more = if cut == 0 { String::new() } else { format!("; {cut} more are in the table") };
    let (best, worst) = (rows.first(), rows.iter().rfind(|row| row.average_precision.is_some()));
    let said = |row: Option<&TagRow>| {
        row.map_or(UNKNOWN.into(), |row| format!("{} {}", row.name, known(row.average_precision)))
    };
    Ok(Figure {
        file: format!("labels-{group}-{place}.svg"),
        caption: format!(
            "{}: average precision and ROC-AUC of the labels, with the number of test tracks that \
             have each{more}",
            capital(&entry.title())
        ),
        alt: format!(
            "Average precision by label, from {} to {}; macro {}.",
            said(best),
            said(worst),
            known(tags_of.macro_average_precision)
        ),
        image: tags(&rows)?.into_bytes(),
    })
}
