//! A file's graph in the order in which it is computed, and what in it is constant.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use crate::error::{Error, Result};
use crate::onnx::attributes::attribute;

/// The main graph of a file. Every loop over it ends after as many steps as the file has nodes
/// and names, for a stranger's file may have millions of them, in a chain as long.
pub(super) struct Walk<'a> {
    /// The nodes, each after those whose outputs it takes; otherwise as the file has them.
    pub nodes: Vec<&'a NodeProto>,
    /// Whether each node only computes with constants.
    pub constant: Vec<bool>,
    /// The node that makes a tensor, by its place in `nodes`.
    made_by: HashMap<&'a str, usize>,
    /// Initializers, and the values of `Constant` nodes.
    weights: HashMap<&'a str, Weight>,
}

/// A tensor that the file holds.
struct Weight {
    dims: Vec<u64>,
    /// Whether it holds numbers that training can change: not integers such as shapes.
    is_parameter: bool,
}

impl Weight {
    fn of(tensor: &TensorProto) -> Self {
        let dims: Vec<u64> = tensor.dims.iter().map(|d| u64::try_from(*d).unwrap_or(0)).collect();
        Self { is_parameter: !dims.is_empty() && is_parameter(tensor.data_type), dims }
    }

    fn floats(count: usize) -> Self {
        Self { dims: vec![count as u64], is_parameter: true }
    }
}

/// Floats of any width, and bytes or less, which are quantized floats. Wider integers are
/// shapes, places and the biases of quantized layers.
fn is_parameter(data_type: i32) -> bool {
    use DataType as T;
    let other = [T::Undefined, T::Int16, T::Uint16, T::Int32, T::Uint32, T::Int64, T::Uint64];
    let other = other.into_iter().chain([T::String, T::Bool, T::Complex64, T::Complex128]);
    DataType::try_from(data_type).is_ok_and(|found| other.into_iter().all(|t| t != found))
}

/// Product of sizes, which cannot overflow.
pub(super) fn product(sizes: &[u64]) -> u64 {
    sizes.iter().fold(1, |all, size| all.saturating_mul(*size))
}

impl<'a> Walk<'a> {
    /// The graph of the file at `path`.
    ///
    /// # Errors
    /// [`Error::Onnx`] if a node needs, by way of others, what it makes itself.
    pub fn of(path: &Path, graph: &'a GraphProto) -> Result<Self> {
        let nodes = sorted(path, graph)?;
        let mut made_by = HashMap::new();
        for (place, node) in nodes.iter().enumerate() {
            let named = node.output.iter().filter(|name| !name.is_empty());
            made_by.extend(named.map(|name| (name.as_str(), place)));
        }
        let mut weights: HashMap<&str, Weight> =
            graph.initializer.iter().map(|t| (t.name.as_str(), Weight::of(t))).collect();
        for sparse in &graph.sparse_initializer {
            if let Some(values) = &sparse.values {
                weights.insert(&values.name, Weight::of(values));
            }
        }
        for node in nodes.iter().filter(|node| node.op_type == "Constant") {
            if let (Some(name), Some(weight)) = (node.output.first(), constant(node)) {
                weights.insert(name, weight);
            }
        }
        let mut walk = Self { nodes, constant: vec![], made_by, weights };
        for place in 0..walk.nodes.len() {
            let constant = walk.computes_with_constants(walk.nodes[place]);
            walk.constant.push(constant);
        }
        Ok(walk)
    }

    fn computes_with_constants(&self, node: &NodeProto) -> bool {
        let inputs: Vec<&String> = node.input.iter().filter(|name| !name.is_empty()).collect();
        node.op_type == "Constant"
            || !inputs.is_empty()
                && inputs.iter().all(|name| self.is_constant(name))
                && node.attribute.iter().all(|a| a.g.is_none() && a.graphs.is_empty())
                && !node.op_type.starts_with("Random")
    }

    /// Whether a tensor is in the file, or computed from such alone.
    pub fn is_constant(&self, name: &str) -> bool {
        self.weights.contains_key(name)
            || self
                .made_by
                .get(name)
                .is_some_and(|place| self.constant.get(*place).copied().unwrap_or(false))
    }

    /// The shape of a tensor that the file holds.
    pub fn weight_shape(&self, name: &str) -> Option<&[u64]> {
        self.weights.get(name).map(|weight| &weight.dims[..])
    }

    /// The numbers that training can change in the weights behind tensor `name`, of those not
    /// yet `counted`: what is shared belongs to the first that uses it.
    pub fn parameters(&self, name: &'a str, counted: &mut HashSet<&'a str>) -> u64 {
        let (mut sum, mut waiting) = (0u64, vec![name]);
        while let Some(name) = waiting.pop() {
            if name.is_empty() || !self.is_constant(name) || !counted.insert(name) {
                continue;
            }
            if let Some(weight) = self.weights.get(name) {
                let count = if weight.is_parameter { product(&weight.dims) } else { 0 };
                sum = sum.saturating_add(count);
            } else if let Some(place) = self.made_by.get(name) {
                waiting.extend(self.nodes[*place].input.iter().map(String::as_str));
            }
        }
        sum
    }

