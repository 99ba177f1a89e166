//! A graph in the order in which it is computed.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use burn::tensor::Device;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::fault::{Fault, Outcome, refuse};
use super::floats::Floats;
use super::fuse::fuse;
use super::layers::Layer;
use super::node::{Inputs, Node, Operator};
use super::operators::operator;
use super::value::{Value, array};
use super::weights::{self, Weights};
use crate::error::{Error, Result};
use crate::onnx::opset;
use crate::onnx::values::{self, Numbers};
use crate::panics::caught;

/// What is computed, in order, and with what.
#[derive(Debug)]
pub(super) struct Plan {
    nodes: Vec<(Node, Operator)>,
    /// Values that never change, and their places.
    constants: Vec<(usize, Value)>,
    /// What is learned.
    pub parameters: Vec<Stored>,
    /// Means and variances of batch normalizations.
    pub statistics: Vec<Stored>,
    /// The layer that each of them belongs to.
    pub statistic_layers: Vec<usize>,
    /// Layers in the order of the nodes.
    pub layers: Vec<Layer>,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    places: usize,
}

/// A tensor of the file that is a weight.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    /// Its name in the file.
    pub name: String,
    /// Its shape there.
    pub shape: Vec<usize>,
    place: usize,
}

/// A node that could not be computed, and why.
pub(super) struct Failure<'a> {
    pub node: &'a Node,
    pub fault: Fault,
}

impl Failure<'_> {
    /// The error of the file at `path`.
    pub fn at(self, path: &Path) -> Error {
        let Node { operator, name, .. } = self.node;
        unsupported(path, operator, name, self.fault)
    }
}

fn unsupported(path: &Path, operator: &str, node: &str, reason: impl ToString) -> Error {
    Error::UnsupportedOperator {
        path: path.to_owned(),
        operator: operator.to_owned(),
        node: node.to_owned(),
        reason: reason.to_string(),
    }
}

/// What a run of the plan is given and works with.
pub(super) struct Job<'a> {
    pub given: Vec<Value>,
    pub parameters: Vec<Floats>,
    pub statistics: Vec<Floats>,
    pub device: &'a Device,
    /// Of every statistic whether it is learned: then its batch normalization uses those of this
    /// batch. None is if there are no entries.
    pub learned_statistics: Vec<bool>,
}

/// What a run of the plan comes to.
pub(super) struct Answer {
    pub outputs: Vec<Value>,
    /// New statistics, by their places among the plan's.
    pub statistics: Vec<(usize, Floats)>,
}

/// A plan in the making.
struct Planner<'a> {
    path: &'a Path,
    graph: &'a GraphProto,
    opset: i64,
    device: &'a Device,
    stored: HashMap<&'a str, &'a TensorProto>,
    places: HashMap<&'a str, usize>,
}

impl Plan {
    /// What leads from the tensors `inputs` to the tensors `outputs` of `graph`, and the values
    /// that its parameters and statistics have.
    ///
    /// # Errors
    /// [`Error::Onnx`] for a graph that contradicts itself, [`Error::UnsupportedOperator`] for a
    /// node that cannot be computed.
    #[allow(clippy::type_complexity)]
    pub fn new(
        path: &Path,
        graph: &GraphProto,
        opset: i64,
        [inputs, outputs]: [&[&str]; 2],
        device: &Device,
    ) -> Result<(Self, [Vec<Vec<f32>>; 2])> {
        let stored = weights::stored(graph);
        let mut planner = Planner { path, graph, opset, device, stored, places: HashMap::new() };
        let needed = planner.needed(inputs, outputs)?;
        let data = depends_on(&needed, inputs);
        let Weights { parameters, statistics, layers } =
            weights::find(&needed, &planner.stored, &data);
        planner.name_places(inputs, &needed);
        let find = |name: &&str| planner.places.get(name).copied();
        let at = |names: &[&str]| -> Option<Vec<usize>> { names.iter().map(find).collect() };
        let (Some(input_places), Some(output_places)) = (at(inputs), at(outputs)) else {
            return Err(Error::onnx(path, format!("no node makes one of the outputs {outputs:?}")));
        };
        let (parameters, parameter_values) = planner.weights(&parameters)?;
        let names: Vec<String> = statistics.iter().map(|(name, _)| name.clone()).collect();
        let (found, statistic_values) = planner.weights(&names)?;
        let layer_of = |stored: &Stored| {
            let entry = statistics.iter().find(|(name, _)| *name == stored.name);
            entry.map_or(0, |(_, layer)| *layer)
        };
        let statistic_layers = found.iter().map(layer_of).collect();
        let statistics = found;
        let layers =
            layers.into_iter().map(|(at, names)| layer(needed[at], &names, &parameters)).collect();
        let fixed: HashSet<usize> =
            parameters.iter().chain(&statistics).map(|stored| stored.place).collect();
        let (nodes, constants) = planner.fold(&needed, &fixed, &output_places)?;
        let mut plan = Self {
            nodes,
            constants,
            parameters,
            statistics,
            statistic_layers,
            layers,
            inputs: input_places,
            outputs: output_places,
            places: planner.places.len(),
        };
        plan.release();
        Ok((plan, [parameter_values, statistic_values]))
    }

