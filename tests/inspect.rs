//! `inspect-onnx` on committed networks, on files that no program should trust, and on the
//! networks of the test data.
#![cfg(feature = "tract")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::data::test_data;
use common::vggish::{Builder, Style, vggish};
use common::{graph, integer, integers, node, tiny, value, write};
use prost::Message;
use serde_json::Value;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, StringStringEntryProto, TensorProto};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_inspect-onnx")).args(arguments).output().unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `inspect-onnx --json` says of the file at `path`.
fn inspected(path: &Path, more: &[&str]) -> Value {
    let path = path.to_str().unwrap();
    let output = program(&[&[path, "--json"], more].concat());
    assert!(output.status.success(), "{path}: {}", said(&output.stderr));
    assert!(output.stderr.is_empty(), "{path}: {}", said(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

/// What a runtime said; none where it is not there (ONNX Runtime, or without a cargo feature).
fn runtime<'a>(found: &'a Value, name: &str) -> Option<&'a Value> {
    let runtimes = found["runtimes"].as_array().unwrap();
    runtimes.iter().find(|tried| tried["runtime"] == name && !tried["version"].is_null())
}

/// Begins of the layers that are numbered, from the input on.
fn numbered(found: &Value) -> Vec<(&str, u64)> {
    let layers = found["layers"].as_array().unwrap().iter();
    layers
        .filter_map(|layer| Some((layer["operator"].as_str()?, layer["unfreeze"].as_u64()?)))
        .collect()
}

#[test]
fn yamnet_has_27_convolutions_and_a_classifier() {
    let found = inspected(&model("yamnet.onnx"), &[]);
    // Counted by onnx in Python: elements of the float initializers with axes.
    assert_eq!(found["parameters"], PARAMETERS[0].1);
    let layers = found["layers"].as_array().unwrap();
    let count = |operator| layers.iter().filter(|layer| layer["operator"] == operator).count();
    assert_eq!((layers.len(), count("Conv"), count("Gemm")), (28, 27, 1));
    let sum: u64 = layers.iter().map(|layer| layer["parameters"].as_u64().unwrap()).sum();
    assert_eq!(sum, found["parameters"]);
    // The classifier does not lead to the embeddings; the last convolution is the first that
    // learns.
    let numbers: Vec<u64> = numbered(&found).into_iter().map(|(_, number)| number).collect();
    let has_burn = cfg!(feature = "train");
    let wanted = if has_burn { 27 } else { 0 };
    assert_eq!(numbers, (1..=wanted).rev().collect::<Vec<u64>>());
    // Without burn nothing counts them, and that is said.
    assert_eq!(found["unnumbered"].is_null(), has_burn);
    let first = &layers[0];
    assert_eq!(first["output"], serde_json::json!([1, 32, 48, 32]));
    assert_eq!(first["multiply_adds"], 48 * 32 * 32 * 9);
    let classifier = layers.iter().find(|layer| layer["operator"] == "Gemm").unwrap();
    assert_eq!(classifier["multiply_adds"], 1024 * 521);
    assert!(classifier["unfreeze"].is_null());
    assert_eq!(found["inputs"][0]["type"], "float32");
    assert_eq!(found["embeddings"], "embeddings");

    let names: Vec<&str> =
        found["fits"].as_array().unwrap().iter().filter_map(|fit| fit["name"].as_str()).collect();
    assert_eq!(names, ["vggish", "yamnet"]);
    assert_eq!(found["fits"][1]["runs"], true);
    assert!(runtime(&found, "tract").unwrap()["milliseconds"].as_f64().unwrap() > 0.0);
    if cfg!(feature = "train") {
        assert!(found["difference"]["relative"].as_f64().unwrap() < 1e-4);
        assert!(runtime(&found, "burn").unwrap()["milliseconds"].is_number());
    } else {
        let burn = found["runtimes"].as_array().unwrap().iter().find(|t| t["runtime"] == "burn");
        assert!(burn.unwrap()["reason"].as_str().unwrap().contains("\"train\""));
    }
    let command = found["uses"].as_array().unwrap().iter().filter_map(|u| u["command"].as_str());
    let command: Vec<&str> = command.collect();
    assert!(command[1].contains("--bin finetune") && command[1].ends_with("--front-end yamnet"));
}

/// Elements of all float and byte tensors with axes, by onnx 1.23.2 in Python.
const PARAMETERS: [(&str, u64); 2] =
    [("models/yamnet.onnx", 3_729_481), ("models/musicnn_msd_vgg.onnx", 607_030)];

#[test]
fn musicnn_has_one_front_end_and_another_is_refused() {
    let path = model("musicnn_msd_vgg.onnx");
    let found = inspected(&path, &["--front-end", "musicnn"]);
    assert_eq!(found["parameters"], PARAMETERS[1].1);
    assert_eq!(found["fits"].as_array().unwrap().len(), 1);
    assert_eq!(found["fits"][0]["runs"], true);
    let output = program(&[path.to_str().unwrap(), "--front-end", "yamnet"]);
    one_line(&output, "96 frames");
}

/// Exit code 1, nothing on standard output, one line with `text` on standard error.
fn one_line(output: &Output, text: &str) {
    let (shown, error) = (said(&output.stdout), said(&output.stderr));
    assert_eq!((output.status.code(), shown.as_str()), (Some(1), ""), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("inspect-onnx: ") && error.contains(text), "{error}");
}

#[test]
fn what_is_no_model_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = tiny().encode_to_vec();
    for (path, text) in [
        (file("empty.onnx", b""), "empty"),
        (file("text.onnx", b"not a model at all"), "not an ONNX model"),
        (file("cut.onnx", &whole[..whole.len() / 2]), "not an ONNX model"),
        (dir.path().to_str().unwrap().to_owned(), "not a file"),
        (dir.path().join("none.onnx").to_str().unwrap().to_owned(), "No such file"),
    ] {
        one_line(&program(&[&path]), text);
    }
    let known = file("tiny.onnx", &whole);
    one_line(
        &program(&[&known, "--output", "nothing"]),
        "those that would do: logits, probabilities",
    );
    one_line(&program(&[&known, "--front-end", "nothing"]), "neither a preset");
    assert_eq!(program(&[]).status.code(), Some(2));
    let help = program(&["--help"]);
    assert!(help.status.success() && said(&help.stdout).contains("Examples:"));
}

