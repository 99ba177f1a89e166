//! What the figures say, table by table.

use super::context::Context;
use crate::report::discussion;
use crate::report::document::Document;

/// The sentences on every table, on tracks that tables share, and on what the splits hide.
pub(super) fn add(document: &mut Document, context: &Context) {
    let Context { groups, titles, .. } = context;
    document.heading(2, "Discussion");
    for (number, group) in groups.iter().enumerate() {
        if groups.len() > 1 {
            let tracks = context.tracks_of(group);
            document.heading(3, format!("Table {}: {tracks}", number + 1));
        }
        let headline = vec![discussion::headline(group, titles)];
        for sentences in [
            [headline, discussion::significance(group, titles)].concat(),
            discussion::confusions(group, titles),
            discussion::costs(group, titles),
            discussion::limits(group),
        ] {
            document.paragraph(sentences.join(" "));
        }
    }
    for shared in &context.shared {
        document.heading(3, "Tracks shared by different tables");
        document.paragraph(discussion::shared(shared, titles).join(" "));
    }
    let known = discussion::known_faults(groups);
    if !known.is_empty() {
        document.heading(3, "What the splits hide");
        document.paragraph(known.join(" "));
    }
    let said = discussion::leaks(&context.leaks, titles);
    if !said.is_empty() {
        document.heading(3, "Leaky splits");
        document.paragraph(said.join(" "));
    }
}
