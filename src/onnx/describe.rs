//! What a model says of itself: its graph, ports and metadata.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};

use super::port::Port;
use crate::error::{Error, Result};

/// The model's `metadata_props`, by key.
pub fn metadata(model: &ModelProto) -> BTreeMap<String, String> {
    model.metadata_props.iter().map(|entry| (entry.key.clone(), entry.value.clone())).collect()
}

/// The model's one input, which must be a float tensor. Initializers that are listed as
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
        [input] => port(input, path),
        _ => {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            Err(Error::onnx(path, format!("needs exactly one input but has {names:?}")))
        }
    }
}

/// The model's outputs, which must be float tensors, in its order.
///
/// # Errors
/// [`Error::Onnx`] if one is of another type.
pub fn outputs(model: &ModelProto, path: &Path) -> Result<Vec<Port>> {
    model.graph.iter().flat_map(|g| &g.output).map(|output| port(output, path)).collect()
}

fn port(value: &ValueInfoProto, path: &Path) -> Result<Port> {
    let Some(type_proto::Value::TensorType(tensor)) =
        value.r#type.as_ref().and_then(|t| t.value.as_ref())
    else {
        return Err(Error::onnx(path, format!("\"{}\" is not a tensor", value.name)));
    };
    if tensor.elem_type != DataType::Float as i32 {
        let name =
            DataType::try_from(tensor.elem_type).map_or("of an unknown type", |t| t.as_str_name());
        return Err(Error::onnx(path, format!("\"{}\" is {name}, not FLOAT", value.name)));
    }
    let dims = tensor.shape.iter().flat_map(|shape| &shape.dim);
    let size = |dim: &Dimension| match dim.value {
        Some(dimension::Value::DimValue(size)) => usize::try_from(size).ok(),
        _ => None,
    };
    Ok(Port { name: value.name.clone(), dims: dims.map(size).collect() })
}
