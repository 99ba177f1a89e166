//! A report's figures for other programs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::discussion;
use super::entry::Entry;
use super::gather::Report;
use super::group::{Group, groups};
use super::significance::{Comparison, compare};
use super::tagged::{self, TagTable};
use super::titles::Titles;
use crate::run::Kind;

/// Groups of comparable runs, best first, and how their best compare.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Runs that were tested on the same tracks.
    pub tables: Vec<TableSummary>,
    /// Runs whose split leaks.
    leaky: Vec<ModelSummary>,
    /// Runs that tell several labels a track, by the tracks they were tested on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub multi_label: Vec<TagTable>,
}

/// Runs that were tested on the same tracks.
#[derive(Clone, Debug, Serialize)]
pub struct TableSummary {
    /// How many tracks.
    tracks: usize,
    /// Their digest.
    digest: String,
    /// The best model in a sentence.
    pub headline: String,
    /// The models, the best first.
    models: Vec<ModelSummary>,
    /// Runs that were compared pair by pair.
    compared: Vec<PathBuf>,
    /// The comparisons, by index into `compared`.
    comparisons: Vec<Comparison>,
}

/// One model's figures.
#[derive(Clone, Debug, Serialize)]
struct ModelSummary {
    /// The run's folder.
    run: PathBuf,
    /// What the model is called.
    name: String,
    kind: Kind,
    /// Share of tracks given the right genre.
    accuracy: f64,
    /// Its 95 % interval.
    interval: [f64; 2],
    /// Mean F1 over the genres.
    macro_f1: f64,
    /// The accuracy of single patches.
    patch_accuracy: f64,
    /// Numbers that make up the model.
    parameters: Option<usize>,
    /// Size of the exported model.
    onnx_bytes: Option<u64>,
    /// Seconds of training.
    seconds: Option<f64>,
    /// Milliseconds for a patch, by runtime.
    latency_ms: BTreeMap<&'static str, f64>,
}

impl Report {
    /// The figures for other programs.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let titles = Titles::new(&self.entries);
        let tables =
            groups(&self.entries).iter().map(|group| TableSummary::new(group, &titles)).collect();
        let leaky = self.entries.iter().filter(|entry| entry.is_leaky());
        Summary {
            tables,
            leaky: leaky.map(|entry| ModelSummary::new(entry, &titles)).collect(),
            multi_label: tagged::groups(&self.tagged).iter().map(TagTable::of).collect(),
        }
    }
}

impl TableSummary {
    fn new(group: &Group, titles: &Titles) -> Self {
        let contenders = group.contenders();
        Self {
            tracks: group.tracks(),
            digest: group.digest.clone(),
            headline: discussion::headline(group, titles),
            models: group.entries.iter().map(|entry| ModelSummary::new(entry, titles)).collect(),
            compared: contenders.iter().map(|entry| entry.folder.clone()).collect(),
            comparisons: compare(&contenders),
        }
    }
}

impl ModelSummary {
    fn new(entry: &Entry, titles: &Titles) -> Self {
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
