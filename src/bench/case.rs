//! One case of a benchmark, in a process of its own.
//!
//! Peak memory is a property of a process, and so is a crash: every case therefore runs
//! in a child, which the parent commands with lines of JSON on its standard input and
//! reads from with lines of JSON on its standard output. A child without
//! an order does nothing.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use ndarray::{ArrayD, ArrayViewD, Axis, Slice};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::error::{Cause, Error, Result};
#[cfg(feature = "train")]
use crate::export::open;
#[cfg(not(feature = "train"))]
use crate::runtime::open;
use crate::runtime::{Batch, Device, Options, Port, Runtime, Session};

/// What a child is: the first line it reads.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    /// What the runtime opens: an ONNX file, or a run folder for burn.
    pub model: PathBuf,
    pub runtime: Runtime,
    pub device: Device,
    pub threads: usize,
    pub batch: usize,
    pub seed: u64,
}

/// An order to a child.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// Run the batch this often, and say how long each run took.
    Run { iterations: usize },
    /// Run all patches of the file, and write every output to the other file.
    Evaluate { patches: PathBuf, shape: Vec<usize>, outputs: PathBuf },
}

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
enum Reply {
    Opened(Opened),
    Ran { seconds: Vec<f64>, peak_memory: Option<u64> },
    Evaluated { outputs: Vec<(String, Vec<usize>)> },
    Failed(String),
}

/// What is known once a model is open and has run once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Opened {
    /// The shape of one patch: the input without its batch axis.
    pub patch: Vec<usize>,
    pub load_seconds: f64,
    pub first_run_seconds: f64,
}

/// The parent's end of a case.
pub(super) struct Case {
    child: Child,
    orders: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
    errors: File,
}

impl Case {
    /// Starts `program` as the child, and waits until it has opened its model and run once.
    ///
    /// # Errors
    /// The reason for the row, if it cannot.
    pub fn open(program: &Path, spec: &Spec) -> Result<(Self, Opened), Cause> {
        let errors = tempfile::tempfile()?;
        let stderr = errors.try_clone()?;
        let mut child = Command::new(program)
            .arg("--case")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|e| format!("{}: {e}", program.display()))?;
        let (Some(orders), Some(replies)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the child process has no pipes".into());
        };
        let mut case =
            Self { child, orders: Some(orders), replies: BufReader::new(replies), errors };
        match case.order(spec)? {
            Reply::Opened(opened) => Ok((case, opened)),
            other => Err(unexpected(other)),
        }
    }

    /// The seconds each of `iterations` runs took, and the peak memory in bytes until now.
    pub fn run(&mut self, iterations: usize) -> Result<(Vec<f64>, Option<u64>), Cause> {
        match self.order(&Order::Run { iterations })? {
            Reply::Ran { seconds, peak_memory } => Ok((seconds, peak_memory)),
            other => Err(unexpected(other)),
        }
    }

    /// The named outputs for all patches of `patches`, a file of little-endian floats of `shape`.
    pub fn evaluate(
        &mut self,
        patches: &Path,
        shape: &[usize],
    ) -> Result<Vec<(String, ArrayD<f32>)>, Cause> {
        let file = tempfile::NamedTempFile::new()?;
        let order = Order::Evaluate {
            patches: patches.to_path_buf(),
            shape: shape.to_vec(),
            outputs: file.path().to_path_buf(),
        };
        let outputs = match self.order(&order)? {
            Reply::Evaluated { outputs } => outputs,
            other => return Err(unexpected(other)),
        };
        let mut data = read_floats(file.path())?.into_iter();
        let take = |(name, shape): (String, Vec<usize>)| {
            let data = data.by_ref().take(shape.iter().product()).collect();
            let output = ArrayD::from_shape_vec(shape, data).map_err(|e| format!("{name}: {e}"))?;
            Ok((name, output))
        };
        outputs.into_iter().map(take).collect()
    }

    fn order(&mut self, order: &impl Serialize) -> Result<Reply, Cause> {
        let mut line = serde_json::to_string(order)?;
        line.push('\n');
        let sent = self.orders.as_mut().is_some_and(|pipe| pipe.write_all(line.as_bytes()).is_ok());
        let mut answer = String::new();
        if !sent || !matches!(self.replies.read_line(&mut answer), Ok(1..)) {
            return Err(self.cause_of_death().into());
        }
        match serde_json::from_str(&answer) {
            Ok(Reply::Failed(reason)) => Err(reason.into()),
            Ok(reply) => Ok(reply),
            Err(_) => Err(format!("the child process said \"{}\"", answer.trim_end()).into()),
        }
    }

    /// Why the child stopped answering: its exit status and the last thing it printed.
    fn cause_of_death(&mut self) -> String {
        drop(self.orders.take());
        let status = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        let mut printed = Vec::new();
        let _ = self.errors.rewind().and_then(|()| self.errors.read_to_end(&mut printed));
        let printed = String::from_utf8_lossy(&printed);
        // The standard library's advice to programmers is no cause.
        let said = |line: &&str| !line.is_empty() && !line.starts_with("note: run with");
        match printed.lines().map(str::trim).rfind(said) {
            Some(last) => format!("the process died ({status}): {last}"),
            None => format!("the process died ({status}); perhaps it ran out of memory"),
        }
    }
}

