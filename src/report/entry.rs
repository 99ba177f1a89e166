//! A finished run as the report sees it, whatever program made it.
//!
//! What a kind of run does not have is absent here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::consistency;
use crate::bench;
use crate::dataset::Split;
use crate::dataset::source::Source;
use crate::error::{Error, Result};
use crate::metrics::Epoch;
use crate::run::{
    BaselineMetrics, BaselineModel, CalibrationMetrics, CnnMetrics, CrossValidation, Kept, Kind,
    Leaderboard, Metrics, PartMetrics, Prediction, Run, Score, TaskMetrics, TrainingData, names,
};
use crate::runtime::{Device, Runtime};

/// The model of a baseline and what it learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Baseline {
    /// The model.
    pub(super) model: BaselineModel,
    /// The table's name: `30s`, `3s` or a file's stem.
    pub(super) table: String,
    /// Whether windows of a song are in training and test.
    pub(super) leaky: bool,
}

/// A finished run.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The folder's name.
    pub(super) run: String,
    /// What the model is called: `frozen yamnet`; not unique.
    pub(super) label: String,
    /// What kind of model it is.
    pub(super) kind: Kind,
    /// The model and table of a baseline; none for the others.
    pub(super) baseline: Option<Baseline>,
    /// The collection.
    pub(super) data: TrainingData,
    /// The folder of the collection, if the run names one.
    pub(super) data_folder: Option<PathBuf>,
    /// The split.
    pub(super) split: Split,
    /// Figures of the test part.
    pub(super) test: PartMetrics,
    /// Every test track, sorted by id.
    pub(super) predictions: Vec<Prediction>,
    /// What the test part says of the probabilities, where they were calibrated.
    pub(super) calibration: Option<CalibrationMetrics>,
    /// The cross-validation, where there was one.
    pub(super) cross_validation: Option<CrossValidation>,
    /// The frozen and the tuned network, where there were both.
    pub(super) tuning: Option<Tuning>,
    /// Epochs; empty for models that know none.
    pub(super) history: Vec<Epoch>,
    /// The search that found the architecture, where there was one.
    pub(super) search: Option<Leaderboard>,
    /// The architecture of a network, or a baseline's settings.
    pub(super) what: String,
    /// Numbers that make up the model.
    pub(super) parameters: Option<usize>,
    /// Size of the exported model.
    pub(super) onnx_bytes: Option<u64>,
    /// Wall-clock seconds of training.
    pub(super) seconds: Option<f64>,
    /// Whether it learned from pictures of spectrograms.
    pub(super) is_of_pictures: bool,
    /// How often the test part was looked at, by the ledger of `train-cnn`.
    pub(super) test_uses: Option<usize>,
    /// Seed of the run.
    pub(super) seed: u64,
    /// All options but seed, split and paths: the same for runs that differ in chance only.
    pub(super) recipe: String,
    /// Milliseconds (median) for one patch on one CPU thread, by runtime.
    pub(super) latency: BTreeMap<&'static str, f64>,
}

