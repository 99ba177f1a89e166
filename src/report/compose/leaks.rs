//! Leaky splits beside honest ones.

use super::context::Context;
use crate::report::document::{Document, Table};
use crate::report::entry::Entry;
use crate::report::leaks::Leak;
use crate::report::text::{UNKNOWN, percent_number};

/// The figures of leaky runs and of the same models without the leak.
pub(super) fn add(document: &mut Document, context: &Context) {
    if context.leaks.is_empty() {
        return;
    }
    document.heading(2, "The honest and the leaky figure");
    let is_of_copies = |leak: &Leak| leak.leaky.data.copies_allowed;
    if !context.leaks.iter().all(is_of_copies) {
        document.paragraph(
            "Tables of 3-second windows are often shuffled window by window. Windows of one song \
             are then in training and test, and a model is tested on songs it knows. The leaky \
             runs make this mistake on purpose; the honest ones keep all windows of a song on one \
             side.",
        );
    }
    if context.leaks.iter().any(is_of_copies) {
        document.paragraph(
            "Collections often hold a recording twice: under other tags, in another format, at \
             another level. Where one copy is learned from and the other tested, a model is tested \
             on what it knows. The leaky runs allow that on purpose; the honest ones keep copies on \
             one side.",
        );
    }
    let mut table = Table::new(
        "The same models with and without the leak",
        &[
            "Model",
            "Windows or patches, honest %>",
            "Windows or patches, leaky %>",
            "Tracks, honest %>",
            "Tracks, leaky %>",
            "Tested copies>",
        ],
    );
    let copies = |leaky: &Entry| match leaky.data.leaks {
        0 => UNKNOWN.to_owned(),
        copies => copies.to_string(),
    };
    for leak in &context.leaks {
        let honest = |of: fn(&Entry) -> f64| {
            leak.honest.map_or(UNKNOWN.into(), |entry| percent_number(of(entry)))
        };
        table.row([
            leak.leaky.honest_label().to_owned(),
            honest(|entry| entry.test.patch_accuracy),
            percent_number(leak.leaky.test.patch_accuracy),
            honest(|entry| entry.test.tracks.accuracy),
            percent_number(leak.leaky.test.tracks.accuracy),
            copies(leak.leaky),
        ]);
    }
    table.note = "The leaky figures are no measure of any model. Tested copies: test tracks of \
                  which a copy was learned from."
        .into();
    document.table(table);
}
