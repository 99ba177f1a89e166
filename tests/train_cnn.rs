//! `train-cnn` from the command line, on pictures and on audio: what it learns, keeps,
//! repeats, resumes, searches and refuses.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::fs;
use std::io::BufWriter;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use genre_transfer::dataset::source::Source;
use genre_transfer::run::Run;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runs::{Desk, GENRES, Ran, bytes};
use serde_json::Value;

/// Lowest, middle and highest intensity of the colour map magma.
const COLOURS: [[u8; 3]; 3] = [[0, 0, 4], [183, 55, 121], [252, 253, 191]];

const COLUMNS: usize = 40;
const ROWS: usize = 32;

/// A picture as matplotlib draws one: white margins, a dark frame, the plot.
fn draw(path: &Path, colour: impl Fn(usize, usize) -> [u8; 3]) {
    let (width, height) = (COLUMNS + 12, ROWS + 8);
    let mut pixels = vec![255u8; width * height * 3];
    for y in 0..ROWS + 2 {
        for x in 0..COLUMNS + 2 {
            let inside = (1..=COLUMNS).contains(&x) && (1..=ROWS).contains(&y);
            let colour = if inside { colour(x - 1, y - 1) } else { [51; 3] };
            pixels[((y + 3) * width + x + 5) * 3..][..3].copy_from_slice(&colour);
        }
    }
    encode(path, &pixels, [width, height], png::ColorType::Rgb, png::BitDepth::Eight);
}

fn encode(
    path: &Path,
    data: &[u8],
    size: [usize; 2],
    colour: png::ColorType,
    depth: png::BitDepth,
) {
    let file = BufWriter::new(fs::File::create(path).unwrap());
    let mut encoder = png::Encoder::new(file, size[0] as u32, size[1] as u32);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
}

/// A collection in `pictures`, eight tracks in each of three genres that differ in where
/// the picture is bright.
fn pictures(desk: &Desk) {
    for (label, genre) in GENRES.iter().enumerate() {
        let folder = desk.path("pictures").join(genre);
        fs::create_dir_all(&folder).unwrap();
        for track in 0..8 {
            let mut random = ChaCha8Rng::seed_from_u64((label * 100 + track) as u64);
            let noise: Vec<bool> = (0..COLUMNS * ROWS).map(|_| random.random_bool(0.2)).collect();
            draw(&folder.join(format!("{track}.png")), |x, y| {
                let bright = y * GENRES.len() / ROWS == label;
                COLOURS[usize::from(bright) + usize::from(noise[y * COLUMNS + x])]
            });
        }
    }
}

/// A network that learns the pictures in seconds.
const TINY: &str = "filters = [4, 8]\nkeep_bands = true\ndropout = 0.1\n";

const SMALL: [&str; 8] = [
    "--data",
    "pictures",
    "--config",
    "tiny.toml",
    "--mels=16",
    "--patch-frames=16",
    "--batch=8",
    "--lr=0.02",
];

fn desk() -> Desk {
    let desk = Desk::bare();
    pictures(&desk);
    fs::write(desk.path("tiny.toml"), TINY).unwrap();
    desk
}

/// Trains on the pictures; an option in `more` takes the place of the same one in [`SMALL`].
fn train_cnn(desk: &Desk, more: &[&str]) -> Ran {
    let replaced =
        |given: &&str| given.split_once('=').is_some_and(|(option, _)| more.contains(&option));
    let kept: Vec<&str> = SMALL.into_iter().filter(|given| !replaced(given)).collect();
    let arguments = [&kept[..], more].concat();
    Ran::from(desk.command(env!("CARGO_BIN_EXE_train-cnn"), &arguments).output().unwrap())
}

