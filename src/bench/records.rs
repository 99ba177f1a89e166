//! What a benchmark found, as `bench.json` has it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::machine::Machine;
use crate::runtime::{Device, Runtime};

/// One case and what was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The model as it was given.
    pub model: PathBuf,
    /// The runtime.
    pub runtime: Runtime,
    /// The device.
    pub device: Device,
    /// Threads per run.
    pub threads: usize,
    /// Patches per run.
    pub batch: usize,
    /// The numbers the model is made of, as its metadata say; none for `fp32` and for files that
    /// do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Size of the ONNX file; not for burn, which reads the run's own weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_bytes: Option<u64>,
    /// Why the case did not run, or stopped.
    pub reason: Option<String>,
    /// Share of the evaluation tracks whose class was found, by the mean over a track's patches.
    pub accuracy: Option<f64>,
    /// Macro average precision on the evaluation tracks, by the mean over a track's patches, where
    /// tracks have several labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_precision: Option<f64>,
    /// Share of patches whose highest output is the first runtime's.
    pub agreement: Option<f64>,
    /// Largest absolute difference of any output value from the first runtime's.
    pub max_difference: Option<f64>,
    /// From nothing to an open model, in milliseconds.
    pub load_ms: Option<f64>,
    /// The first run, in milliseconds.
    pub first_run_ms: Option<f64>,
    /// The runs after that.
    pub latency: Option<Latency>,
    /// Throughput over all timed runs.
    pub patches_per_second: Option<f64>,
    /// Throughput in seconds of audio; known when the patch's length is.
    pub audio_seconds_per_second: Option<f64>,
    /// The most memory the process had in RAM, in bytes (Linux only).
    pub peak_memory_bytes: Option<u64>,
}

/// How long a run takes, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Timed runs.
    pub runs: usize,
}

/// What a benchmark found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where and when it was measured.
    pub machine: Machine,
    /// Limit of the timed runs of one case, in seconds.
    pub seconds_per_case: f64,
    /// Seed of the random patches.
    pub seed: u64,
    /// One row for every case, in the order of the plan.
    pub rows: Vec<Row>,
}

impl Row {
    /// How right it is: its accuracy, or its macro average precision.
    pub(super) fn quality(&self) -> Option<f64> {
        self.accuracy.or(self.average_precision)
    }

    /// A case that has not run yet.
    pub(super) fn new(
        model: &Path,
        runtime: Runtime,
        device: Device,
        threads: usize,
        batch: usize,
    ) -> Self {
        Self {
            model: model.to_path_buf(),
            runtime,
            device,
            threads,
            batch,
            precision: None,
            model_bytes: None,
            reason: None,
            accuracy: None,
            average_precision: None,
            agreement: None,
            max_difference: None,
            load_ms: None,
            first_run_ms: None,
            latency: None,
            patches_per_second: None,
            audio_seconds_per_second: None,
            peak_memory_bytes: None,
        }
    }
}

impl Report {
    /// Whether any case ran.
    pub fn any_ran(&self) -> bool {
        self.rows.iter().any(|row| row.latency.is_some())
    }
}
