//! Leaky splits beside honest ones.

use super::context::Context;
use crate::report::document::{Document, Table};
use crate::report::entry::Entry;
use crate::report::text::{UNKNOWN, percent_number};

/// The figures of leaky runs and of the same models without the leak.
pub(super) fn add(document: &mut Document, context: &Context) {
    if context.leaks.is_empty() {
        return;
    }
    document.heading(2, "The honest and the leaky figure");
    document.paragraph(
        "Tables of 3-second windows are often shuffled window by window. Windows of one song \
         are then in training and test, and a model is tested on songs it knows. The leaky \
         runs make this mistake on purpose; the honest ones keep all windows of a song on one \
         side.",
    );
    let mut table = Table::new(
        "The same models, split by song and split by window",
        &[
            "Model",
            "Windows, honest %>",
            "Windows, leaky %>",
            "Songs, honest %>",
            "Songs, leaky %>",
        ],
    );
    for leak in &context.leaks {
        let honest = |of: fn(&Entry) -> f64| {
            leak.honest.map_or(UNKNOWN.into(), |entry| percent_number(of(entry)))
        };
        table.row([
            leak.honest.unwrap_or(leak.leaky).label.clone(),
            honest(|entry| entry.test.patch_accuracy),
            percent_number(leak.leaky.test.patch_accuracy),
            honest(|entry| entry.test.tracks.accuracy),
            percent_number(leak.leaky.test.tracks.accuracy),
        ]);
    }
    table.note = "The leaky figures are no measure of any model.".into();
    document.table(table);
}
