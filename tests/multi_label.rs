//! Tracks with several labels each, the whole way: a list, training, export, `classify`,
//! `bench-runtimes` and the report.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::fs;

use genre_transfer::metrics::{TagEvaluation, above, evaluate_tags};
use genre_transfer::onnx;
use genre_transfer::run::{Run, TagPrediction};
use runs::{Desk, GENRES, Ran, TINY, TRACKS, timeless};
use serde_json::Value;

/// A collection whose tracks have their genre as a label, all but mixed a second one, and two of
/// them a third.
fn desk() -> Desk {
    let desk = Desk::new();
    let mut list = "TRACK_ID\tARTIST\tPATH\tTAGS\n".to_owned();
    for genre in GENRES {
        for track in 0..TRACKS {
            let more = if genre == "mixed" { "" } else { "\tgenre---tone" };
            let rare = if genre == "low" && track < 1 { "\tgenre---rare" } else { "" };
            list +=
                &format!("{track}\ta\tmusic/{genre}/{track}.wav\tgenre---{genre}{more}{rare}\n");
        }
    }
    fs::write(desk.path("tags.tsv"), list).unwrap();
    desk
}

fn run(desk: &Desk, program: &str, arguments: &[&str]) -> Ran {
    Ran::from(desk.command(program, arguments).output().unwrap())
}

/// A fine-tuned run on the list, `runs/NAME`, and what was said.
fn train(desk: &Desk, name: &str, more: &[&str]) -> (Run, Ran) {
    let arguments = [&["--data", "tags.tsv", "--name", name][..], &TINY, more].concat();
    let ran = desk.finetune(&arguments).succeeded();
    (Run::open(&desk.path("runs").join(name)).unwrap(), ran)
}

fn figures(run: &Run) -> (TagEvaluation, Vec<TagPrediction>) {
    let metrics = run.metrics().unwrap();
    (metrics.test.multi_label().unwrap().tags.clone(), run.tag_predictions().unwrap())
}

/// Whether metrics and predictions of a run say the same.
fn check(run: &Run) {
    let (tags, predictions) = figures(run);
    let labels = run.labels().unwrap();
    let place = |name: &String| labels.iter().position(|label| label == name).unwrap();
    let truth: Vec<Vec<usize>> =
        predictions.iter().map(|p| p.labels.iter().map(place).collect()).collect();
    let truth: Vec<&[usize]> = truth.iter().map(Vec::as_slice).collect();
    let rows: Vec<&[f32]> = predictions.iter().map(|p| &*p.probabilities).collect();
    let thresholds: Vec<f32> = tags.per_tag.iter().map(|tag| tag.threshold).collect();
    assert_eq!(evaluate_tags(&truth, &rows, &thresholds), tags);
    for prediction in &predictions {
        let told = above(&prediction.probabilities, &thresholds);
        let told: Vec<&String> = told.iter().map(|place| &labels[*place]).collect();
        assert_eq!(told, prediction.predicted.iter().collect::<Vec<_>>());
    }
}