/// The JSON without what differs between two equal runs: times.
fn timeless(mut json: Value) -> Value {
    fn strip(json: &mut Value) {
        match json {
            Value::Object(entries) => {
                ["seconds", "waiting"].iter().for_each(|key| drop(entries.remove(*key)));
                entries.values_mut().for_each(strip);
            }
            Value::Array(entries) => entries.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut json);
    json
}

fn results(desk: &Desk, run: &str) -> [Value; 3] {
    ["metrics.json", "history.json", "predictions.json"]
        .map(|file| timeless(desk.json(&format!("runs/{run}/{file}"))))
}

#[test]
fn pictures_are_learned_exported_and_benchmarked() {
    let desk = desk();
    let ran = train_cnn(&desk, &["--epochs", "12", "--name", "a", "--json"]).succeeded();
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        desk.names("runs/a"),
        [
            "config.json",
            "curves.svg",
            "history.json",
            "labels.txt",
            "metrics.json",
            "model.json",
            "model.onnx",
            "predictions.json",
            "preprocessor.json",
            "split.json",
            "trust.json",
            "weights.bpk"
        ]
    );
    let metrics = Run::open(&desk.path("runs/a")).unwrap().metrics().unwrap();
    // Chance is a third.
    assert!(metrics.test.single_label().unwrap().tracks.accuracy > 0.6, "{metrics:?}");
    let cnn = metrics.cnn.unwrap();
    assert_eq!((cnn.members.len(), cnn.test_uses, cnn.source), (1, 1, Source::Pictures));
    assert!(cnn.members[0].speed.examples >= 12 * 12);
    for agreement in report["export"]["agreement"].as_array().unwrap() {
        assert!(agreement["max_abs_difference"].as_f64().unwrap_or(0.0) < 1e-4, "{agreement}");
    }
    // How the pictures were drawn from samples is not known.
    for input in ["waveform", "clip"] {
        desk.export(&["runs/a", "--input", input]).refused(1, &["runs/a", "pictures", "log-mel"]);
    }
    let whole = bytes(&desk.path("runs/a/model.onnx"));
    desk.export(&["runs/a"]).succeeded();
    assert!(bytes(&desk.path("runs/a/model.onnx")) == whole);
    // The accuracy of the exported file, measured by another program, is the run's own.
    let bench = ["runs/a", "--runtimes", "burn,tract", "--batch", "4", "--threads", "1"];
    let bench = [&bench[..], &["--seconds", "0.1", "--output", "bench"]].concat();
    let program = env!("CARGO_BIN_EXE_bench-runtimes");
    Ran::from(desk.command(program, &bench).output().unwrap()).succeeded();
    for row in desk.json("bench/bench.json")["rows"].as_array().unwrap() {
        let accuracy = row["accuracy"].as_f64().unwrap_or_else(|| panic!("{row}"));
        assert!(
            (accuracy - metrics.test.single_label().unwrap().tracks.accuracy).abs() < 1e-9,
            "{row}"
        );
    }
}

#[test]
fn folds_become_one_model_whose_members_were_each_validated_on_their_fold() {
    let desk = desk();
    train_cnn(&desk, &["--epochs", "6", "--name", "a", "--folds", "3"]).succeeded();
    let run = Run::open(&desk.path("runs/a")).unwrap();
    let cnn = run.metrics().unwrap().cnn.unwrap();
    assert_eq!(cnn.members.len(), 3);
    let mean = cnn.members.iter().map(|m| m.validation.unwrap().quality.value()).sum::<f64>() / 3.0;
    assert!((cnn.validation.unwrap().quality.value() - mean).abs() < 0.1, "{cnn:?}");
    let stages = stages(&desk, "a");
    assert_eq!((&*stages[0], &*stages[17]), ("network 1", "network 3"));
}

/// What each epoch of a run was of.
fn stages(desk: &Desk, run: &str) -> Vec<String> {
    let history = desk.json(&format!("runs/{run}/history.json"));
    let stage = |epoch: &Value| epoch["stage"].as_str().unwrap().to_owned();
    history.as_array().unwrap().iter().map(stage).collect()
}

