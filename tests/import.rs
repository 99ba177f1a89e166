//! Import of ONNX backbones into burn, against tract, ONNX Runtime's recorded
//! answers and each other.
#![cfg(feature = "train")]

mod common;

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use common::data::{npz, test_data};
use common::vggish::{Builder, Style, text, vggish};
use common::{integer, integers, write};
use genre_transfer::Error;
use genre_transfer::model::graph::{Imported, TOLERANCE, import};
use genre_transfer::runtime::{self, Runtime};
use proptest::prelude::*;
use tract_onnx::pb::ModelProto;

fn import_model(model: &ModelProto, patch: [usize; 2]) -> genre_transfer::Result<Imported> {
    let dir = tempfile::tempdir().unwrap();
    let path = write(model, dir.path(), "model.onnx");
    import(&path, patch, None, &Device::flex())
}

fn forward(imported: &Imported, patches: Vec<f32>, [frames, mels]: [usize; 2]) -> Vec<f32> {
    let count = patches.len() / (frames * mels);
    let x = TensorData::new(patches, [count, frames, mels]);
    let x = Tensor::from_data(x, &Device::flex());
    imported.graph.forward(x).unwrap().into_data().iter().collect()
}

/// The largest difference relative to the largest wanted value.
fn difference(given: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(given.len(), wanted.len());
    let largest = wanted.iter().fold(0f32, |m, v| m.max(v.abs()));
    given.iter().zip(wanted).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / largest
}

#[test]
fn vggish_is_the_same_from_every_exporter() {
    for style in [Style::TorchScript, Style::Tf] {
        let imported = import_model(&vggish(style, 16, 1), [96, 64]).unwrap();
        assert!(imported.proof.relative() < 1e-5, "{style:?}: {:?}", imported.proof);
        assert_eq!((imported.graph.depth(), imported.features), (9, 128));
    }
}

#[test]
fn recorded_answers_of_onnx_runtime_are_met() {
    let Some(data) = test_data() else { return };
    for name in ["torchscript_opset14", "torch_export_opset18", "tf_style_opset12"] {
        let folder = data.join("vggish_fixtures");
        let imported =
            import(&folder.join(format!("{name}.onnx")), [96, 64], None, &Device::flex()).unwrap();
        let archive = folder.join(format!("{name}.npz"));
        let (shape, mut input) = npz(&archive, "input");
        if shape[1..] == [64, 96] {
            // The file takes [N, mels, frames]; our module always takes frames first.
            input = input
                .chunks_exact(64 * 96)
                .flat_map(|p| (0..96).flat_map(move |f| (0..64).map(move |m| p[m * 96 + f])))
                .collect();
        }
        let (_, wanted) = npz(&archive, "output");
        let difference = difference(&forward(&imported, input, [96, 64]), &wanted);
        println!("{name}: relative difference {difference:e}, proof {:?}", imported.proof);
        assert!(difference < 1e-4, "{name}: {difference}");
    }
}

#[test]
fn shipped_backbones_answer_as_recorded() {
    for (file, patch, features) in
        [("yamnet.onnx", [96, 64], 1024), ("musicnn_msd_vgg.onnx", [187, 96], 256)]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(file);
        let imported = import(&path, patch, None, &Device::flex()).unwrap();
        assert_eq!(imported.graph.feed().output, "embeddings");
        assert_eq!(imported.features, features);
        println!("{file}: {:?}", imported.proof);
        assert!(imported.proof.relative() < TOLERANCE / 10.0);
        let Some(data) = test_data() else { continue };
        let fixtures = data.join("frontend_fixtures");
        let (front_end, frames) =
            if features == 1024 { ("yamnet", 9 * 96) } else { ("musicnn", 187) };
        for clip in ["blues", "metal"] {
            let (_, log_mel) = npz(&fixtures.join("log_mel.npz"), &format!("{clip}_{front_end}"));
            let patches = log_mel[..frames * patch[1]].to_vec();
            let name = format!("{clip}_{front_end}_embeddings");
            let (_, wanted) = npz(&fixtures.join("backbone_outputs.npz"), &name);
            let difference = difference(&forward(&imported, patches, patch), &wanted);
            assert!(difference < 1e-4, "{clip}, {file}: {difference}");
        }
    }
}