#[test]
fn a_list_of_several_labels_is_learned_exported_told_and_reported() {
    let desk = desk();
    let (run_, ran) = train(&desk, "a", &["--epochs", "30"]);
    for said in [
        "line 2 has 2 labels (high, tone), and 12 of 18 tracks have not one label: multi-label",
        "data: multi-label, 18 tracks of 5 labels (high 6, low 6, mixed 6, rare 1, tone 12)",
        "a sigmoid for each of 5 labels",
        "labels that no test track has, which the macro means leave out: rare",
        "or whose probabilities are all equal there: rare",
    ] {
        assert!(ran.err.contains(said), "no {said:?} in {}", ran.err);
    }
    assert!(ran.out.contains("5 labels, several a track"), "{}", ran.out);
    assert!(ran.out.contains("(without one label that no test track has)"), "{}", ran.out);
    check(&run_);
    let (tags, predictions) = figures(&run_);
    assert!(tags.macro_average_precision.unwrap() > 0.9, "{tags:?}");
    assert!(tags.macro_roc_auc.unwrap() > 0.9 && tags.macro_f1 > 0.5, "{tags:?}");
    assert_eq!((tags.left_out(), tags.per_tag[3].roc_auc), (1, None));
    let split = run_.split().unwrap();
    for part in [&split.train, &split.validation, &split.test] {
        for genre in GENRES {
            assert!(part.iter().any(|id| id.contains(genre)), "{split:?}");
        }
    }
    // The same again.
    let (again, _) = train(&desk, "b", &["--epochs", "30"]);
    let metrics = |run: &Run| timeless(serde_json::to_value(run.metrics().unwrap()).unwrap());
    assert_eq!(metrics(&run_), metrics(&again));

    // What the file says.
    let model = onnx::read(&run_.onnx_path()).unwrap();
    let operators: Vec<&str> =
        model.graph.as_ref().unwrap().node.iter().map(|node| &*node.op_type).collect();
    assert!(operators.contains(&"Sigmoid") && !operators.contains(&"Softmax"), "{operators:?}");
    let metadata = onnx::metadata(&model);
    assert_eq!(metadata["task"], "multi-label");
    let thresholds: Vec<f32> = serde_json::from_str(&metadata["thresholds"]).unwrap();
    assert_eq!(thresholds, tags.per_tag.iter().map(|tag| tag.threshold).collect::<Vec<f32>>());

    for input in ["waveform", "clip"] {
        desk.export(&["runs/a", "--input", input]).succeeded();
    }
    desk.export(&["runs/a", "--input", "clip", "--bundle", "bundle"]).succeeded();
    let card = desk.text("bundle/README.md");
    for said in
        ["| macro average precision |", "custom_metadata_map[\"thresholds\"]", "| rare | - |"]
    {
        assert!(card.contains(said), "no {said:?} in {card}");
    }
    assert!(!card.contains("argmax") && !card.contains("accuracy"), "{card}");
    desk.export(&["runs/a", "--precision", "int8"]).refused(1, &["choose --precision fp32"]);
    desk.export(&["runs/a", "--coverage", "0.8"]).refused(1, &["--coverage 0.8", "several labels"]);
    desk.export(&["runs/a", "--negatives", "low"])
        .refused(1, &["--negatives low", "several labels"]);

    // What is told of a recording is what its probabilities say, whatever the file takes.
    let labels = run_.labels().unwrap();
    let tested = &predictions[0];
    for file in ["model.onnx", "waveform.onnx", "clip.onnx"] {
        let model = format!("runs/a/{file}");
        let program = env!("CARGO_BIN_EXE_classify");
        let arguments = ["--model", &model, "--json", "--top", "5", &tested.track];
        let said = run(&desk, program, &arguments).succeeded().out;
        let said: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        assert_eq!(said["genres"], serde_json::json!(tested.predicted), "{file}: {said}");
        for (label, wanted) in labels.iter().zip(&tested.probabilities) {
            let given = said["probabilities"][label].as_f64().unwrap();
            assert!((given - f64::from(*wanted)).abs() < 1e-4, "{file}: {said}");
        }
    }
    let program = env!("CARGO_BIN_EXE_classify");
    let arguments =
        ["--model", "runs/a", "--output", "told.parquet", "music/low/0.wav", "music/mixed/1.wav"];
    run(&desk, program, &arguments).succeeded();
    let table = fs::read(desk.path("told.parquet")).unwrap();
    let has = |text: &str| table.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(has("genres") && has("thresholds") && !has("music/mixed/1.wavmixed|"));

    let arguments = ["--model", "runs/a", "--min-confidence", "0.5", "music/low/0.wav"];
    run(&desk, program, &arguments).refused(1, &["model.onnx", "leave --min-confidence out"]);

    // Runtimes are judged by average precision.
    let program = env!("CARGO_BIN_EXE_bench-runtimes");
    let arguments = ["runs/a", "--runtimes", "tract", "--threads", "1", "--batch", "1"];
    let arguments = [&arguments[..], &["--seconds", "0.2", "--output", "bench"]].concat();
    let said = run(&desk, program, &arguments).succeeded().out;
    assert!(said.contains(" mAP ") && !said.contains("accur. "), "{said}");
    let row = &desk.json("bench/bench.json")["rows"][0];
    let given = row["average_precision"].as_f64().unwrap();
    assert!((given - tags.macro_average_precision.unwrap()).abs() < 1e-6, "{row}");
    assert_eq!(row["accuracy"], Value::Null);

    // The report has tables of their own.
    let program = env!("CARGO_BIN_EXE_report");
    let arguments = ["runs", "--bench", "bench/bench.json", "--output", "report"];
    let said = run(&desk, program, &arguments).succeeded().out;
    assert!(said.contains("macro average precision"), "{said}");
    let page = desk.text("report/results.md");
    for said in ["Several labels a track", "label by label", "| rare | 0 | – | – | 0.500 |"] {
        assert!(page.contains(said), "no {said:?} in {page}");
    }
}