    /// Whether all operators that lead from `inputs` to `outputs` are known; no weight is read.
    ///
    /// # Errors
    /// Those of [`Plan::new`].
    pub fn check(
        path: &Path,
        graph: &GraphProto,
        [inputs, outputs]: [&[&str]; 2],
        device: &Device,
    ) -> Result<()> {
        let stored = weights::stored(graph);
        let planner = Planner { path, graph, opset: 0, device, stored, places: HashMap::new() };
        let needed = planner.needed(inputs, outputs)?;
        needed.into_iter().try_for_each(|proto| planner.operator(proto).map(|_| ()))
    }

    /// Says of every node which values nobody asks for after it.
    fn release(&mut self) {
        let mut asked: HashSet<usize> = self.outputs.iter().copied().collect();
        for (node, _) in self.nodes.iter_mut().rev() {
            let touched = node.inputs.iter().chain(&node.outputs).flatten();
            let last: HashSet<usize> = touched.copied().filter(|at| asked.insert(*at)).collect();
            node.releases = last.into_iter().collect();
        }
    }

    /// Whether a batch normalization uses the statistics of the batch.
    fn learns(&self, node: &Node, learned: &[bool]) -> bool {
        if learned.is_empty() {
            return false;
        }
        let mean = node.inputs.get(3).copied().flatten();
        let at = self.statistics.iter().position(|stored| Some(stored.place) == mean);
        at.is_some_and(|at| learned.get(at).copied().unwrap_or(false))
    }

