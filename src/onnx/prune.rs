//! Graphs made smaller and their tensors renamed. The graphs inside nodes (the branches of an
//! `If`) may read the tensors of those around them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto};

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
        if node.output.iter().any(|output| needed.contains(output)) {
            needed.extend(read_by(&node).into_iter().cloned());
            nodes.push(node);
        }
    }
    nodes.reverse();
    graph.node = nodes;
    graph.initializer.retain(|tensor| needed.contains(&tensor.name));
    let sparse = &mut graph.sparse_initializer;
    sparse.retain(|tensor| tensor.values.as_ref().is_some_and(|v| needed.contains(&v.name)));
    let of = |name: &Option<String>| name.as_ref().is_some_and(|name| needed.contains(name));
    graph.quantization_annotation.retain(|annotation| of(&annotation.tensor_name));
}

/// All tensors that a node reads, the graphs inside it included: their own are among them.
pub(crate) fn read_by(node: &NodeProto) -> Vec<&String> {
    let mut names: Vec<&String> = node.input.iter().collect();
    for graph in node.attribute.iter().flat_map(graphs) {
        names.extend(graph.node.iter().flat_map(read_by));
        names.extend(graph.output.iter().map(|port| &port.name));
    }
    names
}

/// The graphs in an attribute of a node.
pub(crate) fn graphs(attribute: &AttributeProto) -> impl Iterator<Item = &GraphProto> {
    attribute.g.iter().chain(&attribute.graphs)
}

/// The graphs inside a node, to be changed.
pub(crate) fn graphs_mut(node: &mut NodeProto) -> impl Iterator<Item = &mut GraphProto> {
    node.attribute.iter_mut().flat_map(|a| a.g.iter_mut().chain(&mut a.graphs))
}

/// Brings external data into the model, wherever there is any.
///
/// # Errors
/// [`crate::Error::Onnx`] if a file that it lies in is not as the model says.
pub(crate) fn inline(path: &Path, graph: &mut GraphProto) -> Result<()> {
    for node in &mut graph.node {
        for attribute in &mut node.attribute {
            let tensors = attribute.t.iter_mut().chain(&mut attribute.tensors);
            tensors.into_iter().try_for_each(|tensor| inline_tensor(path, tensor))?;
        }
        graphs_mut(node).try_for_each(|graph| inline(path, graph))?;
    }
    let sparse = graph.sparse_initializer.iter_mut();
    let sparse = sparse.flat_map(|tensor| tensor.values.iter_mut().chain(&mut tensor.indices));
    graph.initializer.iter_mut().chain(sparse).try_for_each(|tensor| inline_tensor(path, tensor))
}

fn inline_tensor(path: &Path, tensor: &mut TensorProto) -> Result<()> {
    if tensor.data_location == Some(DataLocation::External as i32) {
        tensor.raw_data = external_data(path, tensor)?;
        tensor.external_data.clear();
        tensor.data_location = None;
    }
    Ok(())
}

/// Makes weights of the graph's nodes `Constant`, as which older exporters write them.
pub(crate) fn make_constants_weights(graph: &mut GraphProto) {
    let GraphProto { node, initializer, .. } = graph;
    node.retain_mut(|node| {
        let [name] = &node.output[..] else { return true };
        let is_constant = node.op_type == "Constant" && node.domain.is_empty();
        let value = node.attribute.iter_mut().find(|a| is_constant && a.name == "value");
        let Some(value) = value.and_then(|attribute| attribute.t.take()) else { return true };
        initializer.push(TensorProto { name: name.clone(), ..value });
        false
    });
}

/// The names of a graph's tensors and nodes, and of those in the graphs inside them.
pub(crate) fn names_of(graph: &GraphProto) -> HashSet<String> {
    let mut all = HashSet::new();
    for node in &graph.node {
        all.extend(node.input.iter().chain(&node.output).chain([&node.name]).cloned());
        all.extend(node.attribute.iter().flat_map(graphs).flat_map(names_of));
    }
    all.extend(graph.initializer.iter().map(|tensor| tensor.name.clone()));
    all.extend(graph.input.iter().chain(&graph.output).map(|port| port.name.clone()));
    all
}

