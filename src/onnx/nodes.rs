//! Parts of graphs that we write: nodes, attributes, constant tensors and ports.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto,
    tensor_shape_proto, type_proto,
};

/// A node of one output, after which it is named.
pub(crate) fn node(
    operator: &str,
    input: &[&str],
    output: &str,
    attribute: Vec<AttributeProto>,
) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        name: format!("{output}.node"),
        input: input.iter().map(|name| (*name).to_owned()).collect(),
        output: vec![output.to_owned()],
        attribute,
        ..Default::default()
    }
}

/// An attribute that is an integer.
pub(crate) fn int(name: &str, value: i64) -> AttributeProto {
    let r#type = AttributeType::Int as i32;
    AttributeProto { name: name.to_owned(), r#type, i: value, ..Default::default() }
}

/// An attribute that is a list of integers.
pub(crate) fn ints(name: &str, values: &[i64]) -> AttributeProto {
    let r#type = AttributeType::Ints as i32;
    AttributeProto { name: name.to_owned(), r#type, ints: values.to_vec(), ..Default::default() }
}

/// An attribute that is a tensor.
#[cfg(test)]
pub(crate) fn tensor(name: &str, value: TensorProto) -> AttributeProto {
    let r#type = AttributeType::Tensor as i32;
    AttributeProto { name: name.to_owned(), r#type, t: Some(value), ..Default::default() }
}

/// An attribute that is a list of floats.
pub(crate) fn floats(name: &str, floats: Vec<f32>) -> AttributeProto {
    let r#type = AttributeType::Floats as i32;
    AttributeProto { name: name.to_owned(), r#type, floats, ..Default::default() }
}

/// An attribute that is a text.
pub(crate) fn string(name: &str, value: &str) -> AttributeProto {
    let r#type = AttributeType::String as i32;
    let s = value.as_bytes().to_vec();
    AttributeProto { name: name.to_owned(), r#type, s, ..Default::default() }
}

/// An attribute that is a list of texts.
pub(crate) fn strings(name: &str, strings: Vec<Vec<u8>>) -> AttributeProto {
    let r#type = AttributeType::Strings as i32;
    AttributeProto { name: name.to_owned(), r#type, strings, ..Default::default() }
}

/// A constant list of integers.
pub(crate) fn int64_tensor(name: &str, values: Vec<i64>) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values,
        ..Default::default()
    }
}

/// A constant of integers, row-major.
pub(crate) fn shaped_int64_tensor(name: String, shape: &[usize], values: &[i64]) -> TensorProto {
    raw_tensor(name, shape, DataType::Int64, values.iter().flat_map(|v| v.to_le_bytes()))
}

/// A constant of 32-bit integers, row-major.
pub(crate) fn int32_tensor(name: String, shape: &[usize], values: &[i32]) -> TensorProto {
    raw_tensor(name, shape, DataType::Int32, values.iter().flat_map(|v| v.to_le_bytes()))
}

/// A constant of 32-bit floats, row-major.
pub(crate) fn float_tensor(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    raw_tensor(name.to_owned(), shape, DataType::Float, values.iter().flat_map(|v| v.to_le_bytes()))
}

/// A constant of 16-bit floats, row-major, of which the bits are given.
pub(crate) fn half_tensor(name: String, shape: &[usize], bits: &[u16]) -> TensorProto {
    raw_tensor(name, shape, DataType::Float16, bits.iter().flat_map(|v| v.to_le_bytes()))
}

/// A constant of signed bytes, row-major.
pub(crate) fn byte_tensor(name: String, shape: &[usize], bytes: &[i8]) -> TensorProto {
    raw_tensor(name, shape, DataType::Int8, bytes.iter().flat_map(|v| v.to_le_bytes()))
}

/// A constant of unsigned bytes, row-major.
pub(crate) fn unsigned_byte_tensor(name: String, shape: &[usize], bytes: &[u8]) -> TensorProto {
    raw_tensor(name, shape, DataType::Uint8, bytes.iter().copied())
}

fn raw_tensor(
    name: String,
    shape: &[usize],
    data_type: DataType,
    bytes: impl Iterator<Item = u8>,
) -> TensorProto {
    TensorProto {
        name,
        dims: shape.iter().map(|size| *size as i64).collect(),
        data_type: data_type as i32,
        raw_data: bytes.collect(),
        ..Default::default()
    }
}

/// An input or output of floats with a batch axis, free unless a size is given.
pub(crate) fn port(name: &str, batch: Option<usize>, shape: &[usize]) -> ValueInfoProto {
    let batch = batch.map_or(Size::Free("batch"), Size::Fixed);
    let sizes = shape.iter().map(|size| Size::Fixed(*size));
    sized_port(name, std::iter::once(batch).chain(sizes))
}

/// The size of an axis.
#[derive(Clone, Copy)]
pub(crate) enum Size {
    /// This one.
    Fixed(usize),
    /// Any, called this.
    Free(&'static str),
}

/// An input or output of floats.
pub(crate) fn sized_port(name: &str, sizes: impl IntoIterator<Item = Size>) -> ValueInfoProto {
    use tensor_shape_proto::dimension::Value::{DimParam, DimValue};
    let dim = |size| {
        let value = match size {
            Size::Fixed(size) => DimValue(size as i64),
            Size::Free(name) => DimParam(name.to_owned()),
        };
        tensor_shape_proto::Dimension { value: Some(value), ..Default::default() }
    };
    let shape = TensorShapeProto { dim: sizes.into_iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let value = Some(type_proto::Value::TensorType(tensor));
    let r#type = Some(TypeProto { value, ..Default::default() });
    ValueInfoProto { name: name.to_owned(), r#type, ..Default::default() }
}
