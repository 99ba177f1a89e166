//! A finished run as the report sees it, whatever program made it.
//!
//! Read leniently, and without burn: what a kind of run does not have is absent, and what
//! the report has no use for is not read.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::search::Leaderboard;
use crate::bench::{self, RUN_MODEL};
use crate::error::{Error, Result};
use crate::files;
use crate::metrics::{Epoch, Evaluation, argmax};
use crate::runtime::{Device, Runtime};

/// What kind of model a run has trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A classical model on hand-made features.
    Baseline,
    /// A convolutional network trained from scratch.
    Cnn,
    /// A head on a pretrained network.
    FineTuned,
}

impl Kind {
    /// All kinds, in the order of the report.
    pub const ALL: [Self; 3] = [Self::Baseline, Self::Cnn, Self::FineTuned];

    /// The kind in the plural, for captions.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baselines on hand-made features",
            Self::Cnn => "CNNs trained from scratch",
            Self::FineTuned => "pretrained backbones",
        }
    }
}

/// The collection, in `metrics.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Data {
    /// Its name.
    pub name: String,
    /// Digest of its files.
    pub fingerprint: String,
    /// Tracks at hand.
    pub tracks: usize,
    /// Files that could not be read.
    pub skipped: usize,
}

/// Figures of the test part, in `metrics.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct TestPart {
    /// By track.
    pub tracks: Evaluation,
    /// Share of single patches (or rows of a table) given the right genre.
    #[serde(default)]
    pub patch_accuracy: f64,
    /// Patches.
    #[serde(default)]
    pub patches: usize,
}

/// `split.json`, of which not every method needs to be known.
#[derive(Clone, Debug, Deserialize)]
pub struct SplitFile {
    /// `stratified`, `fault-filtered`, `fold` or `leaky-windows`.
    pub method: String,
    /// Seed of the shuffle.
    #[serde(default)]
    pub seed: u64,
    /// Genre names, in the order of the confusion matrix.
    pub genres: Vec<String>,
    /// Ids to fit on.
    pub train: Vec<String>,
    /// Ids that choose the epoch.
    pub validation: Vec<String>,
    /// Ids to test on, of files at hand or not.
    pub test: Vec<String>,
}

/// One test track, in `predictions.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Prediction {
    /// The track.
    pub track: String,
    /// Its genre.
    pub genre: String,
    /// The genre it was given.
    pub predicted: String,
    /// Mean probabilities, in the order of the split's genres.
    pub probabilities: Vec<f32>,
}

impl Prediction {
    /// Whether the genre was found.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.genre == self.predicted
    }

    /// The probability of the genre it was given.
    #[must_use]
    pub fn confidence(&self) -> f32 {
        self.probabilities.iter().copied().fold(0.0, f32::max)
    }
}

/// What is said of a CNN of our own, in `metrics.json`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Cnn {
    name: String,
    source: String,
    teacher: Option<String>,
    test_uses: Option<usize>,
}

/// `metrics.json` of any kind of run.
#[derive(Clone, Debug, Deserialize)]
struct Metrics {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    features: Option<String>,
    #[serde(default)]
    windows: bool,
    #[serde(default)]
    leaky: bool,
    #[serde(default)]
    backbone: Option<Named>,
    #[serde(default)]
    cnn: Option<Cnn>,
    #[serde(default)]
    unfrozen_layers: usize,
    #[serde(default)]
    kept: String,
    #[serde(default)]
    data: Data,
    #[serde(default)]
    parameters: Option<usize>,
    #[serde(default)]
    seconds: Option<f64>,
    #[serde(default)]
    cross_validation: Option<CrossValidation>,
    test: TestPart,
}

#[derive(Clone, Debug, Deserialize)]
struct Named {
    name: String,
}

/// Results of a cross-validation, in `metrics.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct CrossValidation {
    /// Track accuracy of each fold.
    pub folds: Vec<f64>,
    /// All folds' test tracks together.
    pub pooled: TestPart,
}

