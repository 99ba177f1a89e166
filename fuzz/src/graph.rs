//! ONNX graphs of a few nodes, made from bytes: what bytes alone would never become.

use std::path::Path;

use burn::tensor::Device;
use genre_transfer::export::{self, Input, Options};
use genre_transfer::inspect::{self, inspect};
use genre_transfer::model::graph::{evaluate, stored_value};
use genre_transfer::onnx;
use genre_transfer::run::{Precision, Run};
use genre_transfer::runtime::{self, Runtime};
use ndarray::ArrayD;
use prost::Message;
use tract_onnx::pb::{ModelProto, NodeProto};

use crate::build::{self, FRAMES, MELS};
use crate::{limits, scratch, small_run};

/// What the operators of a graph may compute is bounded by the graph's author and not by the
/// size of its file: they are given this much, in bytes and seconds.
const WORK: (usize, f64) = (512 << 20, 5.0);

/// Writes the model and reads it as any other file.
fn written(model: &ModelProto, name: &str) -> Option<(std::path::PathBuf, ModelProto)> {
    let path = scratch::file(name, &model.encode_to_vec());
    let read = onnx::read(&path).ok()?;
    Some((path, read))
}

/// A graph, looked into and computed in burn and in tract.
pub fn read(data: &[u8]) {
    limits::allow_memory(WORK.0);
    limits::allow_seconds(WORK.1);
    let Some((path, model)) = written(&build::model(data, false), "graph/model.onnx") else {
        return;
    };
    let options =
        inspect::Options { front_end: None, output: None, program: "/nothing".into(), seconds: 1 };
    let _ = inspect(&path, &options);
    let (device, shape) = (Device::flex(), [2, FRAMES, MELS]);
    let values: Vec<f32> = (0..shape.iter().product()).map(|at| at as f32 / 9.0 - 2.0).collect();
    let given = stored_value(&path, &build::floats("patches", &shape, &values), &device);
    let _ = evaluate(&path, &model, vec![given.expect("floats")], &device);
    if is_sound(&model) {
        in_tract(&path, &ArrayD::from_shape_vec(shape.to_vec(), values).expect("its own shape"));
    }
}

/// Whether tract stays inside its memory: it reads the first number of a tensor that has none,
/// where an operator wants one number and a graph computes it. (Where the number stands in the
/// file, reading refuses it.) And inside the machine's: of the Fourier transform of one number, and
/// to find the shape of what GatherND gathers by very many indices, it takes memory without end; for
/// an axis of LayerNormalization before the first, as the last of a number is, it counts for ever.
fn is_sound(model: &ModelProto) -> bool {
    let Some(graph) = &model.graph else { return true };
    let stored = |name: &String| graph.initializer.iter().any(|tensor| tensor.name == *name);
    let wants_numbers = |node: &&NodeProto| SCALARS.contains(&node.op_type.as_str());
    let mut inputs = graph
        .node
        .iter()
        .filter(wants_numbers)
        .flat_map(|node| &node.input[1.min(node.input.len())..]);
    inputs.all(|name| name.is_empty() || stored(name))
        && !graph.node.iter().any(|node| {
            matches!(
                node.op_type.as_str(),
                "Range"
                    | "If"
                    | "Loop"
                    | "Scan"
                    | "DFT"
                    | "STFT"
                    | "GatherND"
                    | "LayerNormalization"
            )
        })
}

/// Operators with inputs, behind the first, that are one number.
const SCALARS: [&str; 8] = ["Dropout", "Clip", "TopK", "OneHot", "CumSum", "Trilu", "Pad", "STFT"];

fn in_tract(path: &Path, input: &ArrayD<f32>) {
    let one = runtime::Options { threads: 1, ..Default::default() };
    if let Ok(mut session) = runtime::open(Runtime::Tract, path, &one) {
        let _ = session.run(input.view());
    }
}

/// A graph as the backbone of a run: head, front end and smaller numbers are put into it.
pub fn export(data: &[u8]) {
    limits::allow_memory(WORK.0);
    limits::allow_seconds(WORK.1);
    let [choice, data @ ..] = data else { return };
    let run = Run::at(&small_run::folder());
    let Some((_, model)) = written(&build::model(data, true), "run-to-export/backbone.onnx") else {
        return;
    };
    if !is_sound(&model) {
        return;
    }
    let input = [Input::LogMel, Input::Waveform, Input::Clip][usize::from(*choice) % 3];
    let precision = match choice / 3 {
        0..=60 => Precision::Fp32,
        61..=70 => Precision::Fp16,
        71..=77 => Precision::Int8,
        _ => Precision::Int8Weights,
    };
    let data = Some(small_run::collection());
    let options = Options { precision, max_drop: 100.0, data, ..Options::new(input) };
    let destination = scratch::folder().join("exported/model.onnx");
    std::fs::create_dir_all(destination.with_file_name("")).expect("a folder to work in");
    let _ = export::export(&run, &destination, &options);
}
