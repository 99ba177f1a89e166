//! Learning curves.

use super::context::Context;
use crate::charts;
use crate::error::Result;
use crate::metrics::Epoch;
use crate::report::document::{Document, Figure};
use crate::report::text::{capital, counted, three_digits};

/// The learning curves of all runs that know epochs.
pub(super) fn add(document: &mut Document, context: &Context) -> Result<()> {
    let mut figures = vec![];
    for entry in context.by_number().into_iter().filter(|entry| entry.history.len() > 1) {
        let title = context.titles.of(entry);
        let file = format!("curves-{}.svg", context.number(entry));
        figures.push(figure(file, capital(&title), &title, &entry.run, &entry.history)?);
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

/// The learning curves of the run that is called so, whose model has this title.
pub(super) fn figure(
    file: String,
    caption: String,
    title: &str,
    run: &str,
    history: &[Epoch],
) -> Result<Figure> {
    let loss = |epoch: Option<&Epoch>| three_digits(epoch.map_or(0.0, |epoch| epoch.train_loss));
    Ok(Figure {
        file,
        caption,
        alt: format!(
            "Learning curves of {title} over {}: the training loss goes from {} to {}.",
            counted(history.len(), "epoch"),
            loss(history.first()),
            loss(history.last()),
        ),
        image: charts::curves(run, history)?.into_bytes(),
    })
}
