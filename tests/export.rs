//! Exported models: their form, their agreement with the trained model, and what is refused.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::data::{npz, test_data};
use common::vggish::{Style, vggish};
use genre_transfer::audio::Audio;
use genre_transfer::export;
use genre_transfer::features::{Extractor, FrontEnd, Preprocessor};
use genre_transfer::metrics::Average;
use genre_transfer::onnx::names::{
    LOG_MEL, OUTPUTS, OUTSIDER, PATCH_PROBABILITIES, PROJECTION, SET, WAVEFORM,
};
use genre_transfer::run::{Kept, Precision, Run, Spec, Trust};
use genre_transfer::runtime::{self, Options, PatchInput, Runtime, Session};
use genre_transfer::{Classifier, classify, files, onnx};
use ndarray::{Array3, ArrayD, ArrayView2, Axis, aview1};
use runs::{Desk, Ran, bytes, with_three_axes};
use serde::Deserialize;
use serde_json::Value;
use tract_onnx::pb::tensor_shape_proto::dimension;
use tract_onnx::pb::{ModelProto, type_proto};
use walkdir::WalkDir;

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
        desk.backbone("pooled.onnx", &with_three_axes(vggish(Style::TorchScript, 64, 1)));
        // Takes mels before frames.
        desk.backbone("turned.onnx", &with_three_axes(vggish(Style::Tf, 64, 1)));
        let backbone = |file| ["--backbone", file, "--front-end", "vggish", "--hidden", "8"];
        let deep = ["--epochs", "1", "--no-refit", "--unfreeze", "all", "--deep-epochs", "2"];
        let runs = [
            desk.train("frozen", &[]),
            desk.train("unfrozen", &deep),
            desk.train("spliced", &backbone("pooled.onnx")),
            desk.train("turned", &backbone("turned.onnx")),
        ];
        assert_eq!(runs[1].metrics().unwrap().kept, Kept::Unfrozen);
        Self { desk, runs }
    }
}

/// Whether the run's backbone could be imported into burn.
fn is_in_burn(run: &Run) -> bool {
    match run.model_spec().unwrap() {
        Spec::Backbone(spec) => spec.imported,
        Spec::Custom(_) => true,
    }
}

/// Probabilities and embeddings for patches in the order of `log_mel`.
fn answers(runtime: Runtime, model: &Path, patches: &Array3<f32>) -> [ArrayD<f32>; 2] {
    let mut session = export::open(runtime, model, &Options::default()).unwrap();
    let mut outputs = session.run(patches.view().into_dyn()).unwrap();
    // Behind them stands how far they can be trusted.
    outputs.truncate(2);
    outputs.try_into().unwrap()
}

/// Values in the range of log-mels.
fn probes(count: usize) -> Array3<f32> {
    let value = |i: usize| ((i * 131 + i / 64 * 17) % 701) as f32 / 100.0 - 4.0;
    Array3::from_shape_vec((count, 96, 64), (0..count * 96 * 64).map(value).collect()).unwrap()
}

