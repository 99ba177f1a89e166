//! What the sections of a report share.

use std::path::{Path, PathBuf};

use crate::report::entry::Entry;
use crate::report::gather::Report;
use crate::report::group::{self, Group, Shared};
use crate::report::leaks::{Leak, leaks};
use crate::report::spectrogram;
use crate::report::text::{counted, listed};
use crate::report::titles::Titles;

pub(super) struct Context<'a> {
    /// All runs.
    pub(super) entries: &'a [Entry],
    /// What their models are called.
    pub(super) titles: Titles,
    /// Runs that may stand in one table.
    pub(super) groups: Vec<Group<'a>>,
    /// Runs of different tables on the tracks they share.
    pub(super) shared: Vec<Shared<'a>>,
    /// Runs whose split leaks.
    pub(super) leaks: Vec<Leak<'a>>,
    /// Folders where clips may be.
    pub(super) folders: Vec<PathBuf>,
    /// Runs of the tables, in the order of their numbers.
    numbered: Vec<&'a Path>,
}

impl<'a> Context<'a> {
    /// The context of `report`; clips are looked for in `data`, else where the runs say.
    pub(super) fn new(report: &'a Report, data: Option<&Path>) -> Self {
        let entries = &report.entries;
        let groups = group::groups(entries);
        Self {
            entries,
            titles: Titles::new(entries),
            shared: group::shared(&groups, report.seed()),
            leaks: leaks(entries),
            folders: spectrogram::folders(data, entries),
            numbered: groups.iter().flat_map(|group| &group.entries).map(|e| &*e.folder).collect(),
            groups,
        }
    }

    /// The number of a run in tables and charts, from one; 0 for a run that is in no table.
    pub(super) fn number(&self, entry: &Entry) -> usize {
        self.numbered.iter().position(|folder| *folder == entry.folder).map_or(0, |n| n + 1)
    }

    /// The runs by their numbers, those without one last.
    pub(super) fn by_number(&self) -> Vec<&'a Entry> {
        let mut sorted: Vec<&Entry> = self.entries.iter().collect();
        sorted.sort_by_key(|entry| self.number(entry).checked_sub(1).unwrap_or(usize::MAX));
        sorted
    }

    /// `200 test tracks of gtzan`.
    pub(super) fn tracks_of(&self, group: &Group) -> String {
        let mut names: Vec<String> = group.entries.iter().map(|e| e.data.name.clone()).collect();
        names.sort();
        names.dedup();
        format!("{} of {}", counted(group.tracks(), "test track"), listed(&names))
    }
}
