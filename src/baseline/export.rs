//! Baselines to ONNX files, proved before they appear.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, s};
use serde_json::json;

use super::evaluation::values;
use super::fitted::FittedModel;
use super::graph::OPSET;
use super::problem::Problem;
use crate::error::{Error, Result};
use crate::export::{self, Source, compare_in_runtimes};
use crate::features::descriptors;
use crate::metrics::tempered;
use crate::onnx::names::{FEATURES, PROBABILITIES, key};
use crate::onnx::write::{Part, Published, sign};
use crate::run::{Agreement, BaselineMetrics, COVERAGE, Exported, Precision, Trust};
use crate::runtime::{self, Runtime};

/// The most test rows that a runtime is compared on; tract takes 60 ms for one in a forest
/// of 100,000 nodes.
const PROBES: usize = 64;

/// Writes `model` to `destination`, checked in ort (where that is installed) and in tract
/// (where it has the operators), and only then renamed into place.
///
/// # Errors
/// [`Error::Onnx`] if a runtime differs by more than [`FittedModel::tolerance`], [`Error::Runtime`] if
/// ort is installed and cannot run the file. Nothing is left behind then.
pub(super) fn export(
    model: &dyn FittedModel,
    problem: &Problem,
    (metrics, trust): (&BaselineMetrics, Option<&Trust>),
    destination: &Path,
) -> Result<Exported> {
    let part = Part::beside(destination)?;
    let mut proto = model.graph().into_model();
    // A row of another table is one of several windows of a song.
    let temperature = trust.filter(|_| !problem.table.windows).map(|trust| trust.temperature);
    if let Some(temperature) = temperature {
        export::temper(&mut proto, temperature);
    }
    let mut entries = metadata(problem, metrics);
    if let Some(trust) = trust {
        let source = Source::rows(FEATURES, !problem.table.windows);
        export::append_trust(destination, &mut proto, trust, COVERAGE, source)?;
        let promise = trust.promise(COVERAGE, metrics.calibration.as_ref().map(|c| c.tested));
        let promise = serde_json::to_string(&promise).map_err(|e| Error::format(destination, e))?;
        entries.insert(key::TRUST, promise);
    }
    sign(&mut proto, entries);
    part.write(&mut proto)?;
    let probe = Probe::of(model, problem, temperature)?;
    let agreement = part.prove(|path| verify(path, &probe, model.tolerance()))?;
    let Published { bytes, sha256, data } = part.publish()?;
    let path = destination.to_owned();
    let (opset, precision) = (OPSET, Precision::Fp32);
    Ok(Exported { path, data, bytes, sha256, opset, precision, agreement, validation: None })
}

/// What stands in the file's metadata: `labels`, `features` (the names of the columns),
/// `model`, `hyper_parameters`, `training_data`, `split`, `metrics` (JSON) and `software`.
fn metadata(problem: &Problem, metrics: &BaselineMetrics) -> BTreeMap<&'static str, String> {
    let split = &problem.split;
    let test = &metrics.test;
    BTreeMap::from([
        (key::LABELS, json!(problem.table.genres).to_string()),
        (key::FEATURES, json!(descriptors::names()).to_string()),
        (key::MODEL, metrics.model.to_string()),
        (key::HYPER_PARAMETERS, json!(metrics.hyper_parameters).to_string()),
        (key::TRAINING_DATA, json!(metrics.data).to_string()),
        (
            key::SPLIT,
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
            key::METRICS,
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
        (key::SOFTWARE, concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")).to_owned()),
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
    fn of(model: &dyn FittedModel, problem: &Problem, temperature: Option<f64>) -> Result<Self> {
        let features = descriptors::COUNT;
        let all = values(&problem.table, &problem.test_rows);
        let decided = all.chunks_exact(features).filter(|row| model.is_decided(row));
        let rows: Vec<f32> = decided.take(PROBES).flatten().copied().collect();
        if rows.is_empty() {
            let reason = "its export cannot be proved: every test row lies as near to one training \
                          row as to another; leave out rows that are there twice";
            return Err(Error::Fit(reason.into()));
        }
        let mut wanted = model.probabilities(&rows);
        if let Some(temperature) = temperature {
            let rows = wanted.chunks_exact(problem.table.genres.len());
            wanted = rows.flat_map(|row| tempered(row, temperature)).collect();
        }
        let rows = Array2::from_shape_vec((rows.len() / features, features), rows)
            .map_err(|error| Error::Fit(error.into()))?;
        Ok(Self { rows, wanted })
    }

    /// The largest difference between what a runtime gives and what is wanted, for all
    /// rows at once and for the first by itself; NaN if any is not a number.
    fn difference(&self, session: &mut dyn runtime::Session) -> Result<f32> {
        let mut largest = 0f32;
        let count = self.rows.nrows();
        for rows in [1, count] {
            let at = session.outputs().iter().position(|name| name == PROBABILITIES).unwrap_or(0);
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
    // tract lacks operators that trees and support vectors need.
    let may_fail = |runtime: Runtime| runtime == Runtime::Tract || runtime.version().is_none();
    compare_in_runtimes(path, may_fail, |runtime, session| {
        let difference = probe.difference(session)?;
        // Written so that NaN fails.
        if difference <= tolerance {
            return Ok((difference, None));
        }
        let reason = format!(
            "exported, its probabilities in {runtime} differ by {difference:e} from the fitted \
             model's (allowed: {tolerance:e})"
        );
        Err(Error::onnx(path, reason))
    })
}
