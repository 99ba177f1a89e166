//! Baselines to ONNX files, proved before they appear.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, s};
use prost::Message;
use serde_json::json;
use tract_onnx::pb::StringStringEntryProto;

use super::evaluation::values;
use super::graph::{OPSET, OUTPUT};
use super::run::Metrics;
use super::{Classifier, Problem};
use crate::error::{Error, Result};
use crate::export::{Agreement, Exported, Precision, name_destination};
use crate::features::descriptors;
use crate::files;
use crate::runtime::{self, Options, Runtime};

/// The most test rows that a runtime is compared on; tract takes 60 ms for one in a forest
/// of 100,000 nodes.
const PROBES: usize = 64;

/// Writes `model` to `destination`, checked in ort (where that is installed) and in tract
/// (where it has the operators), and only then renamed into place.
///
/// # Errors
/// [`Error::Onnx`] if a runtime differs by more than [`Classifier::tolerance`], [`Error::Runtime`] if
/// ort is installed and cannot run the file. Nothing is left behind then.
pub(super) fn export(
    model: &dyn Classifier,
    problem: &Problem,
    metrics: &Metrics,
    destination: &Path,
) -> Result<Exported> {
    let mut proto = model.graph().into_model();
    proto.metadata_props = metadata(problem, metrics)
        .into_iter()
        .map(|(key, value)| StringStringEntryProto { key: key.to_owned(), value })
        .collect();
    let part = files::part_beside(destination, ".onnx")?;
    std::fs::write(part.path(), proto.encode_to_vec()).map_err(Error::io(destination))?;
    let agreement = verify(part.path(), &Probe::of(model, problem)?, model.tolerance())
        .map_err(|error| name_destination(error, part.path(), destination))?;
    let bytes = std::fs::metadata(part.path()).map_err(Error::io(destination))?.len();
    let sha256 = files::sha256(part.path())?;
    part.as_file().sync_all().map_err(Error::io(destination))?;
    part.persist(destination).map_err(|e| Error::io(destination)(e.error))?;
    let path = destination.to_owned();
    let (opset, precision) = (OPSET, Precision::Fp32);
    Ok(Exported { path, bytes, sha256, opset, precision, agreement, validation: None })
}

/// What stands in the file's metadata: `labels`, `features` (the names of the columns),
/// `model`, `hyper_parameters`, `training_data`, `split`, `metrics` (JSON) and `software`.
fn metadata(problem: &Problem, metrics: &Metrics) -> BTreeMap<&'static str, String> {
    let split = &problem.split;
    let test = &metrics.test;
    BTreeMap::from([
        ("labels", json!(problem.table.genres).to_string()),
        ("features", json!(descriptors::names()).to_string()),
        ("model", metrics.model.to_string()),
        ("hyper_parameters", json!(metrics.hyper_parameters).to_string()),
        ("training_data", json!(metrics.data).to_string()),
        (
            "split",
            json!({
                "method": split.method,
                "seed": split.seed,
                "leaky": metrics.leaky,
                "train_rows": problem.train.labels.len(),
                "test_rows": problem.test_rows.len(),
            })
            .to_string(),
        ),
        (
            "metrics",
            json!({
                "leaky": metrics.leaky,
                "test_track_accuracy": test.tracks.accuracy,
                "test_track_accuracy_95": test.tracks.interval,
                "test_macro_f1": test.tracks.macro_f1,
                "test_row_accuracy": test.patch_accuracy,
                "test_tracks": test.tracks.count,
            })
            .to_string(),
        ),
        ("software", concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned()),
    ])
}

/// Rows and what the model itself answers.
struct Probe {
    /// `[rows, features]`.
    rows: Array2<f32>,
    wanted: Vec<f32>,
}

impl Probe {
    /// Test rows whose answer does not hang on the last digit.
    fn of(model: &dyn Classifier, problem: &Problem) -> Result<Self> {
        let features = descriptors::COUNT;
        let all = values(&problem.table, &problem.test_rows);
        let decided = all.chunks_exact(features).filter(|row| model.is_decided(row));
        let rows: Vec<f32> = decided.take(PROBES).flatten().copied().collect();
        let wanted = model.probabilities(&rows);
        let rows = Array2::from_shape_vec((rows.len() / features, features), rows)
            .map_err(|e| Error::Data(e.to_string()))?;
        Ok(Self { rows, wanted })
    }

    /// The largest difference between what a runtime gives and what is wanted, for all
    /// rows at once and for the first by itself; NaN if any is not a number.
    fn difference(&self, session: &mut dyn runtime::Session) -> Result<f32> {
        let mut largest = 0f32;
        let count = self.rows.nrows();
        for rows in [1, count] {
            let at = session.outputs().iter().position(|name| name == OUTPUT).unwrap_or(0);
            let given = session.run(self.rows.slice(s![..rows, ..]).into_dyn())?.swap_remove(at);
            if given.len() * count != self.wanted.len() * rows {
                return Ok(f32::NAN);
            }
            for (given, wanted) in given.iter().zip(&self.wanted) {
                let difference = (given - wanted).abs();
                // Not `f32::max`, which would swallow a NaN.
                if difference > largest || difference.is_nan() {
                    largest = difference;
                }
            }
        }
        Ok(largest)
    }
}

fn verify(path: &Path, probe: &Probe, tolerance: f32) -> Result<Vec<Agreement>> {
    let mut agreement = vec![];
    for runtime in [Runtime::Tract, Runtime::Ort] {
        let opened = runtime::open(runtime, path, &Options::default());
        let difference = opened.and_then(|mut session| probe.difference(&mut *session));
        let may_fail = runtime == Runtime::Tract || runtime.version().is_none();
        let (max_abs_difference, reason) = match difference {
            Ok(difference) if difference <= tolerance => (Some(difference), None),
            Ok(difference) => {
                let reason = format!(
                    "exported, its probabilities in {runtime} differ by {difference:e} from the \
                     fitted model's (allowed: {tolerance:e})"
                );
                return Err(Error::onnx(path, reason));
            }
            Err(error @ Error::Runtime { .. }) if may_fail => {
                let file = format!("{}: ", path.display());
                (None, Some(error.to_string().replace(&file, "")))
            }
            Err(error) => return Err(error),
        };
        agreement.push(Agreement {
            runtime,
            max_abs_difference,
            max_relative_difference: None,
            reason,
        });
    }
    Ok(agreement)
}
