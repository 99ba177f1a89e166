//! The summary.

use super::context::Context;
use crate::report::discussion;
use crate::report::document::Document;
use crate::report::text::listed;
use crate::run::Kind;

/// The best of every table, what the splits hide, and how many runs of which kind there are.
pub(super) fn add(document: &mut Document, context: &Context) {
    let Context { groups, titles, .. } = context;
    document.heading(2, "Summary");
    let mut items: Vec<String> =
        groups.iter().map(|group| discussion::headline(group, titles)).collect();
    let shared = context.shared.iter().map(|shared| discussion::shared(shared, titles));
    items.extend(shared.filter_map(|sentences| sentences.into_iter().next()));
    items.extend(discussion::leaks(&context.leaks, titles).into_iter().next());
    if groups.len() > 1 {
        items.push(format!(
            "The runs were tested on {} different sets of tracks, and each set has a table of \
             its own: accuracies of different tables must not be compared.",
            groups.len()
        ));
    }
    document.list(items);
    let kinds = Kind::ALL.iter().filter_map(|kind| {
        let count = context.entries.iter().filter(|entry| entry.kind == *kind).count();
        (count > 0).then(|| format!("{count} {}", of_kind(*kind, count)))
    });
    document.paragraph(format!("{} in this report.", listed(&kinds.collect::<Vec<_>>())));
}

fn of_kind(kind: Kind, count: usize) -> &'static str {
    match (kind, count) {
        (Kind::Baseline, 1) => "baseline on hand-made features",
        (Kind::Cnn, 1) => "CNN trained from scratch",
        (Kind::FineTuned, 1) => "model on a pretrained backbone",
        (Kind::FineTuned, _) => "models on pretrained backbones",
        (kind, _) => kind.name(),
    }
}
