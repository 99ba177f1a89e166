//! Inputs of operators that must be one number: tract reads the first of none, outside its memory.

use tract_onnx::pb::GraphProto;

use super::scope::{Scope, inner_graphs};

/// An input that stands in the file and is not one number.
#[derive(Debug, thiserror::Error)]
#[error(
    "{operator} \"{node}\" wants one number as its input {input}, and \"{name}\" has the \
     dimensions {dims:?}"
)]
pub(super) struct NoScalar {
    operator: String,
    node: String,
    input: usize,
    name: String,
    dims: Vec<i64>,
}

/// Which inputs of an operator are one number.
fn scalars(operator: &str) -> &'static [usize] {
    match operator {
        "Dropout" | "Clip" => &[1, 2],
        "TopK" | "OneHot" | "CumSum" | "Trilu" | "MelWeightMatrix" | "DFT" => &[1],
        "Range" => &[0, 1, 2],
        "If" | "HannWindow" | "HammingWindow" | "BlackmanWindow" => &[0],
        "Loop" => &[0, 1],
        "Pad" => &[2],
        "STFT" => &[1, 3],
        _ => &[],
    }
}

/// Checks the constants that all nodes of `graph` are given; those of graphs inside it too.
///
/// # Errors
/// The first that is not one number.
pub(super) fn check(graph: &GraphProto) -> Result<(), NoScalar> {
    check_graph(graph, None)
}

// The recursion is bounded: prost refuses messages nested more than 100 deep.
fn check_graph(graph: &GraphProto, outer: Option<&Scope>) -> Result<(), NoScalar> {
    let scope = Scope::of(graph, outer);
    for node in &graph.node {
        for input in scalars(&node.op_type) {
            let Some(name) = node.input.get(*input) else { continue };
            let Some(tensor) = scope.constant(name) else { continue };
            if tensor.dims.iter().any(|size| *size != 1) {
                return Err(NoScalar {
                    operator: node.op_type.clone(),
                    node: node.name.clone(),
                    input: *input + 1,
                    name: name.clone(),
                    dims: tensor.dims.clone(),
                });
            }
        }
        inner_graphs(node).try_for_each(|inner| check_graph(inner, Some(&scope)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};

    fn dropout() -> NodeProto {
        NodeProto {
            op_type: "Dropout".into(),
            name: "d".into(),
            input: vec!["x".into(), "ratio".into()],
            ..Default::default()
        }
    }

    fn checked_in(node: NodeProto, dims: &[i64]) -> Result<(), NoScalar> {
        let ratio = TensorProto { name: "ratio".into(), dims: dims.to_vec(), ..Default::default() };
        check(&GraphProto { node: vec![node], initializer: vec![ratio], ..Default::default() })
    }

    #[test]
    fn what_must_be_one_number_is_no_list() {
        let checked = |dims: &[i64]| checked_in(dropout(), dims);
        assert!(checked(&[]).is_ok() && checked(&[1]).is_ok());
        let text = checked(&[0]).unwrap_err().to_string();
        assert!(text.contains("Dropout \"d\" wants one number as its input 2"), "{text}");
    }

    #[test]
    fn a_constant_of_the_graph_around_is_looked_at_too() {
        let body = GraphProto { node: vec![dropout()], ..Default::default() };
        let body = AttributeProto { name: "body".into(), g: Some(body), ..Default::default() };
        let scan =
            NodeProto { op_type: "Scan".into(), attribute: vec![body], ..Default::default() };
        assert!(checked_in(scan.clone(), &[1]).is_ok());
        assert!(checked_in(scan, &[0]).is_err());
    }
}
