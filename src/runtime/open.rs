//! Opens ONNX files in the runtime that is asked for.

use std::fs;
use std::path::Path;

#[cfg(feature = "ort")]
use super::ort;
use super::session::{Device, Options, Runtime, Session};
#[cfg(feature = "tract")]
use super::tract;
use crate::error::{Error, Result};

/// The version of the burn crates, which Cargo.toml pins.
#[cfg(feature = "train")]
const BURN_VERSION: &str = "0.22.1";

impl Runtime {
    /// The version that runs, or would run; `None` for a runtime that is not there.
    pub fn version(self) -> Option<String> {
        match self {
            #[cfg(feature = "train")]
            Self::Burn => Some(BURN_VERSION.to_string()),
            #[cfg(feature = "ort")]
            Self::Ort => ort::version(),
            #[cfg(feature = "tract")]
            Self::Tract => Some(tract::VERSION.to_string()),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }
}

/// Opens the ONNX file `model` in `runtime`.
///
/// With [`Device::Cuda`] the whole model runs on the GPU or opening it fails; it never
/// falls back to the processor in silence.
///
/// # Errors
/// [`Error::Io`] if `model` is not there; [`Error::Onnx`] if it is damaged or unsafe (see
/// `onnx::read`; only with the cargo feature `tract`, which brings the protobuf reader);
/// [`Error::Runtime`] if the runtime is not there or cannot run the model, as
/// [`Runtime::Burn`] cannot run any here: `export::open` opens ONNX files in it, and the
/// folders of runs.
pub fn open(runtime: Runtime, model: &Path, options: &Options) -> Result<Box<dyn Session>> {
    check(runtime, model, options)?;
    match runtime {
        Runtime::Burn if cfg!(feature = "train") => Err(Error::runtime(
            runtime.name(),
            "files in burn are opened by those who train; choose ort or tract",
        )),
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

/// What can be said before a model is opened in any runtime.
pub(crate) fn check(runtime: Runtime, model: &Path, options: &Options) -> Result<()> {
    if options.threads == 0 {
        return Err(Error::out_of_range("threads", 0, "must be at least 1"));
    }
    fs::metadata(model).map_err(Error::io(model))?;
    match options.device {
        Device::Cpu => Ok(()),
        Device::Cuda => check_cuda(runtime),
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

/// The error of a program that was built without `runtime`, or without a part of it.
pub(crate) fn missing_feature(runtime: Runtime, feature: &str) -> Error {
    Error::runtime(runtime.name(), format!("built without the cargo feature \"{feature}\""))
}

/// Whether there can be a GPU for `runtime`.
pub(crate) fn check_cuda(runtime: Runtime) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports print these versions, and Cargo.toml decides them.
    #[test]
    fn versions_are_those_that_are_built() {
        let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
        let pinned = |name: &str| manifest["dependencies"][name]["version"].as_str().unwrap();
        for (runtime, name) in [(Runtime::Burn, "burn"), (Runtime::Tract, "tract-onnx")] {
            if let Some(version) = runtime.version() {
                assert_eq!(pinned(name), format!("={version}"));
            }
        }
    }

    #[test]
    fn burn_says_what_it_does_not_run() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = open(Runtime::Burn, file.path(), &Options::default()).err().unwrap();
        let way_out = if cfg!(feature = "train") { "choose ort or tract" } else { "\"train\"" };
        assert!(error.to_string().contains(way_out), "{error}");
    }
}
