//! `finetune` from the command line: what it learns, keeps, repeats, resumes and refuses.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, SystemTime};

use common::vggish::{Builder, Style, vggish};
use common::{graph, integer, integers};
use genre_transfer::run::{Kept, Metrics, Prediction, Run, Spec};
use genre_transfer::train::Folds;
use genre_transfer::{files, onnx};
use runs::{
    Desk, GENRES, Ran, TINY, TRACKS, bytes, shape_operators, timeless, training, with_three_axes,
};
use serde::Deserialize;
use serde_json::Value;
use tract_onnx::pb::ModelProto;

/// Files of a finished run whose backbone was imported.
const FILES: [&str; 12] = [
    "backbone.onnx",
    "config.json",
    "head.bpk",
    "history.json",
    "labels.txt",
    "metrics.json",
    "model.json",
    "model.onnx",
    "predictions.json",
    "preprocessor.json",
    "split.json",
    "trust.json",
];

/// What a run found, without what differs by nature.
fn results(run: &Run) -> [Value; 3] {
    let read = |file| serde_json::from_slice(&bytes(&run.folder().join(file))).unwrap();
    [timeless(read("metrics.json")), timeless(read("history.json")), read("predictions.json")]
}

#[test]
fn a_run_learns_and_leaves_all_its_files() {
    let desk = Desk::new();
    let ran =
        desk.finetune(&[&["--data", "music", "--epochs", "30", "--json"], &TINY[..]].concat());
    let report: Value = serde_json::from_str(&ran.succeeded().out).unwrap();
    assert_eq!(report["run"], "runs/tiny-music");
    assert_eq!(desk.names("runs"), ["tiny-music"]);
    assert_eq!(desk.names("runs/tiny-music"), FILES);
    assert_eq!(desk.text("runs/tiny-music/labels.txt"), "high\nlow\nmixed\n");

    let run = Run::open(&desk.path("runs/tiny-music")).unwrap();
    let metrics = run.metrics().unwrap();
    assert_eq!(Metrics::deserialize(&report["metrics"]).unwrap(), metrics);
    assert_eq!((metrics.data.tracks, metrics.data.skipped), (GENRES.len() * TRACKS, 0));
    // Chance is a third.
    assert!(metrics.test.single_label().unwrap().tracks.accuracy > 0.6, "{metrics:?}");
    assert!(metrics.frozen_validation.unwrap().quality.value() > 0.6, "{metrics:?}");

    let split = run.split().unwrap();
    let parts = [&split.train, &split.validation, &split.test];
    let different: BTreeSet<&String> = parts.into_iter().flatten().collect();
    assert_eq!(different.len(), GENRES.len() * TRACKS, "each track in one part: {split:?}");
    assert!(parts.iter().all(|part| part.len() >= GENRES.len()), "{split:?}");
    let tested = desk.json("runs/tiny-music/predictions.json");
    let tested: Vec<&str> =
        tested.as_array().unwrap().iter().map(|p| p["track"].as_str().unwrap()).collect();
    assert_eq!(tested, split.test);

    // A second run without a name must not touch the first.
    let before = bytes(&run.folder().join("metrics.json"));
    desk.finetune(&[&["--data", "music"], &TINY[..]].concat()).succeeded();
    assert_eq!(desk.names("runs"), ["tiny-music", "tiny-music-2"]);
    assert_eq!(bytes(&run.folder().join("metrics.json")), before);
}

#[test]
fn a_seed_gives_the_same_run_anywhere_and_another_seed_another_split() {
    let [here, there] = [Desk::new(), Desk::new()];
    let more = ["--epochs", "20", "--unfreeze", "2", "--deep-epochs", "2", "--folds", "2"];
    let [first, second] = [&here, &there].map(|desk| desk.train("a", &more));
    assert_eq!(results(&first), results(&second));
    let files = ["backbone.onnx", "head.bpk", "model.json", "model.onnx", "predictions.json"];
    for file in files.into_iter().chain(["split.json"]) {
        let [a, b] = [&first, &second].map(|run| bytes(&run.folder().join(file)));
        assert!(a == b, "{file} differs");
    }
    let other = here.train("b", &["--seed", "1"]);
    assert_ne!(first.split().unwrap().test, other.split().unwrap().test);
}

/// The cache's files and when they were written.
fn entries(desk: &Desk) -> BTreeMap<PathBuf, SystemTime> {
    let files =
        walkdir::WalkDir::new(desk.path("data/cache/embeddings")).into_iter().map(|e| e.unwrap());
    files
        .filter(|entry| entry.file_type().is_file())
        .map(|e| (e.path().to_owned(), e.metadata().unwrap().modified().unwrap()))
        .collect()
}

