//! What a model says of itself: its graph, ports and metadata.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};

use super::names::EMBEDDINGS;
use super::port::{Float, Port};
#[cfg(feature = "train")]
use super::tensors;
use crate::error::{Error, Result};

/// The model's `metadata_props`, by key.
pub fn metadata(model: &ModelProto) -> BTreeMap<String, String> {
    model.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
}

/// The model's one input, which must be a tensor of floats. Initializers that are listed as
/// inputs as well, as old exporters do, are not counted.
///
/// # Errors
/// [`Error::Onnx`] if there is none, more than one, or it is of another type.
pub fn input(model: &ModelProto, path: &Path) -> Result<Port> {
    let graph = model.graph.as_ref();
    let weights: HashSet<&str> =
        graph.into_iter().flat_map(|g| &g.initializer).map(|t| t.name.as_str()).collect();
    let inputs: Vec<&ValueInfoProto> = graph
        .into_iter()
        .flat_map(|g| &g.input)
        .filter(|input| !weights.contains(input.name.as_str()))
        .collect();
    match inputs[..] {
        [input] => port(input).map_err(|other| Error::onnx(path, other)),
        _ => {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            Err(Error::onnx(path, format!("needs exactly one input but has {names:?}")))
        }
    }
}

/// The model's outputs that are tensors of floats, in its order. Others, such as the number of
/// the likeliest class, are left out: no runtime of ours gives them.
///
/// # Errors
/// [`Error::Onnx`] if none is.
pub fn outputs(model: &ModelProto, path: &Path) -> Result<Vec<Port>> {
    let (ports, others) = parted_outputs(model);
    match (ports.is_empty(), others.first()) {
        (false, _) => Ok(ports),
        (true, Some(other)) => Err(Error::onnx(path, other.to_string())),
        (true, None) => Err(Error::onnx(path, "the graph has no output")),
    }
}

/// The output to use as embeddings: the one called `wanted`, else `embeddings`, else the last
/// tensor of floats.
///
/// # Errors
/// [`Error::Onnx`] naming the outputs that would do.
pub(crate) fn output(model: &ModelProto, path: &Path, wanted: Option<&str>) -> Result<Port> {
    let ports = outputs(model, path)?;
    let find = |name: &str| ports.iter().find(|port| port.name == name);
    let Some(wanted) = wanted else {
        let chosen = find(EMBEDDINGS).or(ports.last()).cloned();
        return chosen.ok_or_else(|| Error::onnx(path, "the graph has no output"));
    };
    find(wanted).cloned().ok_or_else(|| {
        let fault = match parted_outputs(model).1.into_iter().find(|other| other.name == wanted) {
            Some(other) => format!("the output {other}"),
            None => format!("it has no output \"{wanted}\""),
        };
        let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        Error::onnx(path, format!("{fault}; those that would do: {}", names.join(", ")))
    })
}

/// Outputs that are tensors of floats, and the others.
fn parted_outputs(model: &ModelProto) -> (Vec<Port>, Vec<NoFloats>) {
    let mut parted = (vec![], vec![]);
    for output in model.graph.iter().flat_map(|g| &g.output) {
        match port(output) {
            Ok(port) => parted.0.push(port),
            Err(other) => parted.1.push(other),
        }
    }
    parted
}

/// An input or output that is no tensor of floats.
#[derive(Debug, thiserror::Error)]
#[error("\"{name}\" is {what}, not a tensor of floats")]
struct NoFloats {
    name: String,
    what: String,
}

fn port(value: &ValueInfoProto) -> Result<Port, NoFloats> {
    let name = value.name.clone();
    let Some(type_proto::Value::TensorType(tensor)) =
        value.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(NoFloats { name, what: "no tensor at all".to_owned() });
    };
    let float = match DataType::try_from(tensor.elem_type) {
        Ok(DataType::Float) => Float::Single,
        Ok(DataType::Float16) => Float::Half,
        Ok(DataType::Double) => Float::Double,
        Ok(other) => return Err(NoFloats { name, what: other.as_str_name().to_owned() }),
        Err(_) => return Err(NoFloats { name, what: "of an unknown type".to_owned() }),
    };
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let size = |dim: &Dimension| match dim.value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
        _ => None,
    };
    let axis = |dim: &Dimension| match &dim.value {
        Some(dimension::Value::DimParam(name)) if !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    Ok(Port { name, dims: dims.clone().map(size).collect(), axes: dims.map(axis).collect(), float })
}

