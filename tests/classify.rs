//! Classifiers of every kind of input, and the real classify program on good and bad files.

#![cfg(feature = "tract")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{floats, graph, integer, integers, node, value};
use genre_transfer::Classifier;
use genre_transfer::classify::{Classification, Options};
use genre_transfer::features::{Extractor, FrontEnd};
use genre_transfer::runtime::{self, Runtime};
use hound::{SampleFormat, WavSpec, WavWriter};
use ndarray::ArrayView2;
use serde_json::Value;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, StringStringEntryProto, TensorProto};

const PROGRAM: &str = env!("CARGO_BIN_EXE_classify");
const LABELS: [&str; 3] = ["blues", "jazz", "rock"];

fn runtimes() -> Vec<Runtime> {
    match runtime::preferred() {
        Runtime::Ort => vec![Runtime::Tract, Runtime::Ort],
        _ => vec![Runtime::Tract],
    }
}

fn options(runtime: Runtime, threads: usize) -> Options {
    Options { runtime, threads, ..Options::default() }
}

/// Values between -0.5 and 0.5 that a seed decides.
fn noise(length: usize, seed: u32) -> Vec<f32> {
    let one = |i: u32| ((i ^ seed).wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
    (0..length as u32).map(one).collect()
}

/// The weights of a class, one for each value of a patch.
fn weights(size: usize, class: usize) -> Vec<f32> {
    noise(size, 977 * (class as u32 + 1)).iter().map(|x| x * 0.1).collect()
}

fn with_metadata(mut model: ModelProto, input: &str, front_end: &FrontEnd) -> ModelProto {
    let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
    model.metadata_props = vec![
        entry("input", input.into()),
        entry("labels", serde_json::to_string(&LABELS).unwrap()),
        entry("front_end", serde_json::to_string(front_end).unwrap()),
    ];
    model
}

/// Patches `[N, …]` of `size` values → dense → softmax.
fn dense(input: &str, dims: &[Option<usize>], size: usize, front_end: &FrontEnd) -> ModelProto {
    let mut model = common::tiny();
    let columns: Vec<Vec<f32>> = (0..3).map(|class| weights(size, class)).collect();
    let rows: Vec<f32> = (0..size).flat_map(|i| columns.iter().map(move |c| c[i])).collect();
    let graph = graph(&mut model);
    graph.node = vec![
        node("Flatten", &["x"], "flat", vec![integer("axis", 1)]),
        node("MatMul", &["flat", "weights"], "logits", vec![]),
        node("Softmax", &["logits"], "probabilities", vec![integer("axis", 1)]),
    ];
    graph.initializer = vec![floats("weights", &[size, 3], &rows)];
    graph.input = vec![value("x", dims)];
    graph.output = vec![value("probabilities", &[None, Some(3)])];
    with_metadata(model, input, front_end)
}

fn log_mel(front_end: &FrontEnd) -> ModelProto {
    let FrontEnd { patch_frames, mels, .. } = *front_end;
    let dims = [None, Some(patch_frames), Some(mels)];
    dense("log_mel", &dims, patch_frames * mels, front_end)
}

fn waveform(front_end: &FrontEnd) -> ModelProto {
    let size = front_end.waveform_samples();
    dense("waveform", &[None, Some(size)], size, front_end)
}

/// Samples `[1, N]` → silence around them → convolution from patch to patch → softmax.
fn clip(front_end: &FrontEnd) -> ModelProto {
    let mut model = common::tiny();
    let (size, lead) = (front_end.waveform_samples(), front_end.lead_samples() as i64);
    let kernels: Vec<f32> = (0..3).flat_map(|class| weights(size, class)).collect();
    let strides = integers("strides", &[front_end.patch_hop_samples() as i64]);
    let graph = graph(&mut model);
    graph.node = vec![
        node("Pad", &["waveform", "pads"], "padded", vec![]),
        node("Unsqueeze", &["padded", "one"], "channel", vec![]),
        node("Conv", &["channel", "kernels"], "columns", vec![strides]),
        node("Transpose", &["columns"], "rows", vec![integers("perm", &[0, 2, 1])]),
        node("Squeeze", &["rows", "zero"], "logits", vec![]),
        node("Softmax", &["logits"], "patch_probabilities", vec![integer("axis", 1)]),
        node(
            "ReduceMean",
            &["patch_probabilities"],
            "probabilities",
            vec![integers("axes", &[0]), integer("keepdims", 1)],
        ),
    ];
    graph.initializer = vec![
        whole_numbers("pads", &[0, lead, 0, lead]),
        whole_numbers("one", &[1]),
        whole_numbers("zero", &[0]),
        floats("kernels", &[3, 1, size], &kernels),
    ];
    graph.input = vec![value("waveform", &[Some(1), None])];
    graph.output = vec![
        value("probabilities", &[Some(1), Some(3)]),
        value("patch_probabilities", &[None, Some(3)]),
    ];
    with_metadata(model, "clip", front_end)
}

fn whole_numbers(name: &str, data: &[i64]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: vec![data.len() as i64],
        data_type: DataType::Int64 as i32,
        raw_data: data.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ..Default::default()
    }
}

