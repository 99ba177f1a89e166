//! All that is found out about a file.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use tract_onnx::pb::{GraphProto, ModelProto};

use super::about::{self, Own};
use super::child::{Limits, ask};
use super::fits::{Fit, fits};
use super::layers::{Layer, layers, numbers, work};
use super::ports::{self, TypedPort};
use super::runs::{Difference, Tried, agree, difference, layer_names, tried};
use super::trial::{Answer, Question};
use super::walk::Walk;
use crate::error::{Error, Result};
use crate::features::Preprocessor;
use crate::files;
use crate::onnx;
use crate::onnx::Port;
use crate::runtime::{Runtime, Shapes};

/// How a file is looked at.
#[derive(Clone, Debug)]
pub struct Options {
    /// The front end its input is made by, a preset or a JSON file; without it all that fit are
    /// tried.
    pub front_end: Option<String>,
    /// The output that embeddings are taken from; without it `embeddings`, else the last.
    pub output: Option<String>,
    /// The program that does [`serve`](super::trial::serve) when it is started with the one
    /// argument `--answer`.
    pub program: PathBuf,
    /// How long one runtime may take, in seconds.
    pub seconds: u64,
}

/// A set of operators and its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OperatorSet {
    /// Empty for ONNX's own.
    pub domain: String,
    /// Its version.
    pub version: i64,
}

/// What is known of a file.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// The file.
    pub path: PathBuf,
    /// Its size, without data in files beside it.
    pub bytes: u64,
    /// Its digest.
    pub sha256: String,
    /// The program that wrote it and its version, as far as it says.
    pub producer: Option<String>,
    /// The operator sets it needs.
    pub opsets: Vec<OperatorSet>,
    /// What it says of itself in prose.
    pub documentation: Option<String>,
    /// What it says of a licence.
    pub licence: Option<String>,
    /// Its inputs.
    pub inputs: Vec<TypedPort>,
    /// Its outputs.
    pub outputs: Vec<TypedPort>,
    /// The output that embeddings are taken from.
    pub embeddings: Option<String>,
    /// Weights, biases, scales and statistics that the file holds.
    pub parameters: u64,
    /// Multiplications that are added up for one patch; none if nothing was tried.
    pub multiply_adds: Option<u64>,
    /// Operators whose multiply-adds are not known and not in that sum.
    pub uncounted: usize,
    /// Its layers with weights.
    pub layers: Vec<Layer>,
    /// Why none of them has the number by which `finetune` counts it; none if some have.
    pub unnumbered: Option<String>,
    /// How often each operator occurs.
    pub operators: BTreeMap<String, usize>,
    /// What has the shape of its input.
    pub fits: Vec<Fit>,
    /// In which runtimes it runs.
    pub runtimes: Vec<Tried>,
    /// The largest difference between two of them.
    pub difference: Option<Difference>,
    /// What it carries if this program has exported it.
    pub exported: Option<Own>,
    /// Whether `classify` takes it, if it is such a file.
    pub classifies: Option<bool>,
    /// Why it does not.
    pub classify_reason: Option<String>,
    /// What was left out or assumed, a line each.
    pub notes: Vec<String>,
}

/// Finds out what the ONNX file at `path` is, what can be fed to it, and where it runs.
///
/// Runtimes work in processes of their own, with bounds on time and memory: what a file makes
/// them do is a finding and no failure.
///
/// # Errors
/// Those of `onnx::read` for what is no ONNX file; [`Error::Onnx`] for a graph that runs in a
/// circle, an output that is not there, or a front end that does not fit; those of
/// [`Preprocessor::resolve`].
pub fn inspect(path: &Path, options: &Options) -> Result<Inspection> {
    let model = onnx::read(path)?;
    let axes = || Ok(onnx::input(&model, path)?.dims);
    let front_end = options.front_end.as_deref();
    let front_end = front_end.map(|given| Preprocessor::resolve(given, axes)).transpose()?;
    let graph = onnx::graph(path, &model)?;
    let walk = Walk::of(path, graph)?;
    let mut found = described(path, &model, graph, &walk, options)?;
    let (given, names) = match onnx::input(&model, path) {
        Ok(port) => fed(path, port, front_end.as_ref(), &mut found, options)?,
        Err(error) if front_end.is_some() && found.inputs.len() == 1 => return Err(error),
        Err(error) => not_fed(&error, &mut found),
    };
    let measured = given.map(|Given { sizes, batch }| {
        (measure(path, graph, &mut found, options, sizes), u64::try_from(batch).unwrap_or(u64::MAX))
    });
    if let Some((sizes, batch)) = &measured {
        let (all, uncounted) = work(&walk, sizes);
        (found.multiply_adds, found.uncounted) = (Some(all / batch), uncounted);
    }
    let (sizes, batch) = measured.unwrap_or((BTreeMap::new(), 1));
    let numbered = names.and_then(|names| numbers(&walk, &names));
    found.layers = layers(&walk, numbered.as_ref().unwrap_or(&HashMap::new()), &sizes);
    found.unnumbered = numbered.err();
    for layer in &mut found.layers {
        layer.multiply_adds = layer.multiply_adds.map(|work| work / batch);
    }
    Ok(found)
}

