//! Classical baselines: from a table of features, or from audio, to a proved ONNX file.
#![cfg(feature = "train")]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use genre_transfer::audio::Audio;
use genre_transfer::dataset::{FeatureTable, Method, Split};
use genre_transfer::features::descriptors::{self, Descriptors};
use genre_transfer::metrics::{mean_probabilities, tempered};
use genre_transfer::onnx;
use genre_transfer::runtime::{self, Options, Runtime};
use ndarray::ArrayD;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runs::{Desk, Ran, bytes};
use serde_json::Value;

const KINDS: [&str; 6] = ["knn", "logistic", "svm", "forest", "boosting", "mlp"];

/// Songs a genre in [`table`].
const SONGS: usize = 12;

/// A table with noisy features that differ between genres; `windows` rows a song, or one
/// row that is the song if 0. Songs are `variety` times as different as genres are.
fn table(genres: &[&str], windows: usize, variety: f32) -> String {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut text = format!("filename,length,{},label\n", descriptors::names().join(","));
    for (label, genre) in genres.iter().enumerate() {
        for song in 0..SONGS {
            // A song sounds like itself more than like its genre.
            let own: Vec<f32> =
                (0..descriptors::COUNT).map(|_| random.random_range(-variety..variety)).collect();
            for window in 0..windows.max(1) {
                let number = if windows == 0 { String::new() } else { format!(".{window}") };
                text += &format!("{genre}.{song:05}{number}.wav,66150");
                for (feature, own) in own.iter().enumerate() {
                    let scale = 10f32.powi(feature as i32 % 7 - 3);
                    let genre = if feature % genres.len() == label { 2.0 } else { 0.0 };
                    let noise = random.random_range(-0.3..0.3);
                    text += &format!(",{}", scale * (5.0 + genre + own + noise));
                }
                text += &format!(",{genre}\n");
            }
        }
    }
    text
}

/// A folder to work in with `songs.csv`, three genres of songs, and `windows.csv`.
fn desk() -> Desk {
    let desk = Desk::bare();
    fs::write(desk.path("songs.csv"), table(&["blues", "jazz", "rock"], 0, 1.0)).unwrap();
    fs::write(desk.path("windows.csv"), table(&["blues", "jazz", "rock"], 4, 1.0)).unwrap();
    desk
}

fn baseline(desk: &Desk, arguments: &[&str]) -> Ran {
    let program = env!("CARGO_BIN_EXE_baseline");
    Ran::from(desk.command(program, arguments).output().unwrap())
}

fn runtimes() -> Vec<Runtime> {
    let found = runtime::preferred() == Runtime::Ort;
    let wanted = std::env::var_os("GENRE_TRANSFER_REQUIRE_ORT").is_some();
    assert!(found || !wanted, "GENRE_TRANSFER_REQUIRE_ORT is set but libonnxruntime is not found");
    if found { vec![Runtime::Ort, Runtime::Tract] } else { vec![Runtime::Tract] }
}

/// Checks that `model` answers for the table's rows as the run's predictions say.
fn check_predictions(desk: &Desk, run: &str, table: &FeatureTable, runtime: Runtime) {
    let model = desk.path(run).join("model.onnx");
    let mut session = runtime::open(runtime, &model, &Options::default()).unwrap();
    assert_eq!(session.input().name, "features");
    assert_eq!(session.input().dims, [None, Some(57)]);
    assert_eq!(session.outputs()[0], "probabilities");
    // The file judges a song of one row as the run does; of several, the mean is calibrated.
    let temperature = (table.windows && desk.path(run).join("trust.json").is_file())
        .then(|| desk.json(&format!("{run}/trust.json"))["temperature"].as_f64().unwrap());
    let predictions = desk.json(&format!("{run}/predictions.json"));
    for prediction in predictions.as_array().unwrap() {
        let rows: Vec<_> =
            table.rows.iter().filter(|row| prediction["track"] == row.song.as_str()).collect();
        let data: Vec<f32> = rows.iter().flat_map(|row| &row.values).copied().collect();
        let input = ArrayD::from_shape_vec(vec![rows.len(), 57], data).unwrap();
        let answer = session.run(input.view()).unwrap().remove(0);
        let wanted: Vec<f32> = serde_json::from_value(prediction["probabilities"].clone()).unwrap();
        assert_eq!(answer.shape(), [rows.len(), wanted.len()]);
        let values: Vec<f32> = answer.iter().copied().collect();
        let mut means = mean_probabilities(&values, table.genres.len());
        if let Some(temperature) = temperature {
            means = tempered(&means, temperature);
        }
        for (mean, wanted) in means.iter().zip(&wanted) {
            assert!((mean - wanted).abs() < 2.5e-3, "{run} in {runtime}: {mean}, not {wanted}");
        }
    }
}

