//! Whole models on inputs of any type: files in burn, and tests of operators and networks.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use ndarray::{ArrayD, ArrayViewD};
use tract_onnx::pb::{ModelProto, ValueInfoProto};

use super::floats::Floats;
use super::plan::{Job, Plan, Stored};
use super::value::Value;
use crate::error::{Error, Result};
use crate::onnx;
use crate::onnx::opset;

/// The plan of all of a model, and its parameters and statistics.
fn plan(
    path: &Path,
    model: &ModelProto,
    wanted: Option<&[String]>,
    device: &Device,
) -> Result<(Plan, [Vec<Vec<f32>>; 2])> {
    let graph = onnx::graph(path, model)?;
    let names = |ports: &[ValueInfoProto]| -> Vec<String> {
        ports.iter().map(|port| port.name.clone()).collect()
    };
    let inputs = names(&graph.input);
    let outputs = wanted.map_or_else(|| names(&graph.output), <[String]>::to_vec);
    // Before IR version 4, what is stored stands among the inputs, too.
    let stored = |name: &&String| graph.initializer.iter().any(|tensor| tensor.name == **name);
    let inputs: Vec<&str> =
        inputs.iter().filter(|name| !stored(name)).map(String::as_str).collect();
    let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
    Plan::new(path, graph, opset::of(model), [&inputs, &outputs], device)
}

fn floats(
    path: &Path,
    stored: &[Stored],
    values: Vec<Vec<f32>>,
    device: &Device,
) -> Result<Vec<Floats>> {
    let one = |(stored, values): (&Stored, Vec<f32>)| {
        Floats::new(values, stored.shape.clone(), device).map_err(|fault| Error::onnx(path, fault))
    };
    stored.iter().zip(values).map(one).collect()
}

fn run(path: &Path, plan: &Plan, job: Job<'_>) -> Result<Vec<Value>> {
    plan.run(job).map(|answer| answer.outputs).map_err(|failure| failure.at(path))
}

/// A whole model, ready to run any number of times.
pub(crate) struct Whole {
    path: PathBuf,
    plan: Plan,
    parameters: Vec<Floats>,
    statistics: Vec<Floats>,
    device: Device,
}

impl Whole {
    /// All of `model`, which was read from `path`, or what leads to some of its outputs.
    ///
    /// # Errors
    /// [`Error::Onnx`], [`Error::UnsupportedOperator`].
    pub(crate) fn of(
        path: &Path,
        model: &ModelProto,
        outputs: Option<&[String]>,
        device: &Device,
    ) -> Result<Self> {
        let (plan, [parameters, statistics]) = plan(path, model, outputs, device)?;
        Ok(Self {
            path: path.to_owned(),
            parameters: floats(path, &plan.parameters, parameters, device)?,
            statistics: floats(path, &plan.statistics, statistics, device)?,
            plan,
            device: device.clone(),
        })
    }

    /// What it answers to inputs of any type, in the order of its inputs and outputs.
    ///
    /// # Errors
    /// [`Error::UnsupportedOperator`] of the node that cannot be computed.
    pub(crate) fn run(&self, given: Vec<Value>) -> Result<Vec<Value>> {
        let job = Job {
            given,
            parameters: self.parameters.clone(),
            statistics: self.statistics.clone(),
            device: &self.device,
            learned_statistics: vec![],
        };
        run(&self.path, &self.plan, job)
    }

    /// As [`Whole::run`] for a model of one input of floats; none for an output of another type.
    ///
    /// # Errors
    /// Those of [`Whole::run`].
    pub(crate) fn floats(&self, input: ArrayViewD<'_, f32>) -> Result<Vec<Option<ArrayD<f32>>>> {
        let shape = input.shape().to_vec();
        let floats = Floats::new(input.iter().copied().collect(), shape, &self.device);
        let floats = floats.map_err(|fault| Error::onnx(&self.path, fault))?;
        let array = |value: Value| match value {
            Value::Float(floats) => {
                ArrayD::from_shape_vec(floats.shape().to_vec(), floats.values()).ok()
            }
            _ => None,
        };
        Ok(self.run(vec![Value::Float(floats)])?.into_iter().map(array).collect())
    }
}

/// What a whole model answers to inputs of any type, in the order of its inputs and outputs.
///
/// # Errors
/// [`Error::Onnx`], [`Error::UnsupportedOperator`].
#[doc(hidden)]
pub fn evaluate(
    path: &Path,
    model: &ModelProto,
    given: Vec<Value>,
    device: &Device,
) -> Result<Vec<Value>> {
    Whole::of(path, model, None, device)?.run(given)
}

/// The gradients of a weighted sum of a model's float answers: of each input of floats, in order, then
/// of each weight. None for what the answers do not depend on.
///
/// # Errors
/// Those of [`evaluate`].
#[doc(hidden)]
pub fn gradients(
    path: &Path,
    model: &ModelProto,
    given: Vec<Value>,
    device: &Device,
) -> Result<Vec<(String, Option<Vec<f32>>)>> {
    let device = &device.clone().autodiff();
    let (plan, [parameters, statistics]) = plan(path, model, None, device)?;
    let statistics = floats(path, &plan.statistics, statistics, device)?;
    let mut tracked = vec![];
    let mut track = |name: String, values: Vec<f32>, shape: Vec<usize>| {
        let length = values.len();
        let data = Tensor::<1>::from_data(TensorData::new(values, [length]), device);
        let data = data.require_grad();
        tracked.push((name, data.clone()));
        Floats::from_flat(data, shape).map_err(|fault| Error::onnx(path, fault))
    };
    let given = given.into_iter().enumerate().map(|(at, value)| match value {
        Value::Float(floats) => {
            let shape = floats.shape().to_vec();
            track(format!("input {at}"), floats.values(), shape).map(Value::Float)
        }
        other => Ok(other),
    });
    let given = given.collect::<Result<_>>()?;
    let weights = plan.parameters.iter().zip(parameters);
    let parameters = weights
        .map(|(stored, values)| track(stored.name.clone(), values, stored.shape.clone()))
        .collect::<Result<_>>()?;
    let job = Job { given, parameters, statistics, device, learned_statistics: vec![] };
    let sums = run(path, &plan, job)?.into_iter().filter_map(|value| match value {
        Value::Float(floats) if floats.shape().iter().all(|size| *size > 0) => {
            // Weights that differ: the plain sum of what was normalized never changes.
            let weights = (0..floats.len()).map(|at| (at % 7) as f32 / 7.0 + 0.1).collect();
            let weights = TensorData::new::<f32, _>(weights, [floats.len()]);
            Some((floats.flat() * Tensor::from_data(weights, device)).sum())
        }
        _ => None,
    });
    // An answer may depend on nothing that learns; a sum has to.
    let nothing = Tensor::<1>::zeros([1], device).require_grad();
    let gradients = sums.fold(nothing, |a, b| a + b).backward();
    let values = |data: Tensor<1>| data.into_data().iter::<f32>().collect();
    let found = |(name, data): (String, Tensor<1>)| (name, data.grad(&gradients).map(values));
    Ok(tracked.into_iter().map(found).collect())
}
