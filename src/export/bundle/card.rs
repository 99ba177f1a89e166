//! The model card: `README.md` in the form of the Hugging Face Hub.
//!
//! <https://github.com/huggingface/hub-docs/blob/main/modelcard.md>

use minijinja::Environment;
use serde::Serialize;

use super::super::options::Options;
use crate::dataset::{Method, Task};
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::metrics::{Average, GenreScore, TagEvaluation, TagScore, share_interval};
use crate::run::{CalibrationMetrics, Exported, Metrics, Run, TaskMetrics, Validation};

/// The genres of the GTZAN collection, sorted.
const GTZAN: [&str; 10] =
    ["blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock"];

/// The example's last line: the most probable genre.
const GENRE: &str = r#"print(open("labels.txt").read().split("\n")[probabilities.argmax()])"#;

/// The same of several labels a track: those that reach their threshold.
const LABELS: &str = r#"import json
labels = open("labels.txt").read().split("\n")
thresholds = json.loads(model.get_modelmeta().custom_metadata_map["thresholds"])
print([label for label, p, least in zip(labels, probabilities, thresholds) if p >= least])"#;

/// From the probabilities of `patches` to those of the recording.
const ARITHMETIC: &str = "probabilities = patches.mean(axis=0)";

/// The same where the geometric mean was chosen.
const GEOMETRIC: &str = "probabilities = numpy.exp(numpy.log(patches + 1e-9).mean(axis=0))
probabilities /= probabilities.sum()";

/// What the card's template is filled with; texts in the front matter are quoted as JSON, which
/// YAML reads as well.
#[derive(Serialize)]
struct Card {
    title: String,
    quoted_name: String,
    quoted_data: String,
    license: String,
    license_text: String,
    network: String,
    parameters: usize,
    data: String,
    fingerprint: String,
    tracks: usize,
    is_gtzan: bool,
    is_demo: bool,
    split: &'static str,
    seed: u64,
    parts: [usize; 3],
    tested: usize,
    /// Of one label a track.
    single: Option<Figures>,
    /// Of several labels a track.
    several: Option<TagEvaluation>,
    /// How far its answers can be trusted, where that was found out.
    trust: Option<Trusted>,
    /// The mean over patches.
    mean: String,
    /// The example's line that takes it.
    averaged: &'static str,
    /// The example's last lines, in Python.
    answer: &'static str,
    macro_f1: f64,
    genres: Vec<Genre>,
    input: &'static str,
    precision: &'static str,
    kept_in_float: Option<&'static str>,
    validation: Option<Validation>,
    opset: i64,
    mb: f64,
    software: &'static str,
    sound: Option<Sound>,
    patch: Vec<usize>,
}

/// How often the one label of a track was found.
#[derive(Serialize)]
struct Figures {
    accuracy: f64,
    interval: [f64; 2],
    patch_accuracy: f64,
    cross_validated: Option<f64>,
}

/// How far answers can be trusted.
#[derive(Serialize)]
struct Trusted {
    calibrated: String,
    tracks: usize,
    temperature: f64,
    /// The calibration error before and after.
    errors: [f64; 2],
    coverage: f64,
    /// Of the test tracks with these sets, if they were tested.
    held: Option<Share>,
    genres_in_set: f64,
    refused: Option<Share>,
}

/// A share of the test tracks, with its 95 % interval.
#[derive(Serialize)]
struct Share {
    count: usize,
    of: usize,
    interval: [f64; 2],
}

impl Trusted {
    fn of(metrics: &CalibrationMetrics, coverage: f64) -> Self {
        let tested = metrics.tested;
        let share = |count: usize| Share {
            count,
            of: tested.tracks,
            interval: share_interval(count, tested.tracks),
        };
        Self {
            calibrated: metrics.calibrated.to_string(),
            tracks: metrics.tracks,
            temperature: metrics.temperature,
            errors: [metrics.before.error, metrics.after.error],
            coverage,
            held: metrics.tested_at(coverage).map(|tested| share(tested.covered)),
            genres_in_set: tested.in_sets as f64 / tested.tracks.max(1) as f64,
            refused: tested.refused.map(share),
        }
    }
}

/// A row of the table of genres.
#[derive(Serialize)]
struct Genre {
    name: String,
    /// The three of several labels a track.
    average_precision: Option<f64>,
    roc_auc: Option<f64>,
    threshold: Option<f32>,
    precision: f64,
    recall: f64,
    f1: f64,
    tracks: usize,
}

/// What the example must know to cut a recording.
#[derive(Serialize)]
struct Sound {
    rate: u32,
    patch_samples: usize,
    hop_samples: usize,
    lead_samples: usize,
    patch_seconds: f64,
}

/// The card of the model that was exported from `run` and will be called `name`.
pub(super) fn text(run: &Run, name: &str, options: &Options, model: &Exported) -> Result<String> {
    let wrong = |error: minijinja::Error| Error::drawing("README.md", format!("{error:#}"));
    let mut environment = Environment::new();
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_keep_trailing_newline(true);
    environment.add_template("README.md", include_str!("card.md")).map_err(wrong)?;
    let template = environment.get_template("README.md").map_err(wrong)?;
    template.render(Card::of(run, name, options, model)?).map_err(wrong)
}

