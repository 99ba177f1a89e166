//! Runs whose split leaks, beside the honest ones.

use super::entry::Entry;

/// A run with windows of one song, or copies of one recording, in training and test, and the
/// honest run of the same model on the same data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leak<'a> {
    /// The leaky run.
    pub(super) leaky: &'a Entry,
    /// The honest one, where there is one; the one of the same seed before others.
    pub(super) honest: Option<&'a Entry>,
}

/// Every leaky run.
pub(super) fn leaks(entries: &[Entry]) -> Vec<Leak<'_>> {
    let mut found: Vec<Leak> = vec![];
    for leaky in entries.iter().filter(|entry| entry.is_leaky()) {
        let same = |entry: &&Entry| match (&entry.baseline, &leaky.baseline) {
            (Some(a), Some(b)) => !a.leaky && a.model == b.model && a.table == b.table,
            (None, None) => {
                let data = &entry.data;
                !entry.is_leaky()
                    && entry.label == leaky.honest_label()
                    && data.fingerprint == leaky.data.fingerprint
            }
            _ => false,
        };
        let honest = entries.iter().filter(same);
        let honest = honest.min_by_key(|entry| (entry.seed != leaky.seed, entry.run.clone()));
        found.push(Leak { leaky, honest });
    }
    found.sort_by(|a, b| a.leaky.label.cmp(&b.leaky.label).then(a.leaky.run.cmp(&b.leaky.run)));
    found
}
