//! Inputs of operators that must be one number: tract reads the first of none, outside its memory.

use std::collections::HashMap;

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

use super::attributes::attribute;

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
    let stored = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), tensor));
    let made = graph.node.iter().filter_map(constant);
    let constants: HashMap<&str, &TensorProto> = stored.chain(made).collect();
    for node in &graph.node {
        for input in scalars(&node.op_type) {
            let Some(name) = node.input.get(*input) else { continue };
            let Some(tensor) = constants.get(name.as_str()) else { continue };
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
        node.attribute.iter().flat_map(|a| a.g.iter().chain(&a.graphs)).try_for_each(check)?;
    }
    Ok(())
}

fn constant(node: &NodeProto) -> Option<(&str, &TensorProto)> {
    let value = attribute(node, "value").filter(|_| node.op_type == "Constant")?.t.as_ref()?;
    Some((node.output.first()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_one_number_is_no_list() {
        let checked = |dims: &[i64]| {
            let ratio =
                TensorProto { name: "ratio".into(), dims: dims.to_vec(), ..Default::default() };
            let node = NodeProto {
                op_type: "Dropout".into(),
                name: "d".into(),
                input: vec!["x".into(), "ratio".into()],
                ..Default::default()
            };
            check(&GraphProto { node: vec![node], initializer: vec![ratio], ..Default::default() })
        };
        assert!(checked(&[]).is_ok() && checked(&[1]).is_ok());
        let text = checked(&[0]).unwrap_err().to_string();
        assert!(text.contains("Dropout \"d\" wants one number as its input 2"), "{text}");
    }
}
