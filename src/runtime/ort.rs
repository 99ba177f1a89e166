//! ONNX Runtime, loaded from a shared library when first used.

use std::env;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use half::f16;
use ndarray::{ArrayD, ArrayViewD};
use ort::LoadDynamicError;
use ort::environment::{Environment, EnvironmentBuilder};
use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, TensorRef, ValueType};
use serde::Deserialize;

use super::failure::Failure;
use super::library;
use super::profile::{Calls, Profile};
use super::session::{Device, Options, Runtime, Session, row_major};
use crate::error::{Cause, Error, Result};
use crate::onnx::{Float, Port};

fn error(reason: impl Into<Cause>) -> Error {
    Error::runtime(Runtime::Ort.name(), reason)
}

/// The shared library: `ORT_DYLIB_PATH`, or else what `scripts/setup.sh` placed in
/// `.onnxruntime/` in the current folder, above it, or above the running program.
pub(super) fn library() -> Result<PathBuf> {
    if let Some(named) = env::var_os("ORT_DYLIB_PATH").filter(|value| !value.is_empty()) {
        // ort would take a relative path as relative to the program.
        let path = std::path::absolute(&named).map_err(Error::io(&named))?;
        if path.is_file() {
            return Ok(path);
        }
        return Err(error(format!(
            "ORT_DYLIB_PATH is {}, which is not a file; set it to the library itself, or choose \
             ‹runtime› tract",
            path.display()
        )));
    }
    let starts = [env::current_dir().ok(), env::current_exe().ok()];
    let folders = starts.iter().flatten().flat_map(|start| start.ancestors());
    folders
        .map(|folder| folder.join(".onnxruntime"))
        .find_map(|folder| library_in(&folder))
        .ok_or_else(|| {
            error(
                "libonnxruntime not found; run scripts/setup.sh or set ORT_DYLIB_PATH, or \
                 choose ‹runtime› tract",
            )
        })
}

fn library_in(folder: &Path) -> Option<PathBuf> {
    let is_library = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Not libonnxruntime_providers_shared.so and its like.
        name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
    };
    fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).filter(is_library).max()
}

/// The version of the library, if it is found and loads.
pub(super) fn version() -> Option<String> {
    environment().ok()?;
    named_version(&library().ok()?)
}

/// The version of a library from the file `VERSION` that `scripts/setup.sh` writes beside it, or
/// else from its name (libonnxruntime.so.1.32.0); the library itself tells its C callers only.
fn named_version(library: &Path) -> Option<String> {
    let library = library.canonicalize().ok()?;
    if let Ok(text) = fs::read_to_string(library.with_file_name("VERSION")) {
        return Some(text.trim().to_string());
    }
    let name = library.file_name()?.to_str()?;
    let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
    let numbers: Vec<&str> = name.split('.').filter(is_number).collect();
    (!numbers.is_empty()).then(|| numbers.join("."))
}

/// Whether there is a library, of whatever kind, or one was named.
pub(super) fn is_installed() -> bool {
    env::var_os("ORT_DYLIB_PATH").is_some_and(|value| !value.is_empty()) || library().is_ok()
}

/// Whether the library can be used; loads it.
///
/// # Errors
/// [`Error::Runtime`] if it is not found, is none, or is too old.
pub(super) fn check() -> Result<()> {
    environment().map(|_| ())
}

/// A library that cannot be used, with what would do.
fn unusable(library: &Path, reason: impl Display) -> Error {
    let is_named = library.to_string_lossy().contains("onnxruntime");
    let found = match named_version(library).filter(|_| is_named) {
        Some(version) => format!("by its name it is {version}, and "),
        None => String::new(),
    };
    error(format!(
        "{} cannot be used: {reason}; {found}ONNX Runtime 1.{} or newer is needed: run \
         scripts/setup.sh, set ORT_DYLIB_PATH, or choose ‹runtime› tract",
        library.display(),
        ort::MINOR_VERSION
    ))
}

/// Loads the library once it was seen to be one.
fn load(library: &Path) -> Result<EnvironmentBuilder> {
    library::check(library).map_err(|reason| unusable(library, reason))?;
    ort::init_from(library).map_err(|refusal| match refusal {
        LoadDynamicError::Dlopen { error, .. } => unusable(library, error),
        LoadDynamicError::BadVersion { version_str, .. } => {
            unusable(library, format!("it is of version {version_str}"))
        }
        LoadDynamicError::MissingApi { .. } => {
            unusable(library, "it is another library than ONNX Runtime (no OrtGetApiBase)")
        }
        other => unusable(library, other),
    })
}

