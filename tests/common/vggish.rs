//! VGGish as exporters write it, and other chains of layers with seeded weights.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, OperatorSetIdProto, TensorProto, ValueInfoProto,
};

use super::{integer, integers, node, value};

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

impl Builder {
    /// A graph with one input of these dimensions (-1: any batch).
    pub fn new(input: &str, dims: &[i64], seed: u64) -> Self {
        let graph = GraphProto {
            name: "test".to_owned(),
            input: vec![port(input, dims)],
            ..Default::default()
        };
        Self { graph, random: ChaCha8Rng::seed_from_u64(seed), last: input.to_owned() }
    }

    /// Adds a node on the last tensor and the named constants.
    pub fn node(
        &mut self,
        operator: &str,
        constants: &[&str],
        attributes: Vec<AttributeProto>,
    ) -> &mut Self {
        let output = format!("{}_{}", operator.to_lowercase(), self.graph.node.len());
        let last = std::mem::take(&mut self.last);
        self.raw(operator, &[&[last.as_str()], constants].concat(), &output, attributes);
        self.last = output;
        self
    }

    fn raw(
        &mut self,
        operator: &str,
        input: &[&str],
        output: &str,
        attributes: Vec<AttributeProto>,
    ) {
        self.graph.node.push(node(operator, input, output, attributes));
    }

    /// A constant of seeded values, uniform with this standard deviation.
    pub fn weights(&mut self, name: &str, dims: &[usize], deviation: f32) -> &mut Self {
        let bound = deviation * 3f32.sqrt();
        let count: usize = dims.iter().product();
        let raw_data = (0..count)
            .flat_map(|_| self.random.random_range(-bound..=bound).to_le_bytes())
            .collect();
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

    fn constant(
        &mut self,
        name: &str,
        dims: &[usize],
        kind: DataType,
        raw_data: Vec<u8>,
    ) -> &mut Self {
        self.graph.initializer.push(TensorProto {
            name: name.to_owned(),
            dims: dims.iter().map(|d| *d as i64).collect(),
            data_type: kind as i32,
            raw_data,
            ..Default::default()
        });
        self
    }

    pub fn conv(
        &mut self,
        channels: [usize; 2],
        kernel: [usize; 2],
        extra: Vec<AttributeProto>,
    ) -> &mut Self {
        let name = format!("conv{}", self.graph.node.len());
        let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
        let groups = extra.iter().find(|a| a.name == "group").map_or(1, |a| a.i as usize);
        let fan_in = channels[0] / groups * kernel[0] * kernel[1];
        let dims = [channels[1], channels[0] / groups, kernel[0], kernel[1]];
        self.weights(&weight, &dims, (2.0 / fan_in as f32).sqrt());
        self.weights(&bias, &[channels[1]], 0.1);
        let mut attributes = vec![integers("kernel_shape", &[kernel[0] as i64, kernel[1] as i64])];
        attributes.extend(extra);
        self.node("Conv", &[&weight, &bias], attributes)
    }

    /// Finishes the graph: the last tensor becomes its output.
    pub fn finish(mut self, output: &str, features: i64, opset: i64) -> ModelProto {
        if let Some(last) = self.graph.node.last_mut() {
            last.output = vec![output.to_owned()];
        }
        self.graph.output.push(port(output, &[-1, features]));
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
        builder.node("Transpose", &[], vec![integers("perm", &[0, 2, 1])]);
        builder.node("Reshape", &["shape_in"], vec![]);
    }
    let padding = || if tf { text("auto_pad", "SAME_UPPER") } else { integers("pads", &[1; 4]) };
    let mut channels = 1;
    for (width, pooled) in
        [(64, true), (128, true), (256, false), (256, true), (512, false), (512, true)]
    {
        builder.conv([channels, width / divisor], [3, 3], vec![padding()]).node(
            "Relu",
            &[],
            vec![],
        );
        channels = width / divisor;
        if pooled {
            let windows = vec![integers("kernel_shape", &[2, 2]), integers("strides", &[2, 2])];
            builder.node("MaxPool", &[], windows);
        }
    }
    builder.node("Transpose", &[], vec![integers("perm", &[0, 2, 3, 1])]);
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
    builder.raw("Shape", &[&data], "shape", vec![]);
    builder.raw("Gather", &["shape", "zero"], "batch", vec![integer("axis", 0)]);
    builder.raw("Unsqueeze", &["batch", "axes"], "batch1", vec![]);
    builder.raw("Concat", &["batch1", "rest"], "target", vec![integer("axis", 0)]);
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
        builder.node("Gemm", &[&weight, &bias], vec![integer("transB", 1)]);
    }
}

/// An attribute of text.
pub fn text(name: &str, s: &str) -> AttributeProto {
    let (name, s) = (name.into(), s.as_bytes().to_vec());
    AttributeProto { name, s, r#type: AttributeType::String as i32, ..Default::default() }
}

/// An input or output of these dimensions (-1: any size).
fn port(name: &str, dims: &[i64]) -> ValueInfoProto {
    let dims: Vec<Option<usize>> = dims.iter().map(|size| usize::try_from(*size).ok()).collect();
    value(name, &dims)
}
