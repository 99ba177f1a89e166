//! What models are called.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::entry::Entry;

/// What every model is called: its label, with the run's name where several share one.
#[derive(Clone, Debug)]
pub(super) struct Titles(BTreeMap<PathBuf, String>);

impl Titles {
    /// Names for `entries`.
    pub(super) fn new(entries: &[Entry]) -> Self {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        entries.iter().for_each(|entry| *count.entry(&entry.label).or_default() += 1);
        let title = |entry: &Entry| match count[&*entry.label] {
            1 => entry.label.clone(),
            _ => format!("{} ({})", entry.label, entry.run),
        };
        Self(entries.iter().map(|entry| (entry.folder.clone(), title(entry))).collect())
    }

    /// What `entry`'s model is called.
    pub(super) fn of(&self, entry: &Entry) -> String {
        self.0.get(&entry.folder).unwrap_or(&entry.label).clone()
    }
}