#[test]
fn networks_are_trained_again_on_all_that_may_be_learned_from() {
    let desk = desk();
    train_cnn(&desk, &["--epochs", "6", "--name", "once"]).succeeded();
    train_cnn(&desk, &["--epochs", "6", "--name", "again", "--refit"]).succeeded();
    train_cnn(&desk, &["--epochs", "3", "--name", "folds", "--refit", "--folds", "2"]).succeeded();
    let [once, again, folds] = ["once", "again", "folds"].map(|name| {
        let run = Run::open(&desk.path("runs").join(name)).unwrap();
        (run.metrics().unwrap().cnn.unwrap(), run.trust().unwrap().unwrap())
    });
    let best = again.0.members[0].epoch;
    let stages_of = stages(&desk, "again");
    assert_eq!(stages_of[..6], stages(&desk, "once"));
    assert_eq!(stages_of[6..], vec!["network again".to_owned(); best]);
    let last = &desk.json("runs/again/history.json")[5 + best];
    assert!(last["validation_loss"].is_null(), "{last}");
    // It is the first network that the validation tracks tell of, and the second that is kept.
    assert_eq!(once.0.validation, again.0.validation);
    assert_eq!(once.1.temperature, again.1.temperature);
    assert!(once.1.outsider.is_some() && again.1.outsider.is_none());
    let weights =
        ["once", "again"].map(|run| bytes(&desk.path("runs").join(run).join("weights.bpk")));
    assert!(weights[0] != weights[1]);

    assert_eq!((folds.0.members.len(), folds.1.outsider), (2, None));
    let stages_of = stages(&desk, "folds");
    let (first, second) = (&stages_of[..6], &stages_of[6..]);
    assert!(first.iter().all(|stage| !stage.ends_with("again")), "{stages_of:?}");
    let count = |name: &str| second.iter().filter(|stage| *stage == name).count();
    let counts = ["network 1 again", "network 2 again"].map(count);
    assert_eq!(counts.to_vec(), folds.0.members.iter().map(|m| m.epoch).collect::<Vec<_>>());
}

#[test]
fn audio_is_learned_too_and_the_same_seed_gives_the_same_files() {
    let desk = Desk::new();
    fs::write(desk.path("tiny.toml"), TINY).unwrap();
    let audio = ["--data", "music", "--config", "tiny.toml", "--patch-frames", "32", "--batch"];
    let audio = [&audio[..], &["8", "--epochs", "3", "--source", "audio", "--name"]].concat();
    let train = |name| {
        let arguments = [&audio[..], &[name]].concat();
        let program = env!("CARGO_BIN_EXE_train-cnn");
        Ran::from(desk.command(program, &arguments).output().unwrap()).succeeded();
    };
    train("a");
    train("b");
    for file in ["weights.bpk", "model.onnx", "predictions.json", "split.json"] {
        let [a, b] = ["a", "b"].map(|run| bytes(&desk.path("runs").join(run).join(file)));
        // The second look at the test part is counted in the metadata's metrics only.
        assert!(a == b, "{file} differs");
    }
    assert_eq!(desk.json("runs/b/metrics.json")["cnn"]["test_uses"], 2);
}

/// Kills `child` once the first checkpoint of this network is there; false if it ended before.
fn kill_after_checkpoint(desk: &Desk, run: &str, network: &str, mut child: Child) -> bool {
    let checkpoint = desk.path("runs").join(run).join("checkpoint").join(network);
    let latest = checkpoint.join("latest.json");
    while !latest.exists() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    std::thread::sleep(Duration::from_millis(20));
    let ended = child.try_wait().unwrap().is_some();
    child.kill().unwrap();
    child.wait().unwrap();
    !ended
}

#[test]
fn a_killed_run_resumes_to_the_same_end() {
    a_run_resumes_to_the_same_end(&[], "member-0");
}

#[test]
fn a_run_that_is_killed_while_it_trains_again_resumes_to_the_same_end() {
    a_run_resumes_to_the_same_end(&["--refit"], "member-0-again");
}

fn a_run_resumes_to_the_same_end(more: &[&str], network: &str) {
    let desk = desk();
    let killed = ["20", "80", "320"].into_iter().find(|epochs| {
        let _ = fs::remove_dir_all(desk.path("runs"));
        let arguments = [&SMALL[..], more, &["--name", "killed", "--epochs", epochs]].concat();
        let child = desk.command(env!("CARGO_BIN_EXE_train-cnn"), &arguments).spawn().unwrap();
        kill_after_checkpoint(&desk, "killed", network, child)
    });
    let epochs = killed.expect("every run ended before it could be killed");
    let resume = ["--resume", "runs/killed"];
    Ran::from(desk.command(env!("CARGO_BIN_EXE_train-cnn"), &resume).output().unwrap()).succeeded();
    let _ = fs::remove_file(desk.path("runs/test-uses.json"));
    train_cnn(&desk, &[more, &["--name", "whole", "--epochs", epochs]].concat()).succeeded();
    assert_eq!(results(&desk, "killed"), results(&desk, "whole"));
    let [killed, whole] =
        ["killed", "whole"].map(|run| bytes(&desk.path("runs").join(run).join("model.onnx")));
    assert!(killed == whole, "model.onnx differs");
}

