//! Finished runs that tell any number of labels a track.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::entry::{check_complete, latencies, network_label};
use super::text::{capital, counted};
use crate::bench;
use crate::dataset::{Split, Task};
use crate::error::{Error, Result};
use crate::files;
use crate::metrics::{Epoch, TagEvaluation};
use crate::run::{Kind, Run, TagMetrics, TaskMetrics, TrainingData, names};
use crate::text::known;

/// A finished run that tells several labels a track.
#[derive(Clone, Debug)]
pub(super) struct TagEntry {
    /// The folder.
    pub(super) folder: PathBuf,
    /// What the model is called: `frozen yamnet`; not unique.
    pub(super) label: String,
    /// The folder's name.
    pub(super) run: String,
    /// What kind of model it is.
    pub(super) kind: Kind,
    /// The collection.
    pub(super) data: TrainingData,
    /// The split.
    pub(super) split: Split,
    /// Figures of the test part.
    pub(super) test: TagMetrics,
    /// Epochs.
    pub(super) history: Vec<Epoch>,
    /// Numbers that make up the model.
    pub(super) parameters: Option<usize>,
    /// Size of the exported model.
    pub(super) onnx_bytes: Option<u64>,
    /// Wall-clock seconds of training.
    pub(super) seconds: f64,
    /// Milliseconds (median) for one patch on one CPU thread, by runtime.
    pub(super) latency: BTreeMap<&'static str, f64>,
    /// Digest of the tested tracks and their labels.
    digest: String,
}

impl TagEntry {
    /// The run in `folder`; none if it tells one label a track.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is no complete run; [`Error::Io`] and [`Error::Format`] if a
    /// file is missing, damaged, or contradicts another.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>> {
        let run = Run::at(folder);
        check_complete(&run)?;
        if run.kind()? == Kind::Baseline {
            return Ok(None);
        }
        let split = run.split()?;
        if split.task == Task::SingleLabel {
            return Ok(None);
        }
        let metrics = run.metrics()?;
        let (label, kind) = (network_label(&metrics), metrics.kind());
        let TaskMetrics::MultiLabel(test) = metrics.test else {
            let reason = "figures of one label a track, where split.json says several";
            return Err(Error::format(run.path(names::METRICS), reason));
        };
        let predictions = run.tag_predictions()?;
        let labels = split.genres.len();
        if test.tags.per_tag.len() != labels
            || predictions.len() != test.tags.count
            || predictions.iter().any(|p| p.probabilities.len() != labels)
        {
            let reason = "it does not have the tracks and labels of metrics.json and split.json; \
                          the files are of different runs";
            return Err(Error::format(run.path(names::PREDICTIONS), reason));
        }
        let mut truth: Vec<String> =
            predictions.iter().map(|p| format!("{}\0{}\n", p.track, p.labels.join("\0"))).collect();
        truth.sort();
        let name = std::path::absolute(folder).map_err(Error::io(folder))?;
        Ok(Some(Self {
            folder: folder.to_owned(),
            label,
            run: name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned(),
            kind,
            data: metrics.data,
            split,
            test,
            history: run.history()?,
            parameters: Some(metrics.parameters).filter(|count| *count > 0),
            onnx_bytes: std::fs::metadata(run.onnx_path()).ok().map(|file| file.len()),
            seconds: metrics.seconds,
            latency: BTreeMap::new(),
            digest: files::hex(&Sha256::digest(truth.concat())),
        }))
    }

    /// Takes over what `bench` says of this run's model; whether it says anything.
    pub(super) fn take_latency(&mut self, bench: &bench::Report) -> bool {
        let found = latencies(bench, &self.folder, &self.run);
        let is_any = !found.is_empty();
        self.latency.extend(found);
        is_any
    }

    /// What its model is called, with the run's name.
    pub(super) fn title(&self) -> String {
        format!("{} ({})", self.label, self.run)
    }

    fn average_precision(&self) -> f64 {
        self.test.tags.macro_average_precision.unwrap_or_default()
    }
}

/// Runs tested on the same tracks with the same labels, the best first.
pub(super) fn groups(entries: &[TagEntry]) -> Vec<Vec<&TagEntry>> {
    let mut by_tracks: BTreeMap<&str, Vec<&TagEntry>> = BTreeMap::new();
    for entry in entries {
        by_tracks.entry(&entry.digest).or_default().push(entry);
    }
    let mut groups: Vec<Vec<&TagEntry>> = by_tracks.into_values().collect();
    for group in &mut groups {
        group.sort_by(|a, b| {
            b.average_precision().total_cmp(&a.average_precision()).then(a.run.cmp(&b.run))
        });
    }
    groups.sort_by_key(|group| (std::cmp::Reverse(group[0].test.tags.count), &group[0].digest));
    groups
}

/// The best of a group, in one sentence.
pub(super) fn headline(group: &[&TagEntry]) -> String {
    let Some(best) = group.first() else { return String::new() };
    let TagEvaluation { macro_average_precision, macro_roc_auc, count, .. } = best.test.tags;
    let tracks = format!("{} with any number of labels", counted(count, "track"));
    let who = match group.len() {
        1 => format!("{} was tested on {tracks} alone", capital(&best.title())),
        all => {
            let models = counted(all, "model");
            format!("Of {models} tested on the same {tracks}, {} ranks them best", best.title())
        }
    };
    format!(
        "{who}: macro average precision {}, macro ROC-AUC {}.",
        known(macro_average_precision),
        known(macro_roc_auc)
    )
}

/// Runs that were tested on the same tracks, for other programs.
#[derive(Clone, Debug, Serialize)]
pub struct TagTable {
    /// How many tracks.
    tracks: usize,
    /// The best model in a sentence.
    pub headline: String,
    /// The models, the best first.
    models: Vec<TagModel>,
}

/// One model's figures.
#[derive(Clone, Debug, Serialize)]
struct TagModel {
    run: PathBuf,
    name: String,
    kind: Kind,
    /// The labels, in the order of `test.per_tag`.
    labels: Vec<String>,
    test: TagEvaluation,
    parameters: Option<usize>,
    onnx_bytes: Option<u64>,
    seconds: f64,
    latency_ms: BTreeMap<&'static str, f64>,
}

impl TagTable {
    pub(super) fn of(group: &Vec<&TagEntry>) -> Self {
        let model = |entry: &&TagEntry| TagModel {
            run: entry.folder.clone(),
            name: entry.title(),
            kind: entry.kind,
            labels: entry.split.genres.clone(),
            test: entry.test.tags.clone(),
            parameters: entry.parameters,
            onnx_bytes: entry.onnx_bytes,
            seconds: entry.seconds,
            latency_ms: entry.latency.clone(),
        };
        Self {
            tracks: group.first().map_or(0, |entry| entry.test.tags.count),
            headline: headline(group),
            models: group.iter().map(model).collect(),
        }
    }
}