#[test]
fn embeddings_are_computed_once_and_again_where_lost_or_damaged() {
    let desk = Desk::new();
    let wanted = results(&desk.train("first", &[]));
    let whole = entries(&desk);
    assert_eq!(whole.len(), GENRES.len() * TRACKS);

    assert_eq!(results(&desk.train("second", &[])), wanted);
    assert_eq!(entries(&desk), whole, "no entry may be written again");

    let (damaged, _) = whole.first_key_value().unwrap();
    let good = bytes(damaged);
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 0x40;
    fs::write(damaged, bad).unwrap();
    assert_eq!(results(&desk.train("third", &[])), wanted);
    assert!(bytes(damaged) == good, "the damaged entry must be replaced");

    let lost: Vec<&PathBuf> = whole.keys().skip(1).step_by(2).collect();
    lost.iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(results(&desk.train("fourth", &[])), wanted);
    let after = entries(&desk);
    assert!(after.keys().eq(whole.keys()), "the lost entries must be back");
    for (path, written) in whole.iter().filter(|(path, _)| *path != damaged) {
        assert!(lost.contains(&path) || after[path] == *written, "{path:?} was written again");
    }
}

#[test]
fn folds_test_every_track_once() {
    let desk = Desk::new();
    let metrics = desk.train("folds", &["--folds", "3"]).metrics().unwrap();
    let validation = metrics.cross_validation.unwrap();
    assert_eq!((validation.model, validation.folds.len()), (Kept::Frozen, 3));
    let pooled = validation.pooled.tracks;
    assert_eq!(pooled.count, GENRES.len() * TRACKS);
    let tested: Vec<usize> = pooled.confusion.iter().map(|row| row.iter().sum()).collect();
    assert_eq!(tested, [TRACKS; GENRES.len()]);
    // All folds are of one size, so the mean of their accuracies is that of all tracks.
    let mean = validation.folds.iter().sum::<f64>() / 3.0;
    assert!((mean - pooled.accuracy).abs() < 1e-9, "{mean} is not {}", pooled.accuracy);
}

#[test]
fn folds_can_be_given() {
    let desk = Desk::new();
    let drawn = desk.train("drawn", &["--folds", "2"]).metrics().unwrap().cross_validation;
    let file = desk.path("runs/drawn/folds.json");
    let again = desk.train("again", &["--folds", file.to_str().unwrap()]);
    assert_eq!(again.metrics().unwrap().cross_validation, drawn);
    let Some(Folds::File(kept)) = again.config().unwrap().folds else { panic!("no file is kept") };
    assert!(kept.is_absolute(), "{kept:?}");

    let mut folds: Vec<Vec<Prediction>> = files::read_json(&file).unwrap();
    folds[0][0].track = "elsewhere/0.wav".to_owned();
    files::write_json(&file, &folds).unwrap();
    let ran = desk.finetune(&training("fewer", &["--folds", file.to_str().unwrap()])).succeeded();
    let note = "tracks of the folds that are not in the data: 1; tracks of the data that are in no fold: 1";
    assert!(ran.err.contains(note), "{ran:#?}");

    // The run has them, whatever becomes of the file.
    fs::remove_file(&file).unwrap();
    let wanted = results(&again);
    cut_off(&again);
    desk.finetune(&["--resume", again.folder().to_str().unwrap()]).succeeded();
    assert_eq!(results(&again), wanted);

    // A fold that leaves nothing to learn from is named, and its file.
    files::write_json(&file, &serde_json::json!([[folds[0][1].track], ["low/0.wav"]])).unwrap();
    let arguments = training("none", &["--folds", file.to_str().unwrap()]);
    desk.finetune(&arguments).refused(1, &["folds.json", "fold 0, counted from 0, leaves"]);
    assert!(!desk.path("runs/none").exists());
}

#[test]
fn folds_of_an_unfrozen_run_are_said_to_be_frozen() {
    let desk = Desk::new();
    let folds = desk.train("frozen", &["--folds", "2"]).metrics().unwrap().cross_validation;
    let more = ["--folds", "2", "--unfreeze", "1", "--deep-epochs", "1"];
    let ran = desk.finetune(&training("unfrozen", &more)).succeeded();
    assert!(ran.err.contains("note: the folds are those of the frozen head"), "{ran:#?}");
    assert!(ran.out.contains("cross-validation, frozen: accuracy"), "{ran:#?}");
    let run = Run::open(&desk.path("runs/unfrozen")).unwrap();
    assert_eq!(run.metrics().unwrap().cross_validation, folds);
}

#[test]
fn a_split_can_be_used_again() {
    let desk = Desk::new();
    let first = desk.train("first", &["--seed", "5"]);
    let again = desk.train("again", &["--seed", "6", "--split", "runs/first/split.json"]);
    assert_eq!(desk.text("runs/again/split.json"), desk.text("runs/first/split.json"));
    assert_eq!(again.split().unwrap(), first.split().unwrap());
    let tested = |run: &Run| results(run)[2].as_array().unwrap().len();
    assert_eq!(tested(&again), first.split().unwrap().test.len());
}

