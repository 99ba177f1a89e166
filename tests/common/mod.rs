//! ONNX models written with tract's protobuf types.

#![allow(dead_code)] // each test binary uses its part

pub mod data;
pub mod vggish;

use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

pub const FRAMES: usize = 4;
pub const MELS: usize = 6;
pub const CLASSES: usize = 3;

/// `patches` [N, 4, 6] → flatten → dense → `logits` [N, 3] → softmax → `probabilities` [N, 3].
pub fn tiny() -> ModelProto {
    let weights: Vec<f32> =
        (0..FRAMES * MELS * CLASSES).map(|i| ((i * 7 % 11) as f32 - 5.0) / 10.0).collect();
    let graph = GraphProto {
        name: "tiny".into(),
        node: vec![
            node("Flatten", &["patches"], "flat", vec![integer("axis", 1)]),
            node("Gemm", &["flat", "weights", "bias"], "logits", vec![]),
            node("Softmax", &["logits"], "probabilities", vec![integer("axis", 1)]),
        ],
        initializer: vec![
            floats("weights", &[FRAMES * MELS, CLASSES], &weights),
            floats("bias", &[CLASSES], &[0.1, 0.0, -0.1]),
        ],
        input: vec![value("patches", &[None, Some(FRAMES), Some(MELS)])],
        output: vec![
            value("logits", &[None, Some(CLASSES)]),
            value("probabilities", &[None, Some(CLASSES)]),
        ],
        ..Default::default()
    };
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: 13 }],
        graph: Some(graph),
        metadata_props: vec![StringStringEntryProto {
            key: "front_end".into(),
            value: front_end(),
        }],
        ..Default::default()
    }
}

/// A front end with a patch every half second.
fn front_end() -> String {
    let yamnet = genre_transfer::features::FrontEnd::yamnet();
    let front_end = genre_transfer::features::FrontEnd { patch_hop: 50, ..yamnet };
    serde_json::to_string(&front_end).unwrap()
}

/// What the tiny model answers for one row, by plain arithmetic.
pub fn tiny_logits(row: &[f32]) -> Vec<f32> {
    let graph = tiny().graph.unwrap();
    let (weights, bias) = (&graph.initializer[0], &graph.initializer[1]);
    let weights: Vec<f32> =
        weights.raw_data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let bias = bias.raw_data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()));
    let dot = |class: usize| -> f32 {
        row.iter().enumerate().map(|(i, x)| x * weights[i * CLASSES + class]).sum()
    };
    bias.enumerate().map(|(class, bias)| bias + dot(class)).collect()
}

pub fn write(model: &ModelProto, folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, model.encode_to_vec()).unwrap();
    path
}

pub fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

pub fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        name: format!("{op}_{output}"),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        attribute,
        ..Default::default()
    }
}

pub fn integer(name: &str, i: i64) -> AttributeProto {
    AttributeProto { name: name.into(), i, r#type: AttributeType::Int as i32, ..Default::default() }
}

pub fn integers(name: &str, ints: &[i64]) -> AttributeProto {
    let (name, ints) = (name.into(), ints.to_vec());
    AttributeProto { name, ints, r#type: AttributeType::Ints as i32, ..Default::default() }
}

pub fn floats(name: &str, dims: &[usize], data: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: DataType::Float as i32,
        raw_data: data.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Default::default()
    }
}

pub fn value(name: &str, dims: &[Option<usize>]) -> ValueInfoProto {
    let dim = |size: &Option<usize>| Dimension {
        value: Some(match size {
            Some(size) => dimension::Value::DimValue(*size as i64),
            None => dimension::Value::DimParam("N".into()),
        }),
        ..Default::default()
    };
    let tensor = type_proto::Tensor {
        elem_type: DataType::Float as i32,
        shape: Some(TensorShapeProto { dim: dims.iter().map(dim).collect() }),
    };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}
