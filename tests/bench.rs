//! The real bench-runtimes program on a tiny model.

#![cfg(feature = "tract")]

mod common;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use genre_transfer::bench::{self, EvaluationSet, Plan, Report};
use genre_transfer::dataset::Task;
use genre_transfer::metrics::Average;
use genre_transfer::runtime::{Device, Runtime};
use ndarray::ArrayD;

const PROGRAM: &str = env!("CARGO_BIN_EXE_bench-runtimes");

fn program(arguments: &[&str], folder: &Path) -> Output {
    Command::new(PROGRAM).args(arguments).current_dir(folder).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A folder with the tiny model.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let model = common::write(&common::tiny(), folder.path(), "tiny.onnx");
    (folder, model)
}

/// The tiny model in tract, briefly.
fn plan(model: PathBuf) -> Plan {
    Plan {
        models: vec![model],
        runtimes: vec![Runtime::Tract],
        devices: vec![Device::Cpu],
        batches: vec![4],
        threads: vec![1],
        seconds: 0.05,
        seed: 1,
        program: PROGRAM.into(),
    }
}

#[test]
fn a_row_for_every_case_and_reasons_for_those_that_cannot_run() {
    let (folder, _) = folder();
    let arguments = [
        "tiny.onnx",
        "--quick",
        "--runtimes",
        "tract,burn",
        "--devices",
        "cpu,cuda",
        "--batch",
        "1,3",
        "--threads",
        "1,2",
        "--output",
        "out",
    ];
    let output = program(&arguments, folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let out = folder.path().join("out");
    let report: Report =
        serde_json::from_str(&fs::read_to_string(out.join("bench.json")).unwrap()).unwrap();
    assert_eq!(report.rows.len(), 2 * 2 * 2 * 2);
    for row in &report.rows {
        match (row.runtime, row.device) {
            (Runtime::Tract, Device::Cpu) => {
                assert_eq!(row.reason, None);
                let latency = row.latency.expect("runs");
                assert!(latency.p50_ms <= latency.p90_ms && latency.p90_ms <= latency.p99_ms);
                assert!(latency.p50_ms > 0.0 && latency.runs > 0);
                assert_eq!((row.agreement, row.max_difference), (Some(1.0), Some(0.0)));
                let ratio = row.audio_seconds_per_second.unwrap() / row.patches_per_second.unwrap();
                assert!((ratio - 0.5).abs() < 1e-9, "the model's patches are 0.5 s apart");
                assert_eq!(row.peak_memory_bytes.is_some(), cfg!(target_os = "linux"));
            }
            (Runtime::Burn, Device::Cpu) if cfg!(feature = "train") => {
                assert_eq!(row.reason, None);
                assert_eq!(row.agreement, Some(1.0));
                assert!(row.max_difference.unwrap() < 1e-5, "{:?}", row.max_difference);
            }
            (Runtime::Burn, _) => {
                let reason = row.reason.as_deref().expect("a reason");
                assert!(reason.starts_with("burn: "), "{reason}");
            }
            // Whatever the build and the machine: without a GPU there is a reason.
            _ if row.latency.is_none() => {
                let reason = row.reason.as_deref().expect("a reason");
                assert!(reason.starts_with("tract: cuda: "), "{reason}");
            }
            _ => {}
        }
    }
    let markdown = fs::read_to_string(out.join("bench.md")).unwrap();
    assert!(markdown.contains("## tiny") && markdown.contains("burn: "));
    assert!(fs::read_to_string(out.join("bench.svg")).unwrap().trim_end().ends_with("</svg>"));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().filter(|line| line.starts_with("tract cpu ")).count() == 4, "{table}");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 3, "no scraps");
}

#[test]
fn json_goes_to_standard_output() {
    let (folder, _) = folder();
    let arguments =
        ["tiny.onnx", "--quick", "--runtimes", "tract", "--batch", "2", "--threads", "1", "--json"];
    let output = program(&arguments, folder.path());
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report.rows.len(), report.rows[0].batch), (1, 2));
    assert!(folder.path().join("runs/bench/bench.json").is_file());
}

