//! From bytes to an ONNX graph: every choice takes a byte, and where there are none left it is 0.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};

/// Frames of a patch.
pub const FRAMES: usize = 8;
/// Mel bands of a patch.
pub const MELS: usize = 4;
/// Values of an embedding of the run that is exported.
pub const FEATURES: usize = 6;

/// All operators that the importer knows, those that the graph rewrites know, and some more.
const OPERATORS: &str = "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Floor Log Mish \
    Neg Reciprocal Relu Round Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh Identity \
    Dropout LeakyRelu Elu Celu Selu HardSigmoid HardSwish Swish Gelu ThresholdedRelu Shrink PRelu \
    Clip Add Sub Mul Div Pow Mod Max Min Sum Mean Equal Greater GreaterOrEqual Less LessOrEqual \
    And Or Xor Not IsNaN IsInf Where Conv ConvTranspose MaxPool AveragePool GlobalAveragePool \
    GlobalMaxPool GlobalLpPool BatchNormalization LayerNormalization RMSNormalization \
    InstanceNormalization GroupNormalization LpNormalization LRN MatMul Gemm Einsum ReduceMean \
    ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceSumSquare ReduceLogSum \
    ReduceLogSumExp Softmax LogSoftmax ArgMax ArgMin CumSum Constant ConstantOfShape Shape Size \
    Reshape Flatten Squeeze Unsqueeze Transpose Expand Range Cast CastLike Slice Split Concat \
    Gather Tile Pad DepthToSpace SpaceToDepth Trilu GatherElements GatherND ScatterElements \
    Scatter ScatterND ReverseSequence TopK NonZero Resize Upsample RNN GRU LSTM Attention \
    CenterCropPad Compress Hardmax OneHot DequantizeLinear EyeLike HannWindow HammingWindow \
    BlackmanWindow MelWeightMatrix DFT STFT MeanVarianceNormalization LpPool RotaryEmbedding \
    QuantizeLinear DynamicQuantizeLinear MatMulInteger ConvInteger QLinearConv If Loop Scan \
    BitShift Unique StringNormalizer SequenceEmpty Multinomial RandomNormal RandomUniformLike";

const ATTRIBUTES: &str = "axis axes alpha beta gamma epsilon kernel_shape strides pads dilations \
    group auto_pad ceil_mode count_include_pad output_padding output_shape keepdims perm to value \
    value_float value_int value_floats value_ints mode transA transB equation noop_with_empty_axes \
    select_last_index exclusive reverse start end upper blocksize batch_axis time_axis largest \
    sorted hidden_size direction activations clip linear_before_reset layout q_num_heads \
    kv_num_heads scale is_causal num_groups stash_type p lambd bias size broadcast allowzero \
    onesided inverse k periodic output_datatype coordinate_transformation_mode nearest_mode \
    cubic_coeff_a exclude_outside extrapolation_value antialias keep_aspect_ratio_policy num_outputs \
    split detect_negative detect_positive dtype fmod approximate batch_dims reduction storage_order \
    interleaved rotary_embedding_dim num_heads softcap training_mode momentum scales starts ends";

const TEXTS: [&str; 16] = [
    "NOTSET",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "constant",
    "reflect",
    "edge",
    "wrap",
    "linear",
    "nearest",
    "cubic",
    "bidirectional",
    "reverse",
    "ij,jk->ik",
    "...ij->...ji",
    "DCR",
];

const OPSETS: [i64; 8] = [7, 9, 11, 12, 13, 15, 17, 21];

const TYPES: [DataType; 8] = [
    DataType::Float,
    DataType::Float,
    DataType::Int64,
    DataType::Int64,
    DataType::Bool,
    DataType::Float16,
    DataType::Int8,
    DataType::Double,
];