impl Card {
    fn of(run: &Run, name: &str, options: &Options, model: &Exported) -> Result<Self> {
        let Options { input, coverage, .. } = *options;
        let (metrics, split, labels) = (run.metrics()?, run.split()?, run.labels()?);
        let preprocessor = run.preprocessor()?;
        let (single, several, macro_f1) = match &metrics.test {
            TaskMetrics::SingleLabel(test) => (Some(test), None, test.tracks.macro_f1),
            TaskMetrics::MultiLabel(test) => (None, Some(&test.tags), test.tags.macro_f1),
        };
        let average = metrics.calibration.as_ref().map(|found| found.average);
        let license_text = license(&metrics);
        let is_gtzan = labels == GTZAN;
        let data = if is_gtzan { "marsyas/gtzan" } else { metrics.data.name.as_str() };
        Ok(Self {
            title: name.to_owned(),
            quoted_name: quoted(name),
            quoted_data: quoted(data),
            license: hub_license(&license_text).to_owned(),
            license_text,
            network: network(&metrics),
            parameters: metrics.parameters,
            data: metrics.data.name.clone(),
            fingerprint: metrics.data.fingerprint.clone(),
            tracks: metrics.data.tracks,
            is_gtzan,
            is_demo: metrics.data.name == "demo",
            split: describe(split.method, split.task),
            seed: split.seed,
            parts: [split.train.len(), split.validation.len(), split.test.len()],
            tested: metrics.test.tracks(),
            single: single.map(|test| Figures {
                accuracy: test.tracks.accuracy,
                interval: test.tracks.interval,
                patch_accuracy: test.patch_accuracy,
                cross_validated: (metrics.cross_validation.as_ref())
                    .map(|folds| folds.pooled.tracks.accuracy),
            }),
            several: several.cloned(),
            trust: metrics.calibration.as_ref().map(|found| Trusted::of(found, coverage)),
            mean: average.map_or("mean".to_owned(), |average| average.to_string()),
            averaged: if average == Some(Average::Geometric) { GEOMETRIC } else { ARITHMETIC },
            answer: if several.is_some() { LABELS } else { GENRE },
            macro_f1,
            genres: genres(&labels, &metrics.test),
            input: input.name(),
            precision: model.precision.name(),
            kept_in_float: model.precision.kept_in_float(),
            validation: model.validation.clone(),
            opset: model.opset,
            mb: model.bytes as f64 / 1e6,
            software: concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")),
            sound: sound(&preprocessor),
            patch: preprocessor.natural_axes(),
        })
    }
}

/// The rows of the table of genres.
fn genres(labels: &[String], test: &TaskMetrics) -> Vec<Genre> {
    let of_genre = |(name, score): (&String, &GenreScore)| Genre {
        name: name.clone(),
        average_precision: None,
        roc_auc: None,
        threshold: None,
        precision: score.precision,
        recall: score.recall,
        f1: score.f1,
        tracks: score.support,
    };
    let of_tag = |(name, score): (&String, &TagScore)| Genre {
        name: name.clone(),
        average_precision: score.average_precision,
        roc_auc: score.roc_auc,
        threshold: Some(score.threshold),
        precision: score.precision,
        recall: score.recall,
        f1: score.f1,
        tracks: score.support,
    };
    match test {
        TaskMetrics::SingleLabel(test) => {
            labels.iter().zip(&test.tracks.per_genre).map(of_genre).collect()
        }
        TaskMetrics::MultiLabel(test) => {
            labels.iter().zip(&test.tags.per_tag).map(of_tag).collect()
        }
    }
}

fn sound(preprocessor: &Preprocessor) -> Option<Sound> {
    let windows = preprocessor.windows()?;
    Some(Sound {
        rate: windows.sample_rate,
        patch_samples: windows.size,
        hop_samples: windows.hop,
        lead_samples: windows.lead,
        patch_seconds: windows.patch_seconds,
    })
}

/// The licence of the weights that the model was made from.
fn license(metrics: &Metrics) -> String {
    match &metrics.backbone {
        Some(backbone) => backbone.license.clone(),
        None => "unknown".to_owned(),
    }
}

/// The Hub's identifier of a licence given by its SPDX identifier.
fn hub_license(license: &str) -> &'static str {
    match license {
        "Apache-2.0" => "apache-2.0",
        "ISC" => "isc",
        "MIT" => "mit",
        "CC-BY-NC-SA-4.0" => "cc-by-nc-sa-4.0",
        _ => "unknown",
    }
}

fn network(metrics: &Metrics) -> String {
    match (&metrics.backbone, &metrics.cnn, metrics.unfrozen_layers) {
        (Some(backbone), _, 0) => format!("a genre head on the frozen network {}", backbone.name),
        (Some(backbone), _, layers) => {
            format!(
                "a genre head on the network {}, whose last {layers} layers were trained too",
                backbone.name
            )
        }
        (None, Some(cnn), _) => format!("a CNN trained from scratch ({})", cnn.architecture),
        (None, None, _) => "a neural network".to_owned(),
    }
}

fn describe(method: Method, task: Task) -> &'static str {
    match method {
        Method::Stratified if task == Task::MultiLabel => {
            "shuffled by track, with nearly the same share of every label in each part (iterative \
             stratification)"
        }
        Method::Stratified => "shuffled by track, with the same share of every genre in each part",
        Method::Rehearsal => {
            "a rehearsal: the test part was left out, so every figure of a test is of validation tracks"
        }
        Method::FaultFiltered => {
            "Kereliuk, Sturm and Larsen's for GTZAN (2015): without repetitions, with no artist in \
             two parts"
        }
        Method::Given => "that which the collection brings along",
        Method::Fold => "one fold of a stratified cross-validation",
        Method::LeakyWindows => {
            "windows of songs shuffled as if they were songs: the figures are too good to be true"
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_named_as_the_hub_names_them() {
        assert_eq!(hub_license("CC-BY-NC-SA-4.0"), "cc-by-nc-sa-4.0");
        assert_eq!(hub_license("unknown (see the file's own source)"), "unknown");
    }

    #[test]
    fn the_genres_of_gtzan_are_sorted_as_labels_are() {
        assert!(GTZAN.is_sorted());
    }
}