impl Drop for Case {
    /// Closing its input ends the child; it is waited for so that nothing runs beside the
    /// next case.
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.child.wait();
    }
}

fn unexpected(reply: Reply) -> Cause {
    format!("the child process answered {reply:?}").into()
}

/// The child: what the program of a plan does with the one argument `--case`, until its
/// standard input ends. `option` writes an option as that program has it.
///
/// # Errors
/// [`Error::Io`] if standard input or output breaks; whatever the runtime says goes to
/// the parent as an answer.
pub fn serve(option: fn(&str) -> String) -> Result<()> {
    let stdio = |e| Error::io("standard input or output")(e);
    let mut lines = io::stdin().lock().lines();
    let Some(first) = lines.next() else { return Ok(()) };
    let mut open = match parse(&first.map_err(stdio)?).and_then(|spec: Spec| Open::new(&spec)) {
        Ok((open, opened)) => {
            say(&Reply::Opened(opened)).map_err(stdio)?;
            open
        }
        Err(error) => return say(&Reply::Failed(error.naming_options(option))).map_err(stdio),
    };
    for line in lines {
        let reply = parse(&line.map_err(stdio)?).and_then(|order| open.obey(order));
        say(&reply.unwrap_or_else(|e| Reply::Failed(e.naming_options(option)))).map_err(stdio)?;
    }
    Ok(())
}

fn parse<'a, T: Deserialize<'a>>(line: &'a str) -> Result<T> {
    serde_json::from_str(line).map_err(|e| Error::format("standard input", e))
}

fn say(reply: &Reply) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(reply)?)?;
    out.flush()
}

/// The child's model, and the batch it runs on.
struct Open {
    session: Box<dyn Session>,
    batch: ArrayD<f32>,
}

impl Open {
    fn new(spec: &Spec) -> Result<(Self, Opened)> {
        let options = Options { device: spec.device, threads: spec.threads };
        let start = Instant::now();
        let mut session = open(spec.runtime, &spec.model, &options)?;
        let load_seconds = start.elapsed().as_secs_f64();
        let patch = patch_shape(session.input())?;
        let batch = probe(&patch, spec.batch, spec.seed);
        let start = Instant::now();
        session.run(batch.view())?;
        let first_run_seconds = start.elapsed().as_secs_f64();
        Ok((Self { session, batch }, Opened { patch, load_seconds, first_run_seconds }))
    }