impl Entry {
    /// The run in `folder`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is no complete run; [`Error::Io`] and [`Error::Format`] if a
    /// file is missing, damaged, or contradicts another.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let run = Run::at(folder);
        check_complete(&run)?;
        let results = Results::read(&run)?;
        let split = run.split()?;
        let mut predictions = run.predictions()?;
        predictions.sort_by(|a, b| a.track.cmp(&b.track));
        consistency::check(&results.test, &split, &predictions)
            .map_err(|e| Error::format(run.path(names::PREDICTIONS), e))?;
        let options = run.options()?;
        let name = std::path::absolute(folder).map_err(Error::io(folder))?;
        Ok(Self {
            folder: folder.to_owned(),
            run: name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned(),
            label: results.label,
            kind: results.kind,
            baseline: results.baseline,
            data: results.data,
            data_folder: options.data(),
            split,
            test: results.test,
            predictions,
            calibration: results.calibration,
            cross_validation: results.cross_validation,
            tuning: results.tuning,
            history: run.history()?,
            search: run.leaderboard()?,
            what: results.what,
            parameters: results.parameters,
            onnx_bytes: std::fs::metadata(run.onnx_path()).ok().map(|file| file.len()),
            seconds: results.seconds,
            is_of_pictures: results.source == Some(Source::Pictures),
            test_uses: results.test_uses,
            seed: options.seed(),
            recipe: options.recipe(),
            latency: BTreeMap::new(),
        })
    }

    /// Takes over what `bench` says of this run's model: medians on one CPU thread, for one
    /// patch. Whether it says anything.
    pub(super) fn take_latency(&mut self, bench: &bench::Report) -> bool {
        let found = latencies(bench, &self.folder, &self.run);
        let is_any = !found.is_empty();
        self.latency.extend(found);
        is_any
    }

    /// Milliseconds for one patch in `runtime`.
    pub(super) fn patch_ms(&self, runtime: Runtime) -> Option<f64> {
        self.latency.get(runtime.name()).copied()
    }

    /// Milliseconds for a track of as many patches as the test tracks have on average, in
    /// the faster of ort and tract.
    pub(super) fn track_ms(&self) -> Option<f64> {
        let patch = [Runtime::Ort, Runtime::Tract].into_iter().filter_map(|r| self.patch_ms(r));
        let patches = self.test.patches as f64 / self.test.tracks.count.max(1) as f64;
        patch.reduce(f64::min).map(|ms| ms * patches.max(1.0))
    }

    /// Whether windows of one song, or copies of one recording, were in training and test.
    pub(super) fn is_leaky(&self) -> bool {
        self.data.copies_allowed || self.baseline.as_ref().is_some_and(|baseline| baseline.leaky)
    }

    /// The label without the word that its split leaks.
    pub(super) fn honest_label(&self) -> &str {
        self.label.strip_prefix(LEAKY).unwrap_or(&self.label)
    }

    /// The genres, in the order of confusion matrix and probabilities.
    pub(super) fn genres(&self) -> &[String] {
        &self.split.genres
    }

    /// Ids of the tracks that were tested.
    pub(super) fn tested(&self) -> BTreeSet<&str> {
        self.predictions.iter().map(|p| p.track.as_str()).collect()
    }
}

/// What `bench` says of the run called `run` in `folder`: medians on one CPU thread, for one patch,
/// by runtime.
pub(super) fn latencies(
    bench: &bench::Report,
    folder: &Path,
    run: &str,
) -> BTreeMap<&'static str, f64> {
    let is_single =
        |row: &&bench::Row| row.device == Device::Cpu && row.threads == 1 && row.batch == 1;
    let rows = bench.rows.iter().filter(is_single).filter(|row| is_of(&row.model, folder, run));
    rows.filter_map(|row| Some((row.runtime.name(), row.latency?.p50_ms))).collect()
}

/// Whether `model`, a run's folder or the ONNX file in one, is of this run.
fn is_of(model: &Path, ours: &Path, run: &str) -> bool {
    let folder = if model.ends_with(names::MODEL) { model.parent() } else { Some(model) };
    let folder = folder.unwrap_or(model);
    match (folder.canonicalize(), ours.canonicalize()) {
        (Ok(theirs), Ok(ours)) => theirs == ours,
        // Measured elsewhere: the name is all there is to go by.
        _ => folder.file_name().is_some_and(|name| name == run),
    }
}

/// A fine-tuning that trained layers of the backbone: the two networks that it could keep.
#[derive(Clone, Debug)]
pub(super) struct Tuning {
    /// Validation score of the head on the backbone as it came.
    pub(super) frozen: Score,
    /// Validation score with trained layers.
    pub(super) tuned: Score,
    /// Which of them was kept, and tested.
    pub(super) kept: Kept,
    /// Whether that was said beforehand.
    pub(super) as_asked: bool,
}

