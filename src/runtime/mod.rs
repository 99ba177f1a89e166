//! One interface to the three inference runtimes: burn, ONNX Runtime and tract.
//!
//! A [`Session`] is a model opened in one of them. Whatever the runtime, the input is
//! checked against the model before the runtime sees it, and what goes wrong is an
//! [`Error::Runtime`] that says what to do.

#[cfg(feature = "train")]
mod burn;
#[cfg(feature = "ort")]
mod ort;
mod patch;
#[cfg(feature = "tract")]
mod tract;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

#[cfg(feature = "train")]
pub use burn::cuda as burn_cuda;
pub use patch::{PatchInput, check_batch};

pub use crate::classify::Classifier;
pub use crate::onnx::Port;
/// The ONNX file of a run or a bundle.
pub const RUN_MODEL: &str = "model.onnx";

/// The ONNX file that `path` stands for: itself, or [`RUN_MODEL`] in a folder, be it a run or a
/// bundle. Whether it is there is seen when it is opened.
pub fn model_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(RUN_MODEL) } else { path.to_owned() }
}

/// A program that runs models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// The framework that trains the heads; runs run folders, not ONNX files.
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

    /// The version that runs, or would run; `None` for a runtime that is not there.
    pub fn version(self) -> Option<String> {
        match self {
            #[cfg(feature = "train")]
            Self::Burn => Some(burn::VERSION.to_string()),
            #[cfg(feature = "ort")]
            Self::Ort => ort::version(),
            #[cfg(feature = "tract")]
            Self::Tract => Some(tract::VERSION.to_string()),
            #[allow(unreachable_patterns)]
            _ => None,
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
            Error::Config(format!("unknown runtime \"{text}\"; choose burn, ort or tract"))
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
            _ => Err(Error::Config(format!("unknown device \"{text}\"; choose cpu or cuda"))),
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

/// A dense row-major tensor.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// The size of each axis, outermost first.
    pub shape: Vec<usize>,
    /// As many values as the product of `shape`.
    pub data: Vec<f32>,
}

impl Port {
    /// Checks that `tensor` fits this input of a model that runs in `runtime`.
    ///
    /// # Errors
    /// [`Error::Runtime`] with the expected and the given shape.
    pub fn check(&self, runtime: Runtime, tensor: &Tensor) -> Result<()> {
        let fits = tensor.shape.len() == self.dims.len()
            && self
                .dims
                .iter()
                .zip(&tensor.shape)
                .all(|(want, have)| want.is_none_or(|w| w == *have))
            && !tensor.shape.contains(&0);
        if !fits {
            let reason = format!("input {self} was given a tensor of shape {:?}", tensor.shape);
            return Err(Error::runtime(runtime.name(), reason));
        }
        let needed = tensor.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        if needed != Some(tensor.data.len()) {
            let reason = format!(
                "a tensor of shape {:?} cannot have {} values",
                tensor.shape,
                tensor.data.len()
            );
            return Err(Error::runtime(runtime.name(), reason));
        }
        Ok(())
    }
}

/// A model opened in a runtime.
pub trait Session: Send {
    /// The model's one input, a float tensor such as [N, frames, mels].
    fn input(&self) -> &Port;

    /// The names of the outputs, in the model's order.
    fn outputs(&self) -> &[String];

    /// What the model's metadata say under `key`; nothing for burn, which runs no file.
    fn metadata(&self, key: &str) -> Option<String>;

    /// Runs the model on a batch and returns its outputs, in the order of [`Self::outputs`].
    ///
    /// # Errors
    /// [`Error::Runtime`] if `input` does not fit [`Self::input`] or the runtime fails.
    fn run(&mut self, input: &Tensor) -> Result<Vec<Tensor>>;
}

/// Opens `model` (an ONNX file; for [`Runtime::Burn`] a run folder) in `runtime`.
///
/// With [`Device::Cuda`] the whole model runs on the GPU or opening it fails; it never
/// falls back to the processor in silence.
///
/// # Errors
/// [`Error::Io`] if `model` is not there; [`Error::Onnx`] if it is damaged or unsafe (see
/// `onnx::read`; only with the cargo feature `tract`, which brings the protobuf reader);
/// [`Error::Runtime`] if the runtime is not there or cannot run the model.
pub fn open(runtime: Runtime, model: &Path, options: &Options) -> Result<Box<dyn Session>> {
    if options.threads == 0 {
        return Err(Error::Config("threads must be at least 1".into()));
    }
    fs::metadata(model).map_err(Error::io(model))?;
    if options.device == Device::Cuda {
        check_cuda(runtime)?;
    }
    match runtime {
        #[cfg(feature = "train")]
        Runtime::Burn => Ok(Box::new(burn::Burn::open(model, options)?)),
        #[cfg(not(feature = "train"))]
        Runtime::Burn => Err(missing_feature(runtime, "train")),
        #[cfg(feature = "ort")]
        Runtime::Ort => Ok(Box::new(ort::Ort::open(model, options)?)),
        #[cfg(not(feature = "ort"))]
        Runtime::Ort => Err(missing_feature(runtime, "ort")),
        #[cfg(feature = "tract")]
        Runtime::Tract => Ok(Box::new(tract::Tract::open(model, options)?)),
        #[cfg(not(feature = "tract"))]
        Runtime::Tract => Err(missing_feature(runtime, "tract")),
    }
}

/// The runtime to use when the user has not chosen: ort if its library is found, else tract.
pub fn preferred() -> Runtime {
    #[cfg(feature = "ort")]
    if ort::library().is_ok() {
        return Runtime::Ort;
    }
    Runtime::Tract
}

fn missing_feature(runtime: Runtime, feature: &str) -> Error {
    Error::runtime(runtime.name(), format!("built without the cargo feature \"{feature}\""))
}

fn check_cuda(runtime: Runtime) -> Result<()> {
    if !cfg!(feature = "cuda") {
        let reason = "cuda: built without the cargo feature \"cuda\"";
        return Err(Error::runtime(runtime.name(), reason));
    }
    // The device nodes of a native or container driver, and of WSL 2. Asking here keeps
    // the libraries below from failing with a page about a missing libcuda.
    let nodes = ["/dev/nvidiactl", "/dev/dxg"];
    if cfg!(target_os = "linux") && !nodes.iter().any(|node| Path::new(node).exists()) {
        return Err(Error::runtime(runtime.name(), "cuda: no NVIDIA driver found"));
    }
    Ok(())
}