#[test]
fn a_hidden_layer_has_the_units_asked_for() {
    let desk = Desk::new();
    let [linear, hidden] = [desk.train("linear", &[]), desk.train("hidden", &["--hidden", "8"])];
    let units = |run: &Run| match run.model_spec().unwrap() {
        Spec::Backbone(spec) => spec.head.hidden,
        Spec::Custom(spec) => panic!("a head on a backbone, not {spec:?}"),
    };
    assert_eq!((units(&linear), units(&hidden)), (None, Some(8)));
    let [linear, hidden] = [linear, hidden].map(|run| run.metrics().unwrap());
    let head = |units: usize| (128 + 1) * units + (units + 1) * 3;
    assert_eq!(linear.parameters - (128 + 1) * 3 + head(8), hidden.parameters);
    assert!(hidden.test.single_label().unwrap().tracks.accuracy > 0.6, "{hidden:?}");
}

#[test]
fn several_backbones_are_one_in_the_exported_file() {
    let desk = Desk::new();
    let both = ["--data", "music", "--backbone", "yamnet,tiny.onnx", "--front-end", ",vggish"];
    let run = [&both[..], &["--name", "both", "--epochs", "20"]].concat();
    desk.finetune(&run).succeeded();
    let run = Run::open(&desk.path("runs/both")).unwrap();
    let model = onnx::read(&run.onnx_path()).unwrap();
    let ports = onnx::outputs(&model, &run.onnx_path()).unwrap();
    assert_eq!(ports[1].dims, [None, Some(1024 + 128)]);
    let input = onnx::input(&model, &run.onnx_path()).unwrap();
    assert_eq!((&*input.name, &input.dims[..]), ("waveform", &[None, Some(15_600)][..]));
    let metrics = run.metrics().unwrap();
    assert_eq!(metrics.backbone.unwrap().name, "yamnet+tiny");
    assert!(metrics.test.single_label().unwrap().tracks.accuracy > 0.6);
    // The same file again, and names that stay in the options.
    assert_eq!(fs::read_dir(desk.path("data/cache/backbones")).unwrap().count(), 1);
    let tiny = desk.path("tiny.onnx").canonicalize().unwrap();
    let config = run.config().unwrap();
    assert_eq!(config.backbone, format!("yamnet,{}", tiny.display()));
    assert_eq!(config.front_end.as_deref(), Some(",vggish"));
    for (option, value) in [("--unfreeze", "1"), ("--output", "embeddings"), ("--pool", "max")] {
        let more = [&both[..], &[option, value]].concat();
        refused(&Desk::new(), &more, 1, &[&format!("{option} {value}: several backbones")]);
    }
}

/// Weights of the exported model that are not those of `other`'s.
fn changed(run: &Run, other: &Run) -> usize {
    let weights = |run: &Run| {
        let mut model = onnx::read(&run.onnx_path()).unwrap();
        let weights = std::mem::take(&mut graph(&mut model).initializer);
        // What tells how far it can be trusted is made of the embeddings.
        let learned = weights.into_iter().filter(|t| !t.name.starts_with("trust."));
        learned.map(|t| (t.name.clone(), t)).collect::<BTreeMap<_, _>>()
    };
    let (mine, others) = (weights(run), weights(other));
    assert!(mine.keys().eq(others.keys()), "not the same graph");
    mine.iter().filter(|(name, tensor)| others[*name] != **tensor).count()
}

#[test]
fn unfreezing_trains_the_layers_asked_for_and_no_others() {
    let desk = Desk::new();
    // One epoch leaves the head much to learn, so that the unfrozen model is the better one.
    let head = ["--epochs", "1", "--no-refit"];
    let frozen = desk.train("frozen", &head);
    assert_eq!(frozen.metrics().unwrap().kept, Kept::Frozen);
    // The backbone has nine layers; each has a weight and a bias, and the head has both too.
    for (layers, trained, tensors) in [("1", 1, 4), ("all", 9, 20)] {
        let deep = ["--unfreeze", layers, "--deep-epochs", "2"];
        let run = desk.train(layers, &[&head[..], &deep].concat());
        let metrics = run.metrics().unwrap();
        assert_eq!((metrics.kept, metrics.unfrozen_layers), (Kept::Unfrozen, trained));
        let (before, after) =
            (metrics.frozen_validation.unwrap(), metrics.unfrozen_validation.unwrap());
        assert!(after.loss < before.loss, "{metrics:?}");
        let [_, history, _] = results(&run);
        let epochs = history.as_array().unwrap().iter().filter(|e| e["stage"] == "unfreeze");
        assert_eq!(epochs.count(), 2);
        assert_eq!(desk.names(&format!("runs/{layers}")), FILES);
        assert_eq!(changed(&run, &frozen), tensors, "{layers}");
    }
}

