//! Smaller variants and the model folder, by the real programs.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::vggish::{Style, vggish};
use genre_transfer::export::{self, Bundle};
use genre_transfer::onnx::names::OUTPUTS;
use genre_transfer::run::Exported;
use genre_transfer::runtime::{self, Options, Runtime};
use genre_transfer::{files, onnx};
use ndarray::ArrayD;
use runs::{Desk, bytes, with_three_axes};
use tract_onnx::pb::tensor_proto::DataType;

const SMALLER: [&str; 4] = ["fp16", "int8-weights", "int8", "int8-static"];

fn desk() -> Desk {
    let desk = Desk::new();
    desk.backbone("pooled.onnx", &with_three_axes(vggish(Style::TorchScript, 64, 1)));
    desk
}

fn has_ort() -> bool {
    let found = runtime::preferred() == Runtime::Ort;
    let wanted = std::env::var_os("GENRE_TRANSFER_REQUIRE_ORT").is_some();
    assert!(found || !wanted, "GENRE_TRANSFER_REQUIRE_ORT is set but libonnxruntime is not found");
    found
}

/// The probabilities of patches like log-mels.
fn probabilities(runtime: Runtime, model: &Path) -> Vec<f32> {
    let mut session = runtime::open(runtime, model, &Options::default()).unwrap();
    let data = (0..3 * 96 * 64).map(|i| ((i * 131 + i / 64 * 17) % 701) as f32 / 100.0 - 4.0);
    let patches = ArrayD::from_shape_vec(vec![3, 96, 64], data.collect()).unwrap();
    session.run(patches.view()).unwrap().swap_remove(0).into_iter().collect()
}

/// Element types of the constants.
fn types(model: &Path) -> Vec<i32> {
    let graph = onnx::read(model).unwrap().graph.unwrap();
    graph.initializer.iter().map(|tensor| tensor.data_type).collect()
}

