//! Graphs made smaller and their tensors renamed.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{GraphProto, ModelProto, TensorProto};

use super::values::external_data;
use crate::error::Result;

/// Removes the nodes and weights that no output comes from.
pub(crate) fn keep_what_outputs_need(graph: &mut GraphProto) {
    let outputs = graph.output.iter().map(|port| port.name.clone()).collect();
    keep_what_leads_to(graph, outputs);
}

/// Removes the nodes and weights that none of the tensors `needed` comes from.
pub(crate) fn keep_what_leads_to(graph: &mut GraphProto, mut needed: HashSet<String>) {
    let mut nodes = vec![];
    for node in graph.node.drain(..).rev() {
        // A node with a subgraph may read tensors it does not list; keep all before it.
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(node.input.iter().cloned());
            for attribute in &node.attribute {
                let graphs = attribute.g.iter().chain(&attribute.graphs);
                needed.extend(graphs.flat_map(|g| &g.node).flat_map(|n| n.input.iter().cloned()));
            }
            nodes.push(node);
        }
    }
    nodes.reverse();
    graph.node = nodes;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
}

/// Brings external data into the file: what we export is one file.
pub(crate) fn inline(path: &Path, tensor: &mut TensorProto) -> Result<()> {
    if tensor.data_location == Some(DataLocation::External as i32) {
        tensor.raw_data = external_data(path, tensor)?;
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(())
}

/// Renames tensors wherever a graph mentions them.
pub(crate) fn rename(model: &mut ModelProto, names: &BTreeMap<String, String>) {
    let Some(graph) = &mut model.graph else { return };
    let change = |name: &mut String| {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    };
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).for_each(change);
    }
    graph.input.iter_mut().chain(&mut graph.output).for_each(|value| change(&mut value.name));
    graph.initializer.iter_mut().for_each(|tensor| change(&mut tensor.name));
}