/// What the models answer for patches of these values, by plain arithmetic.
fn by_hand(patches: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let one = |patch: &Vec<f32>| {
        let logit = |class: usize| -> f64 {
            let weights = weights(patch.len(), class);
            patch.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(w)).sum()
        };
        let exp: Vec<f64> = (0..3).map(|class| logit(class).exp()).collect();
        exp.iter().map(|e| (e / exp.iter().sum::<f64>()) as f32).collect()
    };
    patches.iter().map(one).collect()
}

/// The samples of every patch, with silence beyond the recording's ends.
fn waveforms(front_end: &FrontEnd, samples: &[f32]) -> Vec<Vec<f32>> {
    let lead = front_end.lead_samples() as isize;
    let patch = |k: usize| {
        let start = (k * front_end.patch_hop_samples()) as isize - lead;
        let sample =
            |i: usize| usize::try_from(start + i as isize).ok().and_then(|i| samples.get(i));
        (0..front_end.waveform_samples()).map(|i| sample(i).copied().unwrap_or(0.0)).collect()
    };
    (0..front_end.windows().count(samples.len())).map(patch).collect()
}

#[track_caller]
fn assert_answer(answer: &Classification, wanted: &[Vec<f32>], tolerance: f32, what: &str) {
    let given: Vec<Vec<f32>> = answer.timeline.patches().map(|p| p.probabilities).collect();
    assert_eq!(given.len(), wanted.len(), "{what}: patches");
    let worst = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(0f32, |w, (a, b)| w.max((a - b).abs()));
    for (place, (given, wanted)) in given.iter().zip(wanted).enumerate() {
        assert!(worst(given, wanted) <= tolerance, "{what}: patch {place}: {given:?} {wanted:?}");
    }
    let mean =
        |class: usize| wanted.iter().map(|row| row[class]).sum::<f32>() / wanted.len() as f32;
    let mean: Vec<f32> = (0..3).map(mean).collect();
    assert!(worst(&answer.probabilities, &mean) <= tolerance, "{what}: {answer:?}");
}

#[test]
fn every_kind_of_input_answers_what_arithmetic_does() {
    let folder = tempfile::tempdir().unwrap();
    for front_end in [FrontEnd::yamnet(), FrontEnd::musicnn()] {
        let (need, hop) = (front_end.patch_samples(), front_end.patch_hop_samples());
        let extractor = Extractor::new(&front_end).unwrap();
        let path = |model: &ModelProto, name: &str| common::write(model, folder.path(), name);
        let models = [
            path(&log_mel(&front_end), "log_mel.onnx"),
            path(&waveform(&front_end), "waveform.onnx"),
            path(&clip(&front_end), "clip.onnx"),
        ];
        for runtime in runtimes() {
            for threads in [1, 2] {
                let options = options(runtime, threads);
                let classifiers = models.each_ref().map(|m| Classifier::open(m, &options).unwrap());
                for length in [1, need - 1, need, need + hop - 1, need + hop, need + 24 * hop + 99]
                {
                    let samples = noise(length, 5);
                    let what = format!("{} {runtime} {length}", front_end.name);
                    let mels = extractor.patches(&samples).values;
                    let flat = |patch: ArrayView2<'_, f32>| patch.iter().copied().collect();
                    let rows: Vec<Vec<f32>> = mels.outer_iter().map(flat).collect();
                    let heard = by_hand(&waveforms(&front_end, &samples));
                    let answers = classifiers
                        .each_ref()
                        .map(|classifier| classifier.classify(&samples, 16_000).unwrap());
                    assert_answer(&answers[0], &by_hand(&rows), 1e-3, &what);
                    assert_answer(&answers[1], &heard, 1e-4, &what);
                    assert_answer(&answers[2], &heard, 1e-4, &what);
                    assert_eq!(answers[0].padded, length < need, "{what}");
                    assert_eq!(answers[0].seconds, length as f64 / 16_000.0, "{what}");
                }
            }
        }
    }
}

#[test]
fn live_audio_answers_what_the_whole_recording_does() {
    let folder = tempfile::tempdir().unwrap();
    for front_end in [FrontEnd::yamnet(), FrontEnd::musicnn()] {
        for (name, model) in [("waveform", waveform(&front_end)), ("clip", clip(&front_end))] {
            let path = common::write(&model, folder.path(), "model.onnx");
            let classifier = Classifier::open(&path, &options(Runtime::Tract, 1)).unwrap();
            let samples = noise(22_050 * 9, 3);
            let whole = classifier.classify(&samples, 22_050).unwrap();
            let mut stream = classifier.stream(22_050).unwrap();
            let mut patches = vec![];
            let mut first = None;
            for (number, block) in samples.chunks(4_410).enumerate() {
                let new = stream.push(block).unwrap();
                first = first.or((!new.is_empty()).then_some(number));
                patches.extend(new);
            }
            // A patch is there soon after its last sample is.
            let heard = (first.unwrap() + 1) as f64 * 0.2;
            assert!(heard < front_end.patch_seconds() + 0.7, "{name}: {heard} s");
            // The stream is sent to where its audio ends.
            patches.extend(std::thread::spawn(move || stream.finish().unwrap()).join().unwrap());
            let starts: Vec<f64> = patches.iter().map(|patch| patch.start).collect();
            let wanted: Vec<f64> = whole.timeline.patches().map(|patch| patch.start).collect();
            assert_eq!(starts, wanted, "{name}");
            let rows: Vec<Vec<f32>> = patches.into_iter().map(|p| p.probabilities).collect();
            assert_answer(&whole, &rows, 1e-5, name);
        }
    }
}

