//! What every runtime offers: a model as a session, on a device, with so many threads.

#[cfg(any(feature = "ort", feature = "tract"))]
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::thread;

use ndarray::{ArrayD, ArrayViewD};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::onnx::Port;

/// A program that runs models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The framework that trains: opened by `export::open`, a run's folder or an ONNX file.
    Burn,
    /// ONNX Runtime, from a shared library found at run time (`scripts/setup.sh`).
    Ort,
    /// tract: pure Rust, linked in.
    Tract,
}

impl Runtime {
    /// All runtimes, in the order in which they are tried and listed.
    pub const ALL: [Self; 3] = [Self::Burn, Self::Ort, Self::Tract];

    /// `burn`, `ort` or `tract`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Burn => "burn",
            Self::Ort => "ort",
            Self::Tract => "tract",
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Runtime {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|runtime| runtime.name() == text);
        found.ok_or_else(|| {
            let choices = "burn, ort or tract".to_owned();
            Error::Unknown { what: "runtime", name: text.to_owned(), choices }
        })
    }
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first NVIDIA GPU; needs the cargo feature `cuda`.
    Cuda,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            _ => {
                let choices = "cpu or cuda".to_owned();
                Err(Error::Unknown { what: "device", name: text.to_owned(), choices })
            }
        }
    }
}

/// How to open a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where to run it.
    pub device: Device,
    /// Threads for one run, at least 1; with 1 no thread is started.
    pub threads: usize,
}

impl Default for Options {
    /// The processor, with all cores this process may use.
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, |n| n.get());
        Self { device: Device::Cpu, threads }
    }
}

/// A model above this size, in bytes, its weights in other files included, is opened once for all threads: a session for each
/// would need as many times its memory.
pub(super) const SHARED_ABOVE: u64 = 64 << 20;

/// A model opened in a runtime.
pub trait Session: Send {
    /// The model's one input, a tensor of floats such as [N, frames, mels].
    fn input(&self) -> &Port;

    /// The names of the outputs that are tensors of floats, in the model's order; what else it
    /// answers is left out.
    fn outputs(&self) -> &[String];

    /// What the model's metadata say under `key`; nothing for a run's folder in burn.
    fn metadata(&self, key: &str) -> Option<String>;

    /// Runs the model on a batch and returns its outputs in the order of [`Self::outputs`],
    /// each row-major. The view may have any strides; what is not row-major is copied first (in
    /// tract row by row, so that rows which overlap in memory need no copy).
    ///
    /// # Errors
    /// [`Error::Runtime`] if `input` does not fit [`Self::input`] or the runtime fails.
    fn run(&mut self, input: ArrayViewD<'_, f32>) -> Result<Vec<ArrayD<f32>>>;

    /// As [`Self::run`], but never in parts: what the file itself makes of the whole batch.
    ///
    /// # Errors
    /// As [`Self::run`].
    fn run_whole(&mut self, input: ArrayViewD<'_, f32>) -> Result<Vec<ArrayD<f32>>> {
        self.run(input)
    }
}

/// The values of a view in row-major order, copied only if they do not lie so already.
#[cfg(any(feature = "ort", feature = "tract"))]
pub(super) fn row_major<'a>(view: &ArrayViewD<'a, f32>) -> Cow<'a, [f32]> {
    match view.to_slice() {
        Some(values) => Cow::Borrowed(values),
        None => Cow::Owned(view.as_standard_layout().into_owned().into_raw_vec_and_offset().0),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;

    #[test]
    fn only_what_does_not_lie_in_rows_is_copied() {
        let array = Array2::from_shape_fn((2, 3), |(row, column)| (10 * row + column) as f32);
        let plain = array.view().into_dyn();
        assert!(matches!(row_major(&plain), Cow::Borrowed([0., 1., 2., 10., 11., 12.])));
        assert_eq!(*row_major(&array.t().into_dyn()), [0., 10., 1., 11., 2., 12.]);
    }
}
