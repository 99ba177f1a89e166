//! Backbones that take pictures or raw samples: fine-tuned, exported and used, from the command
//! line.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::fs::{self, File};
use std::path::Path;

use common::data::test_data;
use common::{floats, graph, integer, integers, node, value};
use genre_transfer::features::Preprocessor;
use genre_transfer::onnx;
use genre_transfer::run::Run;
use genre_transfer::runtime::{self, Options, Runtime};
use genre_transfer::{Classifier, classify};
use ndarray::{Array3, Array4, ArrayD};
use runs::{Desk, Ran};
use serde_json::Value;
use tract_onnx::pb::{ModelProto, TensorProto, tensor_proto::DataType};

const HEIGHT: usize = 12;
const WIDTH: usize = 10;

/// Normalized pictures `[N, 3, 12, 10]` → convolution → ReLU → mean → `embeddings` [N, 6].
fn vision() -> ModelProto {
    let kernels: Vec<f32> = (0..6 * 3 * 9).map(|i| ((i * 29 % 17) as f32 - 8.0) / 30.0).collect();
    let mut model = common::tiny();
    model.metadata_props.clear();
    let graph = graph(&mut model);
    graph.node = vec![
        node("Conv", &["pixels", "kernels"], "maps", vec![integers("kernel_shape", &[3, 3])]),
        node("Relu", &["maps"], "lit", vec![]),
        node("GlobalAveragePool", &["lit"], "means", vec![]),
        node("Flatten", &["means"], "embeddings", vec![integer("axis", 1)]),
    ];
    graph.initializer = vec![floats("kernels", &[6, 3, 3, 3], &kernels)];
    graph.input = vec![value("pixels", &[None, Some(3), Some(HEIGHT), Some(WIDTH)])];
    graph.output = vec![value("embeddings", &[None, Some(6)])];
    model
}

/// Samples `[N, 4000]` → filters for low, middle and high tones → energy → `embeddings` [N, 6].
fn raw() -> ModelProto {
    const TAPS: usize = 64;
    let tone = |filter: usize, tap: usize| {
        let hz = [200.0, 1000.0, 2000.0][filter / 2];
        let phase = std::f32::consts::TAU * hz * tap as f32 / 16_000.0;
        if filter.is_multiple_of(2) { phase.sin() } else { phase.cos() }
    };
    let kernels: Vec<f32> =
        (0..6).flat_map(|filter| (0..TAPS).map(move |tap| tone(filter, tap) / 8.0)).collect();
    let mut model = common::tiny();
    model.metadata_props.clear();
    let shape = TensorProto {
        name: "channel".into(),
        dims: vec![3],
        data_type: DataType::Int64 as i32,
        int64_data: vec![-1, 1, 4000],
        ..Default::default()
    };
    let graph = graph(&mut model);
    graph.node = vec![
        node("Reshape", &["samples", "channel"], "sound", vec![]),
        node("Conv", &["sound", "kernels"], "bands", vec![integers("strides", &[16])]),
        node("Relu", &["bands"], "loud", vec![]),
        node("GlobalAveragePool", &["loud"], "means", vec![]),
        node("Flatten", &["means"], "embeddings", vec![integer("axis", 1)]),
    ];
    graph.initializer = vec![shape, floats("kernels", &[6, 1, TAPS], &kernels)];
    graph.input = vec![value("samples", &[None, Some(4000)])];
    graph.output = vec![value("embeddings", &[None, Some(6)])];
    model
}