#[test]
fn exporting_a_baseline_copies_the_file_that_was_proved() {
    let desk = desk();
    baseline(&desk, &["--features", "songs.csv", "--quick", "--model", "knn", "--name", "a"])
        .succeeded();
    let run = desk.names("runs").remove(0);
    let run = format!("runs/{run}");
    let model = desk.path(&run).join("model.onnx");
    let there = ["is a baseline", "already there", "model.onnx", "features"];
    let ran = desk.export(&[&run, "-o", "copy.onnx"]).succeeded();
    there.iter().for_each(|word| assert!(ran.err.contains(word), "{ran:#?}"));
    assert!(bytes(&desk.path("copy.onnx")) == bytes(&model));
    assert!(desk.export(&[&run]).succeeded().out.contains("model.onnx"));
    desk.export(&[&run, "--input", "waveform"]).refused(1, &there);
    fs::write(&model, "other").unwrap();
    desk.export(&[&run, "-o", "other.onnx"])
        .refused(1, &["model.onnx", "train the baseline again"]);
    assert!(!desk.path("other.onnx").exists());
}

#[test]
fn every_model_learns_and_its_file_answers_as_it_does() {
    let desk = desk();
    fs::write(desk.path("two.csv"), table(&["blues", "rock"], 3, 1.0)).unwrap();
    for (file, name) in [("songs.csv", "three"), ("two.csv", "two")] {
        let arguments = ["--features", file, "--quick", "--name", name, "--json"];
        let ran = baseline(&desk, &arguments).succeeded();
        let reported: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(reported.as_array().unwrap().len(), KINDS.len());
        let table = FeatureTable::read(&desk.path(file), None).unwrap();
        for (kind, reported) in KINDS.iter().zip(reported.as_array().unwrap()) {
            let run = format!("runs/{name}-{kind}");
            let metrics = desk.json(&format!("{run}/metrics.json"));
            assert_eq!(metrics, reported["metrics"], "{run}");
            assert_eq!(
                (&metrics["kind"], &metrics["model"]),
                (&"baseline".into(), &(*kind).into())
            );
            let accuracy = metrics["test"]["tracks"]["accuracy"].as_f64().unwrap();
            assert!(accuracy > 0.6, "{run}: {accuracy}");
            for runtime in runtimes() {
                // What tract has no operator for is said, and not checked.
                let agreement = metrics["export"]["agreement"].as_array().unwrap();
                let found = agreement.iter().find(|a| a["runtime"] == runtime.name()).unwrap();
                if *kind == "svm" && runtime == Runtime::Tract {
                    assert_eq!(found["max_abs_difference"], Value::Null);
                    assert_eq!(found["reason"], "tract: it has no operator SVMClassifier");
                    continue;
                }
                let tolerance = if *kind == "svm" { 2.5e-3 } else { 1e-4 };
                let difference = found["max_abs_difference"].as_f64().unwrap();
                assert!(difference <= tolerance, "{run}: {found}");
                check_predictions(&desk, &run, &table, runtime);
            }
        }
    }
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

#[test]
fn the_file_says_what_it_is_and_the_checker_accepts_it() {
    let desk = desk();
    baseline(&desk, &["--features", "songs.csv", "--quick", "--name", "a"]).succeeded();
    let paths = KINDS.map(|kind| desk.path(&format!("runs/a-{kind}/model.onnx")));
    for (kind, path) in KINDS.iter().zip(&paths) {
        let metadata = onnx::metadata(&onnx::read(path).unwrap());
        let json = |key: &str| -> Value { serde_json::from_str(&metadata[key]).unwrap() };
        assert_eq!(json("labels"), serde_json::json!(["blues", "jazz", "rock"]));
        assert_eq!(json("features"), serde_json::json!(descriptors::names()));
        assert_eq!(metadata["model"], *kind);
        let metrics = desk.json(&format!("runs/a-{kind}/metrics.json"));
        assert_eq!(json("hyper_parameters"), metrics["hyper_parameters"]);
        assert_eq!(json("training_data"), metrics["data"]);
        assert_eq!(json("metrics")["test_track_accuracy"], metrics["test"]["tracks"]["accuracy"]);
        assert_eq!(json("split")["leaky"], false);
        assert_eq!(desk.text(&format!("runs/a-{kind}/labels.txt")), "blues\njazz\nrock\n");
    }
    let Some(python) = std::env::var_os("GENRE_TRANSFER_PYTHON") else {
        eprintln!("skipped: GENRE_TRANSFER_PYTHON is not set to a Python with the package onnx");
        return;
    };
    let program = "import onnx, sys\n\
                   for path in sys.argv[1:]: onnx.checker.check_model(path, full_check=True)";
    let output = Command::new(python).args(["-c", program]).args(paths).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn windows_of_a_song_stay_together_unless_they_are_to_leak() {
    let desk = desk();
    fs::write(desk.path("own.csv"), table(&["blues", "jazz", "rock"], 4, 15.0)).unwrap();
    let models = ["--features", "own.csv", "--model", "knn"];
    baseline(&desk, &[&models[..], &["--name", "honest"]].concat()).succeeded();
    let ran = baseline(&desk, &[&models[..], &["--name", "leaky", "--leaky"]].concat()).succeeded();
    assert!(ran.out.contains("LEAKY SPLIT") && ran.err.contains("LEAKY"), "{ran:#?}");

    let songs = |ids: &[String]| -> HashSet<String> {
        let song = |id: &String| id.split('.').take(2).collect::<Vec<_>>().join(".");
        ids.iter().map(song).collect()
    };
    for (run, leaky) in [("honest", false), ("leaky", true)] {
        let split = Split::load(&desk.path(&format!("runs/{run}-knn/split.json"))).unwrap();
        assert_eq!(split.method == Method::LeakyWindows, leaky);
        let train = songs(&[split.train, split.validation].concat());
        assert_eq!(train.is_disjoint(&songs(&split.test)), !leaky);
        let metrics = desk.json(&format!("runs/{run}-knn/metrics.json"));
        assert_eq!((&metrics["leaky"], &metrics["windows"]), (&leaky.into(), &true.into()));
        let model = desk.path(&format!("runs/{run}-knn/model.onnx"));
        let metadata = onnx::metadata(&onnx::read(&model).unwrap());
        assert_eq!(metadata["split"].contains("\"leaky\":true"), leaky);
        assert_eq!(metadata["metrics"].contains("\"leaky\":true"), leaky);
    }
    let honest = desk.json("runs/honest-knn/metrics.json");
    let test = &honest["test"];
    let songs = test["tracks"]["count"].as_u64().unwrap();
    assert_eq!(test["patches"].as_u64().unwrap(), 4 * songs);
    // What leaks is that songs sound like themselves.
    let leaky = desk.json("runs/leaky-knn/metrics.json");
    let accuracy = |metrics: &Value| metrics["test"]["patch_accuracy"].as_f64().unwrap();
    assert!(accuracy(&leaky) > accuracy(&honest), "{leaky:#?}");
}

#[test]
fn another_runs_split_is_followed_and_rows_it_does_not_list_are_skipped() {
    let desk = desk();
    let songs = ["--features", "songs.csv", "--model", "logistic", "--quick"];
    baseline(&desk, &[&songs[..], &["--name", "a", "--seed", "3"]].concat()).succeeded();
    let path = desk.path("runs/a-logistic/split.json");
    let mut split = Split::load(&path).unwrap();
    split.train.pop();
    split.save(&desk.path("split.json")).unwrap();
    let windows =
        ["--features", "windows.csv", "--split", "split.json", "--model", "mlp", "--name", "b"];
    let ran = baseline(&desk, &windows).succeeded();
    assert!(ran.err.contains("skipped: 4 rows"), "{ran:#?}");
    let metrics = desk.json("runs/b-mlp/metrics.json");
    assert_eq!(metrics["skipped_rows"], 4);
    let tracks = |run: &str| -> Vec<Value> {
        let predictions = desk.json(&format!("runs/{run}/predictions.json"));
        predictions.as_array().unwrap().iter().map(|p| p["track"].clone()).collect()
    };
    assert_eq!(tracks("a-logistic"), tracks("b-mlp"));
    assert_eq!(Split::load(&desk.path("runs/b-mlp/split.json")).unwrap(), split);
}

#[test]
fn the_same_seed_gives_the_same_files() {
    let desk = desk();
    let train = |name: &str, seed: &str| {
        let songs = ["--features", "songs.csv", "--quick", "--seed", seed, "--name", name];
        baseline(&desk, &songs).succeeded();
    };
    train("a", "7");
    train("b", "7");
    train("c", "8");
    let read = |run: &str, file: &str| bytes(&desk.path(&format!("runs/{run}/{file}")));
    for kind in KINDS {
        for file in ["model.onnx", "predictions.json", "split.json"] {
            let [a, b] = ["a", "b"].map(|name| read(&format!("{name}-{kind}"), file));
            assert!(a == b, "{kind}: {file}");
        }
    }
    assert!(read("a-forest", "model.onnx") != read("c-forest", "model.onnx"));
}

#[test]
fn bad_input_is_refused_by_name_and_leaves_nothing() {
    let desk = desk();
    let broken = |change: fn(&str) -> String| {
        fs::write(desk.path("broken.csv"), change(&desk.text("songs.csv"))).unwrap();
        baseline(&desk, &["--features", "broken.csv", "--model", "knn"])
    };
    type Case = (fn(&str) -> String, &'static [&'static str]);
    let cases: [Case; 8] = [
        (|t| t.replacen("tempo", "bpm", 1), &["broken.csv", "missing columns \"tempo\""]),
        (|t| t.replacen("66150,", "66150,NaN", 1), &["line 2", "\"chroma_stft_mean\"", "NaN"]),
        (|t| t.replacen("66150,", "66150,loud", 1), &["line 2", "not a number"]),
        (|t| t.replacen("blues.00001", "blues.00000", 1), &["line 3", "\"filename\"", "line 2"]),
        (|t| t.replacen(",blues\n", ",blue\n", 1), &["\"blue\" has 1 usable"]),
        (|t| t.replacen(",blues\n", ",\n", 1), &["line 2", "\"label\"", "empty"]),
        (|_| String::new(), &["broken.csv", "empty"]),
        (|t| t.lines().next().unwrap().to_owned(), &["broken.csv", "no rows"]),
    ];
    for (change, words) in cases {
        broken(change).refused(1, words);
    }
    let refuse = |arguments: &[&str], words: &[&str]| baseline(&desk, arguments).refused(1, words);
    refuse(&["--data", "nowhere"], &["nowhere/features_30_sec.csv", "--data"]);
    refuse(&["--features", "songs.csv", "--model", "perceptron"], &["perceptron", "mlp"]);
    refuse(&["--features", "songs.csv", "--test-fraction", "1"], &["--test-fraction 1"]);
    refuse(&["--features", "songs.csv", "--test-fraction", "-1"], &["--test-fraction -1"]);
    refuse(&["--features", "songs.csv", "--leaky"], &["--leaky", "a row a song"]);
    refuse(&["--features", "songs.csv", "--name", "a/b"], &["a/b", "plain name"]);
    refuse(&["--features", "songs.csv", "--leaky", "--split", "x.json"], &["--leaky", "x.json"]);
    baseline(&desk, &["--seed", "x"]).refused(2, &["--seed"]);
    let split = serde_json::json!({
        "method": "stratified", "seed": 0, "test_fraction": 0.2, "validation_fraction": 0.2,
        "fold": null, "genres": ["blues", "jazz"], "train": ["blues/a.wav"],
        "validation": ["blues/b.wav"], "test": ["jazz/c.wav"],
    });
    fs::write(desk.path("split.json"), split.to_string()).unwrap();
    let words = ["songs.csv", "line 26", "unknown label \"rock\"", "blues, jazz"];
    refuse(&["--features", "songs.csv", "--split", "split.json"], &words);
    assert_eq!(desk.names("runs"), [""; 0]);

    // A name that is taken.
    let named = ["--features", "songs.csv", "--model", "knn", "--quick", "--name", "a"];
    baseline(&desk, &named).succeeded();
    refuse(&named, &["runs/a-knn", "--force"]);
    baseline(&desk, &[&named[..], &["--force"]].concat()).succeeded();
    assert_eq!(desk.names("runs"), ["a-knn"]);
}

#[test]
fn runtimes_are_compared_on_the_test_rows() {
    let desk = desk();
    baseline(&desk, &["--features", "windows.csv", "--quick", "--model", "svm,forest"]).succeeded();
    let program = env!("CARGO_BIN_EXE_bench-runtimes");
    let arguments = ["runs/svm-windows", "runs/forest-windows", "--quick", "--batch", "1,7"];
    let arguments = [&arguments[..], &["--threads", "1", "--json"]].concat();
    let ran = Ran::from(desk.command(program, &arguments).output().unwrap()).succeeded();
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    for row in report["rows"].as_array().unwrap() {
        let model = row["model"].as_str().unwrap();
        let reason = row["reason"].as_str().unwrap_or_default();
        match (row["runtime"].as_str().unwrap(), model) {
            ("burn", _) => assert!(reason.contains("not baselines"), "{row}"),
            ("tract", "runs/svm-windows") => assert!(reason.contains("SVMClassifier"), "{row}"),
            ("ort", _) if !runtimes().contains(&Runtime::Ort) => {}
            (_, model) => {
                let metrics = desk.json(&format!("{model}/metrics.json"));
                assert_eq!(row["accuracy"], metrics["test"]["tracks"]["accuracy"], "{row}");
                assert!(row["latency"]["p50_ms"].as_f64().unwrap() > 0.0, "{row}");
            }
        }
    }
}

#[test]
fn audio_becomes_a_table_that_can_be_trained_on() {
    let desk = Desk::new();
    fs::write(desk.path("music/low/broken.wav"), "not audio").unwrap();
    let program = env!("CARGO_BIN_EXE_extract-features");
    let extract =
        |arguments: &[&str]| Ran::from(desk.command(program, arguments).output().unwrap());
    let ran = extract(&["music", "-o", "songs.csv", "--json"]).succeeded();
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&report["rows"], &report["skipped"][0]["path"]),
        (&18.into(), &"music/low/broken.wav".into())
    );
    extract(&["music", "--window", "0.5", "-o", "windows.csv"]).succeeded();
    let windows = FeatureTable::read(&desk.path("windows.csv"), None).unwrap();
    assert_eq!((windows.windows, windows.rows.len()), (true, 18 * 4));
    assert!((windows.seconds - 0.5).abs() < 1e-3);
    for file in ["songs.csv", "windows.csv"] {
        baseline(&desk, &["--features", file, "--model", "svm", "--quick"]).succeeded();
    }
    let accuracy = &desk.json("runs/svm-songs/metrics.json")["test"]["tracks"]["accuracy"];
    assert!(accuracy.as_f64().unwrap() > 0.6, "{accuracy}");

    // The same split as finetune's with the same seed, of the same tracks.
    fs::remove_file(desk.path("music/low/broken.wav")).unwrap();
    let run = desk.train("cnn", &["--epochs", "1"]);
    let split = Split::load(&desk.path("runs/svm-songs/split.json")).unwrap();
    assert_eq!(run.split().unwrap(), split);

    // Files without a genre have no label.
    extract(&["music/low/0.wav", "music/low/1.wav", "-o", "files.csv"]).succeeded();
    assert!(!desk.text("files.csv").contains("label"));
    extract(&["music", "--strict", "--window", "0.01"]).refused(1, &["--window 0.01"]);
    extract(&["music", "--window", "-3"]).refused(1, &["--window -3"]);
    extract(&["nothing.wav"]).refused(1, &["nothing.wav"]);
    extract(&["music", "runs"]).refused(1, &["music", "one folder"]);
    extract(&["runs"]).refused(1, &["runs", "no recordings"]);
    extract(&["music/low/0.wav", "-o", "missing/f.csv"]).refused(1, &["missing/f.csv"]);
    extract(&[]).refused(2, &["<DIR|FILE>"]);
    assert_eq!(desk.scraps(), Vec::<PathBuf>::new());
}

