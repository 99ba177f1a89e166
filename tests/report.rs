//! The program `report` on runs written for the purpose.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use genre_transfer::metrics::evaluate;
use serde_json::{Value, json};
use tempfile::TempDir;

const GENRES: [&str; 3] = ["dub", "folk", "ska"];
const TRACKS: usize = 60;

/// A folder to work in, removed when dropped.
struct Desk(TempDir);

/// How the program ended and what it said.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }

    /// A run that mistakes the first `wrong` of its tracks; `more` replaces or adds fields of
    /// its `metrics.json`.
    fn run(&self, name: &str, tracks: usize, wrong: usize, more: Value) {
        let truth: Vec<usize> = (0..tracks).map(|track| track % 3).collect();
        let given: Vec<usize> =
            (0..tracks).map(|track| (track + usize::from(track < wrong)) % 3).collect();
        let id = |track: usize| format!("{}/{track:02}.wav", GENRES[truth[track]]);
        let prediction = |track: usize| {
            let at = |genre| if genre == given[track] { 0.8 } else { 0.1 };
            json!({"track": id(track), "genre": GENRES[truth[track]],
                "predicted": GENRES[given[track]], "probabilities": [at(0), at(1), at(2)]})
        };
        let predictions: Vec<Value> = (0..tracks).map(prediction).collect();
        let mut metrics = json!({
            "data": {"name": "music", "fingerprint": "f", "tracks": 300, "skipped": 1},
            "parameters": 1_234_567,
            "test": {"tracks": evaluate(&truth, &given, 3, 0), "patch_accuracy": 0.625,
                "patches": 3 * tracks},
            "seconds": 12.5,
        });
        let fields = more.as_object().unwrap().clone();
        metrics.as_object_mut().unwrap().extend(fields);
        let split = json!({"method": "stratified", "seed": 0, "test_fraction": 0.2,
            "validation_fraction": 0.2, "fold": null, "genres": GENRES, "train": ["dub/a.wav"],
            "validation": ["dub/b.wav"], "test": (0..tracks).map(id).collect::<Vec<_>>()});
        let folder = self.path("runs").join(name);
        fs::create_dir_all(&folder).unwrap();
        let write = |file: &str, value: &Value| {
            fs::write(folder.join(file), value.to_string()).unwrap();
        };
        write("metrics.json", &metrics);
        write("predictions.json", &json!(predictions));
        write("split.json", &split);
        write("config.json", &json!({"seed": 0, "data": self.path("music")}));
        fs::write(folder.join("model.onnx"), vec![0; 2_500_000]).unwrap();
    }

    fn fine_tuned(&self, name: &str, tracks: usize, wrong: usize) {
        let more = json!({"backbone": {"name": name}, "kept": "frozen", "unfrozen_layers": 0});
        self.run(name, tracks, wrong, more);
        let epoch = |n: usize| {
            json!({"stage": if n < 5 { "head" } else { "refit" }, "epoch": n,
                "train_loss": 1.0 / (n + 1) as f64, "validation_loss": 0.5,
                "validation_accuracy": 0.75, "seconds": 0.1})
        };
        let history: Vec<Value> = (0..9).map(epoch).collect();
        let path = self.path("runs").join(name).join("history.json");
        fs::write(path, json!(history).to_string()).unwrap();
    }

    fn baseline(&self, name: &str, tracks: usize, wrong: usize, leaky: bool) {
        let more = json!({"kind": "baseline", "model": "svm", "features": "3s", "windows": true,
            "leaky": leaky});
        self.run(name, tracks, wrong, more);
    }

    fn report(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_report"));
        let output = command.current_dir(self.0.path()).args(arguments).output().unwrap();
        Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    fn refused(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        words.iter().for_each(|word| assert!(self.err.contains(word), "no {word:?}: {self:#?}"));
        assert!(!self.err.contains("panicked"), "{self:#?}");
    }
}

