//! Random small graphs, wrong ones included: the interpreter answers or says why not.
#![cfg(feature = "train")]

mod common;

use std::cell::Cell;

use burn::tensor::Device;
use genre_transfer::model::graph::{Value, evaluate, gradients, stored_value};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::TestRunner;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
};

const CASES: u32 = 60_000;

const OPERATORS: &str = "Abs Acosh Asin Atanh Ceil Erf Exp Log Neg Reciprocal Relu Round Sigmoid \
    Sqrt Tanh Identity Dropout LeakyRelu Elu Celu Selu HardSigmoid HardSwish Swish Gelu \
    ThresholdedRelu Shrink PRelu Clip Add Sub Mul Div Pow Mod Max Min Sum Mean Equal Greater \
    LessOrEqual And Not IsNaN IsInf Where Conv ConvTranspose MaxPool AveragePool LpPool \
    GlobalAveragePool GlobalMaxPool GlobalLpPool BatchNormalization LayerNormalization \
    RMSNormalization InstanceNormalization GroupNormalization LpNormalization LRN \
    MeanVarianceNormalization MatMul Gemm Einsum ReduceMean ReduceSum ReduceMax ReduceProd \
    ReduceL2 ReduceLogSumExp Softmax LogSoftmax Hardmax ArgMax ArgMin CumSum Constant \
    ConstantOfShape Shape Size Reshape Flatten Squeeze Unsqueeze Transpose Expand Range Cast \
    CastLike Slice Split Concat Gather Tile Pad DepthToSpace SpaceToDepth Trilu GatherElements \
    GatherND ScatterElements ScatterND ReverseSequence TopK NonZero OneHot EyeLike Compress \
    CenterCropPad Resize Upsample RNN GRU LSTM Attention RotaryEmbedding DequantizeLinear \
    HannWindow HammingWindow BlackmanWindow MelWeightMatrix DFT STFT";

const ATTRIBUTES: &str = "axis axes kernel_shape strides pads dilations group auto_pad ceil_mode \
    count_include_pad output_padding output_shape alpha beta epsilon transA keepdims \
    noop_with_empty_axes perm mode direction hidden_size layout clip linear_before_reset \
    activations equation scale q_num_heads kv_num_heads is_causal num_heads interleaved p k \
    largest to dtype value_int value_ints blocksize block_size num_groups size shape starts ends \
    steps split num_outputs allowzero exclusive reverse batch_dims reduction batch_axis time_axis \
    coordinate_transformation_mode nearest_mode antialias exclude_outside scales \
    keep_aspect_ratio_policy onesided inverse periodic softcap num_scan detect_positive upper \
    training_mode spatial rotary_embedding_dim left_window_size min max fmod";

const TEXTS: &str = "SAME_UPPER SAME_LOWER VALID NOTSET nearest linear cubic reflect edge wrap \
    constant forward reverse bidirectional align_corners asymmetric tf_crop_and_resize \
    half_pixel_symmetric floor ceil add mul none tanh CRD DCR ij,jk->ik ...ij->...i ii->i ij->ji \
    i,i-> bij,bjk not_larger";

/// Names of what a node may be given: floats of several shapes, integers, truth values; later
/// answers of nodes before it.
const GIVEN: &str = "maps row matrix number empty weights kernel gates ints one_int places bools";

fn words(text: &'static str) -> Vec<&'static str> {
    text.split_whitespace().collect()
}

/// Small numbers, and such as only a strange file has. Those between would only fill memory.
fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => -3i64..6,
        1 => select(vec![i64::MIN, i64::MAX, 1 << 31, 1 << 40, -(1 << 40), 20]),
    ]
}

fn float() -> impl Strategy<Value = f32> {
    prop_oneof![8 => -2f32..3.0, 1 => select(vec![0.0, f32::NAN, f32::INFINITY, 1e30, -1e-30])]
}

fn attribute() -> impl Strategy<Value = AttributeProto> {
    let values = (
        integer(),
        proptest::collection::vec(integer(), 0..5),
        float(),
        proptest::collection::vec(float(), 0..5),
        select(words(TEXTS)),
        0..3usize,
    );
    (select(words(ATTRIBUTES)), values).prop_map(|(name, (i, ints, f, floats, text, kind))| {
        AttributeProto {
            name: name.into(),
            i,
            ints,
            f,
            floats,
            s: text.into(),
            strings: vec![text.into(); kind],
            r#type: AttributeType::Undefined as i32,
            ..Default::default()
        }
    })
}