/// The process's one environment; loads the library on the first call.
fn environment() -> Result<Environment> {
    static LOADED: Mutex<Option<Environment>> = Mutex::new(None);
    let mut loaded = LOADED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let library = library()?;
    let builder = load(&library)?.with_name("genre-transfer").with_telemetry(false);
    let environment = builder.build().map_err(error)?;
    // What goes wrong comes back as an error; the library need not also print it.
    if env::var_os("ORT_LOG").is_none() {
        environment.set_log_level(LogLevel::Fatal);
    }
    Ok(loaded.insert(environment).clone())
}

/// A model opened in ONNX Runtime.
pub(super) struct Ort {
    session: ort::session::Session,
    /// Which outputs are computed: those of [`Self::outputs`].
    selected: RunOptions<HasSelectedOutputs>,
    input: Port,
    outputs: Vec<String>,
    floats: Vec<Float>,
}

impl Ort {
    /// Opens the ONNX file `model`.
    pub(super) fn open(model: &Path, options: &Options) -> Result<Self> {
        Self::open_with(model, options, Ok)
    }

    /// How long each operator takes for this input, of so many runs.
    pub(super) fn profile(
        model: &Path,
        options: &Options,
        input: ArrayViewD<'_, f32>,
        runs: usize,
    ) -> Result<Profile> {
        let folder = tempfile::tempdir().map_err(error)?;
        let begin = folder.path().join("profile");
        let profiled = |builder: SessionBuilder| Ok(builder.with_profiling(begin)?);
        let mut opened = Self::open_with(model, options, profiled)?;
        for _ in 0..Calls::runs_for(runs) {
            opened.run(input.view())?;
        }
        let file = PathBuf::from(opened.session.end_profiling().map_err(error)?);
        let text = fs::read_to_string(&file).map_err(Error::io(&file))?;
        let events: Vec<Event> =
            serde_json::from_str(&text).map_err(|e| Error::format(&file, e))?;
        Ok(profile_of(&events))
    }

    fn open_with(
        model: &Path,
        options: &Options,
        configure: impl FnOnce(SessionBuilder) -> ort::Result<SessionBuilder>,
    ) -> Result<Self> {
        #[cfg(feature = "tract")]
        crate::onnx::read(model)?;
        let environment = environment()?;
        let failed = |e: ort::Error| error(Failure::new(model.display(), e));
        let mut builder = configure(builder(&environment, options)?).map_err(failed)?;
        let session = builder.commit_from_file(model).map_err(failed)?;
        let [input] = session.inputs() else {
            let names: Vec<&str> = session.inputs().iter().map(Outlet::name).collect();
            return Err(Error::onnx(model, format!("needs one input but has {names:?}")));
        };
        let input = port(input).ok_or_else(|| no_floats(model, input))?;
        let ports: Vec<Port> = session.outputs().iter().filter_map(port).collect();
        if let ([], Some(output)) = (&ports[..], session.outputs().first()) {
            return Err(no_floats(model, output));
        }
        let selector = OutputSelector::no_default();
        let selector = ports.iter().fold(selector, |selector, port| selector.with(&port.name));
        let selected = RunOptions::new().map_err(error)?.with_outputs(selector);
        let (outputs, floats) = ports.into_iter().map(|port| (port.name, port.float)).unzip();
        Ok(Self { session, selected, input, outputs, floats })
    }
}

/// A line of ONNX Runtime's own report: what was done, and for how long.
#[derive(Deserialize)]
struct Event {
    /// `Node` for what a node of the graph did, `Session` for a run as a whole.
    cat: String,
    name: String,
    /// Microseconds.
    dur: f64,
    #[serde(default)]
    args: EventArguments,
}

#[derive(Default, Deserialize)]
struct EventArguments {
    #[serde(default)]
    op_name: String,
    /// Its place in the graph.
    #[serde(default)]
    node_index: String,
}

/// How long each operator took, from all that ONNX Runtime reports.
fn profile_of(events: &[Event]) -> Profile {
    let mut calls = Calls::default();
    for event in events {
        let seconds = event.dur / 1e6;
        match (&*event.cat, &*event.name) {
            ("Session", "model_run") => calls.run(seconds),
            ("Node", name) if name.ends_with("_kernel_time") => {
                let EventArguments { op_name, node_index } = &event.args;
                // Their bodies' nodes are listed too.
                if !["If", "Loop", "Scan"].contains(&&**op_name) {
                    // Not all nodes have names.
                    calls.node(&format!("{node_index} {name}"), op_name, seconds);
                }
            }
            _ => {}
        }
    }
    calls.profile()
}

