//! ONNX's own tests of single operators, through the graph interpreter.
#![cfg(feature = "train")]

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;

use burn::tensor::Device;
use genre_transfer::Error;
use genre_transfer::model::graph::{Value, evaluate, gradients, stored_value};
use prost::Message;
use tract_onnx::pb::{ModelProto, NodeProto, TensorProto};

/// How far ONNX's own runner of these tests lets a value be off: relative and absolute.
const TOLERANCE: (f32, f32) = (1e-3, 1e-7);

/// The tolerance where inputs or answers are half floats: the wanted answers are rounded after
/// every step, ours are computed in single precision.
const HALF_TOLERANCE: (f32, f32) = (2e-2, 2e-3);

/// The wanted values of inverse transforms are wrong by so much where they should be zero.
const TRANSFORM_TOLERANCE: (f32, f32) = (1e-3, 1e-6);

/// At least so many must pass.
const LEAST_PASSED: usize = 1260;

/// Why a test of an operator that we claim may be refused: operator, part of the reason.
const REFUSALS: &[(&str, &str)] = &[
    ("AveragePool", "over one axis or two"),
    ("ConvTranspose", "over one axis or two"),
    ("LpPool", "over one axis or two"),
    ("MaxPool", "over one axis or two"),
    ("MaxPool", "the places of the largest values"),
    ("MaxPool", "holds integers"),
    ("Pad", "holds integers"),
    ("Pow", "integers and floats"),
    ("BatchNormalization", "training mode"),
    ("Dropout", "training mode"),
    ("Dropout", "the mask, is used"),
    ("LayerNormalization", "the mean, is used"),
    ("ScatterElements", "reduction"),
    ("ScatterND", "reduction"),
];

enum Outcome {
    Passed,
    Unknown(String),
    Refused(String, String),
    Failed(String),
}

/// The folder of one test.
struct Case {
    folder: PathBuf,
    device: Device,
}

impl Case {
    fn tensors(&self, kind: &str) -> Vec<TensorProto> {
        let path = |at: usize| self.folder.join(format!("{kind}_{at}.pb"));
        let read = |path: PathBuf| TensorProto::decode(&*fs::read(path).unwrap()).unwrap();
        (0..).map(path).take_while(|path| path.exists()).map(read).collect()
    }

    fn values(&self, tensors: &[TensorProto]) -> Vec<Value> {
        tensors
            .iter()
            .map(|tensor| stored_value(&self.folder, tensor, &self.device).unwrap())
            .collect()
    }

    fn run(&self) -> Outcome {
        let path = self.folder.join("model.onnx");
        let model = ModelProto::decode(&*fs::read(&path).unwrap()).unwrap();
        let (inputs, wanted) = (self.tensors("input"), self.tensors("output"));
        let answers = match evaluate(&path, &model, self.values(&inputs), &self.device) {
            Ok(answers) => answers,
            Err(Error::UnsupportedOperator { operator, reason, .. }) => {
                return if reason.contains("does not know") {
                    Outcome::Unknown(operator)
                } else {
                    Outcome::Refused(operator, reason)
                };
            }
            Err(other) => return Outcome::Failed(other.to_string()),
        };
        let half = |tensor: &TensorProto| matches!(tensor.data_type, 10 | 16);
        let is_half = inputs.iter().chain(&wanted).any(half);
        let transforms = |node: &NodeProto| node.op_type == "DFT";
        let tolerance = if is_half {
            HALF_TOLERANCE
        } else if model.graph.iter().flat_map(|graph| &graph.node).any(transforms) {
            TRANSFORM_TOLERANCE
        } else {
            TOLERANCE
        };
        if answers.len() != wanted.len() {
            return Outcome::Failed(format!("{} answers of {}", answers.len(), wanted.len()));
        }
        for (at, (given, wanted)) in answers.iter().zip(self.values(&wanted)).enumerate() {
            if let Err(difference) = compare(given, &wanted, tolerance) {
                return Outcome::Failed(format!("output {at}: {difference}"));
            }
        }
        // That it can be learned through, too.
        match gradients(&path, &model, self.values(&inputs), &self.device) {
            Ok(_) => Outcome::Passed,
            Err(error) => Outcome::Failed(format!("backward: {error}")),
        }
    }
}

fn compare(given: &Value, wanted: &Value, (relative, absolute): (f32, f32)) -> Result<(), String> {
    if given.shape() != wanted.shape() {
        return Err(format!("shape {:?}, wanted {:?}", given.shape(), wanted.shape()));
    }
    match (given, wanted) {
        (Value::Float(given), Value::Float(wanted)) => {
            let near = |a: f32, b: f32| {
                a == b
                    || (a.is_nan() && b.is_nan())
                    || (a - b).abs() <= absolute + relative * b.abs()
            };
            let pairs = given.values().into_iter().zip(wanted.values());
            match pairs.enumerate().find(|(_, (a, b))| !near(*a, *b)) {
                Some((at, (a, b))) => Err(format!("{a} at {at}, wanted {b}")),
                None => Ok(()),
            }
        }
        (Value::Int(given), Value::Int(wanted)) if given == wanted => Ok(()),
        (Value::Bool(given), Value::Bool(wanted)) if given == wanted => Ok(()),
        _ => Err(format!("{given:?}, wanted {wanted:?}")),
    }
}

fn dump(python: &Path, folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnx_operators.py");
    let output = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn onnx_tests_of_single_operators() {
    let Some(python) = std::env::var_os("GENRE_TRANSFER_PYTHON") else {
        eprintln!("skipped: GENRE_TRANSFER_PYTHON is not set to a Python with the package onnx");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    dump(Path::new(&python), dir.path());
    let mut folders: Vec<PathBuf> =
        fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let (mut passed, mut failed) = (0, vec![]);
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut refused: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let case = Case { folder, device: Device::flex() };
        match catch_unwind(AssertUnwindSafe(|| case.run())) {
            Ok(Outcome::Passed) => passed += 1,
            Ok(Outcome::Unknown(operator)) => *unknown.entry(operator).or_default() += 1,
            Ok(Outcome::Refused(operator, reason)) => {
                refused.entry((operator, reason)).or_default().push(name);
            }
            Ok(Outcome::Failed(why)) => failed.push(format!("{name}: {why}")),
            Err(_) => failed.push(format!("{name}: panicked")),
        }
    }
    let refusals: usize = refused.values().map(Vec::len).sum();
    let others: usize = unknown.values().sum();
    println!(
        "{passed} passed, {refusals} refused with a reason, {} failed, {others} of operators that \
         are not claimed",
        failed.len()
    );
    println!("not claimed: {unknown:?}");
    for ((operator, reason), names) in &refused {
        println!("refused: {operator}: {reason} ({})", names.join(", "));
    }
    let unlisted: Vec<_> = refused
        .keys()
        .filter(|(operator, reason)| {
            !REFUSALS.iter().any(|(of, part)| of == operator && reason.contains(part))
        })
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(unlisted.is_empty(), "{unlisted:#?}");
    assert!(passed >= LEAST_PASSED, "{passed} passed");
}