/// A plot as matplotlib draws it: white margins, a dark frame, and inside it 18 x 12 pixels that
/// lean to red or to blue.
fn draw(path: &Path, is_red: bool, number: usize) {
    let (columns, rows) = (18, HEIGHT);
    let (width, height) = (columns + 9, rows + 7);
    let mut pixels = vec![255u8; width * height * 4];
    for (x, y) in (0..columns + 2).flat_map(|x| (0..rows + 2).map(move |y| (x, y))) {
        let is_inside = (1..=columns).contains(&x) && (1..=rows).contains(&y);
        let noise = ((x * 31 + y * 17 + number * 7) % 40) as u8;
        let colour = match (is_inside, is_red) {
            (false, _) => [19; 3],
            (true, true) => [180 + noise, 60, 40 + noise],
            (true, false) => [60, 40 + noise, 180 + noise],
        };
        pixels[((y + 2) * width + x + 4) * 4..][..3].copy_from_slice(&colour);
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = png::Encoder::new(File::create(path).unwrap(), width as u32, height as u32);
    encoder.set_color(png::ColorType::Rgba);
    encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
}

/// A desk with recordings in `music`, and with pictures of two genres in `kaggle`, laid out and
/// named as Kaggle's copy of GTZAN has them.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.backbone("vision.onnx", &vision());
    desk.backbone("raw.onnx", &raw());
    fs::write(desk.path("raw.json"), r#"{"kind":"samples","name":"ears","sample_rate":16000}"#)
        .unwrap();
    for number in 0..8 {
        for (genre, is_red) in [("blues", false), ("rock", true)] {
            let name = format!("kaggle/images_original/{genre}/{genre}{number:05}.png");
            draw(&desk.path(&name), is_red, number);
        }
    }
    desk
}

fn finetune(desk: &Desk, data: &str, backbone: &str, front_end: &str, more: &[&str]) -> Ran {
    let given = ["--data", data, "--backbone", backbone, "--front-end", front_end];
    desk.finetune(&[&given[..], &["--epochs", "40"], more].concat())
}

/// Patches `[N, columns, rows * 3]` as `[N, 3, rows, columns]`.
fn as_images(patches: &Array3<f32>) -> ArrayD<f32> {
    let (count, width, features) = patches.dim();
    let at = |(n, channel, y, x): (usize, usize, usize, usize)| patches[[n, x, y * 3 + channel]];
    Array4::from_shape_fn((count, 3, features / 3, width), at).into_dyn()
}

/// The mean of the rows `[patches, classes]`.
fn mean(rows: &ArrayD<f32>) -> Vec<f32> {
    rows.mean_axis(ndarray::Axis(0)).unwrap().into_iter().collect()
}

fn assert_near(given: &[f32], wanted: &[f32]) {
    assert_eq!(given.len(), wanted.len());
    let near = given.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-4);
    assert!(near, "{given:?} for {wanted:?}");
}

/// The file's answers to the test pictures are those that the run lists.
fn pictures_are_judged_as_in(run: &Run, folder: &Path, file_of: impl Fn(&str) -> String) {
    let mut session = runtime::open(Runtime::Tract, &run.onnx_path(), &Options::default()).unwrap();
    assert_eq!(session.input().name, "image");
    assert_eq!(session.metadata("input").unwrap(), "image");
    let preprocessor = Preprocessor::parse(&session.metadata("front_end").unwrap()).unwrap();
    assert_eq!(preprocessor, run.preprocessor().unwrap());
    let reader = preprocessor.reader().unwrap();
    for prediction in run.predictions().unwrap() {
        let path = folder.join(file_of(&prediction.track));
        let patches = reader.patches(&path).unwrap().values;
        let answers = session.run(as_images(&patches).view()).unwrap();
        let rows: Vec<f32> = answers[0].iter().copied().collect();
        let mean = match run.trust().unwrap() {
            Some(trust) => trust.probabilities(&rows, answers[0].shape()[1]),
            None => mean(&answers[0]),
        };
        assert_near(&mean, &prediction.probabilities);
    }
}

/// `blues/blues.00003.wav` is drawn in `blues/blues00003.png`.
fn gtzan_picture(track: &str) -> String {
    let (genre, file) = track.split_once('/').unwrap();
    format!("{genre}/{}.png", file.strip_suffix(".wav").unwrap().replace('.', ""))
}

#[test]
fn a_vision_network_learns_from_pictures() {
    let desk = desk();
    let ran = finetune(&desk, "kaggle", "vision.onnx", "imagenet", &["--name", "a", "--json"]);
    let report: Value = serde_json::from_str(&ran.succeeded().out).unwrap();
    assert!(report["metrics"]["test"]["tracks"]["accuracy"].as_f64().unwrap() > 0.9, "{report}");
    let run = Run::open(&desk.path("runs/a")).unwrap();
    let front_end = desk.json("runs/a/preprocessor.json");
    assert_eq!(front_end["kind"], "image");
    assert_eq!((&front_end["height"], &front_end["width"]), (&HEIGHT.into(), &WIDTH.into()));
    // The tracks are those of the recordings, so that every command shares the split.
    let test = run.split().unwrap().test;
    assert!(test.iter().all(|track| track.ends_with(".wav")), "{test:?}");
    let session = runtime::open(Runtime::Tract, &run.onnx_path(), &Options::default()).unwrap();
    assert_eq!(session.input().dims, [None, Some(3), Some(HEIGHT), Some(WIDTH)]);
    pictures_are_judged_as_in(&run, &desk.path("kaggle/images_original"), gtzan_picture);

    desk.export(&["runs/a", "--input", "waveform"]).refused(1, &["pictures", "--input image"]);
    desk.export(&["runs/a", "--input", "clip"]).refused(1, &["pictures", "--input image"]);
    desk.export(&["runs/a", "--precision", "fp16"]).succeeded();
    let bundle = desk.export(&["runs/a", "--bundle", "bundle"]).succeeded();
    assert!(desk.text("bundle/README.md").contains("`image` [batch, 3, 12, 10]"), "{bundle:#?}");
    let classifier = Classifier::open(run.folder(), &classify::Options::default()).unwrap();
    assert!(classifier.looks_at_pictures());
    for prediction in run.predictions().unwrap() {
        let path = desk.path("kaggle/images_original").join(gtzan_picture(&prediction.track));
        let answer = classifier.classify_file(&path).unwrap();
        assert_near(&answer.probabilities, &prediction.probabilities);
        assert_eq!(answer.picture.unwrap().form, "plot");
    }
    let refused = classifier.classify_file(&desk.path("music/low/0.wav")).err().unwrap();
    assert!(refused.to_string().contains("a recording, and the model looks at pictures"));
}