#[test]
fn which_model_is_kept_can_be_said() {
    let desk = Desk::new();
    let wreck = ["--unfreeze", "all", "--backbone-lr", "10", "--deep-epochs", "1"];
    let tuned = desk.finetune(&training("tuned", &[&wreck[..], &["--keep", "tuned"]].concat()));
    let tuned = tuned.succeeded();
    assert!(tuned.out.contains("kept: unfrozen (--keep)"), "{tuned:#?}");
    let better = ["--epochs", "1", "--no-refit", "--unfreeze", "all", "--deep-epochs", "2"];
    let frozen = desk.finetune(&training("frozen", &[&better[..], &["--keep", "frozen"]].concat()));
    let frozen = frozen.succeeded();
    assert!(frozen.out.contains("kept: frozen (--keep)"), "{frozen:#?}");
    let kept = |name: &str| Run::open(&desk.path(name)).unwrap().metrics().unwrap().kept;
    assert_eq!([kept("runs/tuned"), kept("runs/frozen")], [Kept::Unfrozen, Kept::Frozen]);
    let refuse = ["--data", "music", "--keep", "tuned"];
    refused(&Desk::new(), &refuse, 1, &["--keep tuned", "--unfreeze"]);
}

#[test]
fn what_only_unfrozen_layers_take_is_refused_without_them() {
    for (option, value) in [("mixup", "0.4"), ("masks", "1"), ("label-smoothing", "0.1")] {
        let option = format!("--{option}");
        let refuse = ["--data", "music", &option, value];
        refused(&Desk::new(), &refuse, 1, &[&format!("{option} {value}"), "--unfreeze"]);
    }
    let refuse = ["--data", "music", "--schedule", "one-cycle"];
    refused(&Desk::new(), &refuse, 1, &["--schedule one-cycle", "--unfreeze"]);
}

/// Two convolutions, each with its batch normalization, and a pooling.
fn normalized() -> ModelProto {
    let mut builder = Builder::new("input", &[-1, 1, 96, 64], 5);
    for (channels, layer) in [(1, "first"), (6, "second")] {
        let name = |part: &str| format!("{layer}.{part}");
        let [gamma, beta] = [name("gamma"), name("beta")];
        let [mean, variance] = [name("mean"), name("variance")];
        builder.floats(&gamma, &[1.0; 6]).floats(&beta, &[0.0; 6]);
        builder.floats(&mean, &[0.0; 6]).floats(&variance, &[1.0; 6]);
        builder.conv([channels, 6], [3, 3], vec![integers("strides", &[2, 2])]);
        builder.node("BatchNormalization", &[&gamma, &beta, &mean, &variance], vec![]);
        builder.node("Relu", &[], vec![]);
    }
    builder.node("GlobalAveragePool", &[], vec![]);
    builder.node("Flatten", &[], vec![]);
    builder.finish("embeddings", 6, 13)
}

#[test]
fn batch_normalizations_keep_their_statistics_unless_asked() {
    let desk = Desk::new();
    desk.backbone("normalized.onnx", &normalized());
    let deep = ["--backbone", "normalized.onnx", "--front-end", "vggish", "--keep", "tuned"];
    let deep = [&deep[..], &["--unfreeze", "all", "--deep-epochs", "2"]].concat();
    let changed = |run: &Run| -> BTreeSet<String> {
        let tensors = |path: &Path| graph(&mut onnx::read(path).unwrap()).initializer.clone();
        let before = tensors(&desk.path("normalized.onnx"));
        let after = tensors(&run.folder().join("backbone.onnx"));
        let pairs = before.iter().zip(&after).filter(|(a, b)| a != b);
        pairs.map(|(tensor, _)| tensor.name.clone()).collect()
    };
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    let second = ["conv3.bias", "conv3.weight", "second.beta", "second.gamma"];
    let first = ["conv0.bias", "conv0.weight", "first.beta", "first.gamma"];
    let weights: BTreeSet<String> = names(&[first, second].concat());
    let fixed = desk.train("fixed", &deep);
    assert_eq!(changed(&fixed), weights);
    let moved = desk.train("moved", &[&deep[..], &["--batch-norm", "train"]].concat());
    let statistics = ["first.mean", "first.variance", "second.mean", "second.variance"];
    assert_eq!(changed(&moved), &weights | &names(&statistics));
    // Layers that stay frozen keep theirs.
    let last: Vec<&str> = deep.iter().map(|word| if *word == "all" { "1" } else { word }).collect();
    let last = desk.train("last", &[&last[..], &["--batch-norm", "train"]].concat());
    assert_eq!(changed(&last), &names(&second) | &names(&statistics[2..]));
}

#[test]
fn what_has_nothing_to_learn_is_refused_before_any_training() {
    let desk = Desk::new();
    let mut builder = Builder::new("input", &[-1, 1, 96, 64], 5);
    builder.node("ReduceMean", &[], vec![integers("axes", &[1, 2]), integer("keepdims", 0)]);
    desk.backbone("mean.onnx", &builder.finish("embeddings", 64, 13));
    let arguments = ["--data", "music", "--backbone", "mean.onnx", "--front-end", "vggish"];
    let arguments = [&arguments[..], &["--unfreeze", "all"]].concat();
    refused(&desk, &arguments, 1, &["mean.onnx", "no layer with float weights", "--unfreeze"]);
}