/// Checks that every element of `page` is closed, in order, and that nothing comes from
/// elsewhere.
fn well_formed(page: &str) {
    let mut open: Vec<&str> = vec![];
    let mut rest = page.strip_prefix("<!DOCTYPE html>").expect("no doctype");
    while let Some(start) = rest.find('<') {
        let end = start + rest[start..].find('>').expect("an unclosed tag");
        let tag = &rest[start + 1..end];
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        match (tag.starts_with('/'), tag.ends_with('/'), tag.starts_with('?')) {
            (true, ..) => assert_eq!(open.pop(), Some(name), "closed in the wrong order"),
            (false, false, false) => open.push(name),
            _ => {}
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty(), "{open:?}");
    for elsewhere in ["<script", "<link", "src=\"http", "@import", "url("] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
}

/// The rows of the first table below the line that contains `caption`, by column.
fn table(markdown: &str, caption: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = markdown.lines().skip_while(|line| !line.contains(caption));
    let cells = |line: &str| -> Vec<String> {
        let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
        inner.split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let head = cells(lines.find(|line| line.starts_with('|')).expect("no table"));
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(|line| head.iter().cloned().zip(cells(line)).collect()).collect()
}

#[test]
fn every_figure_is_that_of_the_runs() {
    let desk = Desk::new();
    desk.fine_tuned("yamnet", TRACKS, 2);
    desk.baseline("svm-3s", TRACKS, 21, false);
    let ran = desk.report(&["runs", "--output", "out", "--json"]).succeeded();
    let markdown = desk.text("out/results.md");
    let rows = table(&markdown, "All models, tested on the same 60 tracks");
    assert_eq!(rows.len(), 2, "{markdown}");
    for (row, run) in rows.iter().zip(["yamnet", "svm-3s"]) {
        let metrics: Value =
            serde_json::from_str(&desk.text(&format!("runs/{run}/metrics.json"))).unwrap();
        let tracks = &metrics["test"]["tracks"];
        let percent = |value: &Value| format!("{:.1}", value.as_f64().unwrap() * 100.0);
        assert_eq!(row["Run"], run);
        assert_eq!(row["Accuracy %"], percent(&tracks["accuracy"]));
        let [low, high] = [0, 1].map(|end| percent(&tracks["interval"][end]));
        assert_eq!(row["95 % interval"], format!("{low} to {high}"));
        assert_eq!(row["Macro-F1"], format!("{:.3}", tracks["macro_f1"].as_f64().unwrap()));
        assert_eq!(row["Patches right %"], "62.5");
        assert_eq!((&*row["Parameters"], &*row["ONNX MB"]), ("1,234,567", "2.50"));
        assert_eq!(row["Training s"], "12.5");
        let recall = table(&markdown, "Recall: of a genre's tracks");
        let of_run = recall.iter().find(|row| row["Model"].contains(&run[..3].to_uppercase()));
        let of_run = of_run.or(recall.iter().find(|row| row["Model"].contains(run))).unwrap();
        for (genre, name) in GENRES.iter().enumerate() {
            let recall = tracks["per_genre"][genre]["recall"].as_f64().unwrap();
            assert_eq!(of_run[*name], format!("{:.0}", recall * 100.0));
        }
    }
    let tests = table(&markdown, "McNemar's exact test");
    assert_eq!(tests.len(), 1);
    let counts = ["Tracks", "Only first right", "Only second right", "Significant"];
    assert_eq!(counts.map(|name| &*tests[0][name]), ["60", "19", "0", "yes"]);
    assert!(markdown.contains("Frozen yamnet beats SVM on 3 s features by 31.7 points"));
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    let models = &json["report"]["tables"][0]["models"];
    assert_eq!(models[0]["name"], "frozen yamnet");
    assert!((models[1]["accuracy"].as_f64().unwrap() - 39.0 / 60.0).abs() < 1e-12);
}

#[test]
fn page_and_markdown_say_the_same_and_need_nothing_else() {
    let desk = Desk::new();
    desk.fine_tuned("yamnet", TRACKS, 9);
    desk.fine_tuned("a&b", TRACKS, 11);
    let ran = desk.report(&["runs", "--output", "out"]).succeeded();
    assert!(ran.out.contains("frozen yamnet recognizes most: 85.0 %"), "{ran:#?}");
    let (page, markdown) = (desk.text("out/report.html"), desk.text("out/results.md"));
    well_formed(&page);
    for said in ["frozen yamnet recognizes most: 85.0 %", "do not show that frozen yamnet and"] {
        assert!(page.contains(said), "{said}");
        assert!(markdown.contains(said), "{said}");
    }
    assert!(page.contains("frozen a&amp;b") && !page.contains("a&b"));
    assert!(!markdown.contains(" beats "), "{markdown}");
    let figures = markdown.lines().filter_map(|line| line.strip_prefix("!["));
    let files: Vec<&str> =
        figures.filter_map(|line| line.rsplit_once("](")?.1.strip_suffix(')')).collect();
    assert!(files.len() >= 6, "accuracy, Pareto, two confusions, two curves: {files:?}");
    for file in files {
        assert!(desk.text(&format!("out/{file}")).ends_with("</svg>\n"), "{file}");
    }
    for file in ["report.typ", "document.json"] {
        assert!(desk.path("out/typst").join(file).is_file(), "{file}");
    }
    // By the typst that is built in or, as scripts/test.sh fetches it, at hand.
    if cfg!(feature = "pdf") || Path::new(env!("CARGO_MANIFEST_DIR")).join(".typst").is_dir() {
        let pdf = fs::read(desk.path("out/report.pdf")).unwrap();
        assert!(pdf.starts_with(b"%PDF-") && pdf.len() > 20_000, "{} bytes", pdf.len());
    } else if !ran.err.contains("report.pdf") {
        panic!("{ran:#?}");
    }
}

#[test]
fn different_tracks_and_leaky_splits_do_not_share_a_table() {
    let desk = Desk::new();
    desk.fine_tuned("yamnet", TRACKS, 9);
    desk.fine_tuned("musicnn", TRACKS / 2, 3);
    desk.baseline("svm-3s", TRACKS, 21, false);
    desk.baseline("svm-3s-leaky", TRACKS, 0, true);
    desk.report(&["runs", "--output", "out"]).succeeded();
    let markdown = desk.text("out/results.md");
    let names = |caption: &str| -> Vec<String> {
        table(&markdown, caption).into_iter().map(|row| row["Run"].clone()).collect()
    };
    assert_eq!(names("All models, tested on the same 60 tracks"), ["yamnet", "svm-3s"]);
    assert_eq!(names("All models, tested on the same 30 tracks"), ["musicnn"]);
    let leaky = table(&markdown, "with and without the leak");
    assert_eq!((&*leaky[0]["Tracks, honest %"], &*leaky[0]["Tracks, leaky %"]), ("65.0", "100.0"));
}

#[test]
fn frozen_and_tuned_networks_stand_side_by_side() {
    let desk = Desk::new();
    let scores = |more: serde_json::Value| {
        let mut metrics = json!({"backbone": {"name": "yamnet"}, "unfrozen_layers": 2,
            "frozen_validation": {"loss": 0.5, "accuracy": 0.8},
            "unfrozen_validation": {"loss": 0.25, "accuracy": 0.9}});
        metrics.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        metrics
    };
    desk.run("better", TRACKS, 9, scores(json!({"kept": "unfrozen"})));
    desk.run("asked", TRACKS, 9, scores(json!({"kept": "frozen", "kept_as_asked": true})));
    desk.report(&["runs", "--output", "out"]).succeeded();
    let markdown = desk.text("out/results.md");
    let rows = table(&markdown, "The two networks of each fine-tuning");
    let row = |run: &str| rows.iter().find(|row| row["Run"] == run).unwrap();
    let kept = |run: &str| (row(run)["Kept"].clone(), row(run)["Because"].clone());
    let texts = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
    assert_eq!(kept("better"), texts(("tuned", "its loss is lower")));
    assert_eq!(kept("asked"), texts(("frozen", "it was asked for")));
    assert_eq!((&*row("asked")["Frozen: loss"], &*row("asked")["Tuned: loss"]), ("0.500", "0.250"));
}

#[test]
fn cross_validations_have_a_table_where_there_are_any() {
    let desk = Desk::new();
    desk.baseline("svm-3s", TRACKS, 21, false);
    desk.report(&["runs", "--output", "out"]).succeeded();
    assert!(!desk.text("out/results.md").contains("Cross-validation"));
    let truth: Vec<usize> = (0..90).map(|track| track % 3).collect();
    let given: Vec<usize> = (0..90).map(|track| (track + usize::from(track < 9)) % 3).collect();
    let folds = json!({"model": "frozen", "folds": [0.8, 0.9, 1.0], "pooled": {"patches": 90,
        "tracks": evaluate(&truth, &given, 3, 0), "patch_accuracy": 0.5}});
    let backbone = json!({"backbone": {"name": "yamnet"}, "cross_validation": folds});
    desk.run("yamnet", TRACKS, 9, backbone);
    desk.report(&["runs", "--output", "out"]).succeeded();
    let rows = table(&desk.text("out/results.md"), "Every track at hand tested once");
    let cells = ["Run", "Folds", "Tracks", "Accuracy %", "Lowest fold %", "Highest fold %"];
    assert_eq!(rows.len(), 1);
    assert_eq!(cells.map(|name| &*rows[0][name]), ["yamnet", "3", "90", "90.0", "80.0", "100.0"]);
}

#[test]
fn latencies_come_from_the_benchmark() {
    let desk = Desk::new();
    desk.fine_tuned("yamnet", TRACKS, 9);
    desk.baseline("svm-3s", TRACKS, 21, false);
    let row = |run: &str, p50: f64| {
        json!({"model": format!("runs/{run}"), "runtime": "ort", "device": "cpu", "threads": 1,
            "batch": 1, "latency": {"p50_ms": p50, "p90_ms": p50, "p99_ms": p50, "runs": 9}})
    };
    let machine = json!({"cpu": "Some CPU", "cores": 2, "gpus": [], "os": "Some OS",
        "runtimes": ["ort 1.32.0"], "date": "2026-01-31 23:59"});
    let bench = json!({"machine": machine, "seconds_per_case": 1.0, "seed": 0,
        "rows": [row("yamnet", 5.25), row("svm-3s", 0.04)]});
    fs::write(desk.path("bench.json"), bench.to_string()).unwrap();
    desk.report(&["runs", "--bench", "bench.json", "--output", "out"]).succeeded();
    let markdown = desk.text("out/results.md");
    let rows = table(&markdown, "All models");
    let ms: Vec<&str> = rows.iter().map(|row| &*row["ort ms/patch"]).collect();
    assert_eq!(ms, ["5.25", "0.040"]);
    assert!(!rows[0].contains_key("tract ms/patch"), "nothing is known of tract");
    assert!(desk.path("out/figures/pareto-latency-1.svg").is_file());
    assert!(markdown.contains("Some CPU, 2 cores"), "{markdown}");
    assert!(markdown.contains("ms/patch: median"), "{markdown}");

    let bench = json!({"machine": machine, "seconds_per_case": 1.0, "seed": 0,
        "rows": [row("other", 5.25)]});
    fs::write(desk.path("other.json"), bench.to_string()).unwrap();
    let ran = desk.report(&["runs", "--bench", "other.json", "--output", "out"]).succeeded();
    assert!(ran.err.contains("note: other.json has no latency of these runs"), "{ran:?}");
    let markdown = desk.text("out/results.md");
    for word in ["ms/patch", "Some CPU"] {
        assert!(!markdown.contains(word), "{word} in {markdown}");
    }
}

#[test]
fn mistakes_show_their_clip_where_it_is_at_hand() {
    let desk = Desk::new();
    desk.fine_tuned("yamnet", TRACKS, 1);
    desk.report(&["runs", "--output", "out"]).succeeded();
    assert!(!desk.text("out/report.html").contains("data:image/png"));
    let folder = desk.path("music/dub");
    fs::create_dir_all(&folder).unwrap();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 22_050,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(folder.join("00.wav"), spec).unwrap();
    (0..22_050).for_each(|i| wav.write_sample(((i * i) % 20_000) as i16).unwrap());
    wav.finalize().unwrap();
    desk.report(&["runs", "--output", "out"]).succeeded();
    let page = desk.text("out/report.html");
    well_formed(&page);
    assert!(page.contains("data:image/png;base64,"));
    assert!(page.contains("dub&#x2f;00.wav: dub, taken for folk with 80.0 %"));
    assert!(!desk.path("out/figures/mistake-1-1.png").exists(), "clips stay out of the Markdown");
}

#[test]
fn what_is_no_run_is_refused_and_nothing_is_written() {
    let desk = Desk::new();
    desk.fine_tuned("yamnet", TRACKS, 9);
    fs::create_dir(desk.path("empty")).unwrap();
    desk.report(&[]).refused(2, &["RUN_DIR"]);
    desk.report(&["empty", "--output", "out"]).refused(1, &["empty", "metrics.json"]);
    desk.report(&["missing", "--output", "out"]).refused(1, &["missing", "no such folder"]);
    let bench = ["runs", "--output", "out", "--bench", "runs/yamnet/split.json"];
    desk.report(&bench).refused(1, &["split.json", "machine"]);
    let folder = desk.path("runs/yamnet");
    let predictions = folder.join("predictions.json");
    let whole = fs::read_to_string(&predictions).unwrap();
    let damaged = [
        (whole.replacen("\"predicted\":\"dub\"", "\"predicted\":\"jazz\"", 1), "jazz"),
        (whole.replacen("0.8", "0.05", 1), "not the most probable"),
        (whole.replacen("dub/03.wav", "dub/06.wav", 1), "listed twice"),
        ("[]".to_owned(), "0 tracks, but 60"),
        ("{".to_owned(), "line 1"),
    ];
    for (text, reason) in damaged {
        fs::write(&predictions, text).unwrap();
        desk.report(&["runs", "--output", "out"]).refused(1, &["predictions.json", reason]);
    }
    fs::remove_file(&predictions).unwrap();
    let without = ["runs/yamnet", "--output", "out"];
    desk.report(&without).refused(1, &["runs/yamnet", "no predictions.json", "train it again"]);
    assert!(!desk.path("out").exists(), "nothing may be written");
}

#[test]
fn the_same_runs_give_the_same_files() {
    let desk = Desk::new();
    desk.fine_tuned("yamnet", TRACKS, 9);
    desk.baseline("svm-3s", TRACKS, 21, false);
    for out in ["one", "two"] {
        desk.report(&["runs/yamnet", "runs", "runs/svm-3s", "--output", out]).succeeded();
    }
    for file in ["report.html", "results.md"] {
        let same = desk.text(&format!("one/{file}")) == desk.text(&format!("two/{file}"));
        assert!(same, "{file}");
    }
    let rows = table(&desk.text("one/results.md"), "All models");
    assert_eq!(rows.len(), 2, "a run that is given twice counts once");
    assert!(Path::new(&desk.path("one/figures/accuracy-1.svg")).is_file());
}