impl Tuning {
    fn of(metrics: &Metrics) -> Option<Self> {
        Some(Self {
            frozen: metrics.frozen_validation?,
            tuned: metrics.unfrozen_validation?,
            kept: metrics.kept,
            as_asked: metrics.kept_as_asked,
        })
    }
}

/// What `metrics.json` says of a baseline or a network; a figure that it does not give is none.
struct Results {
    kind: Kind,
    label: String,
    baseline: Option<Baseline>,
    data: TrainingData,
    test: PartMetrics,
    calibration: Option<CalibrationMetrics>,
    cross_validation: Option<CrossValidation>,
    tuning: Option<Tuning>,
    what: String,
    parameters: Option<usize>,
    seconds: Option<f64>,
    source: Option<Source>,
    test_uses: Option<usize>,
}

impl Results {
    fn read(run: &Run) -> Result<Self> {
        if run.kind()? == Kind::Baseline {
            run.baseline_metrics().map(Self::from)
        } else {
            let metrics = run.metrics()?;
            let TaskMetrics::SingleLabel(test) = metrics.test.clone() else {
                let reason = "figures of several labels a track, where split.json says one";
                return Err(Error::format(run.path(names::METRICS), reason));
            };
            Ok(Self::of(metrics, test))
        }
    }
}

impl From<BaselineMetrics> for Results {
    fn from(metrics: BaselineMetrics) -> Self {
        Self {
            kind: Kind::Baseline,
            label: baseline_label(&metrics),
            what: metrics.hyper_parameters.as_ref().map_or_else(String::new, ToString::to_string),
            baseline: Some(Baseline {
                model: metrics.model,
                table: metrics.features,
                leaky: metrics.leaky,
            }),
            data: metrics.data,
            test: metrics.test,
            calibration: metrics.calibration,
            cross_validation: None,
            tuning: None,
            parameters: Some(metrics.parameters).filter(|count| *count > 0),
            seconds: Some(metrics.seconds).filter(|seconds| *seconds > 0.0),
            source: None,
            test_uses: None,
        }
    }
}

impl Results {
    /// Of a network and its test part.
    fn of(metrics: Metrics, test: PartMetrics) -> Self {
        Self {
            kind: metrics.kind(),
            label: network_label(&metrics),
            what: network(&metrics),
            tuning: Tuning::of(&metrics),
            baseline: None,
            data: metrics.data,
            test,
            calibration: metrics.calibration,
            cross_validation: metrics.cross_validation,
            parameters: Some(metrics.parameters).filter(|count| *count > 0),
            seconds: Some(metrics.seconds).filter(|seconds| *seconds > 0.0),
            source: metrics.cnn.as_ref().map(|cnn| cnn.source),
            test_uses: metrics.cnn.map(|cnn| cnn.test_uses).filter(|uses| *uses > 0),
        }
    }
}

/// Before the label of a run whose split leaks.
const LEAKY: &str = "leaky ";

fn baseline_label(metrics: &BaselineMetrics) -> String {
    let leaky = if metrics.leaky { LEAKY } else { "" };
    let table = match metrics.features.as_str() {
        "30s" => "30 s features",
        "3s" => "3 s features",
        other => other,
    };
    format!("{leaky}{} on {table}", metrics.model.title())
}

pub(super) fn network_label(metrics: &Metrics) -> String {
    let leaky = if metrics.data.copies_allowed { LEAKY } else { "" };
    if let Some(CnnMetrics { name, source, teacher, .. }) = &metrics.cnn {
        let taught = if teacher.is_some() { "taught " } else { "" };
        let source = match source {
            Source::Pictures => "pictures",
            Source::Audio => "audio",
        };
        return format!("{leaky}{taught}CNN {name} on {source}");
    }
    let name = metrics.name();
    match (metrics.kept, metrics.unfrozen_layers) {
        (Kept::Unfrozen, 1) => format!("{leaky}{name} with 1 trained layer"),
        (Kept::Unfrozen, layers) => format!("{leaky}{name} with {layers} trained layers"),
        _ => format!("{leaky}frozen {name}"),
    }
}