/// 288 MB and 72 million parameters; `cargo test --release -- --ignored full_width`.
#[test]
#[ignore = "writes and reads a 288 MB file"]
fn full_width_vggish_imports_within_its_budget() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(&vggish(Style::TorchScript, 1, 1), dir.path(), "vggish.onnx");
    reset_peak_memory();
    let started = std::time::Instant::now();
    let imported = import(&path, [96, 64], None, &Device::flex()).unwrap();
    let (seconds, peak) = (started.elapsed().as_secs_f64(), peak_memory());
    println!("{seconds:.1} s, peak {} MB, {:?}", peak >> 20, imported.proof);
    use burn::module::Module;
    assert_eq!(imported.graph.num_params(), 72_141_184);
    assert!(peak < 1_200_000_000, "peak memory {peak}");
}

/// Linux keeps the peak resident set of the process; writing 5 starts it anew.
fn reset_peak_memory() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}

fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn an_unknown_operator_is_named_with_its_node_and_file() {
    let mut builder = Builder::new("x", &[-1, 1, 8, 8], 0);
    builder.conv([1, 2], [3, 3], vec![]).node("Unheard", &[], vec![]);
    builder.node("Flatten", &[], vec![]);
    let error = import_model(&builder.finish("embeddings", 72, 13), [8, 8]).unwrap_err();
    let Error::UnsupportedOperator { operator, node, .. } = &error else { panic!("{error}") };
    assert_eq!((operator.as_str(), node.as_str()), ("Unheard", "Unheard_unheard_1"));
    let text = error.to_string();
    assert!(text.contains("model.onnx") && text.contains("frozen backbone"), "{text}");
}

#[test]
fn branches_join_and_strange_inputs_are_refused() {
    let mut residual = Builder::new("x", &[-1, 1, 8, 8], 0);
    residual.conv([1, 1], [3, 3], vec![integers("pads", &[1; 4])]).node("Add", &["x"], vec![]);
    residual.node("Flatten", &[], vec![]);
    let imported = import_model(&residual.finish("embeddings", 64, 13), [8, 8]).unwrap();
    assert!(imported.proof.relative() < 1e-5, "{:?}", imported.proof);

    let model = vggish(Style::Tf, 16, 1);
    let text = import_model(&model, [187, 96]).unwrap_err().to_string();
    assert!(text.contains("[N, 64, 96]") && text.contains("‹front-end›"), "{text}");
}

/// The proof asks for one patch and for two; what a graph does with more is found when it is asked.
#[test]
fn a_graph_that_loses_patches_is_refused_and_no_row_taken_for_another() {
    let mut builder = Builder::new("x", &[-1, 1, 8, 8], 0);
    builder.node("Flatten", &[], vec![]);
    builder.integers("from", &[1], &[0]).integers("to", &[1], &[3]).integers("axis", &[1], &[0]);
    builder.node("Slice", &["from", "to", "axis"], vec![]);
    let imported = import_model(&builder.finish("embeddings", 64, 13), [8, 8]).unwrap();
    assert_eq!(forward(&imported, vec![1.0; 3 * 64], [8, 8]).len(), 3 * 64);
    let four = Tensor::zeros([4, 8, 8], &Device::flex());
    let text = imported.graph.forward(four).unwrap_err().to_string();
    assert!(text.contains("[3, 64] for 4 patches; one embedding a patch"), "{text}");
}

/// tract runs such layers forwards; ONNX Runtime and burn agree.
#[test]
fn a_recurrent_layer_that_runs_backwards_is_proved_in_onnx_runtime() {
    if runtime::preferred() != Runtime::Ort {
        println!("skipped: no libonnxruntime; run scripts/setup.sh");
        return;
    }
    let mut builder = Builder::new("x", &[-1, 1, 12, 5], 0);
    builder.integers("shape", &[3], &[-1, 12, 5]);
    builder.weights("w", &[1, 12, 5], 0.5).weights("r", &[1, 12, 4], 0.5);
    builder.node("Reshape", &["shape"], vec![]);
    builder.node("Transpose", &[], vec![integers("perm", &[1, 0, 2])]);
    let backwards = vec![integer("hidden_size", 4), text("direction", "reverse")];
    builder.node("GRU", &["w", "r"], backwards);
    builder.node("ReduceMax", &[], vec![integers("axes", &[0, 1]), integer("keepdims", 0)]);
    let imported = import_model(&builder.finish("embeddings", 4, 13), [12, 5]).unwrap();
    assert!(imported.proof.relative() < 1e-5, "{:?}", imported.proof);
    assert_eq!((imported.features, imported.graph.depth()), (4, 1));
}

