//! Inputs and outputs as a file names them, whatever their type.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::Serialize;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::{GraphProto, TypeProto, ValueInfoProto, type_proto};

/// An input or output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypedPort {
    /// Its name.
    pub name: String,
    /// `float32`, `int64` and so on; `not a tensor` for sequences, maps and what has no type.
    #[serde(rename = "type")]
    pub element: String,
    /// Its axes; none where the file does not even say how many there are.
    pub axes: Option<Vec<Axis>>,
}

/// The size of an axis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Axis {
    /// This one.
    Fixed(u64),
    /// Any, called this.
    Named(String),
    /// Any.
    Free(()),
}

impl Axis {
    /// The size, if it is fixed.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::Fixed(size) => usize::try_from(*size).ok(),
            _ => None,
        }
    }
}

impl TypedPort {
    /// Sizes of the axes, `None` where any will do; of a port without a shape there are none.
    pub(super) fn dims(&self) -> Vec<Option<usize>> {
        self.axes.iter().flatten().map(Axis::size).collect()
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(size) => write!(f, "{size}"),
            Self::Named(name) => f.write_str(name),
            Self::Free(()) => f.write_str("any"),
        }
    }
}

/// The inputs of a graph that are not weights, which old exporters list among them.
pub(super) fn inputs(graph: &GraphProto) -> Vec<TypedPort> {
    let weights: HashSet<&str> = graph.initializer.iter().map(|t| t.name.as_str()).collect();
    let inputs = graph.input.iter().filter(|input| !weights.contains(input.name.as_str()));
    inputs.map(port).collect()
}

/// The outputs of a graph.
pub(super) fn outputs(graph: &GraphProto) -> Vec<TypedPort> {
    graph.output.iter().map(port).collect()
}

/// What the file notes of the shapes of tensors inside, with the sizes that `given` has for the
/// names of axes; what stays open is left out.
pub(super) fn noted(
    graph: &GraphProto,
    given: &BTreeMap<String, usize>,
) -> BTreeMap<String, Vec<usize>> {
    let size = |axis: Axis| match axis {
        Axis::Fixed(size) => usize::try_from(size).ok(),
        Axis::Named(name) => given.get(&name).copied(),
        Axis::Free(()) => None,
    };
    let known = |value: &ValueInfoProto| {
        let port = port(value);
        let sizes = port.axes?.into_iter().map(size).collect::<Option<Vec<usize>>>()?;
        Some((port.name, sizes))
    };
    graph.value_info.iter().chain(&graph.output).filter_map(known).collect()
}

fn port(value: &ValueInfoProto) -> TypedPort {
    let kind = value.r#type.as_ref().and_then(|kind: &TypeProto| kind.value.as_ref());
    let tensor = kind.map(|type_proto::Value::TensorType(tensor)| tensor);
    let axis = |value: &Option<Value>| match value {
        Some(Value::DimValue(size)) => u64::try_from(*size).map_or(Axis::Free(()), Axis::Fixed),
        Some(Value::DimParam(name)) if !name.is_empty() => Axis::Named(name.clone()),
        _ => Axis::Free(()),
    };
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    TypedPort {
        name: value.name.clone(),
        element: tensor.map_or("not a tensor".to_owned(), |tensor| element(tensor.elem_type)),
        axes: shape.map(|shape| shape.dim.iter().map(|dim| axis(&dim.value)).collect()),
    }
}

/// An element type, as numpy calls it.
fn element(data_type: i32) -> String {
    let name = match DataType::try_from(data_type) {
        Ok(DataType::Float) => "float32",
        Ok(DataType::Double) => "float64",
        Ok(other) => return other.as_str_name().to_ascii_lowercase(),
        Err(_) => "of an unknown type",
    };
    name.to_owned()
}
