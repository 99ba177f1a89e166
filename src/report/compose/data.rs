//! What the runs learned from and were tested on.

use super::context::Context;
use crate::dataset::Method;
use crate::report::colour_map;
use crate::report::document::{Document, Figure, Table};
use crate::report::text::{listed, thousands};

/// The collections and their splits, the genres, and how pictures are read.
pub(super) fn add(document: &mut Document, context: &Context) {
    document.heading(2, "Data and splits");
    document.table(splits(context));
    let mut genres: Vec<String> = context.entries.iter().map(|e| e.genres().join(", ")).collect();
    genres.sort();
    genres.dedup();
    for genres in genres {
        document.paragraph(format!("Genres: {genres}."));
    }
    let rehearsals: Vec<String> = context
        .by_number()
        .into_iter()
        .filter(|entry| entry.split.method == Method::Rehearsal)
        .map(|entry| entry.run.clone())
        .collect();
    if !rehearsals.is_empty() {
        document.paragraph(format!(
            "Rehearsals, whose test part was left out and validation tracks tested, so that their \
             figures are not those of a test: {}.",
            listed(&rehearsals)
        ));
    }
    let flattered = context
        .by_number()
        .into_iter()
        .filter(|entry| entry.data.leaks > 0 && !entry.data.copies_allowed);
    for entry in flattered {
        document.paragraph(format!(
            "The split of {} has copies of recordings on both sides: of {} of its tested tracks a \
             copy was learned from. Its figures are rather too high.",
            entry.run, entry.data.leaks
        ));
    }
    add_colour_map(document, context);
}

fn splits(context: &Context) -> Table {
    let mut table = Table::new(
        "Which tracks the runs learned from and were tested on",
        &[
            "Run",
            "Data",
            "Tracks>",
            "Skipped>",
            "Split",
            "Seed>",
            "Train>",
            "Validation>",
            "Test>",
            "Tested>",
        ],
    );
    for entry in context.by_number() {
        let split = &entry.split;
        table.row([
            entry.run.clone(),
            entry.data.name.clone(),
            thousands(entry.data.tracks),
            thousands(entry.data.skipped),
            split.method.to_string(),
            split.seed.to_string(),
            thousands(split.train.len()),
            thousands(split.validation.len()),
            thousands(split.test.len()),
            thousands(entry.test.tracks.count),
        ]);
    }
    table.note = "Tracks: those at hand. Train, Validation, Test: what the split lists, of files \
                  at hand or not. Tested: test tracks at hand; of a leaky split, songs with a \
                  window in the test part."
        .into();
    table
}

/// How pictures are read, shown by one of them.
fn add_colour_map(document: &mut Document, context: &Context) {
    let Some(example) = colour_map::example(context.entries, &context.folders) else { return };
    let ((width, height), (columns, rows)) = (example.size, example.plot);
    document.heading(3, "From picture to intensity");
    document.paragraph(format!(
        "What is around the spectrogram is cut off, which leaves {columns} × {rows} of {width} × \
         {height} pixels: {}. Every colour inside becomes its place in its colour map, one channel \
         of intensity; networks are given its rows averaged to mel bands.",
        example.seen
    ));
    let figure = |file: &str, caption: String, alt: &str, image| Figure {
        file: file.into(),
        caption,
        alt: alt.into(),
        image,
    };
    let before = figure(
        "colour-map-before.png",
        format!("{} as it is", example.name),
        &format!("A picture of a spectrogram: {}", example.seen),
        example.before,
    );
    let after = figure(
        "colour-map-after.png",
        "The intensity read from it".into(),
        "The same spectrogram in grey, without frame and margins",
        example.after,
    );
    document.figures(2, vec![before, after]);
}