#[test]
fn every_listed_operator_agrees_with_tract() {
    let mut builder = Builder::new("x", &[-1, 10, 12], 3);
    builder.integers("axes", &[1], &[1]).floats("low", &[-0.2]).floats("high", &[0.7]);
    for (name, values) in [
        ("scale", [1.5, 0.5, -1.0, 2.0, 1.0, 0.7]),
        ("shift", [0.1, -0.1, 0.2, 0.0, 0.3, 0.4]),
        ("mean", [0.2, 0.1, -0.2, 0.4, 0.1, 0.3]),
        ("variance", [1.0, 2.0, 0.5, 0.3, 1.5, 0.9]),
    ] {
        builder.floats(name, &values);
    }
    let windows = |kernel: &[i64], strides: &[i64]| {
        vec![integers("kernel_shape", kernel), integers("strides", strides)]
    };
    let with = |mut list: Vec<_>, more| {
        list.push(more);
        list
    };
    builder.node("Unsqueeze", &["axes"], vec![]);
    // Height and width exchanged, which the weights must absorb.
    builder.node("Transpose", &[], vec![integers("perm", &[0, 1, 3, 2])]);
    builder.conv(
        [1, 6],
        [3, 2],
        vec![integers("pads", &[0, 1, 2, 0]), integers("dilations", &[1, 2])],
    );
    builder.node("BatchNormalization", &["scale", "shift", "mean", "variance"], vec![]);
    builder.node("Clip", &["low", "high"], vec![]);
    let odd = with(windows(&[3, 2], &[1, 1]), integers("pads", &[1, 0, 2, 1]));
    builder.node("AveragePool", &[], odd.clone());
    builder.node("AveragePool", &[], with(odd.clone(), integer("count_include_pad", 1)));
    builder.node("MaxPool", &[], odd);
    builder.conv(
        [6, 6],
        [3, 3],
        vec![integer("group", 6), text("auto_pad", "SAME_LOWER"), integers("strides", &[2, 2])],
    );
    builder.node("Sigmoid", &[], vec![]).node("Identity", &[], vec![]);
    builder.conv([6, 6], [2, 3], vec![text("auto_pad", "VALID")]);
    builder.node("GlobalAveragePool", &[], vec![]);
    builder.node("Flatten", &[], vec![integer("axis", 1)]);
    builder.node("BatchNormalization", &["scale", "shift", "mean", "variance"], vec![]);
    builder.weights("w", &[6, 5], 0.5).weights("b", &[5], 0.5);
    builder.node("MatMul", &["w"], vec![]).node("Add", &["b"], vec![]);
    let imported = import_model(&builder.finish("embeddings", 5, 13), [10, 12]).unwrap();
    assert!(imported.proof.relative() < 1e-5, "{:?}", imported.proof);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the sizes, strides, pads and order of axes: the burn module agrees
    /// with tract, or the import says why not. It never panics and never lies.
    #[test]
    fn random_convolutions_are_proved_or_refused(
        [frames, mels] in [5usize..20, 5usize..20],
        [height, width] in [1usize..5, 1usize..5],
        strides in [1i64..4, 1i64..4],
        pads in [0i64..3, 0i64..3, 0i64..3, 0i64..3],
        exchanged: bool,
        channels_last: bool,
        seed: u64,
    ) {
        let [h, w] = if exchanged { [mels, frames] } else { [frames, mels] };
        let mut builder = Builder::new("x", &[-1, 1, h as i64, w as i64], seed);
        let windows = vec![integers("pads", &pads), integers("strides", &strides)];
        builder.conv([1, 3], [height, width], windows).node("Relu", &[], vec![]);
        if channels_last {
            builder.node("Transpose", &[], vec![integers("perm", &[0, 2, 3, 1])]);
        }
        builder.node("Flatten", &[], vec![]);
        let size = |size: usize, kernel: usize, axis: usize| {
            let padded = size as i64 + pads[axis] + pads[axis + 2] - kernel as i64;
            (padded >= 0).then(|| (padded / strides[axis] + 1) as usize)
        };
        let fits = size(h, height, 0).zip(size(w, width, 1));
        let features = fits.map_or(1, |(a, b)| 3 * a * b);
        builder.weights("w", &[features, 4], 0.5).node("MatMul", &["w"], vec![]);
        match import_model(&builder.finish("embeddings", 4, 13), [frames, mels]) {
            Ok(imported) => prop_assert!(imported.proof.relative() < 1e-4),
            Err(error) => prop_assert!(fits.is_none(), "{error}"),
        }
    }
}

/// Writes the fixture of `tests/oracle` anew: `cargo test --release -- --ignored oracle_fixture`.
#[test]
#[ignore = "writes into the source tree"]
fn oracle_fixture() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle");
    write(&vggish(Style::TorchScript, 64, 1), &folder, "vggish_narrow.onnx");
}
