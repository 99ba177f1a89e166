//! Opens ONNX files in the runtime that is asked for.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
#[cfg(feature = "ort")]
use std::sync::Once;

use ndarray::ArrayViewD;

#[cfg(feature = "ort")]
use super::ort;
use super::profile::Profile;
use super::session::{Device, Options, Runtime, SHARED_ABOVE, Session};
#[cfg(feature = "tract")]
use super::tract;
use crate::error::{Error, Result};
#[cfg(feature = "tract")]
use crate::onnx;

impl Runtime {
    /// The version that runs, or would run; `None` for a runtime that is not there.
    pub fn version(self) -> Option<String> {
        match self {
            #[cfg(feature = "train")]
            Self::Burn => Some(env!("BURN_VERSION").to_string()),
            #[cfg(feature = "ort")]
            Self::Ort => ort::version(),
            #[cfg(feature = "tract")]
            Self::Tract => Some(env!("TRACT_VERSION").to_string()),
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

/// Runs the ONNX file `model` on `input`, so many times that count, whole and not in parts, and
/// tells how long each operator took.
///
/// # Errors
/// Those of [`open`] and of the runs; [`Error::Runtime`] where operators are not timed: in burn,
/// and on a GPU.
#[cfg_attr(not(any(feature = "ort", feature = "tract")), expect(unused_variables))]
pub fn profile(
    runtime: Runtime,
    model: &Path,
    options: &Options,
    input: ArrayViewD<'_, f32>,
    runs: usize,
) -> Result<Profile> {
    check(runtime, model, options)?;
    if options.device != Device::Cpu {
        let reason = "operators are timed on the processor only";
        return Err(Error::runtime(runtime.name(), reason));
    }
    match runtime {
        Runtime::Burn => {
            let reason = "it does not time its operators; choose ort or tract";
            Err(Error::runtime(runtime.name(), reason))
        }
        #[cfg(feature = "ort")]
        Runtime::Ort => ort::Ort::profile(model, options, input, runs),
        #[cfg(not(feature = "ort"))]
        Runtime::Ort => Err(missing_feature(runtime, "ort")),
        #[cfg(feature = "tract")]
        Runtime::Tract => tract::Tract::open(model, options)?.profile(input, runs),
        #[cfg(not(feature = "tract"))]
        Runtime::Tract => Err(missing_feature(runtime, "tract")),
    }
}

/// Whether the ONNX file `model` is so large that all threads share one session of it: each
/// session holds its own copy of the weights, those in other files included.
///
/// # Errors
/// [`Error::Io`] if a file is not there; those of `onnx::read`.
pub(crate) fn is_shared(model: &Path) -> Result<bool> {
    let size = |path: &Path| -> Result<u64> {
        fs::metadata(path).map(|metadata| metadata.len()).map_err(Error::io(path))
    };
    let own = size(model)?;
    if own > SHARED_ABOVE {
        return Ok(true);
    }
    let outside: u64 = outside(model)?.iter().map(|path| size(path)).sum::<Result<u64>>()?;
    Ok(own.saturating_add(outside) > SHARED_ABOVE)
}

/// The files that hold weights of `model` besides itself.
#[cfg(feature = "tract")]
fn outside(model: &Path) -> Result<BTreeSet<PathBuf>> {
    onnx::external_files(&onnx::read(model)?, model)
}

/// The file that is likely to hold weights of `model` besides itself: without tract there is no
/// reader that could say so for sure.
#[cfg(not(feature = "tract"))]
fn outside(model: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut name = model.as_os_str().to_owned();
    name.push(".data");
    let data = PathBuf::from(name);
    Ok(data.is_file().then_some(data).into_iter().collect())
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

/// The runtime to use when the user has not chosen: ort if its library is installed and can be used,
/// else tract. One that is there and cannot be used is said, once.
pub fn preferred() -> Runtime {
    #[cfg(feature = "ort")]
    match ort::check() {
        Ok(()) => return Runtime::Ort,
        Err(error) if ort::is_installed() => {
            static SAID: Once = Once::new();
            SAID.call_once(|| tracing::warn!("tract is used, as ONNX Runtime cannot be: {error}"));
        }
        Err(_) => {}
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

    /// A file of a few bytes can name many.
    #[cfg(feature = "tract")]
    #[test]
    fn weights_in_other_files_count_for_what_is_shared() {
        use prost::Message;
        use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
        use tract_onnx::pb::{
            AttributeProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
            ValueInfoProto,
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.onnx");
        let limit = SHARED_ABOVE / 4;
        for (values, shared) in [(limit + 1, true), (limit / 2, false)] {
            // Full of holes: it takes no place on the disk.
            fs::File::create(folder.path().join("w")).unwrap().set_len(4 * values).unwrap();
            let location = StringStringEntryProto { key: "location".into(), value: "w".into() };
            let weight = TensorProto {
                dims: vec![i64::try_from(values).unwrap()],
                data_type: DataType::Float as i32,
                external_data: vec![location],
                data_location: Some(DataLocation::External as i32),
                ..Default::default()
            };
            let value = AttributeProto {
                name: "value".into(),
                t: Some(weight.clone()),
                ..Default::default()
            };
            let node = |attribute| NodeProto {
                op_type: "Constant".into(),
                output: vec!["y".into()],
                attribute,
                ..Default::default()
            };
            let output = vec![ValueInfoProto { name: "y".into(), ..Default::default() }];
            for (attribute, initializer) in [(vec![value], vec![]), (vec![], vec![weight])] {
                let node = vec![node(attribute)];
                let graph =
                    GraphProto { node, initializer, output: output.clone(), ..Default::default() };
                let model = ModelProto { graph: Some(graph), ..Default::default() };
                fs::write(&path, model.encode_to_vec()).unwrap();
                assert_eq!(is_shared(&path).unwrap(), shared, "{values}");
            }
        }
        assert!(is_shared(&folder.path().join("none.onnx")).is_err());
    }
}