#[test]
fn deep_layers_of_a_vision_network_learn_from_pictures() {
    let desk = desk();
    let more = ["--name", "a", "--unfreeze", "1", "--deep-epochs", "2", "--keep", "tuned"];
    let more = [&more[..], &["--mixup", "0.4", "--masks", "1"]].concat();
    finetune(&desk, "kaggle/images_original", "vision.onnx", "imagenet", &more).succeeded();
    let run = Run::open(&desk.path("runs/a")).unwrap();
    assert_eq!(run.metrics().unwrap().unfrozen_layers, 1);
    pictures_are_judged_as_in(&run, &desk.path("kaggle/images_original"), gtzan_picture);
}

#[test]
fn front_end_and_data_must_go_together() {
    let desk = desk();
    let refused = |data, backbone, front_end, words: &[&str]| {
        finetune(&desk, data, backbone, front_end, &[]).refused(1, words);
        assert_eq!(desk.names("runs"), [""; 0]);
    };
    refused("music", "vision.onnx", "imagenet", &["music: it holds recordings", "pictures"]);
    refused(
        "kaggle",
        "tiny.onnx",
        "vggish",
        &["it holds pictures", "\"vggish\" hears", "imagenet"],
    );
    refused(
        "music",
        "tiny.onnx",
        "imagenet",
        &["--front-end imagenet", "channels is 3", "takes 1"],
    );
    refused("music", "vision.onnx", "raw.json", &["raw.json", "not raw samples"]);
    fs::write(
        desk.path("grey.json"),
        r#"{"kind":"image","name":"grey","channels":1,"mean":[0],"deviation":[1]}"#,
    )
    .unwrap();
    refused("kaggle", "vision.onnx", "grey.json", &["grey.json", "channels is 1", "takes 3"]);
    fs::write(
        desk.path("huge.json"),
        r#"{"kind":"samples","name":"huge","sample_rate":16000,"patch_samples":99999999999}"#,
    )
    .unwrap();
    refused("music", "raw.onnx", "huge.json", &["huge.json", "patch_samples is 99999999999"]);
    // No folder at all, and nothing synthesized to look at.
    let bare = Desk::bare();
    bare.backbone("vision.onnx", &vision());
    bare.finetune(&["--backbone", "vision.onnx", "--front-end", "imagenet"])
        .refused(1, &["looks at pictures", "--data"]);
}

/// Every file of the run tells the test recordings as the run did itself.
fn recordings_are_judged_as_in(run: &Run, music: &Path) {
    for file in ["model.onnx", "waveform.onnx", "clip.onnx"] {
        let options = classify::Options { runtime: Runtime::Tract, ..Default::default() };
        let classifier = Classifier::open(&run.folder().join(file), &options).unwrap();
        for prediction in run.predictions().unwrap() {
            let answer = classifier.classify_file(&music.join(&prediction.track)).unwrap();
            assert_near(&answer.probabilities, &prediction.probabilities);
        }
    }
}