#[test]
fn earlier_layers_learn_more_slowly_with_a_decay() {
    let desk = Desk::new();
    let deep = ["--epochs", "1", "--no-refit", "--unfreeze", "all", "--deep-epochs", "1"];
    let frozen = desk.train("frozen", &deep[..3]);
    // So small a rate is no rate: only the last layer and the head learn.
    let run = desk.train("slow", &[&deep[..], &["--layer-decay", "1e-30"]].concat());
    assert_eq!(changed(&run, &frozen), 4);
    let refuse = ["--data", "music", "--layer-decay", "1.5"];
    refused(&Desk::new(), &refuse, 1, &["--layer-decay 1.5"]);
}

#[test]
fn an_unfrozen_model_that_is_no_better_is_not_kept() {
    let desk = Desk::new();
    // Rates that wreck whatever they touch.
    let wreck = ["--unfreeze", "all", "--backbone-lr", "10", "--deep-epochs", "1"];
    let run = desk.train("wrecked", &wreck);
    let metrics = run.metrics().unwrap();
    assert_eq!((metrics.kept, metrics.unfrozen_layers), (Kept::Frozen, 0));
    let (before, after) =
        (metrics.frozen_validation.unwrap(), metrics.unfrozen_validation.unwrap());
    assert!(after.loss > before.loss, "{metrics:?}");
    assert_eq!(changed(&run, &desk.train("frozen", &[])), 0);
}

/// A run with many short epochs, to be interrupted.
const LONG: [&str; 6] = ["--unfreeze", "2", "--patience", "1000", "--deep-batch", "2"];

