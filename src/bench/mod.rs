//! Compares runtimes on the same models, on the same machine, in the same minutes.
//!
//! Every case (model, runtime, device, threads, batch) runs in a process of its own, and
//! the cases that are to be compared take turns, so that whatever else the machine does
//! meets them all alike. A case that cannot run keeps its row, with the reason.

#[cfg(feature = "train")]
mod baseline_set;
mod case;
mod chart;
#[cfg(feature = "tract")]
mod evaluation;
mod machine;
mod table;
mod variants;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;
use crate::onnx::names::PROBABILITIES;
#[cfg(feature = "tract")]
use crate::onnx::names::key;
use crate::progress;
pub use crate::runtime::RUN_MODEL;
use crate::runtime::{Device, Runtime, Tensor, model_file};
pub use case::serve;
use case::{Case, Spec};
pub use machine::Machine;

/// Patches in the probe that stands in for evaluation data.
const PROBE_PATCHES: usize = 32;
/// How long one child runs before it is the next one's turn, in seconds.
const TURN: f64 = 0.1;
/// A median is stable when both halves of the runs agree on it this well.
const STABLE: f64 = 0.02;

/// What to compare. Every combination is a case.
#[derive(Clone, Debug)]
pub struct Plan {
    /// ONNX files, or folders that hold [`RUN_MODEL`]: runs, which burn needs, and bundles.
    pub models: Vec<PathBuf>,
    /// The first that runs is what the others are compared with.
    pub runtimes: Vec<Runtime>,
    /// Where to run.
    pub devices: Vec<Device>,
    /// Patches per run.
    pub batches: Vec<usize>,
    /// Threads per run.
    pub threads: Vec<usize>,
    /// The most time spent on the timed runs of one case, in seconds.
    pub seconds: f64,
    /// Seed of the random patches.
    pub seed: u64,
    /// The program that is started for each case with the one argument `--case`, and
    /// then calls [`serve`].
    pub program: PathBuf,
}

/// Patches with known answers, for one model.
#[derive(Clone, Debug)]
pub struct EvaluationSet {
    /// All patches, [patches, frames, mels] or [patches, samples].
    pub patches: Tensor,
    /// For each patch, the track it comes from: an index into `labels`.
    pub track_of_patch: Vec<usize>,
    /// For each track, its class: a column of the model's primary output.
    pub labels: Vec<usize>,
    /// Seconds of audio from one patch to the next.
    pub patch_hop_seconds: Option<f64>,
}

/// One case and what was found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    /// The model as it was given.
    pub model: PathBuf,
    /// The runtime.
    pub runtime: Runtime,
    /// The device.
    pub device: Device,
    /// Threads per run.
    pub threads: usize,
    /// Patches per run.
    pub batch: usize,
    /// The numbers the model is made of, as its metadata say; none for `fp32` and for files that
    /// do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Size of the ONNX file; not for burn, which reads the run's own weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_bytes: Option<u64>,
    /// Why the case did not run, or stopped.
    pub reason: Option<String>,
    /// Share of the evaluation tracks whose class was found, by the mean over a track's patches.
    pub accuracy: Option<f64>,
    /// Share of patches whose highest output is the first runtime's.
    pub agreement: Option<f64>,
    /// Largest absolute difference of any output value from the first runtime's.
    pub max_difference: Option<f64>,
    /// From nothing to an open model, in milliseconds.
    pub load_ms: Option<f64>,
    /// The first run, in milliseconds.
    pub first_run_ms: Option<f64>,
    /// The runs after that.
    pub latency: Option<Latency>,
    /// Throughput over all timed runs.
    pub patches_per_second: Option<f64>,
    /// The same in seconds of audio; known when the patch's length is.
    pub audio_seconds_per_second: Option<f64>,
    /// The most memory the process had in RAM, in bytes (Linux only).
    pub peak_memory_bytes: Option<u64>,
}

/// How long a run takes, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// Timed runs.
    pub runs: usize,
}

