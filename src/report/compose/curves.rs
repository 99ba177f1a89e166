//! Learning curves.

use super::context::Context;
use crate::charts;
use crate::error::Result;
use crate::report::document::{Document, Figure};
use crate::report::text::{capital, counted, three_digits};

/// The learning curves of all runs that know epochs.
pub(super) fn add(document: &mut Document, context: &Context) -> Result<()> {
    let mut figures = vec![];
    for entry in context.by_number().into_iter().filter(|entry| entry.history.len() > 1) {
        let title = context.titles.of(entry);
        figures.push(Figure {
            file: format!("curves-{}.svg", context.number(entry)),
            caption: capital(&title),
            alt: format!(
                "Learning curves of {title} over {}: the training loss goes from {} to {}.",
                counted(entry.history.len(), "epoch"),
                three_digits(entry.history.first().map_or(0.0, |epoch| epoch.train_loss)),
                three_digits(entry.history.last().map_or(0.0, |epoch| epoch.train_loss)),
            ),
            image: charts::curves(&entry.run, &entry.history)?.into_bytes(),
        });
    }
    if !figures.is_empty() {
        document.heading(2, "Learning curves");
        document.paragraph(
            "Dashed: cross-entropy on training patches, with dropout and augmentation where \
             they are used. Solid: on validation tracks. A thin vertical line parts the stages \
             of a training: a head and its refit on all of the 80 %, which has no validation \
             part, or the networks of an ensemble.",
        );
        document.figures(2, figures);
    }
    Ok(())
}
