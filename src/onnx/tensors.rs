//! All tensors that a model holds, wherever they stand.

use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, SparseTensorProto, TensorProto};

/// The tensors that a runtime reads: weights, those in the attributes of nodes (`Constant`), and
/// those in graphs inside nodes and in functions.
pub(super) fn of_model(model: &ModelProto) -> Vec<&TensorProto> {
    let graph = model.graph.iter().flat_map(of_graph);
    let functions = model.functions.iter().flat_map(|function| &function.node);
    graph.chain(functions.flat_map(of_node)).collect()
}

/// Those of one graph.
// The recursion is bounded: prost refuses messages nested more than 100 deep.
pub(super) fn of_graph(graph: &GraphProto) -> Vec<&TensorProto> {
    let sparse = graph.sparse_initializer.iter().flat_map(parts);
    let inside = graph.node.iter().flat_map(of_node);
    graph.initializer.iter().chain(sparse).chain(inside).collect()
}

fn of_node(node: &NodeProto) -> Vec<&TensorProto> {
    let mut found = vec![];
    for attribute in &node.attribute {
        found.extend(attribute.t.iter().chain(&attribute.tensors));
        let sparse = attribute.sparse_tensor.iter().chain(&attribute.sparse_tensors);
        found.extend(sparse.flat_map(parts));
        found.extend(attribute.g.iter().chain(&attribute.graphs).flat_map(of_graph));
    }
    found
}

fn parts(sparse: &SparseTensorProto) -> impl Iterator<Item = &TensorProto> {
    sparse.values.iter().chain(&sparse.indices)
}