/// What a benchmark found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Where and when it was measured.
    pub machine: Machine,
    /// Limit of the timed runs of one case, in seconds.
    pub seconds_per_case: f64,
    /// Seed of the random patches.
    pub seed: u64,
    /// One row for every case, in the order of the plan.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether any case ran.
    pub fn any_ran(&self) -> bool {
        self.rows.iter().any(|row| row.latency.is_some())
    }

    /// The rows as aligned text.
    pub fn to_text(&self) -> String {
        table::text(self)
    }

    /// Writes `bench.json`, `bench.md` and `bench.svg` into `folder`, each whole or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] naming the file that could not be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        files::create_dir(folder)?;
        files::write_json(&folder.join("bench.json"), self)?;
        files::write(&folder.join("bench.md"), table::markdown(self).as_bytes())?;
        files::write(&folder.join("bench.svg"), chart::latency(self)?.as_bytes())
    }
}

/// Creates `folder` and checks that files can be written there, so that a benchmark does
/// not run for minutes only to fail in the end.
///
/// # Errors
/// [`Error::Io`] naming the folder.
pub fn prepare_output(folder: &Path) -> Result<()> {
    files::create_dir(folder)?;
    tempfile::tempfile_in(folder).map(drop).map_err(Error::io(folder))
}

