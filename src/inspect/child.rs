//! A question put to a process of its own: what a stranger's file makes a runtime do (crash,
//! take all memory, never end) then happens there, and is the answer.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The longest answer, in bytes.
const LONGEST: u64 = 256 << 20;
/// How often the child's memory is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// What a child may take before it is ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub time: Duration,
    /// Resident memory in bytes; watched on Linux only.
    pub memory: u64,
}

/// The answer of `program`, started with the one argument `--answer`, to `question`.
///
/// # Errors
/// Why there is none, in one line.
pub(super) fn ask<A: DeserializeOwned>(
    program: &Path,
    question: &impl Serialize,
    limits: Limits,
) -> Result<A, String> {
    let text = |error: &dyn std::fmt::Display| format!("{}: {error}", program.display());
    let mut errors = tempfile::tempfile().map_err(|e| text(&e))?;
    let stderr = errors.try_clone().map_err(|e| text(&e))?;
    let mut child = Command::new(program)
        .arg("--answer")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .map_err(|e| text(&e))?;
    let asked = put(&mut child, question);
    let watched = watch(&mut child, limits);
    // Whatever happened, the child is over; a second kill of a finished one is no harm.
    let _ = child.kill();
    let status = child.wait().map_err(|e| text(&e))?;
    let answer = watched?;
    match serde_json::from_slice::<Result<A, String>>(&answer) {
        Ok(answer) => answer,
        Err(_) => Err(cause_of_death(status, &mut errors, asked.err())),
    }
}

fn put(child: &mut Child, question: &impl Serialize) -> io::Result<()> {
    let Some(mut input) = child.stdin.take() else { return Ok(()) };
    input.write_all(&serde_json::to_vec(question)?)
}

/// All that the child prints, until it ends or has to be ended.
fn watch(child: &mut Child, limits: Limits) -> Result<Vec<u8>, String> {
    let Some(output) = child.stdout.take() else { return Ok(vec![]) };
    let (sender, receiver) = mpsc::channel();
    // Ends with the child, whose end of the pipe is then closed.
    thread::spawn(move || {
        let mut answer = vec![];
        let read = output.take(LONGEST).read_to_end(&mut answer);
        let _ = sender.send(read.map(|_| answer));
    });
    let started = Instant::now();
    loop {
        match receiver.recv_timeout(GLANCE) {
            Ok(answer) => return answer.map_err(|error| error.to_string()),
            Err(RecvTimeoutError::Disconnected) => return Ok(vec![]),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if started.elapsed() > limits.time {
            return Err(format!("stopped after {} s", limits.time.as_secs()));
        }
        if resident(child.id()).is_some_and(|memory| memory > limits.memory) {
            return Err(format!("stopped: it took more than {} MB of memory", limits.memory >> 20));
        }
    }
}

/// The memory that process `id` has in RAM, in bytes; known on Linux only.
fn resident(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// The exit status and the last thing that was printed.
fn cause_of_death(status: ExitStatus, errors: &mut File, asked: Option<io::Error>) -> String {
    let mut printed = vec![];
    let _ = errors.rewind().and_then(|()| errors.take(1 << 20).read_to_end(&mut printed));
    let printed = String::from_utf8_lossy(&printed);
    // The standard library's advice to programmers is no cause.
    let said = |line: &&str| !line.is_empty() && !line.starts_with("note: run with");
    match (printed.lines().map(str::trim).rfind(said), asked) {
        (Some(last), _) => format!("the process died ({status}): {last}"),
        (None, Some(error)) => format!("the process died ({status}): {error}"),
        (None, None) => format!("the process died ({status}); perhaps it ran out of memory"),
    }
}

/// The child's side: reads the question from standard input and prints what `answer` makes of
/// it.
///
/// # Errors
/// [`Error::Io`] if standard input or output breaks, [`Error::Format`] if the question is none;
/// what `answer` says goes to the parent.
pub(super) fn serve<Q: DeserializeOwned, A: Serialize>(
    answer: impl FnOnce(Q) -> Result<A, String>,
) -> Result<()> {
    let broken = || Error::io("standard input or output");
    let mut question = vec![];
    io::stdin().lock().read_to_end(&mut question).map_err(broken())?;
    let question = serde_json::from_slice(&question);
    let answer = answer(question.map_err(|e| Error::format("standard input", e))?);
    let text = serde_json::to_vec(&answer).map_err(|e| Error::format("standard output", e))?;
    let mut output = io::stdout().lock();
    output.write_all(&text).and_then(|()| output.flush()).map_err(broken())
}
