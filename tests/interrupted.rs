//! Programs that are killed, or starved of disk, rights, memory or readers, at any moment: nothing
//! half-written stands under a final name, what was there before is intact, and a second call ends
//! as if nothing had been.
//!
//! `GENRE_TRANSFER_KILLS` says how many kills there are (28), `GENRE_TRANSFER_SEED` at which moments.
#![cfg(all(unix, feature = "sqlite", feature = "train"))]

mod common;
#[path = "fixtures/runs.rs"]
mod runs;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use common::vggish::{Style, vggish};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use runs::{Desk, TINY};
use serde_json::Value;
use tempfile::TempDir;
use walkdir::WalkDir;

/// One at a time: how long a program takes tells when to kill it.
static ALONE: Mutex<()> = Mutex::new(());

/// No program takes so long here, whatever else the machine does.
const FOR_EVER: Duration = Duration::from_secs(300);

/// Files by their names in the desk, as they should be equal: without times.
type Tree = BTreeMap<String, Vec<u8>>;

/// A program's call and what is needed for it.
struct Job {
    name: &'static str,
    program: &'static str,
    arguments: Vec<&'static str>,
    /// The run that a second call resumes, where it has begun.
    run: Option<&'static str>,
    /// What the call makes or replaces: folders, or the beginnings of files' names.
    makes: &'static [&'static str],
}

fn jobs() -> Vec<Job> {
    let tuned = ["--data", "music", "--name", "a", "--epochs", "4", "--unfreeze", "1"];
    let deep = ["--deep-epochs", "2", "--keep", "tuned"];
    let cnn = ["--data", "music", "--source", "audio"];
    let job = |name, program, arguments, run, makes| Job { name, program, arguments, run, makes };
    let classify = |output| vec!["music", "--model", "old/model.onnx", "--output", output];
    let classify_ = env!("CARGO_BIN_EXE_classify");
    vec![
        job(
            "finetune",
            env!("CARGO_BIN_EXE_finetune"),
            [&tuned[..], &deep, &TINY].concat(),
            Some("runs/a"),
            &["runs", "data"],
        ),
        job(
            "train-cnn",
            env!("CARGO_BIN_EXE_train-cnn"),
            [&cnn[..], &["--preset", "simple", "--epochs", "3", "--name", "c"]].concat(),
            Some("runs/c"),
            &["runs", "data"],
        ),
        job(
            "train-cnn --search",
            env!("CARGO_BIN_EXE_train-cnn"),
            [&cnn[..], &["--search", "--quick", "--epochs", "2", "--jobs", "1", "--name", "s"]]
                .concat(),
            Some("runs/s"),
            &["runs", "data"],
        ),
        job(
            "export-onnx",
            env!("CARGO_BIN_EXE_export-onnx"),
            vec!["old", "--input", "clip", "--output", "clip.onnx"],
            None,
            &["clip.onnx"],
        ),
        job("classify .parquet", classify_, classify("t.parquet"), None, &["t.parquet"]),
        job("classify .csv", classify_, classify("t.csv"), None, &["t.csv"]),
        job("classify .sqlite", classify_, classify("t.sqlite"), None, &["t.sqlite"]),
        job(
            "baseline",
            env!("CARGO_BIN_EXE_baseline"),
            ["--features", "features.csv", "--model", "knn,logistic,forest", "--quick"]
                .into_iter()
                .chain(["--runs", "tables", "--name", "b", "--force"])
                .collect(),
            None,
            &["tables"],
        ),
        job(
            "report",
            env!("CARGO_BIN_EXE_report"),
            vec!["old", "older", "--output", "report"],
            None,
            &["report"],
        ),
    ]
}