/// A quick search on the pictures.
fn search(desk: &Desk, more: &[&str]) -> Ran {
    let arguments = ["--data", "pictures", "--mels", "16", "--patch-frames", "16", "--search"];
    let quick = ["--quick", "--epochs", "2"];
    let arguments = [&arguments[..], &quick, more].concat();
    Ran::from(desk.command(env!("CARGO_BIN_EXE_train-cnn"), &arguments).output().unwrap())
}

#[test]
fn a_search_in_which_every_architecture_diverges_says_so() {
    let desk = Desk::bare();
    pictures(&desk);
    // The first is a preset, which takes the rate and the decay that are given: the weights grow
    // a million times with each step.
    let absurd = ["--configurations", "1", "--lr", "999", "--weight-decay", "999"];
    let ran = search(&desk, &[&absurd[..], &["--batch", "1", "--name", "wild"]].concat());
    ran.refused(1, &["every architecture diverged", "--lr"]);
    let board = desk.json("runs/wild/search.json");
    for trial in board["trials"].as_array().unwrap() {
        assert!(trial["rungs"][0]["validation"].is_null(), "{trial}");
    }
    assert!(!desk.path("runs/wild/metrics.json").exists(), "nothing was trained or tested");
}

#[test]
fn a_search_tests_its_winner_once() {
    let desk = Desk::bare();
    pictures(&desk);
    let search =
        |more: &[&str]| search(&desk, &[&["--configurations", "4", "--batch", "8"], more].concat());
    let ran = search(&["--name", "first"]).succeeded();
    assert!(ran.err.contains("architecture"), "{ran:#?}");
    let board = desk.json("runs/first/search.json");
    let winner = board["winner"].as_u64().unwrap() as usize;
    let metrics = desk.json("runs/first/metrics.json");
    assert_eq!(board["trials"].as_array().unwrap().len(), 4);
    assert_eq!(board["trials"][winner - 1]["cnn"], metrics["cnn"]["architecture"]);
    assert_eq!(metrics["cnn"]["test_uses"], 1);
    search(&["--name", "second"]).refused(1, &["first", "--again"]);
    assert!(!desk.path("runs/second").exists());
    search(&["--name", "second", "--again"]).succeeded();
    assert_eq!(desk.json("runs/second/metrics.json")["cnn"]["test_uses"], 2);
    search(&["--name", "third", "--seed", "1"]).succeeded();
    assert_eq!(desk.json("runs/third/metrics.json")["cnn"]["test_uses"], 1);
}

#[test]
fn a_teacher_is_learned_from_unless_it_has_seen_the_test_part() {
    let desk = desk();
    train_cnn(&desk, &["--name", "teacher", "--epochs", "4"]).succeeded();
    let ran = train_cnn(&desk, &["--name", "pupil", "--epochs", "2", "--teacher", "runs/teacher"]);
    assert!(ran.succeeded().err.contains("the teacher knows"), "it must say what it knows");
    let refused = ["--name", "other", "--seed", "3", "--teacher", "runs/teacher"];
    train_cnn(&desk, &refused).refused(1, &["test part", "--split"]);
    assert!(!desk.path("runs/other").exists());
}