/// The shapes of a file's inputs when its tensors are measured.
struct Given {
    sizes: BTreeMap<String, Vec<usize>>,
    /// Patches in them, 1 or more.
    batch: usize,
}

/// The names of the layers that `finetune` counts, from the input on, or why they are not known.
type Names = Result<Vec<String>, String>;

/// Runs the file on all that fits its one input.
///
/// # Errors
/// [`Error::Onnx`] if the front end asked for does not fit.
fn fed(
    path: &Path,
    port: Port,
    front_end: Option<&Preprocessor>,
    found: &mut Inspection,
    options: &Options,
) -> Result<(Option<Given>, Names)> {
    found.fits = match fits(&port, front_end, found.exported.as_ref()) {
        Err(reason) if front_end.is_some() => return Err(Error::onnx(path, reason)),
        Err(reason) => {
            found.notes.push(reason);
            vec![]
        }
        Ok(fits) => fits,
    };
    let names = run(path, found, options);
    let fit = found.fits.iter().find(|fit| fit.runs == Some(true)).or(found.fits.first());
    let given = fit.map(|fit| Given {
        sizes: BTreeMap::from([(port.name, fit.input.clone())]),
        batch: fit.batch(),
    });
    Ok((given, names))
}

/// Without one input of floats nothing is run, but tensors have shapes all the same.
fn not_fed(error: &Error, found: &mut Inspection) -> (Option<Given>, Names) {
    found.notes.push(match found.inputs.len() {
        1 => format!("not run: {error}"),
        count => format!("not run: it has {count} inputs; this program feeds one"),
    });
    let sizes = found.inputs.iter().map(|input| (input.name.clone(), one_row(&input.dims())));
    let sizes = sizes.filter_map(|(name, sizes)| Some((name, sizes?))).collect();
    (Some(Given { sizes, batch: 1 }), Err("it was not run".to_owned()))
}

/// The sizes of an input for one row; none if another axis is free.
fn one_row(dims: &[Option<usize>]) -> Option<Vec<usize>> {
    let (first, rest) = dims.split_first()?;
    std::iter::once(Some(first.unwrap_or(1))).chain(rest.iter().copied()).collect()
}

/// What stands in the file itself.
fn described(
    path: &Path,
    model: &ModelProto,
    graph: &GraphProto,
    walk: &Walk,
    options: &Options,
) -> Result<Inspection> {
    let embeddings = match (&options.output, graph.output.is_empty()) {
        (None, true) => None,
        (Some(wanted), _) => Some(onnx::output(model, path, Some(wanted))?.name),
        // Without one of floats there is none that finetune could use.
        (None, _) => onnx::output(model, path, None).ok().map(|port| port.name),
    };
    let producer = format!("{} {}", model.producer_name, model.producer_version);
    let set = |set: &tract_onnx::pb::OperatorSetIdProto| OperatorSet {
        domain: set.domain.clone(),
        version: set.version,
    };
    let mut notes = vec![];
    if walk.has_subgraphs() {
        notes.push("operators inside If, Loop and Scan are not in the multiply-adds".to_owned());
    }
    if !model.functions.is_empty() {
        notes.push("the file defines functions of its own, which were not looked into".to_owned());
    }
    Ok(Inspection {
        path: path.to_owned(),
        bytes: fs::metadata(path).map_err(Error::io(path))?.len(),
        sha256: files::sha256(path)?,
        producer: Some(about::shortened(&producer)).filter(|name| !name.is_empty()),
        opsets: model.opset_import.iter().map(set).collect(),
        documentation: about::documentation(model),
        licence: about::licence(model),
        inputs: ports::inputs(graph),
        outputs: ports::outputs(graph),
        embeddings,
        parameters: walk.all_parameters(),
        multiply_adds: None,
        uncounted: 0,
        layers: vec![],
        unnumbered: None,
        operators: walk.operators(),
        fits: vec![],
        runtimes: vec![],
        difference: None,
        exported: Own::of(&onnx::metadata(model)),
        classifies: None,
        classify_reason: None,
        notes,
    })
}