/// The folder that every trial works in, always of the same name, and what it begins with.
struct Stage {
    _folder: TempDir,
    prepared: PathBuf,
    desk: PathBuf,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [prepared, desk] = ["prepared", "desk"].map(|name| folder.path().join(name));
        let begun = Desk::new();
        begun.backbone("tiny.onnx", &vggish(Style::TorchScript, 64, 1));
        copy(&begun.path("."), &desk);
        let stage = Self { _folder: folder, prepared, desk };
        let tuned = |name, seed| {
            let arguments = ["--data", "music", "--runs", ".", "--name", name, "--seed", seed];
            let arguments = [&arguments[..], &["--epochs", "4"], &TINY].concat();
            stage.succeed(env!("CARGO_BIN_EXE_finetune"), &arguments);
        };
        tuned("old", "0");
        tuned("older", "1");
        // What stands where the programs write.
        stage.succeed(
            env!("CARGO_BIN_EXE_export-onnx"),
            &["older", "--input", "clip", "--output", "clip.onnx"],
        );
        for output in ["t.parquet", "t.csv", "t.sqlite"] {
            let arguments = ["music/low", "--model", "old/model.onnx", "--output", output];
            stage.succeed(env!("CARGO_BIN_EXE_classify"), &arguments);
        }
        let features = ["music", "--output", "features.csv"];
        stage.succeed(env!("CARGO_BIN_EXE_extract-features"), &features);
        let baseline = ["--features", "features.csv", "--model", "knn,logistic,forest", "--quick"];
        let arguments = [&baseline[..], &["--runs", "tables", "--name", "b", "--seed", "1"]];
        stage.succeed(env!("CARGO_BIN_EXE_baseline"), &arguments.concat());
        stage.succeed(env!("CARGO_BIN_EXE_report"), &["older", "--output", "report"]);
        fs::remove_dir_all(stage.desk.join("data")).unwrap();
        fs::rename(&stage.desk, &stage.prepared).unwrap();
        stage
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.desk).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // Not to be had: which runtime answers, and so the last digit, must not depend on whether
        // there is memory for a library.
        command.env("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so");
        // Rust 1.95 waits for itself for ever where memory ends while it writes a backtrace.
        command.env_remove("RUST_BACKTRACE");
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        finish(&mut self.command(program, arguments))
    }

    fn succeed(&self, program: &str, arguments: &[&str]) {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program} {arguments:?}: {}", said(&output));
    }

    fn begin(&self) {
        if self.desk.exists() {
            fs::remove_dir_all(&self.desk).unwrap();
        }
        copy(&self.prepared, &self.desk);
    }

    /// The call that comes after an unfinished one.
    fn again(&self, job: &Job) -> Vec<&'static str> {
        match job.run {
            Some(run) if self.desk.join(run).join("config.json").is_file() => vec!["--resume", run],
            _ => job.arguments.clone(),
        }
    }

    /// What an undisturbed run leaves, and how long it takes.
    fn reference(&self, job: &Job) -> (Tree, Tree, Duration) {
        self.begin();
        let before = tree(&self.desk, job.makes);
        let started = Instant::now();
        self.succeed(job.program, &job.arguments);
        (before, tree(&self.desk, job.makes), started.elapsed())
    }

    /// Nothing is half-written, and what was there is there, or its successor.
    fn check_whole(&self, job: &Job, before: &Tree, wanted: &Tree, when: &str) {
        let now = tree(&self.desk, job.makes);
        for (name, old) in before {
            let Some(there) = now.get(name) else { panic!("{}, {when}: {name} is lost", job.name) };
            // A page of a report speaks of others; each is whole.
            let is_whole = there == old || wanted.get(name) == Some(there);
            assert!(is_whole, "{}, {when}: {name} is neither old nor new", job.name);
        }
        for (name, bytes) in &now {
            let text = || format!("{}, {when}: {name} is half-written", job.name);
            if name.ends_with(".json") {
                assert!(serde_json::from_slice::<Value>(bytes).is_ok(), "{}", text());
            } else if name.ends_with(".onnx") {
                assert!(genre_transfer::onnx::read(&self.desk.join(name)).is_ok(), "{}", text());
            }
        }
    }

    /// A second call ends as the first would have.
    fn check_end(&self, job: &Job, wanted: &Tree, when: &str) {
        let arguments = self.again(job);
        let output = self.run(job.program, &arguments);
        let text = format!("{}, {when}, again with {arguments:?}", job.name);
        assert!(output.status.success(), "{text}: {}", said(&output));
        let now = tree(&self.desk, job.makes);
        let names = |tree: &Tree| tree.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&now), names(wanted), "{text}");
        for (name, bytes) in wanted {
            assert!(now[name] == *bytes, "{text}: {name} differs");
        }
    }
}

