//! Exported models: their form, their agreement with the trained model, and what is refused.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::vggish::{Style, vggish};
use genre_transfer::audio::Audio;
use genre_transfer::export::{INPUT, OUTPUTS};
use genre_transfer::features::{Extractor, FrontEnd, Patches, Preprocessor};
use genre_transfer::runtime::{self, Options, PatchInput, Runtime, Tensor};
use genre_transfer::train::Run;
use genre_transfer::{files, onnx};
use runs::{Desk, bytes, shape_operators, with_softplus};
use serde::Deserialize;
use serde_json::Value;

/// What every runtime must agree within.
const TOLERANCE: f32 = 1e-4;

/// ONNX Runtime is left out where its library is not installed, unless the environment
/// insists on it, as CI does.
fn runtimes() -> Vec<Runtime> {
    let found = runtime::preferred() == Runtime::Ort;
    let wanted = std::env::var_os("GENRE_TRANSFER_REQUIRE_ORT").is_some();
    assert!(found || !wanted, "GENRE_TRANSFER_REQUIRE_ORT is set but libonnxruntime is not found");
    if !found {
        println!("skipped: ort (no libonnxruntime; run scripts/setup.sh)");
        return vec![Runtime::Tract];
    }
    vec![Runtime::Tract, Runtime::Ort]
}

/// One run of each kind that is exported in a way of its own.
struct Kinds {
    desk: Desk,
    runs: [Run; 4],
}

impl Kinds {
    fn train() -> Self {
        let desk = Desk::new();
        desk.backbone("softplus.onnx", &with_softplus(vggish(Style::TorchScript, 64, 1)));
        // Takes mels before frames.
        desk.backbone("turned.onnx", &with_softplus(vggish(Style::Tf, 64, 1)));
        let backbone = |file| ["--backbone", file, "--front-end", "vggish", "--hidden", "8"];
        let deep = ["--epochs", "1", "--no-refit", "--unfreeze", "all", "--deep-epochs", "2"];
        let runs = [
            desk.train("frozen", &[]),
            desk.train("unfrozen", &deep),
            desk.train("spliced", &backbone("softplus.onnx")),
            desk.train("turned", &backbone("turned.onnx")),
        ];
        assert_eq!(runs[1].metrics().unwrap().kept, "unfrozen");
        Self { desk, runs }
    }
}

/// Probabilities and embeddings for `count` patches in the order of `log_mel`.
fn answers(runtime: Runtime, model: &Path, patches: &[f32], count: usize) -> [Tensor; 2] {
    let mut session = runtime::open(runtime, model, &Options::default()).unwrap();
    let input = Tensor { shape: vec![count, 96, 64], data: patches.to_vec() };
    session.run(&input).unwrap().try_into().unwrap()
}

/// Values in the range of log-mels.
fn probes(count: usize) -> Vec<f32> {
    (0..count * 96 * 64).map(|i| ((i * 131 + i / 64 * 17) % 701) as f32 / 100.0 - 4.0).collect()
}

#[track_caller]
fn assert_close(given: &[f32], wanted: &[f32], tolerance: f32, what: &str) {
    assert_eq!(given.len(), wanted.len(), "{what}");
    for (a, b) in given.iter().zip(wanted) {
        // Written so that NaN fails.
        assert!((a - b).abs() <= tolerance, "{what}: {a} is not {b}");
    }
}

#[test]
fn the_file_has_the_form_other_programs_are_told_of() {
    let Kinds { desk: _desk, runs } = Kinds::train();
    for run in &runs {
        let path = run.onnx_path();
        let model = onnx::read(&path).unwrap();
        let input = onnx::input(&model, &path).unwrap();
        assert_eq!(input.name, INPUT);
        assert_eq!(input.dims, [None, Some(96), Some(64)]);
        let outputs = onnx::outputs(&model, &path).unwrap();
        let outputs: Vec<_> = outputs.into_iter().map(|port| (port.name, port.dims)).collect();
        let [probabilities, embeddings] = OUTPUTS.map(str::to_owned);
        let wanted = [(probabilities, vec![None, Some(3)]), (embeddings, vec![None, Some(128)])];
        assert_eq!(outputs, wanted);
        for set in model.opset_import.iter().filter(|set| set.domain.is_empty()) {
            assert!((7..=18).contains(&set.version), "opset {}", set.version);
        }

        // A spliced graph is its backbone's author's.
        if run.folder().join("weights.bpk").exists() {
            assert_eq!(shape_operators(&path), [""; 0]);
        }

        let metadata = onnx::metadata(&model);
        let json = |key: &str| -> Value { serde_json::from_str(&metadata[key]).unwrap() };
        assert_eq!(json("labels"), serde_json::json!(["high", "low", "noise"]));
        let front_end = FrontEnd::deserialize(json("front_end")).unwrap();
        assert_eq!(Preprocessor::Audio(front_end), run.preprocessor().unwrap());
        let text = &metadata["front_end"];
        assert!(text.contains("\"offset\":0.01}"), "not the shortest form of an f32: {text}");
        let metrics = run.metrics().unwrap();
        assert_eq!(metadata["license"], metrics.backbone.as_ref().unwrap().license);
        assert_eq!(json("backbone"), serde_json::to_value(&metrics.backbone).unwrap());
        assert_eq!(json("training_data"), serde_json::to_value(&metrics.data).unwrap());
        assert_eq!(json("split")["test_tracks"], run.split().unwrap().test.len());
        assert_eq!(json("metrics")["test_track_accuracy"], metrics.test.tracks.accuracy);
    }
}