fn limits(found: &Inspection, options: &Options) -> Limits {
    // A runtime holds the weights more than once, as they are and arranged for its kernels.
    let weights = found.bytes.max(found.parameters.saturating_mul(4));
    let memory = (2u64 << 30).saturating_add(weights.saturating_mul(6));
    Limits { time: Duration::from_secs(options.seconds), memory }
}

/// Tries the file in every runtime, on all that fits its input.
fn run(path: &Path, found: &mut Inspection, options: &Options) -> Names {
    if found.fits.is_empty() {
        let axes = "not run: its shape does not tell what it takes";
        found.notes.push(axes.to_owned());
    }
    let limits = limits(found, options);
    let mut answers = vec![];
    for runtime in [Runtime::Ort, Runtime::Tract, Runtime::Burn] {
        let question = Question::Run {
            model: path.to_owned(),
            runtime,
            fits: found.fits.clone(),
            output: found.embeddings.clone(),
        };
        answers.push((runtime, ask(&options.program, &question, limits)));
    }
    agree(&mut found.fits, &answers);
    found.difference = difference(&found.fits, &answers);
    let names = layer_names(&answers);
    found.runtimes = answers.into_iter().map(|(r, answer)| tried(path, r, answer)).collect();
    let burn = found.runtimes.iter().find(|tried| tried.runtime == Runtime::Burn);
    let reason = burn.and_then(|tried| tried.reason.as_deref()).unwrap_or("it did not run");
    let names = names.ok_or_else(|| format!("burn: {reason}"));
    if found.exported.as_ref().is_some_and(|own| own.preprocessor.is_some()) {
        let question = Question::Classify { model: path.to_owned() };
        let answer = ask::<Answer>(&options.program, &question, limits);
        found.classifies = Some(answer.is_ok());
        found.classify_reason = answer.err().map(|reason| about::shortened(&reason));
    }
    names
}

/// The shapes of the tensors when the inputs have those of `given`.
fn measure(
    path: &Path,
    graph: &GraphProto,
    found: &mut Inspection,
    options: &Options,
    given: BTreeMap<String, Vec<usize>>,
) -> BTreeMap<String, Vec<u64>> {
    let names = axis_names(&found.inputs, &given);
    let question =
        Question::Shapes { model: path.to_owned(), given, noted: ports::noted(graph, &names) };
    let limits = limits(found, options);
    let shapes = match ask(&options.program, &question, limits) {
        Ok(Answer::Shapes(shapes)) => shapes,
        Ok(_) => Shapes::default(),
        Err(reason) => {
            found.notes.push(format!("shapes inside are not known: {reason}"));
            Shapes { sizes: ports::noted(graph, &names), ..Shapes::default() }
        }
    };
    if let Some(tract) = found.runtimes.iter_mut().find(|tried| tried.runtime == Runtime::Tract) {
        tract.refused_operators = shapes.unknown_operators.into_iter().collect();
    }
    let wide = |sizes: Vec<usize>| sizes.into_iter().map(|size| size as u64).collect();
    shapes.sizes.into_iter().map(|(name, sizes)| (name, wide(sizes))).collect()
}

/// The sizes that the names of free axes stand for.
fn axis_names(
    inputs: &[TypedPort],
    given: &BTreeMap<String, Vec<usize>>,
) -> BTreeMap<String, usize> {
    let mut names = BTreeMap::new();
    for input in inputs {
        let Some(sizes) = given.get(&input.name) else { continue };
        for (axis, size) in input.axes.iter().flatten().zip(sizes) {
            if let ports::Axis::Named(name) = axis {
                names.insert(name.clone(), *size);
            }
        }
    }
    names
}
