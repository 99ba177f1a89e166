//! What a model says of itself: its graph, ports and metadata.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};

use super::port::Port;
use crate::error::{Error, Result};

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