/// The bytes that are left.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.next()) % count
    }

    /// Mostly small, now and then far out.
    fn number(&mut self) -> i64 {
        match self.next() {
            0xff => i64::MAX,
            0xfe => i64::MIN,
            0xfd => 1 << 33,
            0xfc => i64::from(i32::MAX),
            0xfb => 70_000,
            byte => i64::from(byte.cast_signed() % 12),
        }
    }

    fn float(&mut self) -> f32 {
        match self.next() {
            0xff => f32::NAN,
            0xfe => f32::INFINITY,
            0xfd => -1e30,
            0xfc => 1e-30,
            byte => f32::from(byte.cast_signed()) / 16.0,
        }
    }
}

/// The model; with `ends` its graph ends in an embedding as the run to be exported has it.
pub fn model(data: &[u8], ends: bool) -> ModelProto {
    let mut bytes = Bytes(data);
    let opset = OPSETS[bytes.below(OPSETS.len())];
    let mut names = vec!["patches".to_owned()];
    let mut graph = GraphProto { name: "fuzz".into(), ..Default::default() };
    for number in 0..bytes.below(5) {
        let name = format!("w{number}");
        graph.initializer.push(tensor(&mut bytes, &name));
        names.push(name);
    }
    for number in 0..1 + bytes.below(7) {
        let node = node(&mut bytes, number, &names, 0);
        names.extend(node.output.iter().filter(|name| !name.is_empty()).cloned());
        graph.node.push(node);
    }
    let free = if bytes.below(4) == 3 { Some(2) } else { None };
    graph.input = vec![port("patches", &[free, Some(FRAMES as i64), Some(MELS as i64)])];
    let last = names.last().cloned().unwrap_or_default();
    if ends {
        end(&mut graph, &last);
        graph.output = vec![port("embeddings", &[free, Some(FEATURES as i64)])];
    } else {
        let shapeless =
            ValueInfoProto { name: last, r#type: Some(float(None)), ..Default::default() };
        graph.output = vec![shapeless];
    }
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
        graph: Some(graph),
        ..Default::default()
    }
}

/// From whatever shape to `[patches, FEATURES]`.
fn end(graph: &mut GraphProto, last: &str) {
    let of = |op: &str, input: &[&str], output: &str| NodeProto {
        op_type: op.into(),
        name: format!("end_{output}"),
        input: input.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        ..Default::default()
    };
    let flat = of("Flatten", &[last], "flat");
    let mut mean = of("ReduceMax", &["flat"], "mean");
    mean.attribute.push(AttributeProto {
        name: "axes".into(),
        ints: vec![1],
        r#type: AttributeType::Ints as i32,
        ..Default::default()
    });
    graph.node.extend([flat, mean, of("MatMul", &["mean", "spread"], "embeddings")]);
    let spread: Vec<f32> = (0..FEATURES).map(|at| at as f32 - 2.0).collect();
    graph.initializer.push(floats("spread", &[1, FEATURES], &spread));
}

fn node(bytes: &mut Bytes, number: usize, names: &[String], depth: usize) -> NodeProto {
    let operators: Vec<&str> = OPERATORS.split_whitespace().collect();
    let op_type = operators[bytes.below(operators.len())];
    // The last one first: chains are likelier than stars.
    let input = |bytes: &mut Bytes| match bytes.below(names.len() + 1) {
        at if at == names.len() => String::new(),
        at => names[names.len() - 1 - at].clone(),
    };
    let inputs = bytes.below(5);
    let outputs = 1 + usize::from(bytes.below(8) == 7);
    let mut node = NodeProto {
        op_type: op_type.into(),
        name: format!("n{number}"),
        input: (0..inputs).map(|_| input(bytes)).collect(),
        output: (0..outputs).map(|at| format!("t{depth}_{number}_{at}")).collect(),
        ..Default::default()
    };
    node.attribute = (0..bytes.below(4)).map(|_| attribute(bytes)).collect();
    if matches!(op_type, "Loop" | "If" | "Scan") && depth < 2 {
        let graphs: &[&str] =
            if op_type == "If" { &["then_branch", "else_branch"] } else { &["body"] };
        for name in graphs {
            let inner = inner(bytes, names, depth + 1);
            node.attribute.push(AttributeProto {
                name: (*name).into(),
                g: Some(inner),
                r#type: AttributeType::Graph as i32,
                ..Default::default()
            });
        }
    }
    node
}

