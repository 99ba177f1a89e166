//! Names where a node stands: those of its graph and of the graphs around it.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::attributes::attribute;

/// What is known where a node stands: constants, and which node makes what.
pub(super) struct Scope<'a> {
    constants: HashMap<&'a str, &'a TensorProto>,
    makers: HashMap<&'a str, &'a NodeProto>,
    /// That of the graph around it.
    outer: Option<&'a Scope<'a>>,
}

impl<'a> Scope<'a> {
    /// That of the nodes of `graph`, which stands in `outer`.
    pub fn of(graph: &'a GraphProto, outer: Option<&'a Self>) -> Self {
        let stored = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor));
        let mut scope = Self { constants: stored.collect(), makers: HashMap::new(), outer };
        for node in &graph.node {
            let value = attribute(node, "value").and_then(|value| value.t.as_ref());
            if let ("Constant", Some(tensor), [name, ..]) =
                (node.op_type.as_str(), value, &node.output[..])
            {
                scope.constants.insert(name, tensor);
            }
            scope.makers.extend(node.output.iter().map(|output| (output.as_str(), node)));
        }
        scope
    }

    /// The constant of this name, here or around.
    pub fn constant(&self, name: &str) -> Option<&'a TensorProto> {
        let outer = || self.outer.and_then(|outer| outer.constant(name));
        self.constants.get(name).copied().or_else(outer)
    }

    /// The node that makes the value of this name, here or around.
    pub fn maker(&self, name: &str) -> Option<&'a NodeProto> {
        let outer = || self.outer.and_then(|outer| outer.maker(name));
        self.makers.get(name).copied().or_else(outer)
    }
}

/// The graphs that a node has: bodies of loops, branches.
pub(super) fn inner_graphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}