/// Waits until `latest` is no longer what it `was`; false if `child` ended before that.
fn wait_for_checkpoint(child: &mut Child, latest: &Path, was: &Option<Vec<u8>>) -> bool {
    while child.try_wait().unwrap().is_none() {
        let now = fs::read(latest).ok();
        if now.is_some() && now != *was {
            return true;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    false
}

/// Starts a run with these options and calls `interrupt` on it at its first checkpoints, resuming
/// it in between; false if it came to its end before that.
fn interrupted(desk: &Desk, long: &[&str], times: usize, interrupt: fn(Child)) -> bool {
    let latest = desk.path("runs/interrupted/checkpoint/latest.json");
    let start = [&training("interrupted", long)[..], &["--force"]].concat();
    (0..times).all(|time| {
        let resume = ["--resume", "runs/interrupted"];
        let arguments = if time == 0 { &start[..] } else { &resume };
        // Ctrl-C saves one more checkpoint, so that what stands there is known only now.
        let was = if time == 0 { None } else { fs::read(&latest).ok() };
        let mut child = desk.command(env!("CARGO_BIN_EXE_finetune"), arguments).spawn().unwrap();
        let reached = wait_for_checkpoint(&mut child, &latest, &was);
        interrupt(child);
        reached && !desk.path("runs/interrupted/metrics.json").exists()
    })
}

/// An interrupted run, once resumed, is the one that was never interrupted.
fn resumes_to_the_same_end(more: &[&str], times: usize, interrupt: fn(Child)) {
    let desk = Desk::new();
    let enough = ["8", "32", "128", "512"].into_iter();
    let mut long = enough.map(|epochs| [&LONG[..], more, &["--deep-epochs", epochs]].concat());
    let long = long.find(|long| interrupted(&desk, long, times, interrupt));
    let long = long.expect("every run ended before it could be interrupted");
    desk.export(&["runs/interrupted"]).refused(1, &["runs/interrupted", "--resume"]);
    desk.finetune(&["--resume", "runs/interrupted"]).succeeded();
    assert_eq!(desk.names("runs/interrupted"), FILES);
    let whole = desk.train("whole", &long);
    let resumed = Run::open(&desk.path("runs/interrupted")).unwrap();
    assert_eq!(results(&resumed), results(&whole));
    assert!(bytes(&resumed.onnx_path()) == bytes(&whole.onnx_path()), "model.onnx differs");
}

#[test]
fn a_killed_run_resumes_to_the_same_end() {
    resumes_to_the_same_end(&[], 3, |mut child| {
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn a_killed_run_with_varied_patches_resumes_to_the_same_end() {
    let varied = ["--mixup", "0.4", "--masks", "2", "--label-smoothing", "0.1"];
    let more = ["--schedule", "one-cycle", "--clip", "1", "--pull-back", "0.1"];
    let more = [&varied[..], &more].concat();
    resumes_to_the_same_end(&more, 2, |mut child| {
        child.kill().unwrap();
        child.wait().unwrap();
    });
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_the_run_and_says_how_to_go_on() {
    resumes_to_the_same_end(&[], 2, |child| {
        let status = std::process::Command::new("sh")
            .args(["-c", &format!("kill -INT {}", child.id())])
            .status();
        let ran = Ran::from(child.wait_with_output().unwrap());
        // Where the signal came too late, the run is tried again with more epochs.
        if ran.code != Some(0) {
            assert!(status.unwrap().success());
            ran.refused(130, &["interrupted", "--resume"]);
        }
    });
}

/// Makes a finished run one that was cut off before its end.
fn cut_off(run: &Run) {
    fs::remove_file(run.folder().join("metrics.json")).unwrap();
}

#[test]
fn a_run_resumes_from_another_folder() {
    let desk = Desk::new();
    let run = desk.train("a", &["--split", "stratified"]);
    let again = desk.train("b", &["--split", "runs/a/split.json", "--seed", "1"]);
    for run in [run, again] {
        let wanted = results(&run);
        cut_off(&run);
        let elsewhere = tempfile::tempdir().unwrap();
        let folder = run.folder().to_str().unwrap();
        let mut finetune = desk.command(env!("CARGO_BIN_EXE_finetune"), &["--resume", folder]);
        let output = finetune.current_dir(elsewhere.path()).output().unwrap();
        Ran::from(output).succeeded();
        assert_eq!(results(&run), wanted);
    }
    let config = desk.json("runs/a/config.json");
    assert_eq!((&config["split"], &config["front_end"]), (&"stratified".into(), &"vggish".into()));
}

#[test]
fn a_resumed_run_keeps_its_split() {
    let desk = Desk::new();
    let run = desk.train("a", &["--seed", "5"]);
    let split = run.split().unwrap();
    cut_off(&run);
    let config = run.folder().join("config.json");
    let mut options = desk.json("runs/a/config.json");
    options["seed"] = 6.into();
    fs::write(config, options.to_string()).unwrap();
    // What has come since is in no part.
    desk.track("low", TRACKS, 2.0);
    let ran = desk.finetune(&["--resume", "runs/a"]).succeeded();
    assert!(ran.err.contains("tracks of the data that are not in the split: 1"), "{ran:#?}");
    assert_eq!(run.split().unwrap(), split);
    let [_, _, predictions] = results(&run);
    let tested = predictions.as_array().unwrap().iter().map(|p| p["track"].as_str().unwrap());
    assert!(tested.eq(&split.test));
}

#[test]
fn what_cannot_be_resumed_is_refused() {
    let desk = Desk::bare();
    desk.finetune(&["--resume", "runs/nothing"]).refused(1, &["runs/nothing", "no run to resume"]);
    desk.finetune(&["--resume", "a", "--seed", "3"]).refused(2, &["--seed", "--resume"]);
    desk.finetune(&["--resume", "a", "--epochs", "3"]).refused(2, &["--epochs", "--resume"]);
    fs::create_dir_all(desk.path("runs/cnn")).unwrap();
    fs::write(desk.path("runs/cnn/config.json"), r#"{"preset": "simple"}"#).unwrap();
    desk.finetune(&["--resume", "runs/cnn"]).refused(1, &["runs/cnn", "no run of finetune"]);
}

/// `tiny.onnx` and `arguments` are refused with `code` and these words; nothing is left behind.
#[track_caller]
fn refused(desk: &Desk, arguments: &[&str], code: i32, words: &[&str]) {
    desk.finetune(arguments).refused(code, words);
    assert_eq!(desk.names("runs"), [""; 0], "a run was left behind by {arguments:?}");
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

#[test]
fn options_out_of_range_are_refused() {
    let desk = Desk::new();
    for (option, value, code, advice) in [
        ("--lr", "0", 1, "positive rate"),
        ("--lr", "NaN", 1, "positive rate"),
        ("--backbone-lr", "0", 1, "positive rate"),
        ("--backbone-lr", "-1", 1, "--backbone-lr -1: give a positive rate"),
        ("--weight-decay", "-0.5", 1, "--weight-decay -0.5"),
        ("--weight-decay", "1000", 1, "--weight-decay 1000: give a rate from 0 to below 1000"),
        ("--test-fraction", "-0.25", 1, "--test-fraction -0.25"),
        ("--seed", "-1", 2, "--seed"),
        ("--unfreeze", "-1", 2, "--unfreeze"),
        ("--folds", "1", 1, "at least 2"),
        ("--folds", "7", 1, "has 6"),
        ("--folds", "folds.json", 2, "neither a number of folds nor a file"),
        ("--folds", "music", 2, "a folder; give a number of folds"),
        ("--hidden", "1000000000", 1, "at most 65536"),
        ("--epochs", "0", 1, "at least 1"),
        ("--test-fraction", "1", 1, "between 0 and 1"),
        ("--unfreeze", "x", 2, "number of layers, or \"all\""),
        ("--runtime", "tensorrt", 2, "burn, ort or tract"),
        ("--device", "tpu", 2, "cpu or cuda"),
        ("--hidden", "0", 2, "--hidden"),
        ("--output", "nope", 1, "embeddings"),
        ("--split", "nope.json", 1, "No such file"),
        ("--name", "a/b", 1, "--runs"),
    ] {
        let arguments = [&["--data", "music", option, value], &TINY[..]].concat();
        refused(&desk, &arguments, code, &[value, advice]);
    }
}

#[test]
fn a_name_that_is_taken_needs_force() {
    let desk = Desk::new();
    let first = desk.train("a", &[]);
    let before = results(&first);
    let other = training("a", &["--seed", "3"]);
    desk.finetune(&other).refused(1, &["runs/a", "--force"]);
    assert_eq!(results(&first), before);
    desk.finetune(&[&other[..], &["--force"]].concat()).succeeded();
    assert_ne!(results(&first), before);
}

/// What fails, or is killed, while it is to replace a finished run must not cost that run.
#[test]
fn a_finished_run_stays_until_another_is_finished() {
    let desk = Desk::new();
    let run = desk.train("a", &[]);
    let before = results(&run);
    let failing = training("a", &["--force", "--folds", "50"]);
    desk.finetune(&failing).refused(1, &["50 folds"]);
    assert_eq!(results(&run), before);
    // As a kill leaves it: the finished run waits under another name.
    fs::rename(run.folder(), desk.path("runs/.a.replaced")).unwrap();
    fs::create_dir(run.folder()).unwrap();
    fs::copy(desk.path("runs/.a.replaced/config.json"), run.folder().join("config.json")).unwrap();
    Run::replace(run.folder()).unwrap();
    assert!(desk.path("runs/.a.replaced/metrics.json").is_file());
    // The empty folder is nobody's.
    desk.finetune(&training("a", &["--force"])).succeeded();
    assert_eq!(desk.names("runs"), ["a"], "the one that waited is replaced");
}

#[test]
fn labels_that_were_changed_are_not_exported() {
    let desk = Desk::new();
    let run = desk.train("a", &[]);
    fs::write(run.folder().join("labels.txt"), "low\n").unwrap();
    desk.export(&["runs/a", "--input", "log-mel"]).refused(1, &["labels.txt", "split.json"]);
}

#[test]
fn an_export_does_not_replace_the_run() {
    let desk = Desk::new();
    let run = desk.train("a", &[]);
    for file in ["backbone.onnx", "head.bpk", "config.json"] {
        let before = bytes(&run.folder().join(file));
        let output = format!("runs/a/{file}");
        let ran = desk.export(&["runs/a", "--input", "log-mel", "-o", &output]);
        ran.refused(1, &[&output, "would be replaced"]);
        assert_eq!(bytes(&run.folder().join(file)), before);
    }
}

#[test]
fn what_is_no_collection_is_refused() {
    let desk = Desk::bare();
    let refuse = |words: &[&str]| {
        refused(&desk, &[&["--data", "music"], &TINY[..]].concat(), 1, words);
    };
    refuse(&["music: no such folder", "give a folder"]);
    (0..3).for_each(|track| desk.track("low", track, 2.0));
    refuse(&["music: 1 genre folder(s)", "put the recordings"]);
    desk.track("high", 0, 2.0);
    refuse(&["\"high\" has 1 usable", "add recordings"]);
    // Two, but one of them turns out not to be readable.
    fs::write(desk.path("music/high/bad.wav"), "text").unwrap();
    refuse(&["\"high\" has 1 usable", "bad.wav", "add recordings"]);
}

#[test]
fn unreadable_recordings_are_skipped_unless_strict() {
    let desk = Desk::new();
    let good = bytes(&desk.path("music/low/0.wav"));
    let silent = [&good[..44], &vec![0; good.len() - 44]].concat();
    let half = &good[..good.len() / 2];
    let bad: [(&str, &[u8]); 4] = [
        ("empty.wav", b""),
        ("text.wav", b"no sound"),
        ("silent.wav", &silent),
        ("half.wav", half),
    ];
    for (name, content) in bad {
        fs::write(desk.path("music/low").join(name), content).unwrap();
    }
    let names = bad.map(|(name, _)| name);
    let strict = [&["--data", "music", "--strict"], &TINY[..]].concat();
    refused(&desk, &strict, 1, &[&names[..], &["4 files", "--strict"]].concat());

    // What is odd is said every time, whatever is cached.
    for name in ["a", "b"] {
        let ran = desk.finetune(&training(name, &[])).succeeded();
        let said = ["silent or constant", "half.wav: cut short", "3 of 22 files were skipped"];
        for word in [&names[..], &said].concat() {
            assert!(ran.err.contains(word), "no {word:?} in {ran:#?}");
        }
    }
    let metrics = Run::open(&desk.path("runs/a")).unwrap().metrics().unwrap();
    assert_eq!((metrics.data.tracks, metrics.data.skipped), (GENRES.len() * TRACKS + 1, 3));
}

#[test]
fn a_recording_shorter_than_a_patch_is_padded_with_a_warning() {
    let desk = Desk::new();
    desk.track("low", TRACKS, 0.05);
    // The second time, the embeddings come from the cache.
    for name in ["a", "b"] {
        let ran = desk.finetune(&training(name, &[])).succeeded();
        assert!(ran.err.contains("warning: 1 recording"), "{ran:#?}");
        assert!(ran.err.contains("shorter than a patch (0.96 s)"), "{ran:#?}");
    }
    let metrics = Run::open(&desk.path("runs/a")).unwrap().metrics().unwrap();
    assert_eq!(metrics.data.tracks, GENRES.len() * TRACKS + 1);
}

#[test]
fn files_that_are_no_backbone_are_refused() {
    let desk = Desk::new();
    let whole = bytes(&desk.path("tiny.onnx"));
    fs::write(desk.path("cut.onnx"), &whole[..whole.len() / 2]).unwrap();
    fs::write(desk.path("text.onnx"), "This is not a model.").unwrap();
    fs::write(desk.path("empty.onnx"), "").unwrap();
    desk.backbone("pooled.onnx", &with_three_axes(vggish(Style::TorchScript, 64, 1)));
    let vggish = ["--front-end", "vggish"];
    for (file, more, advice) in [
        ("tiny.onnx", &[][..], &["--front-end vggish|yamnet|musicnn"][..]),
        ("tiny.onnx", &["--front-end", "musicnn"], &["187 frames", "--front-end"]),
        ("tiny.onnx", &["--front-end", "mel.json"], &["mel.json"]),
        ("nowhere.onnx", &vggish, &["no such backbone", "yamnet, musicnn, vggish"]),
        ("nowhere.onnx", &[], &["no such backbone"]),
        ("cut.onnx", &vggish, &["truncated"]),
        ("text.onnx", &vggish, &["not an ONNX model"]),
        ("empty.onnx", &vggish, &["empty"]),
        (
            "pooled.onnx",
            &["--front-end", "vggish", "--unfreeze", "1"],
            &["operator MaxPool", "\"MaxPool_pooled\"", "leave out --unfreeze"],
        ),
    ] {
        let arguments = [&["--data", "music", "--backbone", file], more].concat();
        let named = if more.contains(&"mel.json") { "mel.json" } else { file };
        refused(&desk, &arguments, 1, &[&[named], advice].concat());
    }
}

#[test]
fn a_backbone_that_cannot_be_imported_works_frozen() {
    let desk = Desk::new();
    desk.backbone("pooled.onnx", &with_three_axes(vggish(Style::TorchScript, 64, 1)));
    let more = ["--backbone", "pooled.onnx", "--front-end", "vggish", "--json"];
    let ran = desk.finetune(&training("a", &more)).succeeded();
    assert!(ran.err.contains("note: pooled.onnx: operator MaxPool"), "{ran:#?}");
    let files = desk.names("runs/a");
    for file in ["backbone.onnx", "head.bpk", "model.onnx"] {
        assert!(files.contains(&file.to_owned()), "no {file} in {files:?}");
    }
    let Spec::Backbone(spec) = Run::open(&desk.path("runs/a")).unwrap().model_spec().unwrap()
    else {
        panic!("no head on a backbone");
    };
    assert!(!spec.imported);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(report["metrics"]["test"]["tracks"]["accuracy"].as_f64().unwrap() > 0.6, "{report}");
    let tract = &report["export"]["agreement"][0];
    let digits = tract["max_abs_difference"].to_string();
    assert!(digits.len() < 16, "more digits than an f32 has: {digits}");
    assert_eq!(tract["runtime"], "tract");
    assert!(tract["max_abs_difference"].as_f64().unwrap() < 1e-4, "{report}");
}

#[test]
fn an_output_folder_that_cannot_be_written_is_refused() {
    let desk = Desk::new();
    fs::write(desk.path("file"), "").unwrap();
    let arguments = [&["--data", "music", "--runs", "file/runs"], &TINY[..]].concat();
    refused(&desk, &arguments, 1, &["file/runs", "directory"]);
}

#[test]
fn without_arguments_the_demo_set_and_yamnet_are_used() {
    let desk = Desk::bare();
    let ran = desk.finetune(&[]).succeeded();
    assert!(ran.err.contains("demo") && ran.err.contains("says nothing"), "{ran:#?}");
    assert!(ran.out.contains("yamnet on demo: 120 tracks, 10 genres"), "{ran:#?}");
    assert_eq!(desk.names("runs/yamnet-demo"), FILES);
    // The backbone's own, whose axes are a constant; what is added has none.
    assert_eq!(shape_operators(&desk.path("runs/yamnet-demo/model.onnx")), ["Unsqueeze"]);
    let metrics = Run::open(&desk.path("runs/yamnet-demo")).unwrap().metrics().unwrap();
    assert_eq!((metrics.name(), metrics.data.name.as_str()), ("yamnet", "demo"));
    // Chance is a tenth.
    assert!(metrics.test.single_label().unwrap().tracks.accuracy > 0.3, "{metrics:?}");
}
