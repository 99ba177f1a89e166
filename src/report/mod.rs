//! One page, one PDF and one Markdown file that compare runs of every kind.
//!
//! [`Entry`] reads a run, whatever made it; [`group`] says which may stand in one table;
//! the composed [`Document`] is rendered three times, so that all three say the same.

pub mod charts;
pub mod colour_map;
mod compose;
pub mod discussion;
pub mod document;
pub mod entry;
pub mod group;
pub mod leaky;
pub mod mistakes;
#[cfg(feature = "pdf")]
mod pdf;
mod render;
pub mod search;
pub mod significance;
pub mod text;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use document::Document;
pub use entry::Entry;
use significance::{Comparison, compare};

use crate::bench;
use crate::error::{Error, Result};
use crate::files;
use crate::run::{Kind, Run, names};

/// Runs that are to be compared.
#[derive(Clone, Debug)]
pub struct Report {
    /// The runs.
    pub entries: Vec<Entry>,
    /// Where latencies were measured, a sentence for each benchmark.
    pub machines: Vec<String>,
}

/// What every model is called: its label, with the run's name where several share one.
#[derive(Clone, Debug)]
pub struct Titles(BTreeMap<PathBuf, String>);

/// Files that [`Document::write`] has written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Written {
    /// The page.
    pub html: PathBuf,
    /// The PDF; none where this was built without it.
    pub pdf: Option<PathBuf>,
    /// The Markdown file.
    pub markdown: PathBuf,
}

impl Report {
    /// The runs in `folders`, each a run's folder or a folder of runs, with the latencies of
    /// the benchmarks in the files `benches`.
    ///
    /// # Errors
    /// [`Error::Config`] if there is no run; errors of [`Entry::read`] and of the files.
    pub fn read(folders: &[PathBuf], benches: &[PathBuf]) -> Result<Self> {
        let (mut entries, mut seen) = (vec![], HashSet::new());
        for folder in folders {
            for run in runs_in(folder)? {
                if seen.insert(run.canonicalize().unwrap_or_else(|_| run.clone())) {
                    entries.push(Entry::read(&run)?);
                }
            }
        }
        if entries.is_empty() {
            return Err(Error::Config("no run to report on; give at least one folder".into()));
        }
        name_apart(&mut entries);
        let mut machines = vec![];
        for path in benches {
            let bench: bench::Report = files::read_json(path)?;
            // All of them are asked, so no `any`, which stops at the first.
            let taken = entries.iter_mut().filter_map(|e| e.take_latency(&bench).then_some(()));
            match taken.count() {
                0 => tracing::info!(
                    "note: {} has no latency of these runs on one thread with a batch of 1",
                    path.display()
                ),
                _ => machines.push(machine(&bench)),
            }
        }
        machines.dedup();
        Ok(Self { entries, machines })
    }

    /// What the report says; clips of the most confident mistakes are looked for in `data`,
    /// else where the runs say the collection is.
    ///
    /// # Errors
    /// [`Error::Data`] if a chart cannot be drawn.
    pub fn document(&self, data: Option<&Path>) -> Result<Document> {
        compose::document(self, data)
    }

    /// The seed of intervals that are not in the runs themselves.
    fn seed(&self) -> u64 {
        self.entries.iter().map(|entry| entry.seed).min().unwrap_or(0)
    }

    /// The figures for other programs: groups of comparable runs, best first, and how their
    /// best compare.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let titles = Titles::new(&self.entries);
        let tables = group::groups(&self.entries).into_iter().map(|group| {
            let contenders = group.contenders();
            Comparable {
                tracks: group.tracks(),
                digest: group.digest.clone(),
                models: group.entries.iter().map(|entry| Model::of(entry, &titles)).collect(),
                compared: contenders.iter().map(|entry| entry.folder.clone()).collect(),
                comparisons: compare(&contenders),
                headline: discussion::headline(&group, &titles),
            }
        });
        let leaky = self.entries.iter().filter(|entry| entry.is_leaky());
        Summary {
            tables: tables.collect(),
            leaky: leaky.map(|entry| Model::of(entry, &titles)).collect(),
        }
    }
}

/// What [`Report::summary`] says.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Runs that were tested on the same tracks.
    pub tables: Vec<Comparable>,
    /// Runs whose split leaks.
    pub leaky: Vec<Model>,
}

/// Runs that were tested on the same tracks.
#[derive(Clone, Debug, Serialize)]
pub struct Comparable {
    /// How many tracks.
    pub tracks: usize,
    /// Their digest.
    pub digest: String,
    /// The best model in a sentence.
    pub headline: String,
    /// The models, the best first.
    pub models: Vec<Model>,
    /// Runs that were compared pair by pair.
    pub compared: Vec<PathBuf>,
    /// The comparisons, by index into `compared`.
    pub comparisons: Vec<Comparison>,
}

/// One model's figures.
#[derive(Clone, Debug, Serialize)]
pub struct Model {
    /// The run's folder.
    pub run: PathBuf,
    /// What the model is called.
    pub name: String,
    /// What kind it is.
    pub kind: Kind,
    /// Share of tracks given the right genre.
    pub accuracy: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// Mean F1 over the genres.
    pub macro_f1: f64,
    /// The accuracy of single patches.
    pub patch_accuracy: f64,
    /// Numbers that make up the model.
    pub parameters: Option<usize>,
    /// Size of the exported model.
    pub onnx_bytes: Option<u64>,
    /// Seconds of training.
    pub seconds: Option<f64>,
    /// Milliseconds for a patch, by runtime.
    pub latency_ms: BTreeMap<&'static str, f64>,
}

impl Model {
    fn of(entry: &Entry, titles: &Titles) -> Self {
        let tracks = &entry.test.tracks;
        Self {
            run: entry.folder.clone(),
            name: titles.of(entry),
            kind: entry.kind,
            accuracy: tracks.accuracy,
            interval: tracks.interval,
            macro_f1: tracks.macro_f1,
            patch_accuracy: entry.test.patch_accuracy,
            parameters: entry.parameters,
            onnx_bytes: entry.onnx_bytes,
            seconds: entry.seconds,
            latency_ms: entry.latency.clone(),
        }
    }
}

impl Titles {
    /// Names for `entries`.
    #[must_use]
    pub fn new(entries: &[Entry]) -> Self {
        let mut count: BTreeMap<&str, usize> = BTreeMap::new();
        entries.iter().for_each(|entry| *count.entry(&entry.label).or_default() += 1);
        let title = |entry: &Entry| match count[&*entry.label] {
            1 => entry.label.clone(),
            _ => format!("{} ({})", entry.label, entry.run),
        };
        Self(entries.iter().map(|entry| (entry.folder.clone(), title(entry))).collect())
    }

    /// What `entry`'s model is called.
    #[must_use]
    pub fn of(&self, entry: &Entry) -> String {
        self.0.get(&entry.folder).unwrap_or(&entry.label).clone()
    }
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