#[test]
fn a_circle_is_named_and_a_long_chain_is_walked() {
    let dir = tempfile::tempdir().unwrap();
    let mut circle = tiny();
    graph(&mut circle).node[0].input[0] = "probabilities".into();
    let path = write(&circle, dir.path(), "circle.onnx");
    one_line(&program(&[path.to_str().unwrap()]), "runs in a circle");

    // Whoever follows a graph by recursion runs out of stack here; a runtime may.
    let mut chain = Builder::new("x", &[-1, 96, 64], 0);
    for _ in 0..100_000 {
        chain.node("Relu", &[], vec![]);
    }
    let path = write(&chain.finish("embeddings", 64, 13), dir.path(), "chain.onnx");
    let found = inspected(&path, &["--seconds", "5"]);
    assert_eq!(found["operators"]["Relu"], 100_000);
    assert!(found["layers"].as_array().unwrap().is_empty());
}

#[test]
fn a_file_that_asks_for_all_memory_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let mut greedy = tiny();
    let sizes = common::floats("none", &[1], &[0.0]);
    let inside = graph(&mut greedy);
    inside.initializer.push(TensorProto {
        name: "some".into(),
        dims: vec![3],
        data_type: DataType::Int64 as i32,
        int64_data: vec![1 << 7, 1 << 7, 1 << 7],
        ..Default::default()
    });
    inside.initializer.push(sizes);
    // Sizes that stand in the file are refused when it is read; these are computed.
    inside.node.insert(0, node("Mul", &["some", "some"], "sizes", vec![]));
    inside.node.insert(1, node("ConstantOfShape", &["sizes"], "huge", vec![]));
    inside.node.insert(2, node("ReduceSum", &["huge"], "sum", vec![integer("keepdims", 0)]));
    inside.node.push(node("Add", &["logits", "sum"], "embeddings", vec![]));
    inside.output.push(value("embeddings", &[None, Some(3)]));
    let path = write(&greedy, dir.path(), "greedy.onnx");
    let found = inspected(&path, &["--seconds", "20"]);
    for name in ["ort", "tract"] {
        let Some(tried) = runtime(&found, name) else { continue };
        assert!(tried["milliseconds"].is_null() && tried["reason"].is_string(), "{tried}");
    }
}