fn spec(rate: u32, channels: u16) -> WavSpec {
    WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int }
}

fn write_wav(path: &Path, spec: WavSpec, samples: impl IntoIterator<Item = f32>) {
    let mut writer = WavWriter::create(path, spec).unwrap();
    samples.into_iter().for_each(|x| writer.write_sample((x * 32_767.0) as i16).unwrap());
    writer.finalize().unwrap();
}

/// A folder with the YAMNet-like log-mel model and five songs of different lengths and rates.
fn music() -> (tempfile::TempDir, PathBuf, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let model = common::write(&log_mel(&FrontEnd::yamnet()), folder.path(), "genres.onnx");
    let songs = [(22_050, 9.0), (44_100, 3.0), (16_000, 12.5), (8_000, 2.0), (48_000, 0.5)];
    let paths = songs.iter().enumerate().map(|(number, (rate, seconds))| {
        let path = folder.path().join(format!("song{number}.wav"));
        let length = (f64::from(*rate) * seconds) as usize;
        write_wav(&path, spec(*rate, 1), noise(length, number as u32));
        path
    });
    let paths = paths.collect();
    (folder, model, paths)
}

#[test]
fn answers_do_not_depend_on_threads_or_on_other_files() {
    let (_folder, model, songs) = music();
    for runtime in runtimes() {
        let alone = Classifier::open(&model, &options(runtime, 1)).unwrap();
        let wanted: Vec<Classification> =
            songs.iter().map(|song| alone.classify_file(song).unwrap()).collect();
        for threads in [1, 2, 3, 8] {
            let classifier = Classifier::open(&model, &options(runtime, threads)).unwrap();
            let mut given = vec![None; songs.len()];
            classifier
                .classify_files(&songs, |place, answer| {
                    given[place] = Some(answer?);
                    Ok(())
                })
                .unwrap();
            for ((song, wanted), given) in songs.iter().zip(&wanted).zip(given) {
                assert!(given.as_ref() == Some(wanted), "{runtime}, {threads} threads: {song:?}");
                assert!(classifier.classify_file(song).unwrap() == *wanted, "{runtime} {song:?}");
            }
        }
    }
}

#[test]
fn what_was_told_to_stop_stops() {
    let (_folder, model, songs) = music();
    let classifier = Classifier::open(&model, &options(Runtime::Tract, 2)).unwrap();
    let mut told = 0;
    let stopped = classifier.classify_files(&songs, |_, _| {
        told += 1;
        Err(genre_transfer::Error::InvalidInput("enough".into()))
    });
    assert_eq!((stopped.unwrap_err().to_string().as_str(), told), ("enough", 1));
}

#[test]
fn models_that_hear_nothing_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |model: &ModelProto| {
        let path = common::write(model, folder.path(), "model.onnx");
        let opened = Classifier::open(&path, &options(Runtime::Tract, 1));
        opened.err().expect("must be refused").to_string()
    };
    let change = |key: &str, value: Option<&str>| {
        let mut model = log_mel(&FrontEnd::yamnet());
        model.metadata_props.retain(|entry| entry.key != key);
        let entry = |value: &str| StringStringEntryProto { key: key.into(), value: value.into() };
        model.metadata_props.extend(value.map(entry));
        refused(&model)
    };
    let other = with_metadata(common::tiny(), "log_mel", &FrontEnd::yamnet());
    let cases = [
        (change("front_end", None), "have no front_end"),
        (change("front_end", Some("{}")), "front_end in its metadata"),
        (change("labels", None), "labels in its metadata: there are none"),
        (change("labels", Some("[]")), "the list is empty"),
        (change("input", Some("midi")), "it takes \"midi\""),
        (change("input", Some("waveform")), "patches are 15600 samples"),
        (change("input", Some("clip")), "no output \"patch_probabilities\""),
        (refused(&other), "no batch of patches of 96 frames"),
    ];
    for (text, part) in cases {
        assert!(text.contains("model.onnx: ") && text.contains(part), "{text}");
    }
    let text = Classifier::open(folder.path().join("no").as_path(), &Options::default());
    assert!(text.err().unwrap().to_string().contains("No such file"));
    fs::remove_file(folder.path().join("model.onnx")).unwrap();
    let text = Classifier::open(folder.path(), &Options::default()).err().unwrap().to_string();
    assert!(text.contains("there is no model.onnx in this folder"), "{text}");
}