/// Renames tensors wherever a model's graph mentions them.
pub(crate) fn rename(model: &mut ModelProto, names: &BTreeMap<String, String>) {
    if let Some(graph) = &mut model.graph {
        rename_in(graph, names);
    }
}

fn rename_in(graph: &mut GraphProto, names: &BTreeMap<String, String>) {
    let change = |name: &mut String| {
        if let Some(new) = names.get(name) {
            name.clone_from(new);
        }
    };
    for node in &mut graph.node {
        node.input.iter_mut().chain(&mut node.output).for_each(change);
        graphs_mut(node).for_each(|graph| rename_in(graph, names));
    }
    let ports = graph.input.iter_mut().chain(&mut graph.output).chain(&mut graph.value_info);
    ports.for_each(|value| change(&mut value.name));
    let sparse = graph.sparse_initializer.iter_mut().flat_map(|sparse| &mut sparse.values);
    graph.initializer.iter_mut().chain(sparse).for_each(|tensor| change(&mut tensor.name));
    for annotation in &mut graph.quantization_annotation {
        annotation.tensor_name.iter_mut().for_each(change);
        annotation.quant_parameter_tensor_names.iter_mut().for_each(|e| change(&mut e.value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::nodes::{float_tensor, node, port, tensor};

    /// `y = If(condition) { inner = Relu(outer); Add(inner, bias) }`, with more that nobody needs.
    fn nested() -> GraphProto {
        let branch = GraphProto {
            node: vec![
                node("Relu", &["outer"], "inner", vec![]),
                node("Add", &["inner", "bias"], "z", vec![]),
            ],
            output: vec![port("z", None, &[])],
            ..Default::default()
        };
        let then =
            AttributeProto { name: "then_branch".into(), g: Some(branch), ..Default::default() };
        GraphProto {
            node: vec![
                node("Neg", &["x"], "outer", vec![]),
                node("Neg", &["x"], "unused", vec![]),
                node("If", &["condition"], "y", vec![then]),
            ],
            initializer: ["bias", "condition", "more"].map(|n| float_tensor(n, &[], &[1.0])).into(),
            output: vec![port("y", None, &[])],
            ..Default::default()
        }
    }

    #[test]
    fn what_a_branch_reads_stays() {
        let mut graph = nested();
        keep_what_outputs_need(&mut graph);
        let nodes: Vec<&str> = graph.node.iter().map(|node| node.op_type.as_str()).collect();
        let weights: Vec<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
        assert_eq!((nodes, weights), (vec!["Neg", "If"], vec!["bias", "condition"]));
    }

    #[test]
    fn names_change_in_branches_too() {
        let mut model = ModelProto { graph: Some(nested()), ..Default::default() };
        let names = [("outer", "a"), ("inner", "b"), ("bias", "c")];
        let names = names.map(|(old, new)| (old.to_owned(), new.to_owned()));
        rename(&mut model, &BTreeMap::from(names));
        let graph = model.graph.unwrap();
        let branch = graph.node[2].attribute[0].g.as_ref().unwrap();
        assert_eq!(
            (&graph.node[0].output[0], &graph.initializer[0].name),
            (&"a".into(), &"c".into())
        );
        assert_eq!(
            (&branch.node[0].input[0], &branch.node[0].output[0]),
            (&"a".into(), &"b".into())
        );
        assert_eq!(branch.node[1].input, ["b", "c"]);
    }

    #[test]
    fn constants_become_weights() {
        let mut graph = nested();
        let value = tensor("value", float_tensor("", &[2], &[1.0, 2.0]));
        graph.node.insert(0, node("Constant", &[], "k", vec![value]));
        make_constants_weights(&mut graph);
        assert_eq!(graph.node.len(), 3);
        let weight = graph.initializer.last().unwrap();
        assert_eq!((weight.name.as_str(), weight.dims[0]), ("k", 2));
    }
}
