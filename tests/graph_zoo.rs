//! Networks as exporters write them, through the graph interpreter.
#![cfg(feature = "train")]

mod common;

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use common::data::{npz, test_data};
use genre_transfer::model::graph::{Value, evaluate, gradients, stored_value};
use prost::Message;
use tract_onnx::pb::ModelProto;

/// The largest difference from ONNX Runtime, relative to the largest value.
const TOLERANCE: f32 = 1e-4;

/// Half floats are rounded after every step there, here they are not.
const HALF_TOLERANCE: f32 = 5e-3;

fn networks() -> Vec<PathBuf> {
    let Some(data) = test_data() else { return vec![] };
    let mut files: Vec<PathBuf> = std::fs::read_dir(data.join("onnx_zoo"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "onnx"))
        // Integers are no weights.
        .filter(|path| !path.to_string_lossy().contains("int8"))
        .collect();
    files.sort();
    assert_eq!(files.len(), 16);
    files
}

fn model(path: &Path) -> ModelProto {
    ModelProto::decode(&*std::fs::read(path).unwrap()).unwrap()
}

fn input(path: &Path) -> Vec<Value> {
    let (shape, values) = npz::<f32>(&path.with_extension("npz"), "input");
    let tensor = common::floats("input", &shape, &values);
    vec![stored_value(path, &tensor, &Device::flex()).unwrap()]
}

#[test]
fn networks_answer_as_onnx_runtime() {
    for path in networks() {
        let answers = evaluate(&path, &model(&path), input(&path), &Device::flex()).unwrap();
        let Some(Value::Float(ours)) = answers.into_iter().next() else { panic!("no floats") };
        let (shape, theirs) = npz::<f32>(&path.with_extension("npz"), "embedding");
        assert_eq!(ours.shape(), shape);
        let largest = theirs.iter().fold(0f32, |m, v| m.max(v.abs()));
        let pairs = ours.values().into_iter().zip(theirs);
        let difference = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest;
        println!("{}: relative difference {difference:e}", path.display());
        let half = path.to_string_lossy().contains("fp16");
        assert!(difference < if half { HALF_TOLERANCE } else { TOLERANCE }, "{path:?}");
    }
}

#[test]
fn every_weight_of_a_network_learns() {
    for path in networks() {
        let found = gradients(&path, &model(&path), input(&path), &Device::flex()).unwrap();
        let weights = &found[1..];
        assert!(!weights.is_empty());
        for (name, gradient) in weights {
            let gradient = gradient.as_ref().unwrap_or_else(|| panic!("{path:?}: {name}"));
            assert!(gradient.iter().all(|value| value.is_finite()), "{path:?}: {name}");
        }
        let still = |(_, gradient): &&(String, Option<Vec<f32>>)| {
            gradient.iter().flatten().all(|value| *value == 0.0)
        };
        let still: Vec<&String> = weights.iter().filter(still).map(|(name, _)| name).collect();
        println!("{}: {} weights, still: {still:?}", path.display(), weights.len());
        assert!(still.len() * 5 < weights.len(), "{path:?}: {still:?}");
    }
}