    /// All numbers of the file that training can change, subgraphs' included.
    pub fn all_parameters(&self) -> u64 {
        let own = self.weights.values().filter(|weight| weight.is_parameter);
        let own = own.map(|weight| product(&weight.dims));
        let below = self.nodes.iter().flat_map(|node| subgraphs(node)).flat_map(|graph| {
            graph.initializer.iter().map(Weight::of).filter(|weight| weight.is_parameter)
        });
        own.chain(below.map(|weight| product(&weight.dims))).fold(0, u64::saturating_add)
    }

    /// How often each operator occurs in the graph and in subgraphs, with its domain where that
    /// is not ONNX's own.
    pub fn operators(&self) -> BTreeMap<String, usize> {
        let mut operators = BTreeMap::new();
        let below = self.nodes.iter().flat_map(|node| subgraphs(node)).flat_map(|g| &g.node);
        for node in self.nodes.iter().copied().chain(below) {
            let name = match node.domain.as_str() {
                "" | "ai.onnx" => node.op_type.clone(),
                domain => format!("{domain}.{}", node.op_type),
            };
            *operators.entry(name).or_insert(0) += 1;
        }
        operators
    }

    /// Whether some node holds a graph of its own (`If`, `Loop`, `Scan`).
    pub fn has_subgraphs(&self) -> bool {
        self.nodes.iter().any(|node| !subgraphs(node).is_empty())
    }
}

/// The value of a `Constant` node.
fn constant(node: &NodeProto) -> Option<Weight> {
    let tensor = |key| attribute(node, key).and_then(|a| a.t.as_ref()).map(Weight::of);
    let sparse = || attribute(node, "sparse_value")?.sparse_tensor.as_ref()?.values.as_ref();
    let floats = || attribute(node, "value_floats").map(|a| Weight::floats(a.floats.len()));
    let other = || Weight { dims: vec![], is_parameter: false };
    let found = tensor("value").or_else(|| sparse().map(Weight::of)).or_else(floats);
    Some(found.unwrap_or_else(other))
}

/// The graphs inside a node, and those inside them.
fn subgraphs(node: &NodeProto) -> Vec<&GraphProto> {
    let mut found: Vec<&GraphProto> = vec![];
    let mut waiting: Vec<&NodeProto> = vec![node];
    while let Some(node) = waiting.pop() {
        for graph in node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)) {
            found.push(graph);
            waiting.extend(&graph.node);
        }
    }
    found
}

/// The tensors that a node takes, those that its subgraphs take from outside among them.
fn taken(node: &NodeProto) -> Vec<&str> {
    let below = subgraphs(node).into_iter().flat_map(|graph| {
        let outputs = graph.output.iter().map(|output| &output.name);
        graph.node.iter().flat_map(|node| &node.input).chain(outputs)
    });
    node.input.iter().chain(below).map(String::as_str).collect()
}

/// The nodes of a graph, each after those it needs, and else in the file's order.
fn sorted<'a>(path: &Path, graph: &'a GraphProto) -> Result<Vec<&'a NodeProto>> {
    let mut maker = HashMap::new();
    for (place, node) in graph.node.iter().enumerate() {
        maker.extend(node.output.iter().filter(|n| !n.is_empty()).map(|n| (n.as_str(), place)));
    }
    let mut needed = vec![0usize; graph.node.len()];
    let mut users: Vec<Vec<usize>> = vec![vec![]; graph.node.len()];
    for (place, node) in graph.node.iter().enumerate() {
        let makers: HashSet<usize> =
            taken(node).iter().filter_map(|name| maker.get(name).copied()).collect();
        needed[place] = makers.len();
        makers.into_iter().for_each(|made| users[made].push(place));
    }
    let ready = (0..graph.node.len()).filter(|place| needed[*place] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(Reverse).collect();
    let mut order = Vec::with_capacity(graph.node.len());
    while let Some(Reverse(place)) = ready.pop() {
        order.push(&graph.node[place]);
        for user in &users[place] {
            needed[*user] -= 1;
            if needed[*user] == 0 {
                ready.push(Reverse(*user));
            }
        }
    }
    match needed.iter().position(|count| *count > 0) {
        None => Ok(order),
        Some(place) => {
            let name = name_of(&graph.node[place]);
            let reason =
                format!("the graph runs in a circle: node \"{name}\" needs its own output");
            Err(Error::onnx(path, reason))
        }
    }
}

/// A node's name, or its first output's where it has none.
pub(super) fn name_of(node: &NodeProto) -> &str {
    if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name }
}