#[test]
fn layers_and_cnns_learn_several_labels_too() {
    let desk = desk();
    let more = ["--epochs", "5", "--unfreeze", "1", "--deep-epochs", "2", "--keep", "tuned"];
    let (run_, ran) =
        train(&desk, "deep", &[&more[..], &["--hidden", "8", "--mixup", "0.2"]].concat());
    assert!(ran.out.contains("macro AP"), "{}", ran.out);
    check(&run_);
    assert_eq!(run_.metrics().unwrap().unfrozen_layers, 1);
    let program = env!("CARGO_BIN_EXE_train-cnn");
    let data = ["--data", "tags.tsv", "--source", "audio", "--preset", "simple"];
    let arguments = [&data[..], &["--epochs", "3", "--name", "cnn"]].concat();
    run(&desk, program, &arguments).succeeded();
    check(&Run::open(&desk.path("runs/cnn")).unwrap());
    let history = desk.json("runs/cnn/history.json");
    assert!(history[0]["validation_average_precision"].is_number(), "{history}");
    assert_eq!(history[0]["validation_accuracy"], Value::Null);
    let taught = [&data[..], &["--epochs", "1", "--name", "taught", "--teacher", "runs/cnn"]];
    let split = ["--split", "runs/cnn/split.json"];
    run(&desk, program, &[&taught.concat()[..], &split].concat()).succeeded();
}

#[test]
fn what_is_for_one_label_a_track_is_refused_before_anything_is_computed() {
    let desk = desk();
    let finetune =
        |more: &[&str]| desk.finetune(&[&["--data", "tags.tsv"], &TINY[..], more].concat());
    finetune(&["--task", "single-label"]).refused(
        1,
        &[
            "tags.tsv: line 2: 2 labels (high, tone), as 12 of 18 tracks have not one label",
            "--task",
        ],
    );
    finetune(&["--folds", "3"]).refused(1, &["--folds is there for one label a track"]);
    let program = env!("CARGO_BIN_EXE_train-cnn");
    let data = ["--data", "tags.tsv", "--source", "audio"];
    for option in [&["--folds", "3"][..], &["--search", "--quick"]] {
        let ran = run(&desk, program, &[&data[..], option].concat());
        ran.refused(1, &[option[0], "is there for one label a track"]);
    }
    // A teacher of one label a track teaches nothing of several.
    desk.train("single", &["--epochs", "1"]);
    let split = desk.json("runs/single/split.json");
    assert!(split.get("task").is_none(), "{split}");
    finetune(&["--split", "runs/single/split.json"]).refused(1, &["single-label", "--task"]);
    assert_eq!(desk.names("runs"), ["single"]);
}

#[test]
fn folders_can_be_learned_as_labels() {
    let desk = Desk::new();
    let arguments = ["--data", "music", "--task", "multi-label", "--epochs", "20", "--name", "a"];
    desk.finetune(&[&arguments[..], &TINY].concat()).succeeded();
    let run = Run::open(&desk.path("runs/a")).unwrap();
    check(&run);
    let (tags, predictions) = figures(&run);
    assert!(tags.macro_average_precision.unwrap() > 0.8, "{tags:?}");
    assert!(predictions.iter().all(|p| p.track.starts_with(&format!("{}/", p.labels[0]))));
}