/// With the times of the files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(copied.success());
}

/// What a program leaves; one that never ends is ended, and is a failure.
fn finish(command: &mut Command) -> Output {
    let child = command.spawn().unwrap();
    let id = child.id().to_string();
    let (sender, receiver) = channel();
    spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(FOR_EVER) else {
        Command::new("kill").args(["-9", &id]).status().unwrap();
        panic!("has not ended after {FOR_EVER:?}: {command:?}");
    };
    output.unwrap()
}

fn said(output: &Output) -> String {
    format!("{} {}", output.status, String::from_utf8_lossy(&output.stderr))
}

/// The files that a call makes, but for those that a kill left unfinished under names of no meaning.
fn tree(desk: &Path, makes: &[&str]) -> Tree {
    let files = WalkDir::new(desk)
        .into_iter()
        .filter_entry(|entry| !entry.file_name().to_string_lossy().starts_with(".part-"));
    let files = files.map(|entry| entry.unwrap()).filter(|entry| entry.file_type().is_file());
    let name = |path: &Path| path.strip_prefix(desk).unwrap().to_string_lossy().into_owned();
    let named = files.map(|entry| (name(entry.path()), entry.into_path()));
    let made = named.filter(|(name, _)| {
        let ours = makes.iter().any(|start| name.starts_with(start));
        // What belongs to a run that is not finished.
        ours && !name.ends_with(".part") && !name.ends_with("-journal")
    });
    made.map(|(name, path)| (name, timeless(&path))).collect()
}

/// A file's bytes, of JSON without what took how long.
fn timeless(path: &Path) -> Vec<u8> {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(pairs) => {
                pairs.retain(|name, _| !name.ends_with("seconds") && name != "waiting");
                pairs.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    // A chart of how long an epoch takes.
    if path.ends_with("search.svg") {
        return vec![];
    }
    let bytes = fs::read(path).unwrap();
    match serde_json::from_slice::<Value>(&bytes) {
        Ok(mut value) if path.extension().is_some_and(|end| end == "json") => {
            strip(&mut value);
            value.to_string().into_bytes()
        }
        _ => bytes,
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[test]
fn whoever_is_killed_loses_nothing() {
    let _alone = alone();
    let kills = number("GENRE_TRANSFER_KILLS", 28);
    let seed = number("GENRE_TRANSFER_SEED", 0);
    eprintln!("{kills} kills, GENRE_TRANSFER_SEED={seed}");
    let stage = Stage::new();
    let jobs = jobs();
    let count = jobs.len() as u64;
    let mut all = 0;
    for (place, job) in jobs.iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1000) + place as u64);
        let (before, wanted, took) = stage.reference(job);
        let share = kills / count + u64::from((place as u64) < kills % count);
        let (mut done, mut late) = (0, 0);
        // A program that was done before it was to be killed is no kill.
        while done < share && late < 4 * share + 8 {
            stage.begin();
            let mut when = String::new();
            loop {
                let wait = took.mul_f64(random.random_range(0.0..1.1));
                let mut command = stage.command(job.program, &stage.again(job));
                let started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
                let mut child = started.unwrap();
                sleep(wait);
                let was_running = child.try_wait().unwrap().is_none();
                child.kill().unwrap();
                child.wait().unwrap();
                when += &format!("killed after {wait:.3?} of {took:.3?} ");
                (done, late) = (done + u64::from(was_running), late + u64::from(!was_running));
                stage.check_whole(job, &before, &wanted, &when);
                if !was_running || random.random_bool(0.7) {
                    break;
                }
            }
            stage.check_end(job, &wanted, &when);
        }
        eprintln!("{}: {done} kills, {took:.2?} undisturbed", job.name);
        all += done;
    }
    eprintln!("{all} kills, nothing lost, nothing half-written");
}