/// What a baseline is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Features {
    /// The model's name: `svm`.
    pub model: String,
    /// The table's name: `30s`, `3s` or a file's stem.
    pub table: String,
    /// Whether a row is a window of a song.
    pub windows: bool,
    /// Whether windows of a song are in training and test.
    pub leaky: bool,
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The folder.
    pub folder: PathBuf,
    /// The folder's name.
    pub run: String,
    /// What the model is called: `frozen yamnet`; not unique.
    pub label: String,
    /// What kind of model it is.
    pub kind: Kind,
    /// What a baseline is made of; none for the others.
    pub features: Option<Features>,
    /// The collection.
    pub data: Data,
    /// The folder of the collection, if the run names one.
    pub data_folder: Option<PathBuf>,
    /// The split.
    pub split: SplitFile,
    /// Figures of the test part.
    pub test: TestPart,
    /// Every test track, sorted by id.
    pub predictions: Vec<Prediction>,
    /// The cross-validation, where there was one.
    pub cross_validation: Option<CrossValidation>,
    /// Epochs; empty for models that know none.
    pub history: Vec<Epoch>,
    /// The search that found the architecture, where there was one.
    pub search: Option<Leaderboard>,
    /// Numbers that make up the model.
    pub parameters: Option<usize>,
    /// Size of the exported model.
    pub onnx_bytes: Option<u64>,
    /// Wall-clock seconds of training.
    pub seconds: Option<f64>,
    /// Whether it learned from pictures of spectrograms.
    pub is_of_pictures: bool,
    /// How often the test part was looked at, by the ledger of `train-cnn`.
    pub test_uses: Option<usize>,
    /// Seed of the run.
    pub seed: u64,
    /// All options but seed, split and paths: the same for runs that differ in chance only.
    pub recipe: String,
    /// Milliseconds (median) for one patch on one CPU thread, by runtime.
    pub latency: BTreeMap<&'static str, f64>,
}

impl Entry {
    /// The run in `folder`.
    ///
    /// # Errors
    /// [`Error::Config`] if it is no complete run; [`Error::Io`] and [`Error::Format`] if a
    /// file is missing, damaged, or contradicts another.
    pub fn read(folder: &Path) -> Result<Self> {
        let at = |file: &str| folder.join(file);
        let say = |what: &str| Err(Error::Config(format!("{}: {what}", folder.display())));
        match folder {
            _ if !folder.exists() => return say("no such folder"),
            _ if !at("metrics.json").is_file() => {
                return say("no complete run: it has no metrics.json");
            }
            _ if !at("predictions.json").is_file() => {
                return say(
                    "it has no predictions.json, without which models cannot be compared track \
                     by track; train it again",
                );
            }
            _ => {}
        }
        let metrics: Metrics = files::read_json(&at("metrics.json"))?;
        let split: SplitFile = files::read_json(&at("split.json"))?;
        let mut predictions: Vec<Prediction> = files::read_json(&at("predictions.json"))?;
        predictions.sort_by(|a, b| a.track.cmp(&b.track));
        check(&metrics, &split, &predictions)
            .map_err(|reason| Error::format(at("predictions.json"), reason))?;
        let options = optional(&at("config.json"))?.unwrap_or(serde_json::Value::Null);
        let name = std::path::absolute(folder).map_err(Error::io(folder))?;
        let (kind, label) = metrics.label();
        Ok(Self {
            folder: folder.to_owned(),
            run: name.file_name().unwrap_or(name.as_os_str()).to_string_lossy().into_owned(),
            label,
            kind,
            features: metrics.features(),
            data: metrics.data,
            data_folder: options["data"].as_str().map(PathBuf::from),
            split,
            test: metrics.test,
            predictions,
            cross_validation: metrics.cross_validation,
            history: optional(&at("history.json"))?.unwrap_or_default(),
            search: optional(&at("search.json"))?,
            parameters: metrics.parameters,
            onnx_bytes: std::fs::metadata(at(RUN_MODEL)).ok().map(|file| file.len()),
            seconds: metrics.seconds,
            is_of_pictures: metrics.cnn.as_ref().is_some_and(|cnn| cnn.source == "pictures"),
            test_uses: metrics.cnn.and_then(|cnn| cnn.test_uses),
            seed: options["seed"].as_u64().unwrap_or(0),
            recipe: recipe(options),
            latency: BTreeMap::new(),
        })
    }