#[test]
fn every_runtime_answers_as_the_trained_model_does() {
    let Kinds { desk: _desk, runs } = Kinds::train();
    for (run, runtime) in runs.iter().flat_map(|run| runtimes().into_iter().map(move |r| (run, r)))
    {
        let what = format!("{} in {runtime}", run.folder().display());
        for count in [1, 5] {
            let patches = probes(count);
            let [probabilities, embeddings] = answers(runtime, &run.onnx_path(), &patches, count);
            assert_eq!(probabilities.shape, [count, 3], "{what}");
            assert_eq!(embeddings.shape, [count, 128], "{what}");
            for row in probabilities.data.chunks_exact(3) {
                assert!(row.iter().all(|p| (0.0..=1.0).contains(p)), "{what}: {row:?}");
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{what}: {row:?}");
            }
            // Runs whose backbone stays an ONNX file are not in burn.
            if run.folder().join("weights.bpk").exists() {
                let wanted = answers(Runtime::Burn, run.folder(), &patches, count);
                assert_close(&probabilities.data, &wanted[0].data, TOLERANCE, &what);
                // Embeddings are not bounded as probabilities are.
                let largest = wanted[1].data.iter().fold(1f32, |m, v| m.max(v.abs()));
                assert_close(&embeddings.data, &wanted[1].data, TOLERANCE * largest, &what);
            }
        }
    }
}

#[test]
fn an_exported_model_gives_recordings_the_predictions_of_its_run() {
    let Kinds { desk, runs } = Kinds::train();
    for (run, runtime) in runs.iter().flat_map(|run| runtimes().into_iter().map(move |r| (run, r)))
    {
        let predictions: Value =
            serde_json::from_slice(&bytes(&run.folder().join("predictions.json"))).unwrap();
        let Preprocessor::Audio(front_end) = run.preprocessor().unwrap() else { panic!() };
        let extractor = Extractor::new(&front_end).unwrap();
        for prediction in predictions.as_array().unwrap() {
            let track = desk.path("music").join(prediction["track"].as_str().unwrap());
            let audio = Audio::open(&track).unwrap();
            let audio = audio.resampled(extractor.front_end().sample_rate).unwrap();
            let Patches { data, count, .. } = extractor.patches(&audio.samples);
            let [probabilities, _] = answers(runtime, &run.onnx_path(), &data, count);
            let mean = |class: usize| {
                let values = probabilities.data.iter().skip(class).step_by(3);
                values.sum::<f32>() / count as f32
            };
            let wanted: Vec<f32> =
                serde_json::from_value(prediction["probabilities"].clone()).unwrap();
            let what = format!("{} in {runtime}: {track:?}", run.folder().display());
            assert_close(&[0, 1, 2].map(mean), &wanted, TOLERANCE, &what);
        }
    }
}

#[test]
fn a_spliced_model_keeps_the_embeddings_of_its_backbone() {
    let Kinds { desk, runs } = Kinds::train();
    for (run, file) in [(&runs[2], "softplus.onnx"), (&runs[3], "turned.onnx")] {
        assert!(bytes(&run.folder().join("backbone.onnx")) == bytes(&desk.path(file)));
        for runtime in runtimes() {
            let patches = probes(5);
            let [_, embeddings] = answers(runtime, &run.onnx_path(), &patches, 5);
            let mut backbone =
                runtime::open(runtime, &desk.path(file), &Options::default()).unwrap();
            let input = PatchInput::new(&backbone.input().dims, 96, 64).unwrap();
            assert_eq!(input.transposed, file == "turned.onnx");
            let wanted = backbone.run(&input.arrange(&patches, 5)).unwrap().remove(0);
            assert_close(
                &embeddings.data,
                &wanted.data,
                TOLERANCE,
                &format!("{file} in {runtime}"),
            );
        }
    }
}