#[track_caller]
fn assert_close<'a>(
    given: impl IntoIterator<Item = &'a f32, IntoIter: ExactSizeIterator>,
    wanted: impl IntoIterator<Item = &'a f32, IntoIter: ExactSizeIterator>,
    tolerance: f32,
    what: &str,
) {
    let (given, wanted) = (given.into_iter(), wanted.into_iter());
    assert_eq!(given.len(), wanted.len(), "{what}");
    for (a, b) in given.zip(wanted) {
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
        assert_eq!(input.name, LOG_MEL);
        assert_eq!(input.dims, [None, Some(96), Some(64)]);
        let outputs = onnx::outputs(&model, &path).unwrap();
        let outputs: Vec<_> = outputs.into_iter().map(|port| (port.name, port.dims)).collect();
        let [probabilities, embeddings] = OUTPUTS.map(str::to_owned);
        let mut wanted =
            vec![(probabilities, vec![None, Some(3)]), (embeddings, vec![None, Some(128)])];
        let trust = run.trust().unwrap().unwrap();
        wanted.push((SET.to_owned(), vec![None, Some(3)]));
        if let Some(outsider) = trust.outsider {
            wanted.push((OUTSIDER.to_owned(), vec![None, Some(1)]));
            wanted.push((PROJECTION.to_owned(), vec![None, Some(outsider.directions())]));
        }
        assert_eq!(outputs, wanted);
        for set in model.opset_import.iter().filter(|set| set.domain.is_empty()) {
            assert!((7..=23).contains(&set.version), "opset {}", set.version);
        }

        let metadata = onnx::metadata(&model);
        let json = |key: &str| -> Value { serde_json::from_str(&metadata[key]).unwrap() };
        assert_eq!(json("labels"), serde_json::json!(["high", "low", "mixed"]));
        let front_end = FrontEnd::deserialize(json("front_end")).unwrap();
        assert_eq!(Preprocessor::Audio(front_end), run.preprocessor().unwrap());
        let text = &metadata["front_end"];
        assert!(text.contains("\"offset\":0.01}"), "not the shortest form of an f32: {text}");
        let metrics = run.metrics().unwrap();
        assert_eq!(metadata["license"], metrics.backbone.as_ref().unwrap().license);
        assert_eq!(json("backbone"), serde_json::to_value(&metrics.backbone).unwrap());
        assert_eq!(json("training_data"), serde_json::to_value(&metrics.data).unwrap());
        assert_eq!(json("split")["listed_test_tracks"], run.split().unwrap().test.len());
        assert_eq!(
            json("metrics")["test_track_accuracy"],
            metrics.test.single_label().unwrap().tracks.accuracy
        );
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
            let [probabilities, embeddings] = answers(runtime, &run.onnx_path(), &patches);
            assert_eq!(probabilities.shape(), [count, 3], "{what}");
            assert_eq!(embeddings.shape(), [count, 128], "{what}");
            for row in probabilities.rows() {
                assert!(row.iter().all(|p| (0.0..=1.0).contains(p)), "{what}: {row:?}");
                assert!((row.sum() - 1.0).abs() < 1e-5, "{what}: {row:?}");
            }
            if is_in_burn(run) {
                let wanted = answers(Runtime::Burn, run.folder(), &patches);
                assert_close(&probabilities, &wanted[0], TOLERANCE, &what);
                // Embeddings are not bounded as probabilities are.
                let largest = wanted[1].iter().fold(1f32, |m, v| m.max(v.abs()));
                assert_close(&embeddings, &wanted[1], TOLERANCE * largest, &what);
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
            let patches = extractor.patches(&audio.samples).values;
            let [probabilities, _] = answers(runtime, &run.onnx_path(), &patches);
            let classes = probabilities.shape()[1];
            let patches: Vec<f32> = probabilities.iter().copied().collect();
            let mean = run.trust().unwrap().unwrap().probabilities(&patches, classes);
            let wanted: Vec<f32> =
                serde_json::from_value(prediction["probabilities"].clone()).unwrap();
            let what = format!("{} in {runtime}: {track:?}", run.folder().display());
            assert_close(&mean, &wanted, TOLERANCE, &what);
        }
    }
}

#[test]
fn a_spliced_model_keeps_the_embeddings_of_its_backbone() {
    let Kinds { desk, runs } = Kinds::train();
    for (run, file) in [(&runs[2], "pooled.onnx"), (&runs[3], "turned.onnx")] {
        assert!(bytes(&run.folder().join("backbone.onnx")) == bytes(&desk.path(file)));
        for runtime in runtimes() {
            let patches = probes(5);
            let [_, embeddings] = answers(runtime, &run.onnx_path(), &patches);
            let mut backbone =
                runtime::open(runtime, &desk.path(file), &Options::default()).unwrap();
            let input = PatchInput::new(&backbone.input().dims, 96, 64).unwrap();
            assert_eq!(input.is_turned(), file == "turned.onnx");
            let wanted = backbone.run(input.arrange(patches.view()).view()).unwrap().remove(0);
            assert_close(&embeddings, &wanted, TOLERANCE, &format!("{file} in {runtime}"));
        }
    }
}