    /// Computes the outputs.
    pub fn run(&self, job: Job<'_>) -> Result<Answer, Failure<'_>> {
        let mut values: Vec<Option<Value>> = vec![None; self.places];
        for (place, value) in &self.constants {
            values[*place] = Some(value.clone());
        }
        let weights = self.parameters.iter().zip(job.parameters);
        for (stored, floats) in weights.chain(self.statistics.iter().zip(job.statistics)) {
            values[stored.place] = Some(Value::Float(floats));
        }
        for (place, value) in self.inputs.iter().zip(job.given) {
            values[*place] = Some(value);
        }
        let mut statistics = vec![];
        for (node, operator) in &self.nodes {
            let given = node.inputs.iter().enumerate().map(|(index, input)| {
                let place = (*input)?;
                // Whoever is given a value last may overwrite it.
                let again = node.inputs[index + 1..].contains(input);
                if node.releases.contains(&place) && !again {
                    values[place].take()
                } else {
                    values[place].clone()
                }
            });
            let mut inputs = Inputs::new(
                given.collect(),
                job.device.clone(),
                self.learns(node, &job.learned_statistics),
            );
            let answers =
                compute(*operator, node, &mut inputs).map_err(|fault| Failure { node, fault })?;
            for (index, floats) in inputs.moved {
                let place = node.inputs.get(index).copied().flatten();
                let at = self.statistics.iter().position(|stored| Some(stored.place) == place);
                statistics.extend(at.map(|at| (at, floats)));
            }
            for (output, value) in node.outputs.iter().zip(answers) {
                if let Some(place) = output.filter(|place| !node.releases.contains(place)) {
                    values[place] = Some(value);
                }
            }
        }
        let missing = || Fault::new("the output is not computed");
        let outputs = self.outputs.iter().map(|place| values[*place].clone().ok_or_else(missing));
        match (outputs.collect::<Outcome<Vec<Value>>>(), self.nodes.last()) {
            (Ok(outputs), _) => Ok(Answer { outputs, statistics }),
            (Err(fault), Some((node, _))) => Err(Failure { node, fault }),
            (Err(_), None) => Ok(Answer { outputs: vec![], statistics }),
        }
    }
}

/// The most values of constants that are kept between runs (1 GiB of floats): a small file may
/// compute any number of them.
const MOST_CONSTANTS: usize = 1 << 28;

/// What a mask adds to keep something out; no weight is so low.
const MASKED: f32 = -1e4;

/// Computes a node. burn panics over shapes that do not go together; such a graph is refused as
/// any other that cannot be computed.
fn compute(operator: Operator, node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    caught(|| operator(node, inputs))
        .unwrap_or_else(|panic| refuse(format!("burn panicked over it: {panic}")))
}

/// Names of the tensors that come from `inputs`.
fn depends_on<'a>(nodes: &[&'a NodeProto], inputs: &[&'a str]) -> HashSet<&'a str> {
    let mut data: HashSet<&str> = inputs.iter().copied().collect();
    for node in nodes {
        if node.input.iter().any(|input| data.contains(input.as_str())) {
            data.extend(node.output.iter().map(String::as_str).filter(|name| !name.is_empty()));
        }
    }
    data
}

fn layer(node: &NodeProto, names: &[String], parameters: &[Stored]) -> Layer {
    let place = |name: &String| parameters.iter().position(|stored| stored.name == *name);
    let mut places: Vec<usize> = names.iter().filter_map(place).collect();
    places.sort_unstable();
    places.dedup();
    Layer { name: name_of(node).to_owned(), places }
}

/// A node's name for messages: its own, or its first output's.
fn name_of(node: &NodeProto) -> &str {
    match node.name.as_str() {
        "" => node.output.first().map_or("", String::as_str),
        name => name,
    }
}

impl<'a> Planner<'a> {
    /// The nodes that lead to `outputs`, in order.
    fn needed(&self, inputs: &[&str], outputs: &[&str]) -> Result<Vec<&'a NodeProto>> {
        let mut asked: HashSet<&str> = outputs.iter().copied().collect();
        let mut needed = vec![];
        for node in self.graph.node.iter().rev() {
            if node.output.iter().any(|output| asked.contains(output.as_str())) {
                asked.extend(node.input.iter().map(String::as_str));
                needed.push(node);
            }
        }
        needed.reverse();
        let mut made: HashSet<&str> = inputs.iter().copied().collect();
        made.extend(self.stored.keys());
        for node in &needed {
            let unknown =
                node.input.iter().find(|name| !name.is_empty() && !made.contains(name.as_str()));
            if let Some(name) = unknown {
                return Err(Error::onnx(
                    self.path,
                    format!(
                        "node \"{}\" uses \"{name}\" before any node makes it, and cannot be imported \
                         into burn; sort the nodes, or leave out ‹unfreeze›",
                        name_of(node)
                    ),
                ));
            }
            made.extend(node.output.iter().map(String::as_str));
        }
        Ok(needed)
    }

    fn name_places(&mut self, inputs: &[&'a str], needed: &[&'a NodeProto]) {
        let made = needed.iter().flat_map(|node| node.input.iter().chain(&node.output));
        let names = inputs.iter().copied().chain(made.map(String::as_str));
        for name in names.filter(|name| !name.is_empty()) {
            let next = self.places.len();
            self.places.entry(name).or_insert(next);
        }
    }

    /// Places and values of stored tensors.
    fn weights(&self, names: &[String]) -> Result<(Vec<Stored>, Vec<Vec<f32>>)> {
        let mut found = (vec![], vec![]);
        for name in names {
            let (Some(tensor), Some(place)) =
                (self.stored.get(name.as_str()), self.places.get(name.as_str()))
            else {
                continue;
            };
            let (shape, numbers) = values::numbers(self.path, tensor)?;
            let Numbers::Floats(values) = numbers else { continue };
            if values.iter().any(|value| value.is_nan() || *value == f32::INFINITY) {
                return Err(Error::onnx(self.path, format!("the weight \"{name}\" is not finite")));
            }
            // A mask is no weight.
            if values.iter().all(|value| value.is_finite() && *value > MASKED) {
                found.0.push(Stored { name: name.clone(), shape, place: *place });
                found.1.push(values);
            }
        }
        Ok(found)
    }

    fn unsupported(&self, node: &NodeProto, reason: impl ToString) -> Error {
        unsupported(self.path, &node.op_type, name_of(node), reason)
    }

    fn operator(&self, proto: &NodeProto) -> Result<Operator> {
        let known = opset::is_own(&proto.domain);
        operator(&proto.op_type)
            .filter(|_| known)
            .ok_or_else(|| self.unsupported(proto, "the importer does not know this operator"))
    }

    fn node(&self, proto: &NodeProto) -> Node {
        let places = |names: &[String]| -> Vec<Option<usize>> {
            names.iter().map(|name| self.places.get(name.as_str()).copied()).collect()
        };
        let mut node =
            Node::new(&proto.op_type, name_of(proto), self.opset, proto.attribute.clone());
        node.inputs = places(&proto.input);
        node.outputs = places(&proto.output);
        node
    }

    /// The nodes that must be computed every time, and the values of all others; `weights` are
    /// places whose values may change.
    #[allow(clippy::type_complexity)]
    fn fold(
        &self,
        needed: &[&NodeProto],
        weights: &HashSet<usize>,
        outputs: &[usize],
    ) -> Result<(Vec<(Node, Operator)>, Vec<(usize, Value)>)> {
        let mut known: HashMap<usize, Value> = HashMap::new();
        for (name, tensor) in &self.stored {
            if let Some(place) = self.places.get(name).filter(|place| !weights.contains(place)) {
                known.insert(*place, self.value(tensor)?);
            }
        }
        let (mut nodes, mut computed) = (vec![], 0);
        for proto in needed {
            let operator = self.operator(proto)?;
            if proto.output.iter().any(|output| self.stored.contains_key(output.as_str())) {
                continue;
            }
            let node = self.node(proto);
            let constant = node.inputs.iter().flatten().all(|place| known.contains_key(place));
            if !constant {
                nodes.push((node, operator));
                continue;
            }
            let given = node.inputs.iter().map(|place| known.get(&(*place)?).cloned()).collect();
            let mut inputs = Inputs::new(given, self.device.clone(), false);
            let answers = compute(operator, &node, &mut inputs)
                .map_err(|fault| self.unsupported(proto, fault))?;
            computed +=
                answers.iter().map(|value| value.shape().iter().product::<usize>()).sum::<usize>();
            if computed > MOST_CONSTANTS {
                return Err(self.unsupported(proto, "the graph computes too many constants"));
            }
            let places = node.outputs.iter().zip(answers);
            known.extend(places.filter_map(|(place, value)| Some(((*place)?, value))));
        }
        let nodes = fuse(nodes, &known, outputs, self.device);
        let used = nodes.iter().flat_map(|(node, _)| node.inputs.iter().flatten());
        let used: HashSet<usize> = used.chain(outputs).copied().collect();
        known.retain(|place, _| used.contains(place));
        Ok((nodes, known.into_iter().collect()))
    }

    fn value(&self, tensor: &TensorProto) -> Result<Value> {
        stored_value(self.path, tensor, self.device)
    }
}