/// Runs every case of `plan`.
///
/// `evaluation` is asked once for each model for patches with known answers; without them
/// (`None`) runtimes are compared on seeded random patches, and accuracy stays unknown.
///
/// # Errors
/// [`Error::Config`] if the plan is empty somewhere, [`Error::Data`] if an evaluation set
/// contradicts itself, and whatever `evaluation` returns. A case that fails is no error.
pub fn run(
    plan: &Plan,
    mut evaluation: impl FnMut(&Path) -> Result<Option<EvaluationSet>>,
) -> Result<Report> {
    plan.check()?;
    let groups = plan.models.len() * plan.devices.len() * plan.threads.len() * plan.batches.len();
    let bar = progress::bar(groups as u64, "benchmark", "comparisons");
    let mut rows = Vec::new();
    for model in &plan.models {
        bar.set_prefix(table::model_name(model));
        let set = evaluation(model)?;
        let facts = Facts::of(model);
        let hop = match &set {
            Some(set) => set.patch_hop_seconds,
            None => facts.patch_hop_seconds,
        };
        let judged = judge(plan, model, set)?;
        for group in plan.groups(model) {
            let measured = measure(plan, group, hop).into_iter();
            rows.extend(measured.map(|row| facts.complete(judged.complete(row))));
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let machine = Machine::here(&plan.runtimes);
    Ok(Report { machine, seconds_per_case: plan.seconds, seed: plan.seed, rows })
}

/// Patches or threads beyond which a case would only exhaust the machine.
const LARGEST_COUNT: usize = 1 << 16;

impl Plan {
    fn check(&self) -> Result<()> {
        let lists = [
            ("model", self.models.is_empty()),
            ("runtime", self.runtimes.is_empty()),
            ("device", self.devices.is_empty()),
            ("batch size", self.batches.is_empty()),
            ("number of threads", self.threads.is_empty()),
        ];
        if let Some((what, _)) = lists.iter().find(|(_, empty)| *empty) {
            return Err(Error::Config(format!("at least one {what} is needed")));
        }
        for (option, counts) in [("batch", &self.batches), ("threads", &self.threads)] {
            if let Some(count) = counts.iter().find(|count| !(1..=LARGEST_COUNT).contains(*count)) {
                return Err(Error::Config(format!(
                    "--{option} {count}: give 1 to {LARGEST_COUNT}"
                )));
            }
        }
        if !(self.seconds > 0.0 && self.seconds < 1e6) {
            return Err(Error::Config(format!(
                "--seconds {}: give more than 0 and less than a million",
                self.seconds
            )));
        }
        // The report names them.
        files::check_unicode("", self.models.iter().map(PathBuf::as_path))
    }

    /// The cases to compare with each other: those that differ in the runtime only.
    fn groups<'a>(&'a self, model: &'a Path) -> impl Iterator<Item = Vec<Row>> + 'a {
        let devices = self.devices.iter();
        let settings = devices.flat_map(move |&device| {
            let threads = self.threads.iter();
            threads
                .flat_map(move |&threads| self.batches.iter().map(move |&b| (device, threads, b)))
        });
        settings.map(move |(device, threads, batch)| {
            let row = |&runtime| Row::new(model, runtime, device, threads, batch);
            self.runtimes.iter().map(row).collect()
        })
    }

    /// Starts the child for a row.
    fn open(&self, row: &Row) -> Result<(Case, case::Opened), String> {
        let spec = Spec {
            model: target(&row.model, row.runtime)?,
            runtime: row.runtime,
            device: row.device,
            threads: row.threads,
            batch: row.batch,
            seed: self.seed,
        };
        Case::open(&self.program, &spec)
    }
}

impl Row {
    fn new(model: &Path, runtime: Runtime, device: Device, threads: usize, batch: usize) -> Self {
        Self {
            model: model.to_path_buf(),
            runtime,
            device,
            threads,
            batch,
            precision: None,
            model_bytes: None,
            reason: None,
            accuracy: None,
            agreement: None,
            max_difference: None,
            load_ms: None,
            first_run_ms: None,
            latency: None,
            patches_per_second: None,
            audio_seconds_per_second: None,
            peak_memory_bytes: None,
        }
    }
}

/// What `runtime` opens for `model`: burn runs run folders, the others the ONNX file inside.
fn target(model: &Path, runtime: Runtime) -> Result<PathBuf, String> {
    match (model.is_dir(), runtime) {
        (false, Runtime::Burn) => Err("burn: needs a run folder".into()),
        (true, Runtime::Burn) => Ok(model.to_path_buf()),
        _ => Ok(model_file(model)),
    }
}

/// What a model's file says of itself.
#[derive(Default)]
struct Facts {
    bytes: Option<u64>,
    precision: Option<String>,
    /// Seconds of audio per patch.
    patch_hop_seconds: Option<f64>,
}

impl Facts {
    /// Of what can be read; the case's own row says what is wrong with the file.
    fn of(model: &Path) -> Self {
        let file = model_file(model);
        let bytes = std::fs::metadata(&file).ok().map(|found| found.len());
        #[cfg(feature = "tract")]
        if let Ok(model) = crate::onnx::read(&file) {
            let mut metadata = crate::onnx::metadata(&model);
            let front_end = metadata.remove(key::FRONT_END);
            let parsed =
                front_end.and_then(|text| crate::features::Preprocessor::parse(&text).ok());
            return Self {
                bytes,
                precision: metadata.remove(key::PRECISION).filter(|name| name != "fp32"),
                patch_hop_seconds: parsed.and_then(|front_end| front_end.hop_seconds()),
            };
        }
        Self { bytes, ..Self::default() }
    }

    fn complete(&self, mut row: Row) -> Row {
        row.precision.clone_from(&self.precision);
        row.model_bytes = self.bytes.filter(|_| row.runtime != Runtime::Burn);
        row
    }
}

/// A case that is being measured.
struct Runner {
    row: Row,
    case: Option<Case>,
    seconds: Vec<f64>,
    per_turn: usize,
}

impl Runner {
    fn open(plan: &Plan, mut row: Row) -> Self {
        let case = match plan.open(&row) {
            Ok((case, opened)) => {
                row.load_ms = Some(opened.load_seconds * 1e3);
                row.first_run_ms = Some(opened.first_run_seconds * 1e3);
                Some(case)
            }
            Err(reason) => {
                row.reason = Some(reason);
                None
            }
        };
        Self { row, case, seconds: Vec::new(), per_turn: 1 }
    }

    /// Runs the child a few times; if it fails, it is over and the row says why.
    fn turn(&mut self, iterations: usize) -> Vec<f64> {
        match self.case.as_mut().map(|case| case.run(iterations)) {
            None => Vec::new(),
            Some(Ok((seconds, peak))) => {
                self.row.peak_memory_bytes = peak;
                seconds
            }
            Some(Err(reason)) => {
                self.row.reason = Some(reason);
                self.case = None;
                Vec::new()
            }
        }
    }

    /// Runs that are not counted, and how many of them make a turn.
    fn warm_up(&mut self) {
        let first = self.turn(1);
        let more = first.first().map_or(1, |s| (TURN / s.max(1e-6)).clamp(1.0, 200.0) as usize);
        let warm = self.turn(more);
        if let Some(median) = percentile(&warm, 0.5) {
            self.per_turn = (TURN / median.max(1e-6)).clamp(1.0, 1000.0) as usize;
        }
    }

    fn is_done(&self, limit: f64) -> bool {
        self.case.is_none() || !self.has_time(limit) || self.is_stable()
    }

    fn has_time(&self, limit: f64) -> bool {
        self.seconds.iter().sum::<f64>() < limit
    }

    fn is_stable(&self) -> bool {
        let (first, second) = self.seconds.split_at(self.seconds.len() / 2);
        match (percentile(first, 0.5), percentile(second, 0.5)) {
            (Some(a), Some(b)) => first.len() >= 50 && (a - b).abs() <= STABLE * a.min(b),
            _ => false,
        }
    }

    fn finish(mut self, hop: Option<f64>) -> Row {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|p| percentile(&self.seconds, p));
        if let (Some(p50), Some(p90), Some(p99)) = (p50, p90, p99) {
            let runs = self.seconds.len();
            let patches = (runs * self.row.batch) as f64 / self.seconds.iter().sum::<f64>();
            self.row.latency =
                Some(Latency { p50_ms: p50 * 1e3, p90_ms: p90 * 1e3, p99_ms: p99 * 1e3, runs });
            self.row.patches_per_second = Some(patches);
            self.row.audio_seconds_per_second = hop.map(|hop| patches * hop);
        }
        self.row
    }
}

/// Measures the cases of one group in turns until all medians are stable or the time is up.
fn measure(plan: &Plan, group: Vec<Row>, hop: Option<f64>) -> Vec<Row> {
    let mut runners: Vec<Runner> = group.into_iter().map(|row| Runner::open(plan, row)).collect();
    runners.iter_mut().for_each(Runner::warm_up);
    while !runners.iter().all(|runner| runner.is_done(plan.seconds)) {
        // Those that are stable go on beside the others, so that what slows the machine down
        // slows all of them, but none beyond its time.
        for runner in runners.iter_mut().filter(|runner| runner.has_time(plan.seconds)) {
            let seconds = runner.turn(runner.per_turn);
            runner.seconds.extend(seconds);
        }
    }
    runners.into_iter().map(|runner| runner.finish(hop)).collect()
}

/// The `p` quantile by nearest rank.
fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (p * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// What the outputs of one runtime on one device say.
#[derive(Clone, Copy)]
struct Verdict {
    runtime: Runtime,
    device: Device,
    accuracy: Option<f64>,
    agreement: Option<f64>,
    max_difference: Option<f64>,
}

struct Judged(Vec<Verdict>);

impl Judged {
    fn complete(&self, mut row: Row) -> Row {
        let this = |v: &&Verdict| v.runtime == row.runtime && v.device == row.device;
        if let (Some(verdict), Some(_)) = (self.0.iter().find(this), &row.latency) {
            row.accuracy = verdict.accuracy;
            row.agreement = verdict.agreement;
            row.max_difference = verdict.max_difference;
        }
        row
    }
}

type Outputs = Vec<(String, Tensor)>;

/// Runs the evaluation patches, or the probe, once in each runtime on each device.
fn judge(plan: &Plan, model: &Path, set: Option<EvaluationSet>) -> Result<Judged> {
    if let Some(set) = &set {
        set.check()?;
    }
    let file = tempfile::NamedTempFile::new().map_err(Error::io("temporary file"))?;
    let mut patches: Option<Vec<usize>> = None;
    if let Some(set) = &set {
        case::write_floats(file.path(), set.patches.data.iter())?;
        patches = Some(set.patches.shape.clone());
    }
    let mut reference: Option<Outputs> = None;
    let mut verdicts = Vec::new();
    for &device in &plan.devices {
        for &runtime in &plan.runtimes {
            let Some((mut case, opened)) = open_to_judge(plan, model, runtime, device) else {
                continue;
            };
            let shape = match &patches {
                Some(shape) => shape,
                None => {
                    let probe = case::probe(&opened.patch, PROBE_PATCHES, plan.seed);
                    case::write_floats(file.path(), probe.data.iter())?;
                    patches.insert(probe.shape)
                }
            };
            // A runtime that fails here fails in its rows as well, and they say why.
            let Ok(outputs) = case.evaluate(file.path(), shape) else { continue };
            let reference = reference.get_or_insert_with(|| outputs.clone());
            verdicts.push(Verdict {
                runtime,
                device,
                accuracy: set.as_ref().and_then(|set| set.accuracy(primary(&outputs)?)),
                agreement: agreement(reference, &outputs),
                max_difference: max_difference(reference, &outputs),
            });
        }
    }
    Ok(Judged(verdicts))
}

/// The largest batch that the runtime opens is the quickest way through the patches.
fn open_to_judge(
    plan: &Plan,
    model: &Path,
    runtime: Runtime,
    device: Device,
) -> Option<(Case, case::Opened)> {
    let mut batches = plan.batches.clone();
    batches.sort_unstable();
    let threads = plan.threads.iter().copied().max()?;
    let open = |batch| plan.open(&Row::new(model, runtime, device, threads, batch)).ok();
    batches.into_iter().rev().find_map(open)
}

impl EvaluationSet {
    fn check(&self) -> Result<()> {
        let patches = self.patches.shape.first().copied().unwrap_or(0);
        let values = self.patches.shape.iter().product::<usize>();
        if patches == 0 || values != self.patches.data.len() {
            return Err(Error::Data("the evaluation set has no patches or a wrong shape".into()));
        }
        if self.track_of_patch.len() != patches {
            return Err(Error::Data(format!(
                "the evaluation set has {patches} patches but names the track of {}",
                self.track_of_patch.len()
            )));
        }
        if self.track_of_patch.iter().any(|&track| track >= self.labels.len()) {
            return Err(Error::Data("the evaluation set names a track without a label".into()));
        }
        Ok(())
    }

    /// The share of tracks with patches whose class has the highest mean output; `None` if
    /// the output has too few columns to be one per class.
    fn accuracy(&self, output: &Tensor) -> Option<f64> {
        let columns = columns(output)?;
        if self.labels.iter().any(|&label| label >= columns) {
            return None;
        }
        let mut sums = vec![Vec::new(); self.labels.len()];
        for (row, &track) in output.data.chunks(columns).zip(&self.track_of_patch) {
            sums[track].resize(columns, 0.0);
            for (sum, value) in sums[track].iter_mut().zip(row) {
                *sum += value;
            }
        }
        let judged = sums.iter().zip(&self.labels).filter(|(sum, _)| !sum.is_empty());
        let right: Vec<bool> = judged.map(|(sum, &label)| argmax(sum) == Some(label)).collect();
        Some(share(right.into_iter()))
    }
}

/// The output that names classes: `probabilities` if there is one, else the first.
fn primary(outputs: &Outputs) -> Option<&Tensor> {
    let named = outputs.iter().find(|(name, _)| name == PROBABILITIES);
    named.or(outputs.first()).map(|(_, tensor)| tensor)
}

fn columns(output: &Tensor) -> Option<usize> {
    let rows = *output.shape.first()?;
    output.data.len().checked_div(rows).filter(|&columns| columns > 0)
}

/// The place of the largest value; `None` if there is none or one is not a number.
fn argmax(values: &[f32]) -> Option<usize> {
    let numbers = values.iter().all(|value| !value.is_nan());
    let largest = |a: &(usize, &f32), b: &(usize, &f32)| match a.1.total_cmp(b.1) {
        Ordering::Equal => b.0.cmp(&a.0), // of equals the first
        order => order,
    };
    values.iter().enumerate().max_by(largest).filter(|_| numbers).map(|(place, _)| place)
}

fn share(hits: impl ExactSizeIterator<Item = bool>) -> f64 {
    let total = hits.len() as f64;
    hits.filter(|&hit| hit).count() as f64 / total
}

/// The share of patches on whose highest primary output both agree.
fn agreement(reference: &Outputs, outputs: &Outputs) -> Option<f64> {
    let (a, b) = (primary(reference)?, primary(outputs)?);
    if a.shape != b.shape {
        return None;
    }
    let (a, b) = (a.data.chunks(columns(a)?), b.data.chunks(columns(b)?));
    Some(share(a.zip(b).map(|(a, b)| argmax(a).is_some() && argmax(a) == argmax(b))))
}

/// The largest difference between outputs of the same name; `None` if there are none or
/// anything is not a number.
fn max_difference(reference: &Outputs, outputs: &Outputs) -> Option<f64> {
    let mut largest = None;
    for (name, tensor) in outputs {
        let Some((_, other)) = reference.iter().find(|(other, _)| other == name) else { continue };
        if other.shape != tensor.shape {
            return None;
        }
        for (a, b) in tensor.data.iter().zip(&other.data) {
            let difference = f64::from((a - b).abs());
            if difference.is_nan() {
                return None;
            }
            largest = Some(difference.max(largest.unwrap_or(0.0)));
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(name: &str, shape: [usize; 2], data: &[f32]) -> (String, Tensor) {
        (name.into(), Tensor { shape: shape.into(), data: data.into() })
    }

    #[test]
    fn accuracy_is_of_tracks_and_by_the_mean() {
        let patches = Tensor { shape: vec![3, 1, 1], data: vec![0.0; 3] };
        let set = EvaluationSet {
            patches,
            track_of_patch: vec![0, 0, 1],
            labels: vec![1, 0],
            patch_hop_seconds: Some(1.0),
        };
        // Track 0: one patch is sure of class 1, one weakly of class 0. Track 1: wrong.
        let (_, answers) = output("probabilities", [3, 2], &[0.1, 0.9, 0.6, 0.4, 0.3, 0.7]);
        assert_eq!(set.accuracy(&answers), Some(0.5));
        let (_, narrow) = output("probabilities", [3, 1], &[0.1, 0.9, 0.6]);
        assert_eq!(set.accuracy(&narrow), None);
    }

    #[test]
    fn runtimes_are_compared_on_the_probabilities() {
        let a = vec![
            output("x", [2, 2], &[0.0; 4]),
            output("probabilities", [2, 2], &[1., 0., 1., 0.]),
        ];
        let b = vec![
            output("x", [2, 2], &[0.5; 4]),
            output("probabilities", [2, 2], &[1., 0., 0., 1.]),
        ];
        assert_eq!(agreement(&a, &b), Some(0.5));
        assert_eq!(max_difference(&a, &b), Some(1.0));
        let nan = vec![output("probabilities", [2, 2], &[f32::NAN; 4])];
        assert_eq!((agreement(&a, &nan), max_difference(&a, &nan)), (Some(0.0), None));
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.9, 0.99].map(|p| percentile(&values, p)), [50., 90., 99.].map(Some));
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[7.0], 0.01), Some(7.0));
    }
}
