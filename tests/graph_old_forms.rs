//! Operators as older operator sets wrote them, beside what tract or ONNX Runtime answers.
#![cfg(feature = "train")]

mod common;

use burn::tensor::Device;
use common::{floats, graph, integer, integers, node, value, write};
use genre_transfer::model::graph::{Value, evaluate, stored_value};
use genre_transfer::runtime::{Options, Runtime, open};
use ndarray::ArrayD;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, OperatorSetIdProto, TensorProto};

fn text(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        s: text.into(),
        r#type: AttributeType::String as i32,
        ..Default::default()
    }
}

fn float(name: &str, f: f32) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        f,
        r#type: AttributeType::Float as i32,
        ..Default::default()
    }
}

fn numbers(name: &str, floats: &[f32]) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        floats: floats.to_vec(),
        r#type: AttributeType::Floats as i32,
        ..Default::default()
    }
}

fn ints(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![values.len() as i64],
        data_type: DataType::Int64 as i32,
        int64_data: values.to_vec(),
        ..Default::default()
    }
}

/// One node `x` → `y`; further inputs are stored.
struct Form {
    opset: i64,
    operator: &'static str,
    shape: &'static [usize],
    attributes: Vec<AttributeProto>,
    stored: Vec<TensorProto>,
    /// Axes of the answer.
    rank: usize,
}

fn form(
    opset: i64,
    operator: &'static str,
    shape: &'static [usize],
    attributes: Vec<AttributeProto>,
) -> Form {
    Form { opset, operator, shape, attributes, stored: vec![], rank: shape.len() }
}

impl Form {
    fn with(mut self, stored: Vec<TensorProto>) -> Self {
        self.stored = stored;
        self
    }

    fn rank(mut self, rank: usize) -> Self {
        self.rank = rank;
        self
    }

    fn model(&self) -> ModelProto {
        let mut inputs = vec!["x"];
        inputs.extend(self.stored.iter().map(|tensor| tensor.name.as_str()));
        let sizes: Vec<Option<usize>> = self.shape.iter().map(|size| Some(*size)).collect();
        let mut node = node(self.operator, &inputs, "y", self.attributes.clone());
        if self.operator == "TopK" {
            node.output.push("places".into());
        }
        ModelProto {
            ir_version: 4,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: self.opset }],
            graph: Some(GraphProto {
                name: "form".into(),
                node: vec![node],
                initializer: self.stored.clone(),
                input: vec![value("x", &sizes)],
                output: vec![value("y", &vec![None; self.rank])],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn check(&self) {
        let name = format!("{} of opset {}", self.operator, self.opset);
        let dir = tempfile::tempdir().unwrap();
        let model = self.model();
        let path = write(&model, dir.path(), "form.onnx");
        let count = self.shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|at| (at * 7 % 11) as f32 / 4.0 - 1.2).collect();
        let x = ArrayD::from_shape_vec(self.shape, values.clone()).unwrap();
        let tensor = floats("x", self.shape, &values);
        let x_value = stored_value(&path, &tensor, &Device::flex()).unwrap();
        let ours = evaluate(&path, &model, vec![x_value], &Device::flex())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let Value::Float(ours) = &ours[0] else { panic!("{name}: no floats") };
        let required = std::env::var_os("GENRE_TRANSFER_REQUIRE_ORT").is_some();
        let mut answered = 0;
        for runtime in [Runtime::Tract, Runtime::Ort] {
            let answers = open(runtime, &path, &Options::default())
                .and_then(|mut session| session.run(x.view()));
            let theirs = match answers {
                Ok(mut answers) => answers.swap_remove(0),
                Err(error) => {
                    println!("{name}: {error}");
                    continue;
                }
            };
            answered += 1;
            assert_eq!(ours.shape(), theirs.shape(), "{name} in {runtime}");
            for (a, b) in ours.values().iter().zip(&theirs) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1.0), "{name} in {runtime}: {a}, {b}");
            }
        }
        // tract does not know all of them.
        if answered == 0 && Runtime::Ort.version().is_none() && !required {
            eprintln!("skipped: {name}, for there is no ONNX Runtime");
            return;
        }
        assert!(answered > 0, "no runtime answers {name}");
    }
}