#[test]
fn operators_that_tract_lacks_are_all_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut odd = tiny();
    let inside = graph(&mut odd);
    inside.node.push(node("NoSuchOperator", &["logits"], "a", vec![]));
    inside.node.push(node("NorThis", &["a"], "embeddings", vec![]));
    inside.output.push(value("embeddings", &[None, Some(3)]));
    let found = inspected(&write(&odd, dir.path(), "odd.onnx"), &[]);
    let tract = runtime(&found, "tract").unwrap();
    assert_eq!(tract["refused_operators"], serde_json::json!(["NoSuchOperator", "NorThis"]));
    assert!(tract["reason"].as_str().unwrap().contains("it has no operator"));
    // What stands before is known all the same.
    assert_eq!(found["multiply_adds"], 4 * 6 * 3);
}

#[test]
fn a_strangers_names_do_not_reach_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let mut odd = tiny();
    odd.producer_name = "\u{1b}[2J\nevil".into();
    graph(&mut odd).node[1].name = "a\u{7}b\nc".into();
    let entry =
        |key: &str, value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
    odd.metadata_props = vec![entry("License", "CC0\u{1b}]0;x")];
    let path = write(&odd, dir.path(), "odd name's.onnx");
    let output = program(&[path.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output.stderr));
    let text = said(&output.stdout);
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
    assert!(text.contains("licence: CC0"), "{text}");
}

#[test]
fn pictures_and_samples_are_recognized_and_tried() {
    let dir = tempfile::tempdir().unwrap();
    let mut pictures = Builder::new("image", &[-1, 3, 32, 32], 1);
    pictures.conv([3, 8], [3, 3], vec![]).node("GlobalAveragePool", &[], vec![]);
    pictures.node("Flatten", &[], vec![]);
    let found = inspected(&write(&pictures.finish("embeddings", 8, 13), dir.path(), "p.onnx"), &[]);
    assert_eq!(
        (&found["fits"][0]["kind"], &found["fits"][0]["runs"]),
        (&"picture".into(), &true.into())
    );
    let command = found["uses"][0]["command"].as_str().unwrap();
    assert!(command.contains("images_original") && command.ends_with("imagenet"), "{command}");

    // As Keras writes them, channels last.
    let mut keras = Builder::new("image", &[-1, 32, 48, 3], 1);
    keras.node("Transpose", &[], vec![integers("perm", &[0, 3, 1, 2])]);
    keras.conv([3, 8], [3, 3], vec![]).node("GlobalAveragePool", &[], vec![]);
    keras.node("Flatten", &[], vec![]);
    let found = inspected(&write(&keras.finish("embeddings", 8, 13), dir.path(), "k.onnx"), &[]);
    let fit = &found["fits"][0];
    assert_eq!((&fit["kind"], &fit["runs"]), (&"picture".into(), &true.into()), "{fit}");
    assert_eq!((&fit["height"], &fit["width"]), (&32.into(), &48.into()), "{fit}");
    let command = found["uses"][0]["command"].as_str().unwrap();
    assert!(command.ends_with("--front-end imagenet"), "{command}");

    let mut samples = Builder::new("x", &[-1, 1, -1], 1);
    samples.weights("w", &[4, 1, 400], 0.1).node("Conv", &["w"], vec![]);
    samples.node("GlobalAveragePool", &[], vec![]).node("Flatten", &[], vec![]);
    let found = inspected(&write(&samples.finish("embeddings", 4, 13), dir.path(), "s.onnx"), &[]);
    let fits = found["fits"].as_array().unwrap();
    let fit = fits.iter().find(|fit| fit["kind"] == "samples").unwrap();
    assert_eq!((&fit["runs"], &fit["count"]), (&true.into(), &48_000.into()));
}