#[test]
fn exporting_again_gives_the_same_bytes_and_reports_them() {
    let Kinds { desk, runs } = Kinds::train();
    for run in &runs {
        let folder = run.folder().to_str().unwrap();
        let ran = desk.export(&[folder, "-o", "a.onnx", "--json"]).succeeded();
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let path = desk.path("a.onnx");
        assert_eq!(report["path"], "a.onnx");
        assert_eq!(report["sha256"], files::sha256(&path).unwrap());
        assert_eq!(report["bytes"], fs::metadata(&path).unwrap().len());
        assert!(bytes(&path) == bytes(&run.onnx_path()), "{folder}: not what finetune exported");

        fs::remove_file(run.onnx_path()).unwrap();
        let ran = desk.export(&[folder]).succeeded();
        assert!(ran.out.contains("tract: agrees with the trained model"), "{ran:#?}");
        assert!(bytes(&path) == bytes(&run.onnx_path()), "{folder}");
    }
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

#[test]
fn runs_that_are_missing_incomplete_or_damaged_are_refused() {
    let desk = Desk::new();
    let run = desk.train("run", &[]);
    desk.export(&["runs/nothing"]).refused(1, &["runs/nothing", "no such run"]);
    desk.export(&["music"]).refused(1, &["music", "config.json"]);
    desk.export(&[]).refused(2, &["<RUN>"]);
    let model = bytes(&run.onnx_path());
    for (file, content, word) in [
        ("metrics.json", None, "--resume"),
        ("metrics.json", Some(&b"{"[..]), "metrics.json"),
        ("weights.bpk", None, "weights.bpk"),
        ("weights.bpk", Some(b""), "weights.bpk"),
        ("weights.bpk", Some(b"not weights at all, though longer"), "weights.bpk"),
        ("model.json", None, "model.json"),
        ("model.json", Some(b"{}"), "model.json"),
        ("preprocessor.json", Some(b"{}"), "preprocessor.json"),
        ("labels.txt", None, "labels.txt"),
        ("split.json", Some(b"[]"), "split.json"),
    ] {
        let path = run.folder().join(file);
        let whole = bytes(&path);
        match content {
            Some(content) => fs::write(&path, content).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        desk.export(&["runs/run"]).refused(1, &["runs/run", word]);
        fs::write(&path, &whole).unwrap();
    }
    // One bit of the last weight, which no reader of the format can notice.
    flip_last_bit(&run.folder().join("weights.bpk"));
    desk.export(&["runs/run"]).refused(1, &["runs/run/weights.bpk", "damaged", "train again"]);
    flip_last_bit(&run.folder().join("weights.bpk"));
    // Cut short, as a copy that was broken off is.
    let weights = run.folder().join("weights.bpk");
    let whole = bytes(&weights);
    for share in [10, 2] {
        fs::write(&weights, &whole[..whole.len() - whole.len() / share]).unwrap();
        desk.export(&["runs/run"]).refused(1, &["runs/run/weights.bpk"]);
    }
    assert!(bytes(&run.onnx_path()) == model, "a failed export must leave the old file alone");
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

fn flip_last_bit(file: &Path) {
    let mut content = bytes(file);
    *content.last_mut().unwrap() ^= 1;
    fs::write(file, content).unwrap();
}

#[test]
fn a_damaged_part_of_a_spliced_model_is_refused() {
    let desk = Desk::new();
    desk.backbone("softplus.onnx", &with_softplus(vggish(Style::TorchScript, 64, 1)));
    let run = desk.train("run", &["--backbone", "softplus.onnx", "--front-end", "vggish"]);
    for file in ["head.bpk", "backbone.onnx"] {
        let path = run.folder().join(file);
        flip_last_bit(&path);
        desk.export(&["runs/run"]).refused(1, &["runs/run", file, "damaged"]);
        flip_last_bit(&path);
    }
    desk.export(&["runs/run"]).succeeded();
}

#[test]
fn a_destination_that_cannot_be_written_is_refused() {
    let desk = Desk::new();
    desk.train("run", &[]);
    fs::write(desk.path("file"), "").unwrap();
    fs::create_dir(desk.path("folder")).unwrap();
    for destination in ["file/model.onnx", "missing/model.onnx", "folder"] {
        desk.export(&["runs/run", "-o", destination]).refused(1, &[destination]);
    }
    assert_eq!(desk.names("folder"), [""; 0]);
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

/// The ONNX project's own checker, in the Python named by `GENRE_TRANSFER_PYTHON`.
#[test]
fn onnx_checker_accepts_every_kind_of_export() {
    let Some(python) = std::env::var_os("GENRE_TRANSFER_PYTHON") else {
        eprintln!("skipped: GENRE_TRANSFER_PYTHON is not set to a Python with the package onnx");
        return;
    };
    let Kinds { desk: _desk, runs } = Kinds::train();
    let program = "import onnx, sys\n\
                   for path in sys.argv[1:]: onnx.checker.check_model(path, full_check=True)";
    let paths = runs.iter().map(Run::onnx_path);
    let output = Command::new(python).args(["-c", program]).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