    /// Takes over what `report` says of this run's model: medians on one CPU thread, for
    /// one patch. Whether it says anything.
    pub fn take_latency(&mut self, report: &bench::Report) -> bool {
        let same = |model: &Path| {
            let folder = if model.ends_with(RUN_MODEL) { model.parent() } else { Some(model) };
            let folder = folder.unwrap_or(model);
            match (folder.canonicalize(), self.folder.canonicalize()) {
                (Ok(theirs), Ok(ours)) => theirs == ours,
                // Measured elsewhere: the name is all there is to go by.
                _ => folder.file_name().is_some_and(|name| name == self.run.as_str()),
            }
        };
        let mut found = false;
        for row in &report.rows {
            let one = row.device == Device::Cpu && row.threads == 1 && row.batch == 1;
            if let (true, Some(latency)) = (one && same(&row.model), row.latency) {
                self.latency.insert(row.runtime.name(), latency.p50_ms);
                found = true;
            }
        }
        found
    }

    /// Milliseconds for one patch in `runtime`.
    #[must_use]
    pub fn patch_ms(&self, runtime: Runtime) -> Option<f64> {
        self.latency.get(runtime.name()).copied()
    }

    /// Milliseconds for a track of as many patches as the test tracks have on average, in
    /// the faster of ort and tract.
    #[must_use]
    pub fn track_ms(&self) -> Option<f64> {
        let patch = [Runtime::Ort, Runtime::Tract].into_iter().filter_map(|r| self.patch_ms(r));
        let patches = self.test.patches as f64 / self.test.tracks.count.max(1) as f64;
        patch.reduce(f64::min).map(|ms| ms * patches.max(1.0))
    }

    /// Whether windows of one song were in training and test.
    #[must_use]
    pub fn is_leaky(&self) -> bool {
        self.features.as_ref().is_some_and(|features| features.leaky)
    }

    /// The genres, in the order of confusion matrix and probabilities.
    #[must_use]
    pub fn genres(&self) -> &[String] {
        &self.split.genres
    }

    /// Ids of the tracks that were tested.
    #[must_use]
    pub fn tested(&self) -> BTreeSet<&str> {
        self.predictions.iter().map(|p| p.track.as_str()).collect()
    }
}

impl Metrics {
    fn features(&self) -> Option<Features> {
        (self.kind.as_deref() == Some("baseline")).then(|| Features {
            model: self.model.clone().unwrap_or_default(),
            table: self.features.clone().unwrap_or_default(),
            windows: self.windows,
            leaky: self.leaky,
        })
    }

    fn label(&self) -> (Kind, String) {
        if let Some(Features { model, table, leaky, .. }) = self.features() {
            let leaky = if leaky { "leaky " } else { "" };
            let table = match table.as_str() {
                "30s" => "30 s features",
                "3s" => "3 s features",
                other => other,
            };
            return (Kind::Baseline, format!("{leaky}{} on {table}", model_name(&model)));
        }
        if let Some(Cnn { name, source, teacher, .. }) = &self.cnn {
            let taught = if teacher.is_some() { "taught " } else { "" };
            let name = if name.is_empty() { "cnn" } else { name };
            return (Kind::Cnn, format!("{taught}CNN {name} on {source}"));
        }
        let name = self.backbone.as_ref().map_or("model", |backbone| &backbone.name);
        let label = match (self.kept.as_str(), self.unfrozen_layers) {
            ("unfrozen", 1) => format!("{name} with 1 trained layer"),
            ("unfrozen", layers) => format!("{name} with {layers} trained layers"),
            _ => format!("frozen {name}"),
        };
        (Kind::FineTuned, label)
    }
}

fn model_name(model: &str) -> &str {
    match model {
        "knn" => "k-NN",
        "logistic" => "logistic regression",
        "svm" => "SVM",
        "forest" => "random forest",
        "boosting" => "gradient boosting",
        "mlp" => "MLP",
        other => other,
    }
}

/// The contents of a file that not every run has.
fn optional<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if path.is_file() { files::read_json(path).map(Some) } else { Ok(None) }
}

/// What runs that differ in chance only have in common.
fn recipe(mut options: serde_json::Value) -> String {
    if let Some(options) = options.as_object_mut() {
        let chance = ["seed", "split", "data", "output", "runtime", "device", "strict"];
        chance.iter().for_each(|name| drop(options.remove(*name)));
    }
    options.to_string()
}