/// `finetune` counts no layers of quantized weights, and none of a file that burn cannot import.
#[test]
#[cfg(feature = "train")]
fn layers_have_the_numbers_of_finetune() {
    let dir = tempfile::tempdir().unwrap();
    let network = |last: &str| {
        let mut builder = Builder::new("x", &[-1, 96, 64], 3);
        builder.graph.initializer.push(TensorProto {
            name: "bytes".into(),
            dims: vec![96 * 64, 8],
            data_type: DataType::Int8 as i32,
            raw_data: (0..96 * 64 * 8).map(|at| (at % 7) as u8).collect(),
            ..Default::default()
        });
        let mut scale = common::floats("scale", &[1], &[0.01]);
        scale.dims.clear();
        builder.graph.initializer.push(scale);
        builder.graph.node.push(node("DequantizeLinear", &["bytes", "scale"], "wide", vec![]));
        builder.node("Flatten", &[], vec![]).node("MatMul", &["wide"], vec![]);
        builder.node("Relu", &[], vec![]).weights("w", &[8, 4], 0.1).node("MatMul", &["w"], vec![]);
        builder.node(last, &[], vec![]);
        builder.finish("embeddings", 4, 13)
    };
    let unfreeze = |found: &Value| -> Vec<Value> {
        let layers = found["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["unfreeze"].clone()).collect()
    };
    let found = inspected(&write(&network("Tanh"), dir.path(), "quantized.onnx"), &[]);
    assert_eq!(unfreeze(&found), [Value::Null, 1.into()], "{}", found["unnumbered"]);
    assert!(found["unnumbered"].is_null());

    let odd = write(&network("NoSuchOperator"), dir.path(), "odd.onnx");
    let found = inspected(&odd, &[]);
    assert_eq!(unfreeze(&found), [Value::Null, Value::Null]);
    let reason = found["unnumbered"].as_str().unwrap();
    assert!(reason.starts_with("burn: operator NoSuchOperator"), "{reason}");
    let text = said(&program(&[odd.to_str().unwrap()]).stdout);
    assert!(text.contains(&format!("2 layers, not numbered for finetune --unfreeze: {reason}")));
}

#[test]
fn exporters_of_vggish_have_the_same_layers() {
    let dir = tempfile::tempdir().unwrap();
    for (style, name) in [(Style::TorchScript, "torch.onnx"), (Style::Tf, "tf.onnx")] {
        let found = inspected(&write(&vggish(style, 16, 1), dir.path(), name), &[]);
        if cfg!(feature = "train") {
            assert_eq!(numbered(&found).len(), 9, "{name}");
        }
        assert_eq!(found["parameters"], 313_264, "{name}");
        let work: Vec<u64> = (found["layers"].as_array().unwrap().iter())
            .map(|layer| layer["multiply_adds"].as_u64().unwrap())
            .collect();
        assert_eq!(work[0], 96 * 64 * 4 * 9, "{name}");
        assert_eq!(work.iter().sum::<u64>(), found["multiply_adds"], "{name}");
    }
}

/// What an export says of itself, and `classify` tried on it.
#[test]
fn a_genre_model_is_known_by_its_metadata() {
    let dir = tempfile::tempdir().unwrap();
    let mut genres = tiny();
    // Of the front end of the tiny model's metadata: 96 frames by 64 bands.
    let mut builder = Builder::new("log_mel", &[-1, 96, 64], 2);
    builder.node("Flatten", &[], vec![]).weights("w", &[96 * 64, 2], 0.1);
    builder.node("MatMul", &["w"], vec![]).node("Softmax", &[], vec![integer("axis", 1)]);
    let with_metadata = |mut model: ModelProto, labels: &str| {
        model.metadata_props = std::mem::take(&mut genres.metadata_props.clone());
        let entry = |key: &str, value: &str| StringStringEntryProto {
            key: key.into(),
            value: value.into(),
        };
        model.metadata_props.extend([
            entry("labels", labels),
            entry("input", "log_mel"),
            entry("license", "Apache-2.0"),
            entry("precision", "fp16"),
            entry("metrics", r#"{"test_track_accuracy": 0.85}"#),
        ]);
        model
    };
    let model = builder.finish("probabilities", 2, 13);
    let good = write(&with_metadata(model.clone(), r#"["blues","rock"]"#), dir.path(), "good.onnx");
    let found = inspected(&good, &[]);
    assert_eq!(found["exported"]["genres"], serde_json::json!(["blues", "rock"]));
    assert_eq!(found["exported"]["test_accuracy"], 0.85);
    assert_eq!(
        (&found["exported"]["precision"], &found["licence"]),
        (&"fp16".into(), &"Apache-2.0".into())
    );
    assert_eq!(found["classifies"], true, "{}", found["classify_reason"]);
    assert!(found["uses"][0]["command"].as_str().unwrap().contains("--bin classify"));
    // Three labels for two probabilities: tried, and told.
    let bad = write(&with_metadata(model, r#"["a","b","c"]"#), dir.path(), "bad.onnx");
    let found = inspected(&bad, &[]);
    assert_eq!(found["classifies"], false);
    assert!(found["uses"][0]["command"].is_null());
    genres.metadata_props.clear();
}

/// Every network of the test data: never a crash, and as many parameters as Python counts.
#[test]
fn all_networks_of_the_test_data_are_told() {
    let Some(data) = test_data() else { return };
    let mut files = vec![];
    for folder in ["onnx_zoo", "onnx_zoo/real", "cases/onnx", "backbones", "vggish_fixtures"] {
        let entries = fs::read_dir(data.join(folder)).unwrap().flatten().map(|entry| entry.path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "onnx")));
    }
    files.sort();
    assert!(files.len() > 30, "{files:?}");
    for path in files {
        let found = inspected(&path, &[]);
        let name = path.file_name().unwrap().to_str().unwrap();
        println!(
            "{name}: {} parameters, {} multiply-adds ({} unknown), {} of {} layers; {}",
            found["parameters"],
            found["multiply_adds"],
            found["uncounted"],
            numbered(&found).len(),
            found["layers"].as_array().unwrap().len(),
            found["runtimes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|t| format!("{} {}{}", t["runtime"], t["milliseconds"], t["reason"]))
                .collect::<Vec<_>>()
                .join("; ")
        );
        let (_, wanted) = ZOO.iter().find(|(known, _)| *known == name).expect(name);
        assert_eq!(found["parameters"], *wanted, "{name}");
        let sum: u64 = (found["layers"].as_array().unwrap().iter())
            .map(|layer| layer["parameters"].as_u64().unwrap())
            .sum();
        assert!(sum <= found["parameters"].as_u64().unwrap(), "{name}");
        assert!(!found["uses"].as_array().unwrap().is_empty(), "{name}");
    }
}

/// Elements of float and byte tensors with axes, by onnx 1.23.2 in Python.
const ZOO: [(&str, u64); 35] = [
    ("ast_dynamo23.onnx", 25_344),
    ("ast_script17.onnx", 18_178),
    ("convnext_dynamo20.onnx", 6_176),
    ("crnn_gru_script17.onnx", 41_856),
    ("densenet_script11.onnx", 2_716),
    ("mobilenetv3_int8dynamic_script17.onnx", 6_064),
    ("mobilenetv3_script17.onnx", 6_064),
    ("musicnn_script17.onnx", 14_684),
    ("pann_dynamo18.onnx", 4_952),
    ("resnet_dynamo20.onnx", 19_632),
    ("resnet_external_dynamo20.onnx", 19_632),
    ("resnet_fixedbatch_dynamo20.onnx", 19_632),
    ("resnet_fp16_script17.onnx", 19_632),
    ("resnet_rgb_script13.onnx", 20_416),
    ("resnet_script17.onnx", 19_632),
    ("unet_script17.onnx", 4_092),
    ("waveform_script17.onnx", 8_208),
    ("basic_pitch_nmp.onnx", 35_736),
    ("argmax.onnx", 1_248),
    ("avg19-SAME_UPPER-cip0.onnx", 614),
    ("fixed64-inner.onnx", 1_248),
    ("half.onnx", 1_248),
    ("inner-one.onnx", 1_248),
    ("max11-SAME_UPPER.onnx", 614),
    ("mels-first-named.onnx", 0),
    ("mels-first.onnx", 0),
    ("merged-one-row.onnx", 1_248),
    ("raw1.onnx", 26_704),
    ("raw2.onnx", 26_704),
    ("efficientnet_lite0.onnx", 3_350_000),
    ("musicnn_msd_vgg.onnx", 607_030),
    ("yamnet.onnx", 3_729_481),
    ("tf_style_opset12.onnx", 313_264),
    ("torch_export_opset18.onnx", 313_264),
    ("torchscript_opset14.onnx", 313_264),
];