#[test]
fn every_variant_is_smaller_says_so_and_answers_nearly_the_same() {
    let desk = desk();
    let spliced = ["--backbone", "pooled.onnx", "--front-end", "vggish"];
    for (name, more) in [("tiny", &[][..]), ("spliced", &spliced)] {
        let run = desk.train(name, more);
        let (folder, full) = (run.folder().to_str().unwrap(), bytes(&run.onnx_path()));
        for (precision, kind) in SMALLER.into_iter().zip([
            DataType::Float16,
            DataType::Int8,
            DataType::Int8,
            DataType::Int8,
        ]) {
            let arguments = [folder, "--input", "log-mel", "--precision", precision, "--json"];
            let ran = desk.export(&arguments).succeeded();
            let exported: Exported = serde_json::from_str(&ran.out).unwrap();
            let path = run.folder().join(format!("model-{precision}.onnx"));
            assert_eq!((&exported.path, exported.bytes), (&path, bytes(&path).len() as u64));
            let share = if precision == "fp16" { 0.6 } else { 0.45 };
            assert!((bytes(&path).len() as f64) < share * full.len() as f64, "{name} {precision}");
            assert!(types(&path).contains(&(kind as i32)), "{name} {precision}");
            let metadata = onnx::metadata(&onnx::read(&path).unwrap());
            assert_eq!(metadata["precision"], precision);
            assert!(metadata.contains_key("kept_in_float"));
            let validation = exported.validation.unwrap();
            assert_eq!(validation.tracks, run.split().unwrap().validation.len());
            for checked in &validation.runtimes {
                if checked.runtime == Runtime::Ort && !has_ort() {
                    assert!(checked.reason.is_some());
                    continue;
                }
                let what = format!("{name} {precision}: {checked:?}");
                assert_eq!(checked.accuracy, Some(validation.fp32_accuracy), "{what}");
                // A network of seeded noise is a hard case for steps shared by all its values.
                let allowed = if precision == "int8-static" { 0.3 } else { 0.1 };
                assert!(checked.max_abs_difference.is_some_and(|d| d < allowed), "{what}");
                let wanted = probabilities(checked.runtime, &run.onnx_path());
                let given = probabilities(checked.runtime, &path);
                let differences = wanted.iter().zip(&given).map(|(a, b)| (a - b).abs());
                assert!(differences.fold(0.0, f32::max) < allowed, "{what}: {wanted:?} {given:?}");
                assert_ne!(wanted, given, "{what}: nothing has changed");
            }
        }
    }
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

#[test]
fn variants_hear_samples_too_and_are_the_same_each_time() {
    let desk = desk();
    let run = desk.train("tiny", &[]);
    for input in ["waveform", "clip"] {
        for precision in SMALLER {
            let arguments = ["runs/tiny", "--input", input, "--precision", precision];
            desk.export(&arguments).succeeded();
            let path = run.folder().join(format!("{input}-{precision}.onnx"));
            let first = bytes(&path);
            desk.export(&arguments).succeeded();
            assert!(bytes(&path) == first, "{input} {precision}");
        }
    }
}

#[test]
fn a_variant_needs_the_clips_of_its_run() {
    let desk = desk();
    desk.train("tiny", &[]);
    fs::rename(desk.path("music"), desk.path("moved")).unwrap();
    let before = desk.names("runs/tiny");
    for precision in SMALLER {
        desk.export(&["runs/tiny", "--precision", precision])
            .refused(1, &["runs/tiny", "--data", "music"]);
    }
    desk.export(&["runs/tiny", "--precision", "int8", "--data", "runs"]).refused(1, &["--data"]);
    assert_eq!(desk.names("runs/tiny"), before, "nothing may be left behind");
    desk.export(&["runs/tiny", "--precision", "int8", "--data", "moved"]).succeeded();
    for wrong in [&["--max-drop", "-1"][..], &["--max-drop", "nan"]] {
        desk.export(&[&["runs/tiny"][..], wrong].concat()).refused(1, &["--max-drop"]);
    }
    desk.export(&["runs/tiny", "--precision", "int4"]).refused(2, &["int8-static"]);
}

/// What `sha256sum -c` says in a folder; the digests are checked by hand where it is missing.
fn check_sums(folder: &Path) -> usize {
    let text = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    for line in text.lines() {
        let (digest, name) = line.split_once("  ").unwrap();
        assert_eq!(files::sha256(&folder.join(name)).unwrap(), digest, "{name}");
    }
    if let Ok(output) =
        Command::new("sha256sum").args(["-c", "SHA256SUMS"]).current_dir(folder).output()
    {
        assert!(output.status.success(), "{output:?}");
    }
    text.lines().count()
}

#[test]
fn a_bundle_has_all_that_goes_with_a_model() {
    let desk = desk();
    let run = desk.train("tiny", &[]);
    let ran = desk.export(&["runs/tiny", "--bundle", "genres", "--json"]).succeeded();
    let bundle: Bundle = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((bundle.folder, bundle.model.path), ("genres".into(), "genres/model.onnx".into()));
    let names = [
        "1",
        "README.md",
        "SHA256SUMS",
        "config.pbtxt",
        "labels.txt",
        "metrics.json",
        "model.onnx",
        "preprocessor.json",
    ];
    assert_eq!(desk.names("genres"), names);
    assert_eq!(check_sums(&desk.path("genres")), 7);
    for copied in ["labels.txt", "metrics.json", "preprocessor.json"] {
        assert!(bytes(&desk.path("genres").join(copied)) == bytes(&run.folder().join(copied)));
    }
    let card = desk.text("genres/README.md");
    let front_matter = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap().0;
    for line in [
        "library_name: onnx",
        "pipeline_tag: audio-classification",
        "- name: \"genres\"",
        "      type: \"music\"",
        "    - type: accuracy",
    ] {
        assert!(front_matter.lines().any(|found| found == line), "{line:?} not in {front_matter}");
    }
    assert!(!card.contains("GTZAN"), "the data is not GTZAN");
    for word in ["`waveform` [batch, 15600]", "sr=16000", "| high |", "fingerprint"] {
        assert!(card.contains(word), "{word:?} not in {card}");
    }
    let config = desk.text("genres/config.pbtxt");
    for line in [
        "platform: \"onnxruntime_onnx\"",
        "max_batch_size: 64",
        "  { name: \"waveform\", data_type: TYPE_FP32, dims: [ 15600 ] }",
        "dynamic_batching { }",
    ] {
        assert!(config.lines().any(|found| found == line), "{line:?} not in {config}");
    }
    assert!(bytes(&desk.path("genres/1/model.onnx")) == bytes(&desk.path("genres/model.onnx")));
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

#[test]
fn a_bundle_holds_any_input_and_precision() {
    let desk = desk();
    desk.train("tiny", &[]);
    let clip = ["runs/tiny", "--input", "clip", "--precision", "int8", "--bundle", "clip"];
    desk.export(&clip).succeeded();
    let config = desk.text("clip/config.pbtxt");
    assert!(config.contains("max_batch_size: 0") && config.contains("dims: [ 1, -1 ]"), "{config}");
    let card = desk.text("clip/README.md");
    assert!(card.contains("int8") && card.contains("`patch_probabilities`"), "{card}");
    assert!(card.contains("| ort |") == has_ort() && card.contains("| tract |"), "{card}");
    let model = onnx::read(&desk.path("clip/model.onnx")).unwrap();
    assert_eq!(onnx::metadata(&model)["precision"], "int8");
    desk.export(&["runs/tiny", "--input", "log-mel", "--bundle", "mel"]).succeeded();
    assert!(desk.text("mel/README.md").contains("`log_mel` [batch, 96, 64]"));
    let names: Vec<String> =
        onnx::outputs(&model, Path::new("")).unwrap().into_iter().map(|port| port.name).collect();
    assert!(OUTPUTS.iter().all(|output| names.contains(&(*output).to_owned())));
}

#[test]
fn a_bundle_of_a_large_model_holds_its_weights_twice_as_well() {
    let desk = desk();
    let run = desk.train("tiny", &[]);
    let options = export::Options::new(export::Input::Waveform);
    let folder = desk.path("large");
    let bundle = export::bundle_within(&run, &folder, &options, 30_000).unwrap();
    assert_eq!(bundle.model.data, Some(folder.join("model.onnx.data")));
    for name in ["model.onnx.data", "1/model.onnx.data"] {
        assert!(bundle.files.contains(&name.to_owned()), "{:?}", bundle.files);
    }
    assert_eq!(check_sums(&folder), 9);
    let waveform = ArrayD::from_elem(vec![1, 15_600], 0.25);
    let answer = |file: &str| {
        let path = folder.join(file);
        let mut session = runtime::open(Runtime::Tract, &path, &Options::default()).unwrap();
        session.run(waveform.view()).unwrap()
    };
    assert_eq!(answer("model.onnx"), answer("1/model.onnx"));
}

#[test]
fn a_folder_in_use_or_a_failure_leaves_everything_as_it_was() {
    let desk = Desk::new();
    let run = desk.train("tiny", &[]);
    fs::create_dir(desk.path("empty")).unwrap();
    desk.export(&["runs/tiny", "--bundle", "empty"]).succeeded();
    desk.export(&["runs/tiny", "--bundle", "empty"]).refused(1, &["empty", "already there"]);
    check_sums(&desk.path("empty"));
    fs::write(desk.path("file"), "text").unwrap();
    desk.export(&["runs/tiny", "--bundle", "file"]).refused(1, &["file", "already there"]);
    desk.export(&["runs/tiny", "--bundle", "file/inside"]).refused(1, &["file/inside"]);
    desk.export(&["runs/tiny", "--bundle", "missing/new"]).refused(1, &["missing/new"]);
    desk.export(&["runs/tiny", "--bundle", "b", "-o", "m.onnx"]).refused(2, &["--bundle"]);
    let weights = run.folder().join("head.bpk");
    fs::write(&weights, "damaged").unwrap();
    desk.export(&["runs/tiny", "--bundle", "new"]).refused(1, &["head.bpk"]);
    assert!(!desk.path("new").exists());
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

#[test]
fn bundles_and_variants_are_benchmarked() {
    let desk = desk();
    let run = desk.train("tiny", &[]);
    desk.export(&["runs/tiny", "--input", "log-mel", "--bundle", "genres"]).succeeded();
    desk.export(&["runs/tiny", "--input", "log-mel", "--precision", "fp16"]).succeeded();
    let program = env!("CARGO_BIN_EXE_bench-runtimes");
    let split = run.folder().join("split.json");
    let arguments = [
        "genres",
        "runs/tiny",
        "runs/tiny/model-fp16.onnx",
        "--quick",
        "--runtimes",
        "tract,burn",
        "--batch",
        "1",
        "--threads",
        "1",
        "--data",
        "music",
        "--split",
        split.to_str().unwrap(),
    ];
    let ran = runs::Ran::from(desk.command(program, &arguments).output().unwrap()).succeeded();
    let variants = ran.out.split_once("variants beside the model").unwrap().1;
    let line = variants.lines().find(|line| line.starts_with("tiny/model-fp16")).unwrap();
    assert!(line.contains("tract cpu") && line.contains("+0.0"), "{line}");
    let report = desk.json("runs/bench/bench.json");
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 6);
    assert_eq!(rows[0]["accuracy"], rows[2]["accuracy"], "the bundle is the run's model");
    assert!(rows[0]["latency"].is_object() && rows[0].get("precision").is_none());
    assert!(rows[1]["reason"].as_str().unwrap().contains("config.json"), "{}", rows[1]);
    assert_eq!(rows[4]["precision"], "fp16");
}