/// The name, dimensions and axes of an input or output; none if it is no tensor of floats.
fn port(outlet: &Outlet) -> Option<Port> {
    let ValueType::Tensor { ty, shape, dimension_symbols } = outlet.dtype() else { return None };
    let float = match ty {
        TensorElementType::Float16 => Float::Half,
        TensorElementType::Float32 => Float::Single,
        TensorElementType::Float64 => Float::Double,
        _ => return None,
    };
    let axis = |name: &String| (!name.is_empty()).then(|| name.clone());
    Some(Port {
        name: outlet.name().to_owned(),
        dims: shape.iter().map(|&size| usize::try_from(size).ok()).collect(),
        axes: dimension_symbols.iter().map(axis).collect(),
        float,
    })
}

fn no_floats(model: &Path, outlet: &Outlet) -> Error {
    let reason = format!("\"{}\" is {}, not a tensor of floats", outlet.name(), outlet.dtype());
    Error::onnx(model, reason)
}

/// The 32-bit values of an output whose numbers are `float`.
fn floats(value: &DynValue, float: Float) -> ort::Result<ArrayD<f32>> {
    let (shape, data) = match float {
        Float::Half => {
            let (shape, data) = value.try_extract_tensor::<f16>()?;
            (shape, data.iter().map(|value| value.to_f32()).collect())
        }
        Float::Single => {
            let (shape, data) = value.try_extract_tensor::<f32>()?;
            (shape, data.to_vec())
        }
        Float::Double => {
            let (shape, data) = value.try_extract_tensor::<f64>()?;
            (shape, data.iter().map(|value| *value as f32).collect())
        }
    };
    let shape: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
    ArrayD::from_shape_vec(shape, data).map_err(|e| ort::Error::new(e.to_string()))
}

fn builder(environment: &Environment, options: &Options) -> Result<SessionBuilder> {
    let configure = || -> ort::Result<SessionBuilder> {
        let builder = ort::session::Session::builder(environment)?
            .with_optimization_level(GraphOptimizationLevel::All)?
            .with_intra_threads(options.threads)?
            .with_inter_threads(1)?;
        match options.device {
            Device::Cpu => Ok(builder),
            Device::Cuda => on_cuda(builder),
        }
    };
    configure().map_err(|e| match options.device {
        Device::Cpu => error(e),
        Device::Cuda => error(Failure::new("cuda", e)),
    })
}

/// Puts the session on the GPU: fails if the provider cannot be registered, and makes
/// opening the model fail if ONNX Runtime gives any node to the processor.
#[cfg(feature = "cuda")]
fn on_cuda(builder: SessionBuilder) -> ort::Result<SessionBuilder> {
    use ort::ep::{CUDA, ExecutionProvider};
    if !CUDA::is_available()? {
        return Err(ort::Error::new(
            "this ONNX Runtime was built without CUDA; set ORT_DYLIB_PATH to the libonnxruntime \
             of the package onnxruntime-gpu",
        ));
    }
    let builder = builder.with_execution_providers([CUDA::default().build().error_on_failure()])?;
    Ok(builder.with_disable_cpu_fallback()?)
}

#[cfg(not(feature = "cuda"))]
fn on_cuda(_: SessionBuilder) -> ort::Result<SessionBuilder> {
    Err(ort::Error::new("built without the cargo feature \"cuda\""))
}

impl Session for Ort {
    fn input(&self) -> &Port {
        &self.input
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn metadata(&self, key: &str) -> Option<String> {
        self.session.metadata().ok()?.custom(key)
    }

    fn run(&mut self, input: ArrayViewD<'_, f32>) -> Result<Vec<ArrayD<f32>>> {
        self.input.check(input.shape()).map_err(error)?;
        let (shape, values) = (input.shape(), row_major(&input));
        let mut run = || -> ort::Result<Vec<ArrayD<f32>>> {
            let inputs = match self.input.float {
                Float::Half => {
                    let values: Vec<f16> = values.iter().map(|v| f16::from_f32(*v)).collect();
                    ort::inputs![Tensor::from_array((shape, values))?]
                }
                Float::Single => ort::inputs![TensorRef::from_array_view((shape, &*values))?],
                Float::Double => {
                    let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
                    ort::inputs![Tensor::from_array((shape, values))?]
                }
            };
            let outputs = self.session.run_with_options(inputs, &self.selected)?;
            let values = outputs.values().zip(&self.floats);
            values.map(|(value, float)| floats(&value, *float)).collect()
        };
        run().map_err(error)
    }
}