#[test]
fn older_forms_answer_as_elsewhere() {
    let norm = |name: &str, at: f32| floats(name, &[3], &[at, at + 0.5, at + 1.0]);
    let norms = || vec![norm("s", 1.0), norm("b", 0.0), norm("m", -0.5), norm("v", 0.7)];
    let maps: &[usize] = &[2, 3, 4, 5];
    let forms = [
        // All axes from this one on are one before opset 13.
        form(11, "Softmax", &[2, 3, 4], vec![integer("axis", 1)]),
        form(11, "LogSoftmax", &[2, 3, 4], vec![]),
        form(11, "Hardmax", &[2, 3, 4], vec![integer("axis", 1)]),
        form(13, "Softmax", &[2, 3, 4], vec![integer("axis", 1)]),
        form(11, "Squeeze", &[2, 1, 4, 1], vec![integers("axes", &[1, 3])]).rank(2),
        form(11, "Unsqueeze", &[2, 3], vec![integers("axes", &[0, 3])]).rank(4),
        form(11, "ReduceSum", &[2, 3, 4], vec![integers("axes", &[1]), integer("keepdims", 0)])
            .rank(2),
        form(11, "ReduceMean", &[2, 3, 4], vec![integers("axes", &[-1])]),
        form(10, "Clip", &[2, 3], vec![float("min", -0.5), float("max", 0.75)]),
        form(10, "Clip", &[2, 3], vec![float("max", 0.25)]),
        form(
            9,
            "Slice",
            &[2, 5, 4],
            vec![
                integers("axes", &[1, 2]),
                integers("starts", &[1, -3]),
                integers("ends", &[100, -1]),
            ],
        ),
        form(9, "Slice", &[4, 5], vec![integers("starts", &[1, 0]), integers("ends", &[3, 2])]),
        form(10, "Pad", &[2, 3], vec![integers("pads", &[0, 1, 1, 2]), float("value", 0.5)]),
        form(9, "Pad", &[2, 4], vec![integers("pads", &[0, 1, 0, 2]), text("mode", "reflect")]),
        form(10, "Pad", &[2, 4], vec![integers("pads", &[1, 1, 0, -2]), text("mode", "edge")]),
        form(7, "BatchNormalization", maps, vec![float("epsilon", 1e-3)]).with(norms()),
        form(9, "BatchNormalization", maps, vec![]).with(norms()),
        form(15, "BatchNormalization", maps, vec![]).with(norms()),
        form(7, "Upsample", maps, vec![numbers("scales", &[1.0, 1.0, 2.0, 3.0])]),
        form(9, "Upsample", maps, vec![]).with(vec![floats("s", &[4], &[1.0, 1.0, 2.0, 1.5])]),
        form(9, "Upsample", maps, vec![text("mode", "linear")]).with(vec![floats(
            "s",
            &[4],
            &[1.0, 1.0, 2.0, 2.0],
        )]),
        form(10, "Resize", maps, vec![]).with(vec![floats("s", &[4], &[1.0, 1.0, 0.5, 2.0])]),
        form(10, "Dropout", &[2, 3], vec![float("ratio", 0.3)]),
        form(7, "Dropout", &[2, 3], vec![]),
        form(5, "Reshape", &[2, 6], vec![]).with(vec![ints("s", &[0, 3, -1])]).rank(3),
        form(9, "Cast", &[2, 3], vec![integer("to", 1)]),
        form(9, "Flatten", &[2, 3, 4], vec![integer("axis", 2)]).rank(2),
        form(9, "TopK", &[2, 5], vec![integer("k", 2)]),
        form(
            9,
            "Gemm",
            &[2, 3],
            vec![integer("transB", 1), float("alpha", 0.5), float("beta", 2.0)],
        )
        .with(vec![
            floats("w", &[2, 3], &[1.0, -1.0, 0.5, 0.25, 2.0, 0.0]),
            floats("c", &[2], &[0.1, 0.2]),
        ]),
        form(
            7,
            "AveragePool",
            maps,
            vec![integers("kernel_shape", &[2, 2]), integers("pads", &[1, 1, 0, 0])],
        ),
        form(
            10,
            "MaxPool",
            maps,
            vec![
                integers("kernel_shape", &[3, 2]),
                integer("ceil_mode", 1),
                integers("strides", &[2, 2]),
            ],
        ),
    ];
    for form in forms {
        form.check();
    }
}

/// A split has several answers.
#[test]
fn a_split_of_older_sets_has_its_sizes_as_an_attribute() {
    let form = form(11, "Split", &[2, 5], vec![integer("axis", 1), integers("split", &[2, 3])]);
    let mut model = form.model();
    graph(&mut model).node[0].output = vec!["a".into(), "y".into()];
    let values: Vec<f32> = (0..10).map(|at| at as f32).collect();
    let path = std::path::Path::new("split.onnx");
    let x = stored_value(path, &floats("x", &[2, 5], &values), &Device::flex()).unwrap();
    let ours = evaluate(path, &model, vec![x], &Device::flex()).unwrap();
    let Value::Float(ours) = &ours[0] else { panic!("no floats") };
    assert_eq!((ours.shape(), ours.values()), (&[2, 3][..], vec![2., 3., 4., 7., 8., 9.]));
}