/// The value of a tensor that stands in the file at `path`.
///
/// # Errors
/// [`Error::Onnx`] for a tensor of other things than numbers and truth values.
#[doc(hidden)]
pub fn stored_value(path: &Path, tensor: &TensorProto, device: &Device) -> Result<Value> {
    let (shape, numbers) = values::numbers(path, tensor)?;
    let value = match numbers {
        Numbers::Floats(values) => Floats::new(values, shape, device).map(Value::Float),
        Numbers::Ints(values) => array(values, &shape).map(Value::Int),
        Numbers::Bools(values) => array(values, &shape).map(Value::Bool),
    };
    value.map_err(|fault| Error::onnx(path, format!("tensor \"{}\": {fault}", tensor.name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::nodes::{float_tensor, int, int64_tensor, ints, node};

    fn graph(nodes: Vec<NodeProto>, initializer: Vec<TensorProto>) -> GraphProto {
        GraphProto { name: "test".into(), node: nodes, initializer, ..Default::default() }
    }

    fn plan(graph: &GraphProto, output: &str) -> Plan {
        let path = Path::new("test.onnx");
        Plan::new(path, graph, 17, [&["x"], &[output]], &Device::flex()).unwrap().0
    }

    fn names(stored: &[Stored]) -> Vec<&str> {
        stored.iter().map(|stored| stored.name.as_str()).collect()
    }

    #[test]
    fn weights_are_found_through_what_only_rearranges_and_masks_and_numbers_are_none() {
        let transposed = vec![ints("perm", &[1, 0])];
        let nodes = vec![
            node("Identity", &["weight"], "same", vec![]),
            node("Transpose", &["same"], "turned", transposed),
            node("MatMul", &["x", "turned"], "product", vec![]),
            node("Add", &["product", "bias"], "sum", vec![]),
            node("Add", &["sum", "mask"], "masked", vec![]),
            node("Mul", &["masked", "half"], "scaled", vec![]),
            // Weights of another layer, with a norm as a number.
            node("Mul", &["direction", "length"], "second", vec![]),
            node("MatMul", &["scaled", "second"], "y", vec![]),
        ];
        let square = [0.5, 1.0, -1.0, 2.0];
        let stored = vec![
            float_tensor("weight", &[2, 2], &square),
            float_tensor("bias", &[2], &[0.1, 0.2]),
            float_tensor("mask", &[2], &[0.0, f32::MIN]),
            float_tensor("half", &[1], &[0.5]),
            float_tensor("direction", &[2, 2], &square),
            float_tensor("length", &[], &[3.0]),
        ];
        let plan = plan(&graph(nodes, stored), "y");
        assert_eq!(names(&plan.parameters), ["weight", "bias", "direction"]);
        let layers: Vec<&[usize]> = plan.layers.iter().map(|layer| &layer.places[..]).collect();
        assert_eq!(layers, [&[0, 1][..], &[2]]);
    }

    #[test]
    fn a_split_may_have_any_number_of_parts() {
        let mut split = node("Split", &["x", "lengths"], "part0", vec![int("axis", 1)]);
        split.output = (0..12).map(|part| format!("part{part}")).collect();
        let graph = graph(vec![split], vec![int64_tensor("lengths", vec![64; 12])]);
        let x: Vec<f32> = (0..768).map(|value| value as f32).collect();
        let device = Device::flex();
        let job = Job {
            given: vec![Value::Float(Floats::new(x, vec![1, 768], &device).unwrap())],
            parameters: vec![],
            statistics: vec![],
            device: &device,
            learned_statistics: vec![],
        };
        let answer = plan(&graph, "part11").run(job).ok().unwrap();
        let Value::Float(part) = &answer.outputs[0] else { panic!("no floats") };
        assert_eq!((part.shape(), part.values()[0]), (&[1, 64][..], 704.0));
    }

    #[test]
    fn an_activation_becomes_part_of_the_convolution_that_only_it_follows() {
        let nodes = vec![
            node("Conv", &["x", "weight"], "first", vec![]),
            node("Clip", &["first", "low", "high"], "clipped", vec![]),
            // Two ask for it.
            node("Conv", &["clipped", "weight"], "second", vec![]),
            node("Relu", &["second"], "rectified", vec![]),
            node("Add", &["second", "rectified"], "sum", vec![]),
            // Its bound depends on the data.
            node("Conv", &["sum", "weight"], "third", vec![]),
            node("ReduceMax", &["sum"], "most", vec![int("keepdims", 0)]),
            node("Clip", &["third", "low", "most"], "bounded", vec![]),
            node("Conv", &["bounded", "weight"], "y", vec![]),
        ];
        let stored = vec![
            float_tensor("weight", &[1, 1, 1, 1], &[2.0]),
            float_tensor("low", &[], &[0.5]),
            float_tensor("high", &[], &[3.0]),
        ];
        let (path, graph) = (Path::new("test.onnx"), graph(nodes, stored));
        let device = Device::flex();
        let (plan, [weights, _]) = Plan::new(path, &graph, 17, [&["x"], &["y"]], &device).unwrap();
        let operators: Vec<&str> =
            plan.nodes.iter().map(|(node, _)| node.operator.as_str()).collect();
        assert_eq!(operators, ["Conv", "Conv", "Relu", "Add", "Conv", "ReduceMax", "Clip", "Conv"]);
        let job = Job {
            given: vec![Value::Float(
                Floats::new(vec![-1.0, 1.0, 4.0], vec![1, 1, 1, 3], &device).unwrap(),
            )],
            // A single number is no weight.
            parameters: weights
                .into_iter()
                .map(|values| Floats::new(values, vec![1, 1, 1, 1], &device).unwrap())
                .collect(),
            statistics: vec![],
            device: &device,
            learned_statistics: vec![],
        };
        let answer = plan.run(job).ok().unwrap();
        let Value::Float(y) = &answer.outputs[0] else { panic!("no floats") };
        // 0.5, 2, 3 clipped; 1, 4, 6; 2, 8, 12 summed; 4, 16, 24, of which 12 at most; doubled.
        assert_eq!(y.values(), [8.0, 24.0, 24.0]);
    }
}