/// The body of a loop or branch.
fn inner(bytes: &mut Bytes, names: &[String], depth: usize) -> GraphProto {
    let mut graph = GraphProto { name: format!("inner{depth}"), ..Default::default() };
    let mut names = names.to_vec();
    for at in 0..bytes.below(4) {
        let name = format!("i{depth}_{at}");
        graph.input.push(port(&name, &[]));
        names.push(name);
    }
    for number in 0..1 + bytes.below(3) {
        let node = node(bytes, number, &names, depth);
        names.extend(node.output.iter().cloned());
        graph.node.push(node);
    }
    let outputs = 1 + bytes.below(3);
    graph.output = names.iter().rev().take(outputs).map(|name| port(name, &[])).collect();
    graph
}

fn attribute(bytes: &mut Bytes) -> AttributeProto {
    let names: Vec<&str> = ATTRIBUTES.split_whitespace().collect();
    let name = names[bytes.below(names.len())].to_owned();
    let mut attribute = AttributeProto { name, ..Default::default() };
    let kind = match bytes.below(6) {
        0 | 1 => {
            attribute.i = bytes.number();
            AttributeType::Int
        }
        2 | 3 => {
            attribute.ints = (0..bytes.below(7)).map(|_| bytes.number()).collect();
            AttributeType::Ints
        }
        4 => {
            attribute.f = bytes.float();
            AttributeType::Float
        }
        _ if attribute.name == "value" => {
            attribute.t = Some(tensor(bytes, "value"));
            AttributeType::Tensor
        }
        _ => {
            attribute.s = TEXTS[bytes.below(TEXTS.len())].into();
            AttributeType::String
        }
    };
    attribute.r#type = kind as i32;
    attribute
}

fn tensor(bytes: &mut Bytes, name: &str) -> TensorProto {
    let kind = TYPES[bytes.below(TYPES.len())];
    let dims: Vec<i64> = (0..bytes.below(5)).map(|_| bytes.below(5) as i64).collect();
    let count = dims.iter().product::<i64>();
    let mut tensor =
        TensorProto { name: name.into(), dims, data_type: kind as i32, ..Default::default() };
    for _ in 0..count {
        match kind {
            DataType::Float => tensor.float_data.push(bytes.float()),
            DataType::Double => tensor.double_data.push(bytes.float().into()),
            DataType::Int64 => tensor.int64_data.push(bytes.number()),
            DataType::Bool => tensor.int32_data.push(i32::from(bytes.next() & 1)),
            _ => tensor.int32_data.push(i32::from(bytes.next())),
        }
    }
    tensor
}

/// A tensor of floats.
pub fn floats(name: &str, shape: &[usize], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: shape.iter().map(|size| *size as i64).collect(),
        data_type: DataType::Float as i32,
        float_data: values.to_vec(),
        ..Default::default()
    }
}

fn float(shape: Option<&[Option<i64>]>) -> TypeProto {
    let dim = |size: &Option<i64>| Dimension {
        value: Some(match size {
            Some(size) => dimension::Value::DimValue(*size),
            None => dimension::Value::DimParam("N".into()),
        }),
        ..Default::default()
    };
    let shape = shape.map(|dims| TensorShapeProto { dim: dims.iter().map(dim).collect() });
    let tensor = type_proto::Tensor { elem_type: DataType::Float as i32, shape };
    TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() }
}

fn port(name: &str, dims: &[Option<i64>]) -> ValueInfoProto {
    ValueInfoProto { name: name.into(), r#type: Some(float(Some(dims))), ..Default::default() }
}