/// Each runtime names its own operators, and what cannot be timed is said in its place.
#[test]
fn operators_are_timed_where_the_runtime_can() {
    let (folder, _) = folder();
    let arguments = ["tiny.onnx", "--quick", "--operators", "--threads", "1,2"];
    let output = program(&[&arguments[..], &["--json"]].concat(), folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let tables = report["tables"].as_array().unwrap();
    assert_eq!(tables.len(), 6, "three runtimes, two numbers of threads");
    for table in tables {
        let runtime = table["runtime"].as_str().unwrap();
        let operators = table["operators"].as_array().unwrap();
        if operators.is_empty() {
            assert!(runtime == "burn" || Runtime::Ort.version().is_none(), "{table}");
            assert!(!table["reason"].as_str().unwrap().is_empty());
            continue;
        }
        let names: Vec<&str> =
            operators.iter().map(|row| row["operator"].as_str().unwrap()).collect();
        assert!(names.contains(&"Softmax"), "{runtime}: {names:?}");
        let ms: f64 = operators.iter().map(|row| row["ms"].as_f64().unwrap()).sum();
        let run = table["run_ms"].as_f64().unwrap();
        // Medians of parts need not add up to the median of the whole.
        assert!(ms > 0.0 && ms < 2.0 * run, "{runtime}: {ms} of {run} ms");
    }
    let output = program(&arguments, folder.path());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("tiny in tract, 2 threads:") && text.contains("between them"), "{text}");
    assert!(!folder.path().join("runs").exists(), "nothing is written");
    let burn = program(&["tiny.onnx", "--operators", "--runtimes", "burn"], folder.path());
    assert_eq!(burn.status.code(), Some(1), "{}", stderr(&burn));
}

#[test]
fn bad_models_keep_their_rows_and_good_ones_run() {
    let (folder, _) = folder();
    fs::write(folder.path().join("text.onnx"), "not a model").unwrap();
    let arguments = [
        "text.onnx",
        "tiny.onnx",
        "none.onnx",
        "--quick",
        "--runtimes",
        "tract",
        "--batch",
        "1",
        "--threads",
        "1",
    ];
    let output = program(&arguments, folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("text.onnx: not an ONNX model") && table.contains("none.onnx:"),
        "{table}"
    );
}

