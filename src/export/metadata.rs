//! The metadata of an exported file.

use std::collections::BTreeMap;

use serde_json::json;

use super::options::Options;
use crate::dataset::{self, NEGATIVES, Task};
use crate::error::{Error, Result};
use crate::onnx::names::key;
use crate::run::{Metrics, Run, TaskMetrics};

/// What stands in the file's metadata, each value JSON or plain text:
///
/// `labels` (array, in the order of `probabilities`), `front_end` (the object of
/// `preprocessor.json`), `license` and `backbone` (name, licence, digest),
/// `training_data`, `split` (method and seed), `metrics` (test and validation
/// results), `task` and `thresholds` of several labels a track, `negatives` (labels that are no genres), `trust` (a
/// [`Promise`](crate::run::Promise)) where a run has one, `input` (an [`Input`](super::input::Input)'s name), `precision` (a [`Precision`](crate::run::Precision)'s name) and
/// `kept_in_float` (what is not of that precision), `software`; and what `Input::metadata`
/// adds.
///
/// # Errors
/// Errors of the run's files.
pub fn metadata(run: &Run, options: &Options) -> Result<BTreeMap<&'static str, String>> {
    let (metrics, split, preprocessor) = (run.metrics()?, run.split()?, run.preprocessor()?);
    let labels = run.labels()?;
    let json = |value: serde_json::Value| value.to_string();
    // Not by way of a `Value`, which holds f64 and so prints an f32 of 0.01 with 17 digits.
    let front_end =
        serde_json::to_string(&preprocessor).map_err(|e| Error::format(run.folder(), e))?;
    let mut entries = BTreeMap::from([
        (key::LABELS, json(json!(labels))),
        (key::FRONT_END, front_end),
        (key::INPUT, options.input.name().to_owned()),
        (key::TRAINING_DATA, json(json!(metrics.data))),
        (
            key::SPLIT,
            json(json!({
                "method": split.method,
                "seed": split.seed,
                "listed_train_tracks": split.train.len(),
                "listed_validation_tracks": split.validation.len(),
                "listed_test_tracks": split.test.len(),
            })),
        ),
        (key::METRICS, json(results(&metrics))),
        (key::SOFTWARE, concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned()),
    ]);
    if let TaskMetrics::MultiLabel(test) = &metrics.test {
        entries.insert(key::TASK, Task::MultiLabel.name().to_owned());
        // Not by way of a `Value`, as above.
        let thresholds: Vec<f32> = test.tags.per_tag.iter().map(|tag| tag.threshold).collect();
        let thresholds =
            serde_json::to_string(&thresholds).map_err(|e| Error::format(run.folder(), e))?;
        entries.insert(key::THRESHOLDS, thresholds);
    }
    let negatives = negatives(&labels, &options.negatives, split.task)?;
    if !negatives.is_empty() {
        entries.insert(key::NEGATIVES, json(json!(negatives)));
    }
    if let Some(trust) = run.trust()? {
        let tested = metrics.calibration.as_ref().map(|found| found.tested_at(options.coverage));
        let promise = trust.promise(options.coverage, tested.flatten());
        // Not by way of a `Value`, as above.
        let promise =
            serde_json::to_string(&promise).map_err(|e| Error::format(run.folder(), e))?;
        entries.insert(key::TRUST, promise);
    }
    entries.extend(options.input.metadata(&preprocessor));
    entries.insert(key::PRECISION, options.precision.name().to_owned());
    if let Some(parts) = options.precision.kept_in_float() {
        entries.insert(key::KEPT_IN_FLOAT, parts.to_owned());
    }
    if let Some(backbone) = &metrics.backbone {
        entries.insert(key::LICENSE, backbone.license.clone());
        entries.insert(key::BACKBONE, json(json!(backbone)));
    }
    if let Some(cnn) = &metrics.cnn {
        entries.insert(key::ARCHITECTURE, json(json!(cnn.architecture)));
    }
    Ok(entries)
}

/// The labels that are no genres, of those that were named; where tracks have several labels none
/// stands for what is none of the others.
fn negatives<'l>(labels: &'l [String], names: &[String], task: Task) -> Result<Vec<&'l str>> {
    let is_default = |name: &str| name == "none" || NEGATIVES.contains(&name);
    let mut asked = names.iter().filter(|name| !is_default(name));
    if !task.is_single() {
        let reason = "tracks of this run have several labels, so none of them stands for what is \
                      none of the others; leave it out";
        let refused = |name| Err(Error::out_of_range("negatives", name, reason));
        return asked.next().map_or(Ok(vec![]), refused);
    }
    if let Some(name) = asked.find(|name| dataset::negatives(labels, &[name]).is_empty()) {
        let reason = format!("no label of the run; its labels are {}", labels.join(", "));
        return Err(Error::out_of_range("negatives", name, reason));
    }
    Ok(dataset::negatives(labels, names))
}

/// What the test part came to.
fn results(metrics: &Metrics) -> serde_json::Value {
    match &metrics.test {
        TaskMetrics::SingleLabel(test) => json!({
            "test_track_accuracy": test.tracks.accuracy,
            "test_track_accuracy_95": test.tracks.interval,
            "test_macro_f1": test.tracks.macro_f1,
            "test_patch_accuracy": test.patch_accuracy,
            "test_tracks": test.tracks.count,
            "cross_validated_track_accuracy":
                metrics.cross_validation.as_ref().map(|folds| folds.pooled.tracks.accuracy),
        }),
        TaskMetrics::MultiLabel(test) => json!({
            "test_macro_average_precision": test.tags.macro_average_precision,
            "test_macro_roc_auc": test.tags.macro_roc_auc,
            "test_macro_f1": test.tags.macro_f1,
            "test_tracks": test.tags.count,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negatives_are_labels_of_the_run() {
        let labels = ["Vocals", "jazz", "vocals"].map(str::to_owned);
        let of = |names: &[&str], task| {
            let names: Vec<String> = names.iter().map(ToString::to_string).collect();
            negatives(&labels, &names, task).map_err(|error| error.to_string())
        };
        assert_eq!(of(&["vocals"], Task::SingleLabel).unwrap(), ["Vocals", "vocals"]);
        assert!(of(&["none"], Task::SingleLabel).unwrap().is_empty());
        let refused = of(&["noise", "hum"], Task::SingleLabel).unwrap_err();
        assert!(refused.contains("hum") && refused.contains("Vocals, jazz, vocals"), "{refused}");
        assert!(of(&NEGATIVES, Task::MultiLabel).unwrap().is_empty());
        let refused = of(&["jazz"], Task::MultiLabel).unwrap_err();
        assert!(refused.contains("several labels"), "{refused}");
    }
}
