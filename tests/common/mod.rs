//! Helpers for the tests: ONNX files in the styles exporters really write, and
//! the optional folder of real data.

#![allow(dead_code)]

use std::path::PathBuf;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto, tensor_shape_proto, type_proto,
};

/// The folder of optional test data (`gtzan/`, `backbones/`, `vggish_fixtures/`,
/// `frontend_fixtures/`), from `GENRE_TRANSFER_TEST_DATA`; says so when it is not set.
pub fn test_data() -> Option<PathBuf> {
    let folder = std::env::var_os("GENRE_TRANSFER_TEST_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: GENRE_TRANSFER_TEST_DATA is not set");
    }
    folder
}

/// A named array of an `.npz` file, as float32.
pub fn npz(path: &std::path::Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let mut archive = npyz::npz::NpzArchive::open(path).unwrap();
    let array = archive.by_name(name).unwrap().unwrap_or_else(|| panic!("{name} in {path:?}"));
    let shape = array.shape().iter().map(|d| *d as usize).collect();
    (shape, array.into_vec::<f32>().unwrap())
}

/// How an exporter writes VGGish.
#[derive(Clone, Copy, Debug)]
pub enum Style {
    /// torch.onnx.export before 2.5: Shape, Gather, Unsqueeze, Concat in front of Reshape.
    TorchScript,
    /// tf2onnx: input `[N, mels, frames]`, SAME_UPPER, MatMul and Add.
    Tf,
}

/// An ONNX graph under construction, a chain of nodes.
pub struct Builder {
    pub graph: GraphProto,
    random: ChaCha8Rng,
    last: String,
}

pub fn attribute(name: &str) -> AttributeProto {
    AttributeProto { name: name.to_owned(), ..Default::default() }
}

pub fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::Ints as i32;
    AttributeProto { ints: ints.to_vec(), r#type, ..attribute(name) }
}

pub fn int(name: &str, i: i64) -> AttributeProto {
    AttributeProto { i, r#type: attribute_proto::AttributeType::Int as i32, ..attribute(name) }
}

pub fn text(name: &str, s: &str) -> AttributeProto {
    let r#type = attribute_proto::AttributeType::String as i32;
    AttributeProto { s: s.as_bytes().to_vec(), r#type, ..attribute(name) }
}

fn value(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dim = |size: &i64| tensor_shape_proto::Dimension {
        value: Some(match size {
            -1 => tensor_shape_proto::dimension::Value::DimParam("batch".to_owned()),
            size => tensor_shape_proto::dimension::Value::DimValue(*size),
        }),
        ..Default::default()
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape: Some(shape) };
    let r#type =
        TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.to_owned(), r#type: Some(r#type), ..Default::default() }
}

impl Builder {
    /// A graph with one input of these dimensions (-1: any batch).
    pub fn new(input: &str, dims: &[i64], seed: u64) -> Self {
        let graph = GraphProto {
            name: "test".to_owned(),
            input: vec![value(input, dims)],
            ..Default::default()
        };
        Self { graph, random: ChaCha8Rng::seed_from_u64(seed), last: input.to_owned() }
    }

    /// Adds a node on the last tensor and the named constants.
    pub fn node(&mut self, operator: &str, constants: &[&str], attributes: Vec<AttributeProto>) -> &mut Self {
        let output = format!("{}_{}", operator.to_lowercase(), self.graph.node.len());
        let mut input = vec![self.last.clone()];
        input.extend(constants.iter().map(|name| (*name).to_owned()));
        self.raw(operator, input, &output, attributes);
        self.last = output;
        self
    }

    fn raw(&mut self, operator: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) {
        self.graph.node.push(NodeProto {
            op_type: operator.to_owned(),
            name: format!("node_{output}"),
            input,
            output: vec![output.to_owned()],
            attribute,
            ..Default::default()
        });
    }

    /// A constant of seeded values, uniform with this standard deviation.
    pub fn weights(&mut self, name: &str, dims: &[usize], deviation: f32) -> &mut Self {
        let bound = deviation * 3f32.sqrt();
        let count: usize = dims.iter().product();
        let raw_data =
            (0..count).flat_map(|_| self.random.random_range(-bound..=bound).to_le_bytes()).collect();
        self.constant(name, dims, DataType::Float, raw_data)
    }

    pub fn floats(&mut self, name: &str, values: &[f32]) -> &mut Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, &[values.len()], DataType::Float, raw)
    }

    pub fn integers(&mut self, name: &str, dims: &[usize], values: &[i64]) -> &mut Self {
        let raw = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.constant(name, dims, DataType::Int64, raw)
    }

    fn constant(&mut self, name: &str, dims: &[usize], kind: DataType, raw_data: Vec<u8>) -> &mut Self {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: dims.iter().map(|d| *d as i64).collect(),
            data_type: kind as i32,
            raw_data,
            ..Default::default()
        });
        self
    }

    pub fn conv(&mut self, channels: [usize; 2], kernel: [usize; 2], extra: Vec<AttributeProto>) -> &mut Self {
        let name = format!("conv{}", self.graph.node.len());
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let groups = extra.iter().find(|a| a.name == "group").map_or(1, |a| a.i as usize);
        let fan_in = channels[0] / groups * kernel[0] * kernel[1];
        let dims = [channels[1], channels[0] / groups, kernel[0], kernel[1]];
        self.weights(&weight, &dims, (2.0 / fan_in as f32).sqrt());
        self.weights(&bias, &[channels[1]], 0.1);
        let mut attributes = vec![ints("kernel_shape", &[kernel[0] as i64, kernel[1] as i64])];
        attributes.extend(extra);
        self.node("Conv", &[&weight, &bias], attributes)
    }

    /// Finishes the graph: the last tensor becomes its output.
    pub fn finish(mut self, output: &str, features: i64, opset: i64) -> ModelProto {
        if let Some(last) = self.graph.node.last_mut() {
            last.output = vec![output.to_owned()];
        }
        self.graph.output.push(value(output, &[-1, features]));
        ModelProto {
            ir_version: 7,
            producer_name: "genre-transfer tests".to_owned(),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
            graph: Some(self.graph),
            ..Default::default()
        }
    }
}