/// What GTZAN's published table says, made with librosa before 0.10.
#[test]
fn descriptors_are_those_of_the_published_table() {
    let Some(data) = common::data::test_data() else { return };
    let gtzan = data.join("gtzan");
    let table = FeatureTable::read(&gtzan.join("features_30_sec.csv"), None).unwrap();
    let descriptors = Descriptors::default();
    for id in ["classical/classical.00003.wav", "hiphop/hiphop.00007.wav", "metal/metal.00000.wav"]
    {
        let row = table.rows.iter().find(|row| row.id == id).unwrap();
        let audio = Audio::open(&gtzan.join("genres_original").join(id)).unwrap();
        assert_eq!(audio.rate, descriptors::RATE);
        let found = descriptors.describe(&audio.samples).unwrap();
        for ((name, found), wanted) in descriptors::names().iter().zip(found).zip(&row.values) {
            let wanted = f64::from(*wanted);
            let allowed = match name.as_str() {
                // Means of signals around zero, which cancel to nearly nothing.
                "harmony_mean" | "perceptr_mean" => 1e-5,
                "harmony_var" | "perceptr_var" => 0.01 * wanted,
                _ => 1e-4 * wanted.abs(),
            };
            assert!((found - wanted).abs() <= allowed, "{id} {name}: {found}, not {wanted}");
        }
    }
}

/// GTZAN's table as a user runs it, with the models that are quick; all beat chance by far.
#[test]
fn gtzans_table_is_learned() {
    let Some(data) = common::data::test_data() else { return };
    let desk = Desk::bare();
    let data = data.join("gtzan").display().to_string();
    let models = ["knn", "svm", "mlp"];
    baseline(&desk, &["--data", &data, "--quick", "--model", &models.join(",")]).succeeded();
    for kind in models {
        let metrics = desk.json(&format!("runs/{kind}-30s/metrics.json"));
        let accuracy = metrics["test"]["tracks"]["accuracy"].as_f64().unwrap();
        assert!(accuracy > 0.6, "{kind}: {accuracy}");
    }
}