#[test]
fn a_network_that_takes_samples_learns_from_recordings() {
    let desk = desk();
    let ran = finetune(&desk, "music", "raw.onnx", "raw.json", &["--name", "a", "--json"]);
    let report: Value = serde_json::from_str(&ran.succeeded().out).unwrap();
    assert!(report["metrics"]["test"]["tracks"]["accuracy"].as_f64().unwrap() > 0.6, "{report}");
    let front_end = desk.json("runs/a/preprocessor.json");
    assert_eq!(
        (&front_end["kind"], &front_end["patch_samples"]),
        (&"samples".into(), &4000.into())
    );
    desk.export(&["runs/a"]).succeeded();
    desk.export(&["runs/a", "--input", "clip"]).succeeded();
    desk.export(&["runs/a", "--input", "log-mel"]).refused(1, &["takes samples and no log-mels"]);
    desk.export(&["runs/a", "--input", "image"]).refused(1, &["hears recordings"]);
    desk.export(&["runs/a", "--precision", "fp16"]).succeeded();

    let model = onnx::read(&desk.path("runs/a/waveform.onnx")).unwrap();
    let metadata = onnx::metadata(&model);
    for (key, wanted) in
        [("input", "waveform"), ("sample_rate", "16000"), ("patch_samples", "4000")]
    {
        assert_eq!(metadata[key], wanted);
    }
    let run = Run::open(&desk.path("runs/a")).unwrap();
    recordings_are_judged_as_in(&run, &desk.path("music"));
    let classifier = Classifier::open(run.folder(), &classify::Options::default()).unwrap();
    let timeline = classifier.classify_file(&desk.path("music/low/0.wav")).unwrap().timeline;
    // 2 s in patches of a quarter.
    assert_eq!((timeline.len(), timeline.hop, timeline.patch), (8, 0.25, 0.25));
    let picture = desk.path("kaggle/images_original/rock/rock00001.png");
    let refused = classifier.classify_file(&picture).err().unwrap().to_string();
    assert!(refused.contains("a picture, and the model hears recordings"), "{refused}");
    let arguments = ["music/low/0.wav", "--model", "runs/a", "--timeline", "--json"];
    let program = env!("CARGO_BIN_EXE_classify");
    let ran = Ran::from(desk.command(program, &arguments).output().unwrap()).succeeded();
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(answer["timeline"]["low"].as_array().unwrap().len(), 2, "{answer}");
}

/// Eight tracks of four genres of GTZAN: its pictures, and its recordings.
fn some_of_gtzan(desk: &Desk, data: &Path) {
    for genre in ["blues", "classical", "metal", "pop"] {
        for number in 0..8 {
            for (folder, name) in [
                ("images_original", format!("{genre}{number:05}.png")),
                ("genres_original", format!("{genre}.{number:05}.wav")),
            ] {
                let to = desk.path(&format!("gtzan/{folder}/{genre}"));
                fs::create_dir_all(&to).unwrap();
                let from = data.join("gtzan").join(folder).join(genre).join(&name);
                fs::copy(from, to.join(&name)).unwrap();
            }
        }
    }
}

#[test]
fn real_vision_networks_learn_from_gtzans_pictures() {
    let Some(data) = test_data() else { return };
    let desk = Desk::bare();
    some_of_gtzan(&desk, &data);
    for (file, front_end) in [
        ("backbones/efficientnet_lite0.onnx", "efficientnet-lite"),
        ("onnx_zoo/resnet_rgb_script13.onnx", "imagenet"),
    ] {
        let backbone = data.join(file);
        let more = ["--name", front_end, "--json"];
        let ran = finetune(&desk, "gtzan", backbone.to_str().unwrap(), front_end, &more);
        let report: Value = serde_json::from_str(&ran.succeeded().out).unwrap();
        println!("{file}: {}", report["metrics"]["test"]["tracks"]["accuracy"]);
        let run = Run::open(&desk.path("runs").join(front_end)).unwrap();
        pictures_are_judged_as_in(&run, &desk.path("gtzan/images_original"), gtzan_picture);
    }
}

#[test]
fn real_networks_that_take_samples_learn_from_gtzans_recordings() {
    let Some(data) = test_data() else { return };
    let desk = Desk::bare();
    some_of_gtzan(&desk, &data);
    fs::write(desk.path("raw.json"), r#"{"kind":"samples","name":"ears","sample_rate":16000}"#)
        .unwrap();
    for file in ["onnx_zoo/waveform_script17.onnx", "cases/onnx/raw1.onnx", "cases/onnx/raw2.onnx"]
    {
        let backbone = data.join(file);
        let name = backbone.file_stem().unwrap().to_str().unwrap().to_owned();
        let more = ["--name", &name, "--json"];
        let ran = finetune(&desk, "gtzan", backbone.to_str().unwrap(), "raw.json", &more);
        let report: Value = serde_json::from_str(&ran.succeeded().out).unwrap();
        println!("{file}: {}", report["metrics"]["test"]["tracks"]["accuracy"]);
        desk.export(&[&format!("runs/{name}")]).succeeded();
        let run = Run::open(&desk.path("runs").join(&name)).unwrap();
        let options = classify::Options { runtime: Runtime::Tract, ..Default::default() };
        let classifier = Classifier::open(&run.folder().join("waveform.onnx"), &options).unwrap();
        for prediction in run.predictions().unwrap().iter().take(2) {
            let path = desk.path("gtzan/genres_original").join(&prediction.track);
            let answer = classifier.classify_file(&path).unwrap();
            assert_near(&answer.probabilities, &prediction.probabilities);
        }
        // A recording's patches cannot all go at once to a file that takes one at a time.
        let clip = desk.export(&[&format!("runs/{name}"), "--input", "clip"]);
        if name.starts_with("raw") {
            clip.refused(1, &["--input waveform"]);
        } else {
            clip.succeeded();
        }
    }
}