/// Whether the model computes with fewer bits than 32: it has weights in half floats, be they
/// constants of its nodes, or quantizes.
#[cfg(feature = "train")]
pub(crate) fn has_small_numbers(model: &ModelProto) -> bool {
    let is_half = |tensor: &tract_onnx::pb::TensorProto| {
        [DataType::Float16 as i32, DataType::Bfloat16 as i32].contains(&tensor.data_type)
    };
    // A runtime that sees weights as bytes may compute with bytes.
    let quantizes = |node: &tract_onnx::pb::NodeProto| {
        node.op_type.contains("uantize") || node.op_type.ends_with("Integer")
    };
    let mut nodes = model.graph.iter().flat_map(|graph| &graph.node);
    nodes.any(quantizes) || tensors::of_model(model).into_iter().any(is_half)
}

#[cfg(test)]
mod tests {
    use tract_onnx::pb::{GraphProto, TypeProto};

    use super::*;

    fn model(outputs: &[(&str, DataType)]) -> ModelProto {
        let value = |(name, kind): &(&str, DataType)| ValueInfoProto {
            name: (*name).to_owned(),
            r#type: Some(TypeProto {
                value: Some(type_proto::Value::TensorType(type_proto::Tensor {
                    elem_type: *kind as i32,
                    shape: None,
                })),
                ..Default::default()
            }),
            ..Default::default()
        };
        let output = outputs.iter().map(value).collect();
        let graph = GraphProto { output, ..Default::default() };
        ModelProto { graph: Some(graph), ..Default::default() }
    }

    #[test]
    fn outputs_of_other_types_are_left_out_and_named_where_one_is_asked_for() {
        let path = Path::new("m.onnx");
        let mixed = model(&[
            ("half", DataType::Float16),
            ("double", DataType::Double),
            ("label", DataType::Int64),
        ]);
        let ports = outputs(&mixed, path).unwrap();
        let kinds: Vec<_> = ports.iter().map(|port| (port.name.as_str(), port.float)).collect();
        assert_eq!(kinds, [("half", Float::Half), ("double", Float::Double)]);
        let none = outputs(&model(&[("label", DataType::Int64)]), path).unwrap_err();
        assert_eq!(none.to_string(), "m.onnx: \"label\" is INT64, not a tensor of floats");
        assert!(outputs(&model(&[]), path).is_err());
    }

    #[cfg(feature = "train")]
    #[test]
    fn a_wrong_choice_is_answered_with_those_that_would_do() {
        let path = Path::new("m.onnx");
        let mixed = model(&[
            ("scores", DataType::Float),
            ("half", DataType::Float16),
            ("label", DataType::Int64),
        ]);
        assert_eq!(output(&mixed, path, None).unwrap().name, "half");
        assert_eq!(output(&mixed, path, Some("scores")).unwrap().name, "scores");
        for (wanted, said) in [("label", "the output \"label\" is INT64"), ("x", "no output \"x\"")]
        {
            let text = output(&mixed, path, Some(wanted)).unwrap_err().to_string();
            assert!(text.contains(said) && text.ends_with("would do: scores, half"), "{text}");
        }
    }

    #[cfg(feature = "train")]
    #[test]
    fn small_numbers_count_wherever_they_stand() {
        use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto};
        let half = || TensorProto { data_type: DataType::Float16 as i32, ..Default::default() };
        let weight = || GraphProto { initializer: vec![half()], ..Default::default() };
        let with_node = |attribute: AttributeProto| {
            let node = NodeProto { attribute: vec![attribute], ..Default::default() };
            GraphProto { node: vec![node], ..Default::default() }
        };
        let constant = with_node(AttributeProto { t: Some(half()), ..Default::default() });
        let branch = with_node(AttributeProto { g: Some(weight()), ..Default::default() });
        for graph in [weight(), constant, branch] {
            assert!(has_small_numbers(&ModelProto { graph: Some(graph), ..Default::default() }));
        }
        let operator = NodeProto { op_type: "DequantizeLinear".into(), ..Default::default() };
        let bytes = GraphProto { node: vec![operator], ..Default::default() };
        assert!(has_small_numbers(&ModelProto { graph: Some(bytes), ..Default::default() }));
        // An output may be cast to them in the end.
        assert!(!has_small_numbers(&model(&[("half", DataType::Float16)])));
    }
}