/// VGGish (Hershey et al. 2017) with seeded weights and every width divided by
/// `divisor`: 72,141,184 parameters when it is one.
pub fn vggish(style: Style, divisor: usize, seed: u64) -> ModelProto {
    let tf = matches!(style, Style::Tf);
    let dims: &[i64] = if tf { &[-1, 64, 96] } else { &[-1, 1, 96, 64] };
    let mut builder = Builder::new("input", dims, seed);
    if tf {
        builder.integers("shape_in", &[4], &[-1, 1, 96, 64]);
        builder.node("Transpose", &[], vec![ints("perm", &[0, 2, 1])]);
        builder.node("Reshape", &["shape_in"], vec![]);
    }
    let padding = || if tf { text("auto_pad", "SAME_UPPER") } else { ints("pads", &[1; 4]) };
    let mut channels = 1;
    for (width, pooled) in
        [(64, true), (128, true), (256, false), (256, true), (512, false), (512, true)]
    {
        builder.conv([channels, width / divisor], [3, 3], vec![padding()]).node("Relu", &[], vec![]);
        channels = width / divisor;
        if pooled {
            let windows = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
            builder.node("MaxPool", &[], windows);
        }
    }
    builder.node("Transpose", &[], vec![ints("perm", &[0, 2, 3, 1])]);
    flatten(&mut builder, style, channels * 24);
    let widths = [channels * 24, 4096 / divisor, 4096 / divisor, 128];
    for (layer, pair) in widths.windows(2).enumerate() {
        dense(&mut builder, style, layer, pair[0], pair[1]);
        if layer < 2 || !tf {
            builder.node("Relu", &[], vec![]);
        }
    }
    builder.finish("embeddings", 128, if tf { 12 } else { 14 })
}

fn flatten(builder: &mut Builder, style: Style, features: usize) {
    if matches!(style, Style::Tf) {
        builder.integers("shape_flat", &[2], &[-1, features as i64]);
        builder.node("Reshape", &["shape_flat"], vec![]);
        return;
    }
    let data = builder.last.clone();
    builder.integers("zero", &[], &[0]).integers("axes", &[1], &[0]).integers("rest", &[1], &[-1]);
    let text = str::to_owned;
    builder.raw("Shape", vec![data], "shape", vec![]);
    builder.raw("Gather", vec![text("shape"), text("zero")], "batch", vec![int("axis", 0)]);
    builder.raw("Unsqueeze", vec![text("batch"), text("axes")], "batch1", vec![]);
    builder.raw("Concat", vec![text("batch1"), text("rest")], "target", vec![int("axis", 0)]);
    builder.node("Reshape", &["target"], vec![]);
}

fn dense(builder: &mut Builder, style: Style, layer: usize, from: usize, to: usize) {
    let (weight, bias) = (format!("fc{layer}.weight"), format!("fc{layer}.bias"));
    let deviation = (2.0 / from as f32).sqrt();
    builder.weights(&bias, &[to], 0.1);
    if matches!(style, Style::Tf) {
        builder.weights(&weight, &[from, to], deviation);
        builder.node("MatMul", &[&weight], vec![]).node("Add", &[&bias], vec![]);
    } else {
        builder.weights(&weight, &[to, from], deviation);
        builder.node("Gemm", &[&weight, &bias], vec![int("transB", 1)]);
    }
}

/// Writes a model to `path`.
pub fn save(model: &ModelProto, path: &std::path::Path) {
    std::fs::write(path, prost::Message::encode_to_vec(model)).unwrap();
}