fn node() -> impl Strategy<Value = NodeProto> {
    let inputs = prop_oneof![
        3 => select(words(GIVEN)).prop_map(String::from),
        2 => (0..4usize).prop_map(|at| format!("y{at}")),
        1 => Just(String::new()),
    ];
    (
        select(words(OPERATORS)),
        proptest::collection::vec(inputs, 0..7),
        proptest::collection::vec(attribute(), 0..5),
        1..4usize,
    )
        .prop_map(|(operator, input, attribute, outputs)| NodeProto {
            op_type: operator.into(),
            input,
            attribute,
            output: (0..outputs).map(|_| String::new()).collect(),
            ..Default::default()
        })
}

/// Gives every node's first output the name `y` and its number, and inputs that come before.
fn chained(mut nodes: Vec<NodeProto>) -> Vec<NodeProto> {
    for (number, node) in nodes.iter_mut().enumerate() {
        for (at, output) in node.output.iter_mut().enumerate() {
            *output = if at == 0 { format!("y{number}") } else { format!("y{number}_{at}") };
        }
        for input in &mut node.input {
            let before = input.strip_prefix('y').and_then(|at| at.parse::<usize>().ok());
            if before.is_some_and(|at| at >= number) {
                *input = if number == 0 { "maps".into() } else { format!("y{}", number - 1) };
            }
        }
    }
    nodes
}

fn ints(name: &str, dims: &[usize], values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.iter().map(|size| *size as i64).collect(),
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..Default::default()
    }
}

fn given() -> Vec<TensorProto> {
    let floats = |name: &str, dims: &[usize]| {
        let count = dims.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|at| (at * 7 % 11) as f32 / 4.0 - 1.0).collect();
        common::floats(name, dims, &values)
    };
    let mut bools = ints("bools", &[2, 3], &[]);
    bools.data_type = DataType::Bool as i32;
    bools.int64_data.clear();
    bools.int32_data = vec![1, 0, 1, 1, 0, 0];
    vec![
        floats("maps", &[2, 4, 4, 4]),
        floats("row", &[4]),
        floats("matrix", &[4, 4]),
        floats("number", &[]),
        floats("empty", &[2, 0, 4]),
        floats("weights", &[4, 4, 2]),
        floats("kernel", &[4, 2, 2, 2]),
        floats("gates", &[1, 12, 4]),
        ints("ints", &[2], &[1, 1]),
        ints("one_int", &[], &[2]),
        ints("places", &[2, 3], &[0, 1, -1, 1, 0, 7]),
        bools,
    ]
}

fn model(nodes: Vec<NodeProto>, opset: i64, stored: bool) -> (ModelProto, Vec<TensorProto>) {
    let all = given();
    let nodes = chained(nodes);
    let last = format!("y{}", nodes.len() - 1);
    let port = |name: &str| common::value(name, &[]);
    let (initializer, inputs) =
        if stored { (all[4..].to_vec(), &all[..4]) } else { (vec![], &all[..]) };
    let graph = GraphProto {
        name: "chain".into(),
        node: nodes,
        initializer,
        input: inputs.iter().map(|tensor| port(&tensor.name)).collect(),
        output: vec![port(&last)],
        ..Default::default()
    };
    let model = ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto { domain: String::new(), version: opset }],
        graph: Some(graph),
        ..Default::default()
    };
    (model, inputs.to_vec())
}

/// An answer or a reason, never a panic.
#[test]
fn random_graphs_answer_or_say_why_not() {
    let nodes = proptest::collection::vec(node(), 1..4);
    let strategy = (nodes, select(vec![7i64, 9, 11, 13, 18, 23]), any::<bool>());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(CASES));
    let answered = Cell::new(0);
    let outcome = runner.run(&strategy, |(nodes, opset, stored)| {
        let (model, inputs) = model(nodes, opset, stored);
        let path = std::path::Path::new("chain.onnx");
        let device = Device::flex();
        let values = || -> Vec<Value> {
            inputs.iter().map(|tensor| stored_value(path, tensor, &device).unwrap()).collect()
        };
        if evaluate(path, &model, values(), &device).is_ok() {
            answered.set(answered.get() + 1);
            let _ = gradients(path, &model, values(), &device);
        }
        Ok(())
    });
    outcome.unwrap();
    println!("{} of {CASES} answered", answered.get());
    assert!(answered.get() > CASES / 50, "{} of {CASES} answered", answered.get());
}
