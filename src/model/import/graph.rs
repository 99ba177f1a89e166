//! An ONNX graph read as a chain: one tensor of data passing through nodes, all
//! else constants and shape arithmetic.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::layout::Layout;
use crate::error::{Error, Result};
use crate::onnx::attributes::{attribute, int};
use crate::onnx::values;

/// How deep shape arithmetic may nest; real exporters stay below ten.
const MAX_DEPTH: usize = 64;

/// A graph with its names looked up.
pub(super) struct Graph<'a> {
    pub path: &'a Path,
    initializers: HashMap<&'a str, &'a TensorProto>,
    producers: HashMap<&'a str, &'a NodeProto>,
}

/// A node's name for messages: its own, or its first output's.
pub(super) fn name(node: &NodeProto) -> &str {
    match node.name.as_str() {
        "" => node.output.first().map_or("", String::as_str),
        name => name,
    }
}

impl<'a> Graph<'a> {
    pub fn new(path: &'a Path, proto: &'a GraphProto) -> Self {
        let initializers = proto.initializer.iter().map(|t| (t.name.as_str(), t)).collect();
        let producers = proto
            .node
            .iter()
            .flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)))
            .filter(|(output, _)| !output.is_empty())
            .collect();
        Self { path, initializers, producers }
    }

    /// The error that names `node`.
    pub fn unsupported(&self, node: &NodeProto, reason: impl Into<String>) -> Error {
        Error::UnsupportedOperator {
            path: self.path.to_owned(),
            operator: node.op_type.clone(),
            node: name(node).to_owned(),
            reason: reason.into(),
        }
    }

    /// The constant tensor called `name`, if it is one.
    pub fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        let mut name = name;
        for _ in 0..MAX_DEPTH {
            if let Some(tensor) = self.initializers.get(name) {
                return Some(tensor);
            }
            let node = self.producers.get(name)?;
            match node.op_type.as_str() {
                "Constant" => return attribute(node, "value")?.t.as_ref(),
                "Identity" => name = node.input.first()?,
                _ => return None,
            }
        }
        None
    }

    fn is_constant(&self, name: &str) -> bool {
        let constant_node = |node: &&NodeProto| node.op_type == "Constant";
        self.constant(name).is_some() || self.producers.get(name).is_some_and(constant_node)
    }

    /// The values and shape of the constant float input `index` of `node`.
    pub fn floats(&self, node: &NodeProto, index: usize) -> Result<(Vec<usize>, Vec<f32>)> {
        let name = node.input.get(index).map_or("", String::as_str);
        let tensor = self.constant(name).ok_or_else(|| {
            self.unsupported(node, format!("its input {index} is not a constant"))
        })?;
        values::floats(self.path, tensor)
    }

    /// Whether `node` has an input `index` at all (an empty name means none).
    pub fn has_input(node: &NodeProto, index: usize) -> bool {
        node.input.get(index).is_some_and(|name| !name.is_empty())
    }

    /// The nodes that lead from the tensor `input` to the tensor `output`, in order.
    pub fn chain(&self, input: &str, output: &str) -> Result<Vec<&'a NodeProto>> {
        let mut nodes = vec![];
        let mut visited = HashSet::new();
        let mut tensor = output;
        while tensor != input {
            let node = *self.producers.get(tensor).ok_or_else(|| {
                Error::onnx(
                    self.path,
                    format!("no node and no input makes the tensor \"{tensor}\""),
                )
            })?;
            if !visited.insert(tensor) {
                return Err(Error::onnx(
                    self.path,
                    format!("the graph has a loop at \"{tensor}\""),
                ));
            }
            if node.output.first().map(String::as_str) != Some(tensor) {
                return Err(self.unsupported(node, "a second output is used"));
            }
            nodes.push(node);
            tensor = self.data_of(node)?;
        }
        nodes.reverse();
        Ok(nodes)
    }

    /// The one input of `node` that carries data.
    fn data_of(&self, node: &'a NodeProto) -> Result<&'a str> {
        let joins =
            matches!(node.op_type.as_str(), "Add" | "MatMul" | "Mul" | "Sub" | "Div" | "Concat");
        if !joins {
            let first = node.input.first().filter(|name| !name.is_empty());
            return first
                .map(String::as_str)
                .ok_or_else(|| self.unsupported(node, "it has no data input"));
        }
        let mut data = node.input.iter().filter(|name| !self.is_constant(name));
        match (data.next(), data.next()) {
            (Some(name), None) => Ok(name),
            (None, _) => Err(self.unsupported(node, "all its inputs are constant")),
            _ => Err(self.unsupported(node, "it joins two branches, and only chains are imported")),
        }
    }

    /// The integers called `name`: a constant, or arithmetic on the shapes of
    /// tensors whose layout is known.
    pub fn shape_values(
        &self,
        node: &NodeProto,
        name: &str,
        layouts: &HashMap<&str, Layout>,
    ) -> Result<Vec<i64>> {
        self.shape_values_at(node, name, layouts, 0)
    }

    fn shape_values_at(
        &self,
        user: &NodeProto,
        tensor: &str,
        layouts: &HashMap<&str, Layout>,
        depth: usize,
    ) -> Result<Vec<i64>> {
        if let Some(constant) = self.constant(tensor) {
            return values::ints(self.path, constant);
        }
        let refuse = |node: &NodeProto, reason: &str| Err(self.unsupported(node, reason));
        let Some(node) = self.producers.get(tensor).filter(|_| depth < MAX_DEPTH) else {
            return refuse(user, "its shape is not known when the file is read");
        };
        let values = |index: usize| -> Result<Vec<i64>> {
            let name = node.input.get(index).map_or("", String::as_str);
            self.shape_values_at(node, name, layouts, depth + 1)
        };
        match node.op_type.as_str() {
            "Constant" => match (attribute(node, "value_ints"), attribute(node, "value_int")) {
                (Some(list), _) => Ok(list.ints.clone()),
                (None, Some(value)) => Ok(vec![value.i]),
                _ => refuse(node, "a constant that is not a list of integers"),
            },
            "Shape" => {
                let of = node.input.first().map_or("", String::as_str);
                let Some(layout) = layouts.get(of) else {
                    return refuse(node, "the shape of a tensor outside the chain");
                };
                let dims = layout.dims();
                let (start, end) = (int(node, "start", 0), int(node, "end", i64::MAX));
                Ok(slice(&dims, start, end).to_vec())
            }
            "Gather" => {
                let (data, indices) = (values(0)?, values(1)?);
                let pick = |i: &i64| {
                    let at = if *i < 0 { *i + data.len() as i64 } else { *i };
                    usize::try_from(at).ok().and_then(|at| data.get(at).copied())
                };
                match indices.iter().map(pick).collect::<Option<Vec<_>>>() {
                    Some(picked) => Ok(picked),
                    None => refuse(node, "an index outside the shape"),
                }
            }
            "Slice" => {
                let (data, starts, ends) = (values(0)?, values(1)?, values(2)?);
                let plain = node.input.len() < 5 || values(4)? == [1];
                match (starts.as_slice(), ends.as_slice()) {
                    ([start], [end]) if plain => Ok(slice(&data, *start, *end).to_vec()),
                    _ => refuse(node, "a slice with steps or several axes"),
                }
            }
            "Concat" => {
                let parts = (0..node.input.len()).map(values);
                Ok(parts.collect::<Result<Vec<_>>>()?.concat())
            }
            "Unsqueeze" | "Squeeze" | "Cast" | "Identity" => values(0),
            _ => refuse(node, "it computes a shape in a way the importer does not follow"),
        }
    }
}

fn slice(values: &[i64], start: i64, end: i64) -> &[i64] {
    let length = values.len() as i64;
    let clamp =
        |i: i64| (if i < 0 { i.saturating_add(length) } else { i }).clamp(0, length) as usize;
    let (start, end) = (clamp(start), clamp(end));
    if start < end { &values[start..end] } else { &[] }
}