    fn obey(&mut self, order: Order) -> Result<Reply> {
        match order {
            Order::Run { iterations } => {
                let seconds = (0..iterations).map(|_| self.timed_run()).collect::<Result<_>>()?;
                Ok(Reply::Ran { seconds, peak_memory: peak_memory() })
            }
            Order::Evaluate { patches, shape, outputs } => {
                self.evaluate(&patches, &shape, &outputs)
            }
        }
    }

    fn timed_run(&mut self) -> Result<f64> {
        let start = Instant::now();
        self.session.run(self.batch.view())?;
        Ok(start.elapsed().as_secs_f64())
    }

    fn evaluate(&mut self, patches: &Path, shape: &[usize], outputs: &Path) -> Result<Reply> {
        let data = read_floats(patches).map_err(Error::io(patches))?;
        let all = ArrayViewD::from_shape(shape, &data).map_err(|e| Error::format(patches, e))?;
        let full = self.batch.len_of(Axis(0));
        let fixed = self.session.input().dims.first().copied().flatten().map(|_| full);
        let mut found: Vec<Found> = vec![Found::default(); self.session.outputs().len()];
        for some in all.axis_chunks_iter(Axis(0), full) {
            let rows = some.len_of(Axis(0));
            let answers = self.session.run(Batch::new(some, fixed).rows())?;
            for (found, mut answer) in found.iter_mut().zip(answers) {
                if fixed.is_some() && answer.shape().first() == Some(&full) {
                    answer.slice_axis_inplace(Axis(0), Slice::from(..rows));
                }
                found.add(&answer);
            }
        }
        write_floats(outputs, found.iter().flat_map(|found| &found.values))?;
        let names = self.session.outputs().iter().cloned();
        Ok(Reply::Evaluated { outputs: names.zip(found.into_iter().map(|f| f.shape)).collect() })
    }
}

/// What a model has answered at one output, batch after batch.
#[derive(Clone, Default)]
struct Found {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl Found {
    fn add(&mut self, answer: &ArrayD<f32>) {
        let rows = self.shape.first().unwrap_or(&0) + answer.shape().first().unwrap_or(&0);
        self.shape = answer.shape().to_vec();
        if let Some(first) = self.shape.first_mut() {
            *first = rows;
        }
        self.values.extend(answer);
    }
}

/// The shape of one patch of a model's input.
pub(super) fn patch_shape(input: &Port) -> Result<Vec<usize>> {
    let sizes: Option<Vec<usize>> = input.dims.iter().skip(1).copied().collect();
    // A model may declare any size it likes; nobody's patch has 2^24 values.
    let sane = |sizes: &Vec<usize>| {
        let count = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        !sizes.is_empty() && count.is_some_and(|n| (1..1 << 24).contains(&n))
    };
    if input.dims == [Some(1), None] {
        let reason = "it takes one recording of any length, and no patches that could be \
                      compared; give the same model exported with ‹input› waveform";
        return Err(Error::InvalidInput(format!("the input is {input}: {reason}")));
    }
    sizes.filter(sane).ok_or_else(|| {
        Error::InvalidInput(format!(
            "cannot make a patch for the input {input}; give one with fixed sizes"
        ))
    })
}

/// A seeded batch of values between -1 and 1, about what a scaled log-mel holds.
pub(super) fn probe(patch: &[usize], batch: usize, seed: u64) -> ArrayD<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let shape: Vec<usize> = std::iter::once(batch).chain(patch.iter().copied()).collect();
    ArrayD::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
}

/// The most memory this process ever had in RAM, in bytes; known on Linux only.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Writes floats as little-endian bytes.
pub(super) fn write_floats<'a>(path: &Path, data: impl Iterator<Item = &'a f32>) -> Result<()> {
    let mut file = io::BufWriter::new(File::create(path).map_err(Error::io(path))?);
    for value in data {
        file.write_all(&value.to_le_bytes()).map_err(Error::io(path))?;
    }
    file.flush().map_err(Error::io(path))
}

fn read_floats(path: &Path) -> io::Result<Vec<f32>> {
    let bytes = fs::read(path)?;
    Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}
