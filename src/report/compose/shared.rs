//! Runs of one split that were tested on different parts of it.

use super::context::Context;
use super::figures;
use crate::error::Result;
use crate::report::charts::Estimate;
use crate::report::document::{Document, Table};
use crate::report::group::{Scored, Shared};
use crate::report::text::{counted, interval, percent_number, thousands};

/// The runs on the tracks they share, as a table and a chart.
pub(super) fn add(
    document: &mut Document,
    context: &Context,
    shared: &Shared,
    number: usize,
) -> Result<()> {
    let tracks = counted(shared.tracks.len(), "track");
    document.heading(2, format!("The same split at different completeness: {tracks}"));
    document.paragraph(
        "These runs share a split, but not every file was at hand for each of them, so that \
         they were tested on different tracks. Here all are scored on the tracks they share.",
    );
    let mut table = Table::new(
        format!("Accuracy on the {tracks} that all were tested on"),
        &["#>", "Model", "Run", "Accuracy %>", "95 % interval>", "Tracks at hand>"],
    );
    let mut estimates = vec![];
    for &Scored { entry, accuracy, interval: bounds } in &shared.scored {
        table.row([
            context.number(entry).to_string(),
            entry.label.clone(),
            entry.run.clone(),
            percent_number(accuracy),
            interval(bounds),
            thousands(entry.data.tracks),
        ]);
        let title = context.titles.of(entry);
        estimates.push(Estimate { title, kind: entry.kind, accuracy, interval: bounds });
    }
    document.table(table);
    let caption = format!("Accuracy on the {tracks} shared by all, with 95 % intervals");
    let chart = figures::intervals(format!("common-{number}.svg"), caption, &estimates)?;
    document.figures(2, vec![chart]);
    Ok(())
}