/// Whether the three files speak of the same test.
fn check(metrics: &Metrics, split: &SplitFile, found: &[Prediction]) -> Result<(), String> {
    let (tracks, classes) = (&metrics.test.tracks, split.genres.len());
    let square = tracks.confusion.len() == classes
        && tracks.confusion.iter().all(|row| row.len() == classes)
        && tracks.per_genre.len() == classes;
    if !square {
        return Err(format!("metrics.json does not have the {classes} genres of split.json"));
    }
    if found.is_empty() || found.len() != tracks.count {
        return Err(format!("{} tracks, but {} in metrics.json", found.len(), tracks.count));
    }
    let known = |genre: &String| split.genres.contains(genre);
    for (at, p) in found.iter().enumerate() {
        let track = &p.track;
        if at > 0 && found[at - 1].track == *track {
            return Err(format!("\"{track}\" is listed twice"));
        }
        if let Some(genre) = [&p.genre, &p.predicted].into_iter().find(|genre| !known(genre)) {
            return Err(format!("\"{track}\": the genre \"{genre}\" is not in split.json"));
        }
        if p.probabilities.len() != classes || p.probabilities.iter().any(|p| !p.is_finite()) {
            return Err(format!("\"{track}\": there must be {classes} probabilities"));
        }
        if argmax(&p.probabilities).is_none_or(|genre| split.genres[genre] != p.predicted) {
            return Err(format!("\"{track}\": \"{}\" is not the most probable", p.predicted));
        }
    }
    let right = found.iter().filter(|p| p.is_right()).count();
    if (right as f64 / found.len() as f64 - tracks.accuracy).abs() > 1e-9 {
        return Err(format!(
            "{right} of {} tracks are right, but metrics.json says {}; the files are of \
             different runs",
            found.len(),
            tracks.accuracy
        ));
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::metrics::evaluate;

    /// A run of this name that gives track `n` of three genres the genre `given[n]`, where
    /// the true one is `n % 3`.
    pub fn entry(run: &str, kind: Kind, given: &[usize]) -> Entry {
        let genres: Vec<String> = ["dub", "folk", "ska"].map(String::from).to_vec();
        let truth: Vec<usize> = (0..given.len()).map(|track| track % 3).collect();
        let prediction = |track: usize| Prediction {
            track: format!("{}/{track:02}.wav", genres[truth[track]]),
            genre: genres[truth[track]].clone(),
            predicted: genres[given[track]].clone(),
            probabilities: (0..3).map(|g| if g == given[track] { 0.8 } else { 0.1 }).collect(),
        };
        let mut predictions: Vec<Prediction> = (0..given.len()).map(prediction).collect();
        predictions.sort_by(|a, b| a.track.cmp(&b.track));
        let test = predictions.iter().map(|p| p.track.clone()).collect();
        let tracks = evaluate(&truth, given, 3, 0);
        Entry {
            folder: run.into(),
            run: run.to_owned(),
            label: run.to_owned(),
            kind,
            features: None,
            data: Data { name: "music".into(), fingerprint: "f".into(), tracks: 40, skipped: 0 },
            data_folder: None,
            split: SplitFile {
                method: "stratified".into(),
                seed: 0,
                genres,
                train: vec!["dub/a.wav".into()],
                validation: vec!["dub/b.wav".into()],
                test,
            },
            test: TestPart { patch_accuracy: tracks.accuracy, patches: 2 * tracks.count, tracks },
            predictions,
            cross_validation: None,
            history: vec![],
            search: None,
            parameters: Some(1000),
            onnx_bytes: Some(2_000_000),
            seconds: Some(3.0),
            is_of_pictures: false,
            test_uses: None,
            seed: 0,
            recipe: String::new(),
            latency: BTreeMap::new(),
        }
    }

    /// Genres of `tracks` tracks, of which the first `wrong` are mistaken.
    pub fn given(tracks: usize, wrong: usize) -> Vec<usize> {
        (0..tracks).map(|track| (track + usize::from(track < wrong)) % 3).collect()
    }

    #[test]
    fn labels_say_what_was_trained() {
        let test = r#""test": {"tracks": {"accuracy": 0, "macro_f1": 0, "confusion": [],
            "per_genre": [], "interval": [0, 0], "count": 0}}"#;
        let label = |json: &str| {
            let json = format!("{{{json}, {test}}}");
            serde_json::from_str::<Metrics>(&json).unwrap().label().1
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
    fn a_recipe_leaves_out_what_is_chance() {
        let of = |seed: u64, rate: f64| {
            recipe(serde_json::json!({"seed": seed, "split": "a", "data": "b", "rate": rate}))
        };
        assert_eq!(of(1, 0.5), of(2, 0.5));
        assert_ne!(of(1, 0.5), of(1, 0.6));
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
