//! How a classifier works.

use std::thread;

use crate::runtime::{self, Device, Runtime};

/// How a [`Classifier`](super::classifier::Classifier) works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// What runs the model: ort or tract.
    pub runtime: Runtime,
    /// Where it runs.
    pub device: Device,
    /// Threads to use, at least 1.
    pub threads: usize,
    /// Whether a recording of which part is missing is an error, and not a note.
    pub strict: bool,
    /// The probability below which a recording is unknown; none for what the model's file says of
    /// that: see [`Classification::unknown`](super::answer::Classification::unknown).
    pub min_confidence: Option<f32>,
}

impl Default for Options {
    /// ort if its library is found, else tract, on all cores this process may use.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, |n| n.get());
        Self {
            runtime: runtime::preferred(),
            device: Device::Cpu,
            threads,
            strict: false,
            min_confidence: None,
        }
    }
}