#[test]
fn pictures_that_cannot_be_used_are_skipped_with_the_reason() {
    let desk = desk();
    let low = desk.path("pictures/low");
    let white = vec![255u8; 52 * 40 * 3];
    let eight = png::BitDepth::Eight;
    encode(&low.join("white.png"), &white, [52, 40], png::ColorType::Rgb, eight);
    encode(&low.join("grey.png"), &white[..52 * 40], [52, 40], png::ColorType::Grayscale, eight);
    fs::write(low.join("text.png"), "no picture").unwrap();
    let whole = bytes(&low.join("0.png"));
    fs::write(low.join("cut.png"), &whole[..whole.len() / 2]).unwrap();
    draw(&low.join("colours.png"), |x, y| [(x * 6) as u8, 200 - (y * 5) as u8, (x * y) as u8]);
    // 16-bit samples and palettes are other ways to write the same picture.
    let mut wide = vec![];
    let reader = png::Decoder::new(std::io::Cursor::new(&whole)).read_info();
    let mut reader = reader.unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut data).unwrap();
    data.iter().for_each(|value| wide.extend([*value, *value]));
    let sixteen = png::BitDepth::Sixteen;
    encode(&low.join("sixteen.png"), &wide, [52, 40], png::ColorType::Rgb, sixteen);
    let ran = train_cnn(&desk, &["--name", "a", "--epochs", "1"]).succeeded();
    for (file, reason) in [
        ("white.png", "all white"),
        ("grey.png", "all white"),
        ("text.png", ""),
        ("cut.png", ""),
        ("colours.png", "no spectrogram in a known colour map"),
    ] {
        let line = ran.err.lines().find(|line| line.contains(file));
        let line = line.unwrap_or_else(|| panic!("nothing said of {file}: {ran:#?}"));
        assert!(line.contains("skipped") && line.contains(reason), "{line}");
    }
    // It is read, and known for what it is.
    assert!(!ran.err.contains("skipped: pictures/low/sixteen.png"), "{ran:#?}");
    assert!(ran.err.contains("low/sixteen.png is low/0.png"), "{ran:#?}");
    train_cnn(&desk, &["--strict", "--name", "b"]).refused(1, &["--strict"]);
}

/// The pictures' own plots, smaller by half, in grey and without margins.
fn draw_small(path: &Path, picture: &Path) {
    let reader = png::Decoder::new(std::io::BufReader::new(fs::File::open(picture).unwrap()));
    let mut reader = reader.read_info().unwrap();
    let mut data = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut data).unwrap();
    let pixel = |x: usize, y: usize| data[((y + 4) * (COLUMNS + 12) + x + 6) * 3];
    let places = (0..ROWS / 2).flat_map(|y| (0..COLUMNS / 2).map(move |x| (x * 2, y * 2)));
    let grey: Vec<u8> = places.map(|(x, y)| pixel(x, y)).collect();
    let size = [COLUMNS / 2, ROWS / 2];
    encode(path, &grey, size, png::ColorType::Grayscale, png::BitDepth::Eight);
}

#[test]
fn pictures_of_other_sizes_and_forms_are_read_and_said() {
    let desk = desk();
    let low = desk.path("pictures/low");
    draw_small(&low.join("small.png"), &low.join("0.png"));
    let ran = train_cnn(&desk, &["--name", "a", "--epochs", "1", "--json"]).succeeded();
    for said in [
        "pictures: 24 x plot, colour map magma (residual 0.0 of 255); 1 x whole picture, colour \
         map gray",
        "the pictures are of 2 kinds",
        "1 of 25 pictures are of another size than the first and were resized to it",
    ] {
        assert!(ran.err.contains(said), "{said}: {ran:#?}");
    }
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let pictures = &report["metrics"]["cnn"]["pictures"];
    assert_eq!(pictures[0]["form"], "plot");
    assert_eq!(
        (&pictures[0]["colour_map"], &pictures[0]["pictures"]),
        (&"magma".into(), &24.into())
    );
    assert_eq!(pictures[1]["colour_map"], "gray");
    assert_eq!(desk.json("runs/a/preprocessor.json")["colormap"], "magma");
    // A map that is given must be the pictures'.
    let ran = train_cnn(&desk, &["--name", "b", "--colour-map", "viridis"]);
    ran.refused(1, &["magma's, not those of --colour-map viridis"]);
    let ran = train_cnn(&desk, &["--name", "b", "--colour-map", "magna"]);
    ran.refused(1, &["unknown colour map \"magna\"", "viridis"]);
    let ran = train_cnn(&desk, &["--name", "b", "--epochs", "1", "--colour-map", "magma_r"]);
    assert!(ran.succeeded().err.contains("colour map magma_r"));
    assert_eq!(desk.json("runs/b/preprocessor.json")["colormap"], "magma_r");
}

fn classify(desk: &Desk, arguments: &[&str]) -> Ran {
    let program = env!("CARGO_BIN_EXE_classify");
    Ran::from(desk.command(program, arguments).output().unwrap())
}