fn classify(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(["--runtime", "tract"]).current_dir(folder);
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(output: &Output) -> Vec<Value> {
    stdout(output).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn broken_files_are_named_and_counted_and_the_others_go_on() {
    let (folder, ..) = music();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("odd")).unwrap();
    fs::write(at("odd/a-empty.wav"), "").unwrap();
    fs::write(at("odd/b-text.wav"), "la la la").unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::copy(fixtures.join("video_only.mp4"), at("odd/c-video.mp4")).unwrap();
    let whole = fs::read(at("song0.wav")).unwrap();
    fs::write(at("odd/d-cut.wav"), &whole[..whole.len() / 2]).unwrap();
    write_wav(&at("odd/e-none.wav"), spec(16_000, 1), []);
    write_wav(&at("odd/f-one.wav"), spec(16_000, 1), [0.5]);
    write_wav(&at("odd/g-silence.wav"), spec(16_000, 1), vec![0.0; 40_000]);
    write_wav(&at("odd/h-clipping.wav"), spec(16_000, 1), [1.0, -1.0].repeat(20_000));
    write_wav(&at("odd/i-channels.wav"), spec(16_000, 8), noise(8 * 40_000, 1));
    write_wav(&at("odd/j-fast.wav"), spec(192_000, 2), noise(2 * 192_000, 1));
    write_wav(&at("odd/k-slow.wav"), spec(8_000, 1), noise(16_000, 1));
    let output = classify(folder.path(), &["odd", "--model", "genres.onnx", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let mut lines = lines(&output);
    assert_eq!(lines.len(), 12);
    let summary = lines.pop().unwrap();
    assert_eq!(summary["summary"]["unread"], serde_json::json!({"mp4": 1, "wav": 3}));
    let failed = lines.iter().filter(|line| !line["error"].is_null());
    for (line, part) in failed.zip([
        "empty (0 bytes)",
        "not an audio file: it begins with \"la la la\"",
        "no audio track",
        "0 samples",
    ]) {
        assert!(line["error"].as_str().unwrap().contains(part), "{line}");
        assert!(stderr(&output).contains(line["error"].as_str().unwrap()), "{line}");
    }
    let said = |name: &str| lines.iter().find(|line| line["file"] == name).unwrap();
    let cut = said("odd/d-cut.wav");
    let note = cut["notes"][0].as_str().unwrap();
    assert!(note.contains("cut short: 4.500 s are there, 4.500 s are missing"), "{note}");
    assert!(stderr(&output).contains(&format!("odd/d-cut.wav: {note}")));
    for line in lines[5..].iter().chain([cut]) {
        assert!(line["error"].is_null(), "{line}");
        assert_eq!(line["genre"].is_null(), line["silent"] == true, "{line}");
    }
    let names: Vec<&str> = lines.iter().map(|line| line["file"].as_str().unwrap()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(lines[5]["padded"], true);
    let silent: Vec<&Value> = lines[5..].iter().map(|line| &line["silent"]).collect();
    assert_eq!(silent, [true, true, false, false, false, false], "one sample is constant");
    assert_eq!(lines[9]["seconds"], 1.0);
    let said = stderr(&output);
    assert!(said.contains("classify: 4 of 11 recordings could not be classified"), "{said}");
    assert!(said.contains("not read: 1 .mp4, 3 .wav"), "{said}");
    assert_eq!(said.lines().count(), 4 + 1 + 3, "{said}");
    let strict = classify(folder.path(), &["odd/d-cut.wav", "-m", "genres.onnx", "--strict"]);
    let said = stderr(&strict);
    assert_eq!(strict.status.code(), Some(1));
    assert!(said.contains("d-cut.wav: cut short") && said.contains("(--strict)"), "{said}");
}

#[test]
fn text_timeline_csv_and_picture_agree_with_json() {
    let (folder, ..) = music();
    let all = ["song2.wav", "-m", "genres.onnx", "--top", "2", "--timeline"];
    let text = stdout(&classify(folder.path(), &all));
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.starts_with("song2.wav: ") && text.ends_with("0:13\n"), "{text}");
    let more = ["--json", "--csv", "t.csv", "--picture", "t.svg"];
    let output = classify(folder.path(), &[&all[..], &more].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    let line = &lines(&output)[0];
    let genre = line["genre"].as_str().unwrap();
    let timeline = line["timeline"][genre].as_array().unwrap();
    assert_eq!((timeline.len(), line["probabilities"].as_object().unwrap().len()), (13, 3));
    let csv = fs::read_to_string(folder.path().join("t.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let column = 2 + LABELS.iter().position(|label| *label == genre).unwrap();
    let values: Vec<f64> =
        reader.records().map(|row| row.unwrap()[column].parse().unwrap()).collect();
    assert_eq!(values, timeline.iter().map(|p| p.as_f64().unwrap()).collect::<Vec<_>>());
    assert!(fs::read_to_string(folder.path().join("t.svg")).unwrap().contains(genre));
}

/// Networks as others trained them, by name; without one YAMNet's genres, which is said.
#[test]
fn without_a_training_there_are_the_classes_of_pretrained_networks() {
    let (folder, ..) = music();
    let told = |model: &[&str]| {
        let output = classify(folder.path(), &[&["song0.wav", "--json"][..], model].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        let line: Value = serde_json::from_slice(&output.stdout).unwrap();
        (line, stderr(&output))
    };
    let (line, said) = told(&[]);
    assert!(
        said.contains("no model given: YAMNet's own 49 genres") && said.contains("--model"),
        "{said}"
    );
    let probabilities = line["probabilities"].as_object().unwrap();
    assert!(probabilities.len() == 49 && probabilities.contains_key("Jazz"), "{line}");
    assert!(line["genres"].is_array(), "{line}");
    for (name, classes) in [("yamnet", 521), ("musicnn", 50), ("yamnet-genres", 49)] {
        let (line, said) = told(&["--model", name]);
        assert_eq!(line["probabilities"].as_object().unwrap().len(), classes, "{name}");
        assert!(!said.contains("no model given"), "{said}");
    }
    let (all, _) = told(&["--model", "yamnet"]);
    assert_eq!(all["probabilities"]["Jazz"], line["probabilities"]["Jazz"]);
    let quiet = classify(folder.path(), &["song0.wav", "--quiet"]);
    assert!(!stderr(&quiet).contains("no model given"), "{}", stderr(&quiet));
}

#[test]
fn wrong_uses_say_what_to_do() {
    let (folder, ..) = music();
    let refused = |arguments: &[&str], code: i32, part: &str| {
        let output = classify(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
    };
    let model = ["-m", "genres.onnx"];
    refused(&["song0.wav", "-m", "no.onnx"], 1, "no.onnx: No such file");
    refused(&[&["no.wav", "song3.wav"][..], &model].concat(), 1, "no.wav: No such file");
    refused(&[&["*.ogg"][..], &model].concat(), 1, "no file matches");
    refused(&[&["song0.wav", "--picture", "a.jpg"][..], &model].concat(), 1, ".svg or .png");
    refused(&[&[".", "--picture", "a.svg"][..], &model].concat(), 1, "5 were named");
    refused(&[&["song0.wav", "--threads", "0"][..], &model].concat(), 2, "--threads");
    refused(&[&["song0.wav", "--top", "0"][..], &model].concat(), 2, "--top");
    refused(&[&["song0.wav", "-o", "a.csv", "--csv", "b"][..], &model].concat(), 2, "--csv");
    refused(&[&["song0.wav", "-o", "no/a.parquet"][..], &model].concat(), 1, "no/a.parquet");
    refused(&[&["song0.wav", "-o", "a.xlsx"][..], &model].concat(), 1, "a.xlsx: a table's name");
    refused(&[&["song0.wav", "--csv", "-", "--json"][..], &model].concat(), 1, "one thing");
    let mut burn = Command::new(PROGRAM);
    burn.args(["song0.wav", "-m", "genres.onnx", "--runtime", "burn"]).current_dir(folder.path());
    assert!(stderr(&burn.output().unwrap()).contains("choose ort or tract"));
}

/// Neither what is read nor what an earlier run has found is lost.
#[test]
fn what_is_there_is_not_replaced_by_mistake() {
    let (folder, ..) = music();
    let at = |name: &str| folder.path().join(name);
    let model = ["-m", "genres.onnx"];
    for output in ["song0.wav", "genres.onnx"] {
        let before = fs::read(at(output)).unwrap();
        for option in ["--csv", "--output"] {
            let ran =
                classify(folder.path(), &[&["song0.wav", option, output], &model[..]].concat());
            assert_eq!(ran.status.code(), Some(1), "{option} {output}");
            let said = stderr(&ran);
            assert!(said.contains(&format!("{output}: this file is read")), "{said}");
            assert!(fs::read(at(output)).unwrap() == before, "{option} {output}");
        }
    }
    let ask = |song| classify(folder.path(), &[&[song, "--csv", "t.csv"], &model[..]].concat());
    assert!(ask("song0.wav").status.success());
    let before = fs::read(at("t.csv")).unwrap();
    fs::write(at("bad.wav"), "no music").unwrap();
    for song in ["typo.wav", "bad.wav"] {
        assert_eq!(ask(song).status.code(), Some(1), "{song}");
        assert!(fs::read(at("t.csv")).unwrap() == before, "{song}");
    }
    // No table of another program.
    for name in ["t.csv", "t.jsonl", "t.parquet", "t.sqlite"] {
        fs::write(at(name), "of last week\n").unwrap();
        let ran = classify(folder.path(), &[&["song0.wav", "-o", name], &model[..]].concat());
        assert_eq!(ran.status.code(), Some(1), "{name}");
        assert!(stderr(&ran).contains("no catalogue of this version"), "{}", stderr(&ran));
        assert_eq!(fs::read_to_string(at(name)).unwrap(), "of last week\n");
        assert!(!at(&format!("{name}.part")).exists());
    }
}

/// SQLite itself reads what is left of it, with rows of nothing.
#[cfg(feature = "sqlite")]
#[test]
fn a_database_that_was_cut_is_no_catalogue() {
    let (folder, ..) = music();
    let path = folder.path().join("t.sqlite");
    let ask = || classify(folder.path(), &["song0.wav", "-m", "genres.onnx", "-o", "t.sqlite"]);
    assert!(ask().status.success());
    let whole = fs::read(&path).unwrap();
    for kept in [whole.len() / 2 + 100, whole.len() - 100] {
        fs::write(&path, &whole[..kept]).unwrap();
        let ran = ask();
        assert_eq!(ran.status.code(), Some(1), "{kept} bytes: {}", stderr(&ran));
        assert!(stderr(&ran).contains("t.sqlite"), "{}", stderr(&ran));
        assert!(fs::read(&path).unwrap() == whole[..kept], "{kept} bytes");
    }
}

#[test]
fn labels_that_stand_twice_are_refused() {
    let (folder, ..) = music();
    let path = folder.path().join("genres.onnx");
    let mut model = genre_transfer::onnx::read(&path).unwrap();
    let labels = model.metadata_props.iter_mut().find(|entry| entry.key == "labels").unwrap();
    let mut names: Vec<String> = serde_json::from_str(&labels.value).unwrap();
    names[1] = names[0].clone();
    labels.value = serde_json::to_string(&names).unwrap();
    common::write(&model, folder.path(), "genres.onnx");
    let ran = classify(folder.path(), &["song0.wav", "-m", "genres.onnx"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(stderr(&ran).contains("stands there twice"), "{}", stderr(&ran));
}

#[cfg(unix)]
#[test]
fn a_file_is_written_though_nobody_reads_the_lines() {
    let (folder, ..) = music();
    let arguments = "classify . --json --csv t.csv -m genres.onnx --runtime tract";
    let command =
        format!("{{ {}; echo $? > code; }} | true", arguments.replacen("classify", PROGRAM, 1));
    Command::new("sh").args(["-c", &command]).current_dir(folder.path()).output().unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("code")).unwrap(), "0\n");
    let rows = fs::read_to_string(folder.path().join("t.csv")).unwrap().lines().count();
    assert!(rows > 20, "{rows}");
    // Nor does anything panic where nobody reads standard error.
    let command = format!("{{ {PROGRAM} no.wav -m genres.onnx; echo $? > code; }} 2>&1 | true");
    Command::new("sh").args(["-c", &command]).current_dir(folder.path()).output().unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("code")).unwrap(), "1\n");
}

#[test]
fn labels_that_do_not_fit_the_model_are_no_genres() {
    let (folder, ..) = music();
    let path = folder.path().join("genres.onnx");
    let mut model = genre_transfer::onnx::read(&path).unwrap();
    let labels = model.metadata_props.iter_mut().find(|entry| entry.key == "labels").unwrap();
    labels.value = r#"["blues", "jazz"]"#.into();
    common::write(&model, folder.path(), "genres.onnx");
    let ran = classify(folder.path(), &["song0.wav", "-m", "genres.onnx"]);
    assert_eq!(ran.status.code(), Some(1));
    assert!(stderr(&ran).contains("name 2 genres"), "{}", stderr(&ran));
}

#[test]
fn standard_input_is_a_recording() {
    let (folder, ..) = music();
    let ask = |song: &str| {
        let song = fs::File::open(folder.path().join(song)).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["-", "-m", "genres.onnx", "--json", "--runtime", "tract"]);
        command.current_dir(folder.path()).stdin(song).output().unwrap()
    };
    let line = &lines(&ask("song1.wav"))[0];
    let named = classify(folder.path(), &["song1.wav", "-m", "genres.onnx", "--json"]);
    assert_eq!(line["file"], "-");
    assert_eq!(line["probabilities"], lines(&named)[0]["probabilities"]);
    let broken = ask("genres.onnx");
    assert!(stderr(&broken).contains("standard input: not an audio file"), "{}", stderr(&broken));
}

/// What a pipe gives once must not be read by a glance at what kind of file it is.
#[cfg(unix)]
#[test]
fn a_named_pipe_is_classified_as_the_file_is() {
    let (folder, ..) = music();
    let pipe = folder.path().join("pipe.wav");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let song = fs::read(folder.path().join("song1.wav")).unwrap();
        move || fs::write(pipe, song)
    });
    let ask = |name: &str| {
        let ran = classify(folder.path(), &[name, "-m", "genres.onnx", "--json"]);
        assert!(ran.status.success(), "{}", stderr(&ran));
        lines(&ran)[0]["probabilities"].clone()
    };
    let piped = ask("pipe.wav");
    writer.join().unwrap().unwrap();
    assert_eq!(piped, ask("song1.wav"));
}

/// A named pipe that nobody writes to holds the run up; there it is killed.
#[cfg(unix)]
#[test]
fn a_killed_run_goes_on_where_it_was() {
    let (folder, ..) = music();
    let pipe = folder.path().join("song3.wav");
    let song = fs::read(&pipe).unwrap();
    fs::remove_file(&pipe).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let arguments = ["song?.wav", "-m", "genres.onnx", "--threads", "1", "-o", "r.parquet"];
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(["--runtime", "tract"]).current_dir(folder.path());
    let mut run = command.stderr(Stdio::null()).spawn().unwrap();
    let part = folder.path().join("r.parquet.part");
    let started = Instant::now();
    let written = || fs::read_to_string(&part).unwrap_or_default().lines().count();
    // A line about the model and one for each song before the pipe.
    while written() < 4 {
        assert!(started.elapsed() < Duration::from_secs(120), "{} lines", written());
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(!folder.path().join("r.parquet").exists());

    fs::remove_file(&pipe).unwrap();
    fs::write(&pipe, song).unwrap();
    let resumed = classify(folder.path(), &[&arguments[..], &["--json"]].concat());
    assert!(resumed.status.success(), "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("3 recordings were classified by an earlier run"));
    assert!(!part.exists());
    let parquet = fs::read(folder.path().join("r.parquet")).unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));

    // As if it had never been killed, in what it prints and in what it writes.
    let whole = classify(folder.path(), &[&arguments[..], &["--json"]].concat());
    assert_eq!(stdout(&whole), stdout(&resumed));
    assert!(fs::read(folder.path().join("r.parquet")).unwrap() == parquet);
}

/// A row for each recording, in every format the same; only what has to be is classified again.
#[test]
fn a_catalogue_is_kept_up() {
    let (folder, ..) = music();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("bad.wav"), "no music").unwrap();
    for name in ["c.csv", "c.jsonl", "c.parquet", "c.sqlite"] {
        let _ = fs::remove_file(at("new.wav"));
        let ask = || classify(folder.path(), &["*.wav", "-m", "genres.onnx", "-o", name, "--json"]);
        let first = ask();
        assert_eq!(first.status.code(), Some(1));
        let rows = lines(&first);
        assert_eq!(rows.len(), 6, "{rows:?}");
        let bad = rows.iter().find(|row| row["path"] == "bad.wav").unwrap();
        assert!(bad["error"].as_str().unwrap().starts_with("not an audio file"), "{bad}");
        assert!(bad["genre"].is_null() && bad["probability_jazz"].is_null(), "{bad}");
        let (bytes, modified) =
            (fs::read(at(name)).unwrap(), at(name).metadata().unwrap().modified());
        // What failed is tried again, and nothing else.
        let again = ask();
        assert_eq!(lines(&again), rows);
        assert!(stderr(&again).contains("5 recordings were classified by an earlier run"));
        assert!(stderr(&again).contains("classified again: 1 (it failed before)"));
        assert!(fs::read(at(name)).unwrap() == bytes, "{name}");
        assert_eq!(at(name).metadata().unwrap().modified().unwrap(), modified.unwrap());
        // What is new comes in, whatever it is called; what is gone stays.
        let new = "=1+1, \"x\"\n\u{e4}.wav";
        fs::copy(at("song0.wav"), at(new)).unwrap();
        fs::rename(at("song1.wav"), at("away")).unwrap();
        let more = ask();
        let said = stderr(&more);
        assert!(said.contains(
            "one recording of the catalogue cannot be found any more, such as song1.wav"
        ));
        assert!(lines(&more).iter().any(|row| row["path"] == new), "{name}: {said}");
        fs::rename(at("away"), at("song1.wav")).unwrap();
        fs::remove_file(at(new)).unwrap();
        assert_eq!(lines(&ask()), rows);
        assert!(!at(&format!("{name}.part")).exists());
    }
}

#[test]
fn rows_go_to_standard_output() {
    let (folder, ..) = music();
    let table = classify(folder.path(), &["song?.wav", "-m", "genres.onnx", "-o", "-"]);
    let rows = lines(&table);
    assert_eq!(rows.len(), 5);
    classify(folder.path(), &["song?.wav", "-m", "genres.onnx", "-o", "c.jsonl"]);
    let kept = fs::read_to_string(folder.path().join("c.jsonl")).unwrap();
    assert_eq!(kept, stdout(&table));
    let ran = classify(folder.path(), &["song2.wav", "-m", "genres.onnx", "--csv", "-"]);
    classify(folder.path(), &["song2.wav", "-m", "genres.onnx", "--csv", "t.csv"]);
    let kept = fs::read_to_string(folder.path().join("t.csv")).unwrap();
    assert_eq!(kept, stdout(&ran));
    assert!(!folder.path().join("-").exists());
}

#[test]
fn a_playlist_stands_for_the_recordings_that_it_names() {
    let (folder, ..) = music();
    fs::create_dir(folder.path().join("lists")).unwrap();
    let list = "#EXTM3U\n../song3.wav\n..\\song1.wav\ngone.wav\nhttp://example.com/x.mp3\n";
    fs::write(folder.path().join("lists/a.m3u8"), list).unwrap();
    let output = classify(folder.path(), &["lists/a.m3u8", "-m", "genres.onnx", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let files: Vec<Value> = lines(&output).iter().map(|line| line["file"].clone()).collect();
    assert_eq!(files, ["lists/../song3.wav", "lists/../song1.wav"]);
    let said = stderr(&output);
    assert!(said.contains("lists/gone.wav: No such file"), "{said}");
    assert!(said.contains("http://example.com/x.mp3: an address"), "{said}");
    assert!(said.contains("2 of 4 recordings could not be classified"), "{said}");
}

#[test]
fn what_a_folder_holds_besides_recordings_is_counted() {
    let (folder, ..) = music();
    for name in ["cover.jpg", "b.JPG", "list.m3u", "notes.txt"] {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let ask = || classify(folder.path(), &[".", "-m", "genres.onnx", "--json"]);
    let output = ask();
    assert!(output.status.success(), "{}", stderr(&output));
    let said = "passed over, as no recordings: 2 .jpg, 1 .m3u, 1 .onnx, 1 .txt";
    assert!(stderr(&output).contains(said), "{}", stderr(&output));
    fs::write(folder.path().join("e.xyz"), "x").unwrap();
    fs::write(folder.path().join("f.wma"), b"\x30\x26\xb2\x75\x8e\x66\xcf\x11rest").unwrap();
    let output = ask();
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("f.wma: this is WMA (ASF)"), "{said}");
    assert!(said.contains("not read: 1 .wma, 1 .xyz"), "{said}");
    let summary = &lines(&output).pop().unwrap()["summary"];
    assert_eq!(summary["unread"], serde_json::json!({"wma": 1, "xyz": 1}));
    assert_eq!(summary["passed_over"]["jpg"], 2);
    fs::remove_file(folder.path().join("f.wma")).unwrap();
    let output = ask();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("one file in folders could not be read"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn silence_and_constants_have_no_genre() {
    let (folder, ..) = music();
    write_wav(&folder.path().join("dc.wav"), spec(16_000, 1), vec![0.25; 40_000]);
    let more = ["--json", "--csv", "t.csv"];
    let output = classify(folder.path(), &[&["dc.wav", "-m", "genres.onnx"], &more[..]].concat());
    let line = &lines(&output)[0];
    assert!(line["genre"].is_null() && line["silent"] == true, "{line}");
    let rows = fs::read_to_string(folder.path().join("t.csv")).unwrap();
    assert!(rows.contains("dc.wav,0,,,\n"), "{rows}");
    let output = classify(folder.path(), &["dc.wav", "-m", "genres.onnx"]);
    assert_eq!(stdout(&output), "dc.wav: no genre (2.5 s, silent or constant)\n");
}

/// A program of that name which answers with a WAV, whatever it is asked.
#[cfg(unix)]
#[test]
fn what_nothing_here_decodes_goes_through_ffmpeg() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, ..) = music();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("a.wma"), b"\x30\x26\xb2\x75\x8e\x66\xcf\x11 anything").unwrap();
    fs::create_dir(at("bin")).unwrap();
    let ask = |script: &str| {
        fs::write(at("bin/ffmpeg"), script).unwrap();
        fs::set_permissions(at("bin/ffmpeg"), fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["a.wma", "-m", "genres.onnx", "--json", "--runtime", "tract"]);
        let path = format!("{}:/usr/bin:/bin", at("bin").display());
        command.env("PATH", path).current_dir(folder.path()).output().unwrap()
    };
    let song = at("song0.wav").display().to_string();
    let read = ask(&format!("#!/bin/sh\ntest \"$7\" = file:a.wma && cat {song}\n"));
    let wanted = classify(folder.path(), &["song0.wav", "-m", "genres.onnx", "--json"]);
    assert_eq!(lines(&read)[0]["probabilities"], lines(&wanted)[0]["probabilities"]);
    assert_eq!(lines(&read)[0]["seconds"], 9.0);
    // However much it says, and though it ends well.
    let talks = "yes 'it skipped some' | head -c 300000 >&2";
    let noted = ask(&format!("#!/bin/sh\n{talks}\ncat {song}\n"));
    assert_eq!(lines(&noted)[0]["seconds"], 9.0);
    assert!(stderr(&noted).contains("ffmpeg gave 9.000 s and said: it skipped some"), "{noted:?}");
    let refused = ask("#!/bin/sh\necho 'a.wma: Invalid data' >&2\nexit 1\n");
    assert!(stderr(&refused).contains("ffmpeg cannot decode it: a.wma: Invalid data"));
    let half = ask(&format!("#!/bin/sh\ncat {song}\necho 'it broke' >&2\nexit 1\n"));
    assert!(stderr(&half).contains("ffmpeg cannot decode it: it broke"), "{}", stderr(&half));
}

#[cfg(unix)]
#[test]
fn names_that_are_not_unicode_are_told_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let (folder, ..) = music();
    for (name, song) in [(&b"\xe4.wav"[..], "song0.wav"), (b"\xf6.wav", "song3.wav")] {
        let name = folder.path().join(OsStr::from_bytes(name));
        fs::rename(folder.path().join(song), name).unwrap();
    }
    let ask =
        |more: &[&str]| classify(folder.path(), &[&["?.wav", "-m", "genres.onnx"], more].concat());
    let output = ask(&["--json", "--csv", "t.csv"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let files: Vec<Value> = lines(&output).iter().map(|line| line["file"].clone()).collect();
    assert_eq!(files, ["\\xe4.wav", "\\xf6.wav"]);
    let csv = fs::read_to_string(folder.path().join("t.csv")).unwrap();
    assert!(csv.contains("\\xe4.wav,0") && csv.contains("\\xf6.wav,0"), "{csv}");
    assert!(ask(&["-o", "r.parquet"]).status.success());
    let parquet = fs::read(folder.path().join("r.parquet")).unwrap();
    for name in [b"\\xe4.wav", b"\\xf6.wav"] {
        assert!(parquet.windows(name.len()).any(|window| window == name));
    }
}
