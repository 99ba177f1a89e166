//! Finding the runs of a report, and what was measured of them.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::entry::Entry;
use super::tagged::TagEntry;
use crate::bench;
use crate::error::{Error, Result};
use crate::files;
use crate::run::{Run, names};

/// Runs that are to be compared.
#[derive(Clone, Debug)]
pub struct Report {
    /// The runs.
    pub(super) entries: Vec<Entry>,
    /// Runs that tell several labels a track.
    pub(super) tagged: Vec<TagEntry>,
    /// Where latencies were measured, a sentence for each benchmark.
    pub(super) machines: Vec<String>,
}

impl Report {
    /// The runs in `folders`, each a run's folder or a folder of runs, with the latencies of
    /// the benchmarks in the files `benches`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there is no run; [`Error::NotFound`] if a folder is no
    /// complete run; [`Error::Io`] and [`Error::Format`] if a file is missing, damaged, or
    /// contradicts another.
    pub fn read(folders: &[PathBuf], benches: &[PathBuf]) -> Result<Self> {
        let (mut entries, mut tagged) = read_runs(folders)?;
        if entries.is_empty() && tagged.is_empty() {
            let reason = "no run to report on; give at least one folder";
            return Err(Error::InvalidInput(reason.to_owned()));
        }
        name_apart(&mut entries);
        let machines = read_latencies(benches, &mut entries, &mut tagged)?;
        Ok(Self { entries, tagged, machines })
    }

    /// The seed of intervals that are not in the runs themselves.
    pub(super) fn seed(&self) -> u64 {
        self.entries.iter().map(|entry| entry.seed).min().unwrap_or(0)
    }
}

/// The runs in `folders`, those that tell several labels a track apart; one that is named twice
/// counts once.
fn read_runs(folders: &[PathBuf]) -> Result<(Vec<Entry>, Vec<TagEntry>)> {
    let (mut entries, mut tagged, mut seen) = (vec![], vec![], HashSet::new());
    for folder in folders {
        for run in runs_in(folder)? {
            if seen.insert(run.canonicalize().unwrap_or_else(|_| run.clone())) {
                match TagEntry::read(&run)? {
                    Some(entry) => tagged.push(entry),
                    None => entries.push(Entry::read(&run)?),
                }
            }
        }
    }
    Ok((entries, tagged))
}

/// Adds the latencies of the benchmarks in the files `benches` to `entries` and `tagged`; the
/// machines that they were measured on.
fn read_latencies(
    benches: &[PathBuf],
    entries: &mut [Entry],
    tagged: &mut [TagEntry],
) -> Result<Vec<String>> {
    let mut machines = vec![];
    for path in benches {
        let bench: bench::Report = files::read_json(path)?;
        let mut taken = 0;
        for entry in &mut *entries {
            taken += usize::from(entry.take_latency(&bench));
        }
        for entry in &mut *tagged {
            taken += usize::from(entry.take_latency(&bench));
        }
        if taken > 0 {
            machines.push(machine(&bench));
        } else {
            tracing::info!(
                "note: {} has no latency of these runs on one thread with a batch of 1",
                path.display()
            );
        }
    }
    machines.dedup();
    Ok(machines)
}

/// `folder` itself if it is a run, else the complete runs inside.
fn runs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() || Run::at(folder).path(names::METRICS).exists() {
        return Ok(vec![folder.to_owned()]);
    }
    let mut runs = vec![];
    for inside in fs::read_dir(folder).map_err(Error::io(folder))? {
        let path = inside.map_err(Error::io(folder))?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && Run::at(&path).is_complete() {
            runs.push(path);
        }
    }
    runs.sort_unstable();
    if runs.is_empty() {
        // What is wrong with it is said when it is read.
        Ok(vec![folder.to_owned()])
    } else {
        Ok(runs)
    }
}

/// Runs of the same name in different folders are called by as many of these as it takes.
fn name_apart(entries: &mut [Entry]) {
    let whole = |entry: &Entry| fs::canonicalize(&entry.folder).unwrap_or(entry.folder.clone());
    let folders: Vec<PathBuf> = entries.iter().map(whole).collect();
    let depth = folders.iter().map(|folder| folder.iter().count()).max().unwrap_or(0);
    for parts in 2..=depth {
        let mut count: BTreeMap<String, usize> = BTreeMap::new();
        entries.iter().for_each(|entry| *count.entry(entry.run.clone()).or_default() += 1);
        for (entry, folder) in entries.iter_mut().zip(&folders) {
            if count[&entry.run] > 1 {
                let all = folder.iter().count();
                let last: PathBuf = folder.iter().skip(all.saturating_sub(parts)).collect();
                entry.run = last.to_string_lossy().into_owned();
            }
        }
    }
}

fn machine(bench: &bench::Report) -> String {
    let machine = &bench.machine;
    format!(
        "{}, {} cores; {}; {}; {} UTC",
        machine.cpu,
        machine.cores,
        machine.os,
        machine.runtimes.join(", "),
        machine.date
    )
}