/// A file system of its own in the desk's place, for as long as this lives.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// None, and why is said, where this machine allows no mounts.
    fn new(place: &'a Path, bytes: u64) -> Option<Self> {
        if place.exists() {
            fs::remove_dir_all(place).unwrap();
        }
        fs::create_dir(place).unwrap();
        let size = format!("size={bytes}");
        let mounted = mount(&["-t", "tmpfs", "-o", &size, "tmpfs"], place);
        if !mounted {
            eprintln!("skipped: this machine does not let us mount a small file system");
        }
        mounted.then_some(Self(place))
    }

    fn again(&self, option: &str) {
        assert!(mount(&["-o", &format!("remount,{option}")], self.0));
    }
}

fn mount(arguments: &[&str], place: &Path) -> bool {
    let run = Command::new("mount").args(arguments).arg(place).output();
    run.is_ok_and(|output| output.status.success())
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

/// Bytes of the blocks that the files below `folder` take.
fn size(folder: &Path) -> u64 {
    let page = |bytes: u64| bytes.next_multiple_of(4096);
    WalkDir::new(folder).into_iter().map(|e| page(e.unwrap().metadata().unwrap().len())).sum()
}

#[test]
fn whoever_has_no_disk_or_no_rights_says_so_and_loses_nothing() {
    let _alone = alone();
    let seed = number("GENRE_TRANSFER_SEED", 0);
    let stage = Stage::new();
    let full = size(&stage.prepared);
    for (place, job) in jobs().iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1000) + place as u64);
        let (before, wanted, _) = stage.reference(job);
        let grown = size(&stage.desk).saturating_sub(full);
        for turn in 0..2 {
            let room = random.random_range(0..=grown.max(1 << 16));
            let Some(disk) = Mounted::new(&stage.desk, full + room) else { return };
            copy(&stage.prepared, &stage.desk);
            let when = format!("{room} bytes of {grown} free");
            let output = stage.run(job.program, &job.arguments);
            check_said(job, &output, &when, &["No space left", "disk is full", "disk I/O"]);
            stage.check_whole(job, &before, &wanted, &when);
            disk.again("size=2g");
            if turn == 0 && !output.status.success() {
                disk.again("ro");
                let output = stage.run(job.program, &stage.again(job));
                assert!(!output.status.success(), "{}: {}", job.name, said(&output));
                check_said(job, &output, "read-only", &["Read-only file system", "read-only"]);
                disk.again("rw");
                stage.check_whole(job, &before, &wanted, "read-only");
            }
            stage.check_end(job, &wanted, &when);
        }
    }
}

/// That it ended well, or with an error in a line of its own, and did not panic.
fn check_said(job: &Job, output: &Output, when: &str, reasons: &[&str]) {
    let text = said(output);
    assert!(!text.contains("panicked"), "{}, {when}: {text}", job.name);
    let is_said = output.status.code() == Some(1) && reasons.iter().any(|part| text.contains(part));
    assert!(output.status.success() || is_said, "{}, {when}: {text}", job.name);
}

#[test]
fn whoever_has_no_memory_or_no_reader_loses_nothing() {
    let _alone = alone();
    let seed = number("GENRE_TRANSFER_SEED", 0);
    let stage = Stage::new();
    for (place, job) in jobs().iter().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(1000) + place as u64);
        let (before, wanted, _) = stage.reference(job);
        let memory = format!("ulimit -v {}", random.random_range(40_000..400_000));
        for (when, script) in [
            (&*memory, format!("{memory}; exec \"$0\" \"$@\"")),
            ("closed", "exec \"$0\" \"$@\" >&- 2>&-".to_owned()),
            ("full output", "exec \"$0\" \"$@\" >/dev/full 2>/dev/full".to_owned()),
        ] {
            stage.begin();
            let arguments = [&["-c", &script, job.program][..], &job.arguments].concat();
            let output = stage.run("sh", &arguments);
            let text = said(&output);
            // Without memory not even a thread can be begun, nor an error be put in words.
            let is_calm = when == memory || !text.contains("panicked");
            assert!(is_calm, "{}, {when}: {text}", job.name);
            if when == "closed" {
                assert!(output.status.success(), "{}, {when}: {text}", job.name);
            }
            stage.check_whole(job, &before, &wanted, when);
            stage.check_end(job, &wanted, when);
        }
    }
}