#[test]
fn a_model_of_pictures_classifies_pictures() {
    let desk = desk();
    train_cnn(&desk, &["--name", "a", "--epochs", "12"]).succeeded();
    let run = Run::open(&desk.path("runs/a")).unwrap();
    let ran = classify(&desk, &["pictures", "--model", "runs/a", "--json"]).succeeded();
    let answers: Vec<Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 24);
    // Each test picture is told as the training told it.
    for prediction in run.predictions().unwrap() {
        let of_track = |answer: &&Value| {
            answer["file"].as_str().unwrap().ends_with(&format!("pictures/{}", prediction.track))
        };
        let answer = answers.iter().find(of_track).unwrap();
        assert_eq!(answer["genre"], prediction.predicted, "{answer}");
        let labels = run.labels().unwrap();
        for (label, wanted) in labels.iter().zip(&prediction.probabilities) {
            let found = answer["probabilities"][label].as_f64().unwrap();
            assert!((found - f64::from(*wanted)).abs() < 1e-4, "{answer}");
        }
        assert_eq!(answer["seconds"], Value::Null);
        assert_eq!(answer["picture"]["form"], "plot");
        assert_eq!(answer["picture"]["colour_map"], "magma");
    }
    let ran = classify(&desk, &["pictures/low/*.png", "--model", "runs/a"]).succeeded();
    assert!(ran.out.contains("(plot, colour map magma (residual 0.0 of 255))"), "{ran:#?}");
    assert!(ran.err.contains("8 of 8 pictures"), "{ran:#?}");
    let table = ["pictures", "--model", "runs/a", "--csv", "all.csv"];
    classify(&desk, &table).succeeded();
    assert_eq!(desk.text("all.csv").lines().count(), 25);
    let table = ["pictures", "--model", "runs/a", "--output", "all.parquet"];
    classify(&desk, &table).succeeded();
    assert!(bytes(&desk.path("all.parquet")).ends_with(b"PAR1"));

    let refused = |arguments: &[&str], words: &[&str]| {
        let arguments = [arguments, &["--model", "runs/a"]].concat();
        classify(&desk, &arguments).refused(1, words);
    };
    refused(&["pictures", "--timeline"], &["--timeline", "seconds"]);
    draw(&desk.path("photo.png"), |x, y| [(x * 6) as u8, 200 - (y * 5) as u8, (x * y) as u8]);
    refused(&["photo.png"], &["photo.png: no spectrogram", "residual", "magma"]);
    let song = desk.path("song.wav");
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&song, spec).unwrap();
    (0..8000).for_each(|at| writer.write_sample((at % 90 * 300) as i16).unwrap());
    writer.finalize().unwrap();
    refused(&["song.wav"], &["song.wav: a recording, and the model looks at pictures"]);
    fs::create_dir(desk.path("music")).unwrap();
    fs::rename(&song, desk.path("music/song.wav")).unwrap();
    refused(&["music"], &["there are no pictures in this folder"]);
}

#[test]
fn wrong_options_are_refused_before_anything_is_written() {
    let desk = desk();
    let refused = |more: &[&str], code, words: &[&str]| {
        train_cnn(&desk, more).refused(code, words);
        assert_eq!(desk.names("runs"), [""; 0], "{more:?}");
    };
    refused(&["--lr", "-1"], 1, &["--lr -1"]);
    refused(&["--mixup", "-1"], 1, &["--mixup -1: give a number from 0 to below 1000"]);
    refused(&["--warm-up", "1.5"], 1, &["--warm-up"]);
    refused(&["--folds", "1"], 1, &["--folds", "at least 2"]);
    refused(&["--batch", "0"], 1, &["--batch", "at least 1"]);
    refused(&["--patch-frames", "41"], 1, &["40 columns"]);
    refused(&["--mels", "33"], 1, &["32 rows"]);
    refused(&["--quick"], 2, &["--search"]);
    refused(&["--teacher", "runs/none"], 1, &["runs/none"]);
    for (toml, words) in [
        ("filters = [0]", &["block 1", "filters"][..]),
        ("filters = [4, 4, 4, 4, 4]", &["pooling of block 5"]),
        ("kernel = 2", &["kernel"]),
        ("filter = [4]", &["tiny.toml", "filter"]),
        ("filters = ", &["tiny.toml"]),
    ] {
        fs::write(desk.path("tiny.toml"), toml).unwrap();
        refused(&[], 1, words);
    }
    fs::remove_file(desk.path("tiny.toml")).unwrap();
    refused(&[], 1, &["tiny.toml"]);
}