#[test]
fn nothing_that_runs_is_a_failure_and_a_wrong_command_line_is_another() {
    let (folder, _) = folder();
    let output = program(&["none.onnx", "--quick", "--runtimes", "tract"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no case ran"));
    for wrong in [&["tiny.onnx", "--runtimes", "onnx"][..], &[], &["tiny.onnx", "--batch", "x"]] {
        assert_eq!(program(wrong, folder.path()).status.code(), Some(2), "{wrong:?}");
    }
    let negative = program(&["tiny.onnx", "--batch", "-1"], folder.path());
    assert!(stderr(&negative).contains("--batch"), "{negative:?}");
    let zero = program(&["tiny.onnx", "--batch", "0"], folder.path());
    assert_eq!(zero.status.code(), Some(1), "{}", stderr(&zero));
}

#[test]
fn an_output_folder_that_cannot_be_written_is_found_before_anything_runs() {
    let (folder, _) = folder();
    fs::write(folder.path().join("file"), "").unwrap();
    let output = program(&["tiny.onnx", "--output", "file/out"], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("file/out"), "{}", stderr(&output));
}

/// One run of the program with `ORT_DYLIB_PATH` set: the reason of the only row.
#[cfg(feature = "ort")]
fn reason_with_library(library: &Path) -> String {
    let (folder, _) = folder();
    let arguments =
        ["tiny.onnx", "--quick", "--runtimes", "ort", "--batch", "1", "--threads", "1", "--json"];
    let mut command = Command::new(PROGRAM);
    let output = command
        .args(arguments)
        .current_dir(folder.path())
        .env("ORT_DYLIB_PATH", library)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    report.rows[0].reason.clone().expect("a reason")
}

#[cfg(feature = "ort")]
#[test]
fn a_missing_or_wrong_onnxruntime_is_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let missing = reason_with_library(&folder.path().join("libonnxruntime.so"));
    assert!(missing.contains("ORT_DYLIB_PATH is") && missing.contains("not a file"), "{missing}");
    let text = folder.path().join("text.so");
    fs::write(&text, "a text file").unwrap();
    let garbage = reason_with_library(&text);
    assert!(garbage.contains("text.so cannot be used: it is no shared library"), "{garbage}");
}

/// Another program's library, and no library at all where none can be found.
#[cfg(all(feature = "ort", target_os = "linux"))]
#[test]
fn a_library_that_is_not_onnxruntime_is_a_reason() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let Some(libc) = maps.split_whitespace().find(|word| word.contains("libc.so")) else {
        println!("skipped: this program does not use a shared libc");
        return;
    };
    let reason = reason_with_library(Path::new(libc));
    assert!(reason.contains("OrtGetApiBase"), "{reason}");
    let (folder, _) = folder();
    let copy = folder.path().join("bench-runtimes");
    fs::copy(PROGRAM, &copy).unwrap();
    let arguments = ["tiny.onnx", "--runtimes", "ort", "--batch", "1", "--threads", "1"];
    let mut command = Command::new(copy);
    command.args(arguments).current_dir(folder.path()).env_remove("ORT_DYLIB_PATH");
    // A test that forks in another thread may hold the fresh copy open for a moment.
    let output = loop {
        match command.output() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => continue,
            output => break output.unwrap(),
        }
    };
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("libonnxruntime not found; run scripts/setup.sh or set ORT_DYLIB_PATH"),
        "{table}"
    );
}

#[test]
fn accuracy_is_measured_in_the_child_on_the_patches_given() {
    let (_folder, model) = folder();
    let rows = 10;
    let size = common::FRAMES * common::MELS;
    let data: Vec<f32> = (0..rows * size).map(|i| (i as f32 * 0.37).sin()).collect();
    let top = |row: &[f32]| {
        let logits = common::tiny_logits(row);
        (0..3).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
    };
    // One track per patch, all labels right but those of the last two.
    let mut labels: Vec<usize> = data.chunks(size).map(top).collect();
    labels[8] = (labels[8] + 1) % 3;
    labels[9] = (labels[9] + 1) % 3;
    let set = EvaluationSet {
        patches: ArrayD::from_shape_vec(vec![rows, common::FRAMES, common::MELS], data).unwrap(),
        track_of_patch: (0..rows).collect(),
        task: Task::SingleLabel,
        labels: labels.into_iter().map(|label| vec![label]).collect(),
        average: Average::Arithmetic,
        patch_hop_seconds: Some(2.0),
    };
    let plan = plan(model);
    let report = bench::run(&plan, |_| Ok(Some(set.clone()))).unwrap();
    let row = &report.rows[0];
    assert_eq!(row.accuracy, Some(0.8), "{row:?}");
    let ratio = row.audio_seconds_per_second.unwrap() / row.patches_per_second.unwrap();
    assert!((ratio - 2.0).abs() < 1e-9);

    let wrong = EvaluationSet { track_of_patch: vec![0], ..set };
    let error = bench::run(&plan, |_| Ok(Some(wrong.clone()))).unwrap_err().to_string();
    assert!(error.contains("10 patches"), "{error}");
}

/// `false` ends at once, as a child does that crashes.
#[cfg(unix)]
#[test]
fn a_child_that_dies_leaves_its_row_with_the_exit_status() {
    let (_folder, model) = folder();
    let report =
        bench::run(&Plan { program: "false".into(), ..plan(model) }, |_| Ok(None)).unwrap();
    let reason = report.rows[0].reason.as_deref().expect("a reason");
    assert!(reason.starts_with("the process died (exit status: 1)"), "{reason}");
    assert!(!report.any_ran());
}
