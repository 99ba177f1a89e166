//! All about the runs that were tested on the same tracks.

use super::context::Context;
use super::{figures, mistakes, tables};
use crate::error::Result;
use crate::report::document::Document;
use crate::report::group::Group;

/// Table `number` with its charts, comparisons, genres and mistakes.
pub(super) fn add(
    document: &mut Document,
    context: &Context,
    group: &Group,
    number: usize,
) -> Result<()> {
    let tracks = context.tracks_of(group);
    document.heading(
        2,
        match context.groups.len() {
            1 => format!("Models on {tracks}"),
            tables => format!("Table {number} of {tables}: models on {tracks}"),
        },
    );
    document.table(tables::models(context, group));
    let accuracies = vec![figures::accuracies(context, group, number)?];
    document.figures(2, [accuracies, figures::trade_offs(context, group, number)?].concat());
    document.table(tables::comparisons(context, group));
    document.heading(3, "By genre");
    for table in tables::recalls(context, group) {
        document.table(table);
    }
    for table in tables::precisions(context, group) {
        document.table(table);
    }
    document.heading(3, "Confusion matrices");
    let matrices = group.entries.iter().map(|entry| figures::confusion(context, entry));
    document.figures(3, matrices.collect::<Result<_>>()?);
    mistakes::add(document, context, group);
    Ok(())
}