/// What a network is made of.
fn network(metrics: &Metrics) -> String {
    if let Some(cnn) = &metrics.cnn {
        return cnn.architecture.to_string();
    }
    let backbone = metrics.backbone.as_ref().map_or("backbone", |backbone| &backbone.name);
    match (metrics.kept, metrics.unfrozen_layers) {
        (Kept::Unfrozen, layers) => {
            format!("{backbone}, its last {layers} layers trained, and a head")
        }
        _ => format!("{backbone} as it came, and a head"),
    }
}

/// Whether training is complete, and the test tracks are listed.
pub(super) fn check_complete(run: &Run) -> Result<()> {
    let folder = run.folder();
    let refuse = |reason: &str| Err(Error::not_found(folder, reason));
    if !folder.exists() {
        refuse("no such folder")
    } else if !run.is_complete() {
        refuse("no complete run: it has no metrics.json")
    } else if !run.path(names::PREDICTIONS).is_file() {
        refuse(
            "it has no predictions.json, without which models cannot be compared track by track; \
             train it again",
        )
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures::{entry, given};

    #[test]
    fn labels_say_what_was_trained() {
        let test = r#""test": {"tracks": {"accuracy": 0, "macro_f1": 0, "confusion": [],
            "per_genre": [], "interval": [0, 0], "count": 0}}"#;
        let label = |json: &str| {
            let folder = tempfile::tempdir().unwrap();
            let run = Run::at(folder.path());
            std::fs::write(run.path(names::METRICS), format!("{{{json}, {test}}}")).unwrap();
            Results::read(&run).unwrap().label
        };
        assert_eq!(
            label(r#""kind": "baseline", "model": "svm", "features": "3s""#),
            "SVM on 3 s features"
        );
        assert_eq!(
            label(r#""kind": "baseline", "model": "knn", "features": "3s", "leaky": true"#),
            "leaky k-NN on 3 s features"
        );
        assert_eq!(label(r#""backbone": {"name": "yamnet"}, "kept": "frozen""#), "frozen yamnet");
        let unfrozen = r#""backbone": {"name": "y"}, "kept": "unfrozen", "unfrozen_layers": 2"#;
        assert_eq!(label(unfrozen), "y with 2 trained layers");
        assert_eq!(
            label(r#""cnn": {"name": "simple", "source": "pictures"}"#),
            "CNN simple on pictures"
        );
    }

    #[test]
    fn latency_is_that_of_one_patch_on_one_thread_of_this_run() {
        let mut entry = entry("runs/own", Kind::Cnn, &given(30, 3));
        entry.run = "own".into();
        let row = |model: &str, runtime: &str, threads: usize, batch: usize, p50: f64| {
            serde_json::json!({"model": model, "runtime": runtime, "device": "cpu",
                "threads": threads, "batch": batch, "latency":
                {"p50_ms": p50, "p90_ms": 9, "p99_ms": 9, "runs": 1}})
        };
        let rows = [
            row("runs/own", "ort", 1, 1, 5.0),
            row("runs/own/model.onnx", "tract", 1, 1, 4.0),
            row("runs/own", "ort", 2, 1, 1.0),
            row("runs/own", "ort", 1, 8, 1.5),
            row("runs/other", "tract", 1, 1, 0.1),
        ];
        let bench = serde_json::json!({"machine": {"cpu": "c", "cores": 1, "gpus": [], "os": "o",
            "runtimes": [], "date": "d"}, "seconds_per_case": 1, "seed": 0, "rows": rows});
        entry.take_latency(&serde_json::from_value(bench).unwrap());
        assert_eq!(entry.patch_ms(Runtime::Ort), Some(5.0));
        assert_eq!(entry.patch_ms(Runtime::Tract), Some(4.0));
        assert_eq!(entry.track_ms(), Some(8.0), "two patches a track, in the faster runtime");
    }
}