#[test]
fn exporting_again_gives_the_same_bytes_and_reports_them() {
    let Kinds { desk, runs } = Kinds::train();
    for run in &runs {
        let folder = run.folder().to_str().unwrap();
        let ran =
            desk.export(&[folder, "--input", "log-mel", "-o", "a.onnx", "--json"]).succeeded();
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        let path = desk.path("a.onnx");
        assert_eq!(report["path"], "a.onnx");
        assert_eq!(report["sha256"], files::sha256(&path).unwrap());
        assert_eq!(report["bytes"], fs::metadata(&path).unwrap().len());
        assert!(bytes(&path) == bytes(&run.onnx_path()), "{folder}: not what finetune exported");

        fs::remove_file(run.onnx_path()).unwrap();
        let ran = desk.export(&[folder, "--input", "log-mel"]).succeeded();
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
        ("backbone.onnx", None, "backbone.onnx"),
        ("head.bpk", None, "head.bpk"),
        ("head.bpk", Some(b""), "head.bpk"),
        ("head.bpk", Some(b"not weights at all, though longer"), "head.bpk"),
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
    for file in ["head.bpk", "backbone.onnx"] {
        let weights = run.folder().join(file);
        flip_last_bit(&weights);
        let words = [&*format!("runs/run/{file}"), "damaged", "train again"];
        desk.export(&["runs/run"]).refused(1, &words);
        flip_last_bit(&weights);
        // Cut short, as a copy that was broken off is.
        let whole = bytes(&weights);
        for share in [10, 2] {
            fs::write(&weights, &whole[..whole.len() - whole.len() / share]).unwrap();
            desk.export(&["runs/run"]).refused(1, &words[..1]);
        }
        fs::write(&weights, &whole).unwrap();
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
    desk.backbone("pooled.onnx", &with_three_axes(vggish(Style::TorchScript, 64, 1)));
    let run = desk.train("run", &["--backbone", "pooled.onnx", "--front-end", "vggish"]);
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

/// The outputs called so, of a file that hears samples.
fn hear(
    session: &mut dyn Session,
    samples: ArrayView2<'_, f32>,
    names: &[&str],
) -> Vec<ArrayD<f32>> {
    let mut outputs = session.run(samples.into_dyn()).unwrap();
    let at = |name: &&str| session.outputs().iter().position(|output| output == name).unwrap();
    let places: Vec<usize> = names.iter().map(at).collect();
    places.into_iter().map(|at| std::mem::take(&mut outputs[at])).collect()
}

/// The largest difference of a probability between the native way, from the extractor to
/// `wanted`, a session that takes log-mels, and the files of `run` that hear samples.
fn largest_difference(
    run: &Run,
    wanted: &mut dyn Session,
    [waveform, clip]: &mut [Box<dyn Session>; 2],
    samples: &[f32],
) -> f32 {
    let Preprocessor::Audio(front_end) = run.preprocessor().unwrap() else { panic!() };
    let patches = Extractor::new(&front_end).unwrap().patches(samples).values;
    let native = wanted.run(patches.view().into_dyn()).unwrap().swap_remove(0);
    let means: Vec<f32> = match run.trust().unwrap() {
        Some(trust) => {
            let patches: Vec<f32> = native.iter().copied().collect();
            trust.probabilities(&patches, native.shape()[1])
        }
        None => native.mean_axis(Axis(0)).unwrap().iter().copied().collect(),
    };
    let means = ArrayD::from_shape_vec(vec![means.len()], means).unwrap();

    let waveforms = front_end.waveforms(samples);
    assert_eq!(waveforms.dim(), (patches.len_of(Axis(0)), front_end.waveform_samples()));
    let of_patches = hear(&mut **waveform, waveforms.view(), &OUTPUTS);
    assert_eq!(of_patches[0].shape(), native.shape());
    let names = [OUTPUTS[0], PATCH_PROBABILITIES, OUTPUTS[1]];
    let of_clip = hear(&mut **clip, aview1(samples).insert_axis(Axis(0)), &names);
    assert_eq!(of_clip[0].shape(), [1, means.len()]);
    assert_eq!(of_clip[1].shape(), native.shape());
    assert_eq!(of_clip[2].shape(), of_patches[1].shape());
    let pairs = [(&of_patches[0], &native), (&of_clip[1], &native), (&of_clip[0], &means)];
    let differences =
        pairs.into_iter().flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| (a - b).abs());
    // Not `f32::max`, which would swallow a NaN.
    differences.fold(0.0, |largest, one| if one > largest || one.is_nan() { one } else { largest })
}

/// The run's `waveform.onnx` and `clip.onnx`, exported and opened.
fn open_hearing(desk: &Desk, run: &Run, runtime: Runtime) -> [Box<dyn Session>; 2] {
    ["waveform", "clip"].map(|input| {
        let path = run.folder().join(input).with_extension("onnx");
        if !path.exists() {
            desk.export(&[run.folder().to_str().unwrap(), "--input", input]).succeeded();
        }
        runtime::open(runtime, &path, &Options::default()).unwrap()
    })
}

#[test]
fn files_that_hear_samples_answer_as_behind_the_native_front_end() {
    let Kinds { desk, runs } = Kinds::train();
    let audio = Audio::open(&desk.path("music/mixed/0.wav")).unwrap().samples;
    for run in &runs {
        let (reference, model) = if is_in_burn(run) {
            (Runtime::Burn, run.folder().to_owned())
        } else {
            (Runtime::Tract, run.onnx_path())
        };
        let mut native = export::open(reference, &model, &Options::default()).unwrap();
        for runtime in runtimes() {
            let mut sessions = open_hearing(&desk, run, runtime);
            assert_eq!(sessions[0].input().dims, [None, Some(15_600)]);
            assert_eq!(sessions[1].input().dims, [Some(1), None]);
            for length in [audio.len(), 30_961, 30_960, 15_599, 1] {
                let samples = &audio[..length];
                let difference = largest_difference(run, &mut *native, &mut sessions, samples);
                let what = format!("{} in {runtime}, {length}", run.folder().display());
                assert!(difference <= TOLERANCE, "{what}: {difference}");
            }
        }
        let number = |file: &str| {
            let path = run.folder().join(file);
            let model = onnx::read(&path).unwrap();
            let hears =
                file == "backbone.onnx" || onnx::input(&model, &path).unwrap().name == WAVEFORM;
            assert!(hears, "{file}");
            (onnx::metadata(&model), model.opset_import[0].version)
        };
        let (metadata, opset) = number("waveform.onnx");
        let wanted = [
            ("input", "waveform"),
            ("sample_rate", "16000"),
            ("patch_samples", "15600"),
            ("patch_hop_samples", "15360"),
            ("lead_samples", "0"),
        ];
        wanted.iter().for_each(|(key, value)| assert_eq!(metadata[*key], *value));
        let (_, written_for) = number("backbone.onnx");
        assert_eq!(opset, written_for);
        let (metadata, opset) = number("clip.onnx");
        assert_eq!((&*metadata["input"], &*metadata["patch_hop_samples"]), ("clip", "15360"));
        assert_eq!(opset, written_for);
    }
}

/// Whichever mean over patches a run has chosen, files and programs take it.
#[test]
fn both_means_over_patches_are_exported_and_taken() {
    let Kinds { desk, runs } = Kinds::train();
    let run = &runs[0];
    // Patches of several genres disagree.
    let of_genre = |genre| Audio::open(&desk.path(&format!("music/{genre}/0.wav"))).unwrap();
    let tracks: Vec<Audio> = run.labels().unwrap().iter().map(of_genre).collect();
    let rate = tracks[0].rate;
    assert_eq!(rate, 16_000);
    let samples: Vec<f32> = tracks.into_iter().flat_map(|track| track.samples).collect();
    let mut native = export::open(Runtime::Burn, run.folder(), &Options::default()).unwrap();
    let mut found = vec![];
    for average in Average::ALL {
        let trust = Trust { average, ..run.trust().unwrap().unwrap() };
        files::write_json(&run.folder().join("trust.json"), &trust).unwrap();
        for input in ["log-mel", "waveform", "clip"] {
            desk.export(&[run.folder().to_str().unwrap(), "--input", input]).succeeded();
        }
        for runtime in runtimes() {
            let mut sessions = open_hearing(&desk, run, runtime);
            let difference = largest_difference(run, &mut *native, &mut sessions, &samples);
            assert!(difference <= TOLERANCE, "{average} in {runtime}: {difference}");
        }
        let of_file = |file: &str| {
            let model = run.folder().join(file);
            let classifier = Classifier::open(&model, &classify::Options::default()).unwrap();
            classifier.classify(&samples, rate).unwrap().probabilities
        };
        let files = ["model.onnx", "waveform.onnx", "clip.onnx"].map(of_file);
        assert_close(&files[1], &files[0], TOLERANCE, &format!("{average}: waveform"));
        assert_close(&files[2], &files[0], TOLERANCE, &format!("{average}: clip"));
        found.push(files[0].clone());
    }
    let apart = found[0].iter().zip(&found[1]).any(|(a, b)| (a - b).abs() > 10.0 * TOLERANCE);
    assert!(apart, "{found:?}");
}

#[test]
fn bench_runtimes_compares_files_that_hear_samples() {
    let desk = Desk::new();
    let run = desk.train("run", &[]);
    desk.export(&["runs/run"]).succeeded();
    desk.export(&["runs/run", "--input", "clip"]).succeeded();
    let models =
        ["model.onnx", "waveform.onnx", "clip.onnx"].map(|file| format!("runs/run/{file}"));
    let models: Vec<&str> = models.iter().map(String::as_str).collect();
    let options = ["--runtimes", "tract", "--batch", "2", "--threads", "1", "--seconds", "0.1"];
    let data = ["--data", "music", "--split", "runs/run/split.json", "--output", "bench"];
    let program = env!("CARGO_BIN_EXE_bench-runtimes");
    let arguments = [&models[..], &options, &data].concat();
    Ran::from(desk.command(program, &arguments).output().unwrap()).succeeded();
    let rows = desk.json("bench/bench.json")["rows"].take();
    let accuracy = run.metrics().unwrap().test.single_label().unwrap().tracks.accuracy;
    for row in &rows.as_array().unwrap()[..2] {
        assert_eq!(row["accuracy"], accuracy, "{row}");
        assert!(row["latency"]["p50_ms"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["audio_seconds_per_second"].is_f64(), "{row}");
    }
    let reason = rows[2]["reason"].as_str().unwrap();
    assert!(reason.contains("--input waveform"), "{reason}");
}

#[test]
fn inputs_that_a_backbone_rules_out_are_refused() {
    let desk = Desk::new();
    let mut fixed = with_three_axes(vggish(Style::TorchScript, 64, 1));
    fix_batch(&mut fixed, 2);
    desk.backbone("fixed.onnx", &fixed);
    desk.train("fixed", &["--backbone", "fixed.onnx", "--front-end", "vggish"]);
    desk.export(&["runs/fixed"]).succeeded();
    let ran = desk.export(&["runs/fixed", "--input", "clip"]);
    ran.refused(1, &["takes 2 patches at a time", "--input waveform"]);
    desk.export(&["runs/fixed", "--input", "samples"])
        .refused(2, &["waveform, clip, log-mel or image"]);
    assert!(!desk.path("runs/fixed/clip.onnx").exists());
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

/// Makes the graph take so many patches at a time.
fn fix_batch(model: &mut ModelProto, batch: i64) {
    let Some(input) = model.graph.as_mut().and_then(|graph| graph.input.first_mut()) else {
        panic!()
    };
    let value = input.r#type.as_mut().and_then(|kind| kind.value.as_mut());
    let Some(type_proto::Value::TensorType(tensor)) = value else { panic!() };
    let axis = &mut tensor.shape.as_mut().unwrap().dim[0];
    axis.value = Some(dimension::Value::DimValue(batch));
}

/// Heads on the real backbones, and a CNN of our own that hears audio, trained on `data`.
fn real_runs(desk: &Desk, data: &str) -> Vec<Run> {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let train = |program: &str, name: &str, more: &[&str]| {
        let arguments = [&["--data", data, "--name", name], more].concat();
        Ran::from(desk.command(program, &arguments).output().unwrap()).succeeded();
        Run::open(&desk.path("runs").join(name)).unwrap()
    };
    let head = |name: &str, file: &str| {
        let path = models.join(file);
        let mut more = vec!["--backbone", path.to_str().unwrap(), "--front-end", name];
        // Of tones a head gets so sure that between them the last bits decide.
        if data == "music" {
            more.extend(["--epochs", "3"]);
        }
        train(env!("CARGO_BIN_EXE_finetune"), name, &more)
    };
    let cnn = ["--source", "audio", "--epochs", "3"];
    vec![
        head("yamnet", "yamnet.onnx"),
        head("musicnn", "musicnn_msd_vgg.onnx"),
        train(env!("CARGO_BIN_EXE_train-cnn"), "cnn", &cnn),
    ]
}

/// The largest differences over every `step`th real clip, for each run in each runtime. The
/// models are trained on `data`, or on all clips.
fn check_real_clips(step: usize, data: Option<&str>) {
    let Some(folder) = test_data() else { return };
    let desk = Desk::new();
    let gtzan = folder.join("gtzan");
    let mut clips: Vec<PathBuf> = WalkDir::new(gtzan.join("genres_original"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .collect();
    clips.sort();
    for run in real_runs(&desk, data.unwrap_or(gtzan.to_str().unwrap())) {
        let Preprocessor::Audio(front_end) = run.preprocessor().unwrap() else { panic!() };
        let mut native = export::open(Runtime::Burn, run.folder(), &Options::default()).unwrap();
        let mut sessions: Vec<_> = runtimes()
            .into_iter()
            .map(|runtime| (runtime, open_hearing(&desk, &run, runtime), 0f32))
            .collect();
        for clip in clips.iter().step_by(step) {
            let audio = Audio::open(clip).unwrap().resampled(front_end.sample_rate).unwrap();
            for (_, sessions, largest) in &mut sessions {
                let one = largest_difference(&run, &mut *native, sessions, &audio.samples);
                assert!(one <= TOLERANCE, "{} on {clip:?}: {one}", run.folder().display());
                *largest = largest.max(one);
            }
        }
        for (runtime, _, largest) in sessions {
            let clips = clips.len().div_ceil(step);
            println!("{} in {runtime}: {largest:.1e} over {clips} clips", front_end.name);
        }
    }
}

#[test]
fn real_clips_are_heard_as_behind_the_native_front_end() {
    check_real_clips(50, Some("music"));
}

#[test]
#[ignore = "minutes; run by name, see README"]
fn all_real_clips_are_heard_as_behind_the_native_front_end() {
    check_real_clips(1, None);
}

/// Networks as exporters of today and yesterday write them, with the front end that fits.
const ZOO: [(&str, &str); 15] = [
    ("ast_dynamo23", "vggish"),
    ("ast_script17", "vggish"),
    ("convnext_dynamo20", "vggish"),
    ("crnn_gru_script17", "vggish"),
    ("densenet_script11", "vggish"),
    ("mobilenetv3_int8dynamic_script17", "vggish"),
    ("mobilenetv3_script17", "vggish"),
    ("musicnn_script17", "musicnn"),
    ("pann_dynamo18", "vggish"),
    ("resnet_dynamo20", "vggish"),
    ("resnet_external_dynamo20", "vggish"),
    ("resnet_fixedbatch_dynamo20", "vggish"),
    ("resnet_fp16_script17", "vggish"),
    ("resnet_script17", "vggish"),
    ("unet_script17", "vggish"),
];

/// Trained on and exported, each keeps its opset, the names of its weights and its answers.
#[test]
fn networks_of_other_exporters_are_exported_as_their_own_graphs() {
    let Some(zoo) = test_data().map(|folder| folder.join("onnx_zoo")) else { return };
    if !runtimes().contains(&Runtime::Ort) {
        return;
    }
    let desk = Desk::new();
    for (name, front_end) in ZOO {
        let file = zoo.join(format!("{name}.onnx"));
        let backbone = ["--backbone", file.to_str().unwrap(), "--front-end", front_end];
        let run = desk.train(name, &backbone);
        let folder = run.folder().to_str().unwrap();
        // What rounds to bytes with a scale of the moment lets a patch depend on its neighbours,
        // and is run one at a time.
        let fixed = name.contains("fixedbatch") || name.contains("int8dynamic");
        desk.export(&[folder, "--input", if fixed { "waveform" } else { "clip" }]).succeeded();

        let [original, exported] = [&file, &run.onnx_path()].map(|path| onnx::read(path).unwrap());
        let opset = |model: &ModelProto| model.opset_import[0].version;
        assert_eq!(opset(&original), opset(&exported), "{name}");
        let weights = |model: &ModelProto| -> BTreeSet<String> {
            let weights = model.graph.iter().flat_map(|graph| &graph.initializer);
            weights.map(|weight| weight.name.clone()).collect()
        };
        let (before, after) = (weights(&original), weights(&exported));
        let kept = before.intersection(&after).count();
        assert_eq!(kept, before.len(), "{name}: {before:?} {after:?}");

        let (shape, input) = npz::<f32>(&file.with_extension("npz"), "input");
        let (_, wanted) = npz::<f32>(&file.with_extension("npz"), "embedding");
        let patches = Array3::from_shape_vec((shape[0], shape[2], shape[3]), input).unwrap();
        let embeddings = if name.contains("int8dynamic") {
            let one = patches.slice(ndarray::s![..1, .., ..]).to_owned();
            let [_, embeddings] = answers(Runtime::Ort, &run.onnx_path(), &one);
            embeddings
        } else {
            let [_, embeddings] = answers(Runtime::Ort, &run.onnx_path(), &patches);
            embeddings
        };
        let wanted = &wanted[..embeddings.len()];
        let largest = wanted.iter().fold(0f32, |largest, value| largest.max(value.abs()));
        // What is half as wide is computed otherwise by every kernel; so is what is rounded to
        // bytes with a scale of the moment.
        let allowed = match name {
            "resnet_fp16_script17" => 2e-3,
            "mobilenetv3_int8dynamic_script17" => 2e-2,
            _ => 1e-4,
        };
        assert_close(&embeddings, wanted, allowed * largest, name);
    }
}

/// A run whose model would be too large for one file, at a limit that a small one exceeds.
#[test]
fn weights_of_a_large_model_lie_beside_it() {
    let desk = Desk::new();
    desk.backbone("pooled.onnx", &with_three_axes(vggish(Style::TorchScript, 64, 1)));
    let run = desk.train("run", &["--backbone", "pooled.onnx", "--front-end", "vggish"]);
    let options = export::Options::new(export::Input::Clip);
    let destination = desk.path("large.onnx");
    let exported = export::export_within(&run, &destination, &options, 30_000).unwrap();
    let data = desk.path("large.onnx.data");
    assert_eq!(exported.data.as_ref(), Some(&data));
    let sizes = [&destination, &data].map(|path| fs::metadata(path).unwrap().len());
    assert!(sizes[0] < 30_000 && exported.bytes == sizes[0] + sizes[1], "{sizes:?}");
    assert!(exported.to_string().contains("large.onnx.data"), "{exported}");
    assert_eq!(exported.agreement.len(), 2);
    desk.export(&["runs/run", "--input", "clip"]).succeeded();
    let samples = Audio::open(&desk.path("music/mixed/0.wav")).unwrap().samples;
    for runtime in runtimes() {
        let hear = |path: &Path| {
            let mut session = runtime::open(runtime, path, &Options::default()).unwrap();
            hear(&mut *session, aview1(&samples).insert_axis(Axis(0)), &OUTPUTS)
        };
        assert_eq!(hear(&destination), hear(&run.folder().join("clip.onnx")));
    }
    // What fails leaves neither file.
    let missing =
        export::Options { precision: Precision::Fp16, data: Some(desk.path("runs")), ..options };
    export::export_within(&run, &desk.path("no.onnx"), &missing, 30_000).unwrap_err();
    assert!(!desk.path("no.onnx").exists() && !desk.path("no.onnx.data").exists());
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

/// Before anything is trained.
#[test]
fn a_backbone_of_an_opset_that_cannot_be_exported_is_refused_at_once() {
    let desk = Desk::new();
    for version in [6, 24] {
        let mut model = vggish(Style::TorchScript, 64, 1);
        model.opset_import[0].version = version;
        desk.backbone("other.onnx", &model);
        let arguments = ["--backbone", "other.onnx", "--front-end", "vggish"];
        let ran = desk.finetune(&runs::training("run", &arguments));
        ran.refused(1, &["other.onnx", &format!("opset {version}"), "7 to 23"]);
        assert_eq!(desk.names("runs"), [""; 0]);
    }
}

/// The ONNX project's own checker, in the Python named by `GENRE_TRANSFER_PYTHON`.
#[test]
fn onnx_checker_accepts_every_kind_of_export() {
    let Some(python) = std::env::var_os("GENRE_TRANSFER_PYTHON") else {
        eprintln!("skipped: GENRE_TRANSFER_PYTHON is not set to a Python with the package onnx");
        return;
    };
    let Kinds { desk, runs } = Kinds::train();
    for (run, input) in runs.iter().flat_map(|run| ["waveform", "clip"].map(|input| (run, input))) {
        desk.export(&[run.folder().to_str().unwrap(), "--input", input]).succeeded();
    }
    let program = "import onnx, sys\n\
                   for path in sys.argv[1:]: onnx.checker.check_model(path, full_check=True)";
    let files = ["model.onnx", "waveform.onnx", "clip.onnx"];
    let paths = runs.iter().flat_map(|run| files.map(|file| run.folder().join(file)));
    let output = Command::new(python).args(["-c", program]).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
