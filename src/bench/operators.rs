//! Where the time of a patch goes, operator by operator.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;

use super::case::{patch_shape, probe};
use super::machine::Machine;
use super::plan::{Plan, target};
use super::table::model_name;
use crate::error::{Error, Result};
use crate::runtime::{self, Device, Options, Profile, Runtime, check_patches};

/// The fewest and the most runs that count.
const RUNS: [f64; 2] = [10.0, 1000.0];

/// Where the time of a run goes, for each model, runtime and number of threads.
#[derive(Clone, Debug, Serialize)]
pub struct OperatorReport {
    /// Where and when.
    pub machine: Machine,
    /// One for each model, runtime and number of threads.
    pub tables: Vec<OperatorTable>,
}

/// Where the time of a run goes in one runtime.
#[derive(Clone, Debug, Serialize)]
pub struct OperatorTable {
    /// The model as it was given.
    pub model: PathBuf,
    /// The runtime.
    pub runtime: Runtime,
    /// Threads.
    pub threads: usize,
    /// Patches: one, or as many as the file takes.
    pub batch: usize,
    /// Why there are no times.
    pub reason: Option<String>,
    /// A whole run, in the median, while its operators are timed.
    pub run_ms: Option<f64>,
    /// The kinds of operators, those that take longest first.
    pub operators: Vec<OperatorRow>,
}

/// All operators of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorRow {
    /// The kind, as the runtime calls it.
    pub operator: String,
    /// How many there are.
    pub count: usize,
    /// What they take together in a run, each in its median.
    pub ms: f64,
    /// Of the run.
    pub share: f64,
}

/// Times the operators of the models of `plan` in its runtimes, in this process: one patch at a
/// time, whatever its batches are. `option` writes an option in a reason as the program has it.
///
/// # Errors
/// Those of [`run`](super::run()) for the plan. A model that a runtime does not run is no error.
pub fn operators(plan: &Plan, option: fn(&str) -> String) -> Result<OperatorReport> {
    plan.check()?;
    if plan.devices != [Device::Cpu] {
        let reason = "operators are timed on the processor only; leave ‹devices› out";
        return Err(Error::InvalidInput(reason.to_owned()));
    }
    let mut tables = vec![];
    for model in &plan.models {
        for &threads in &plan.threads {
            tables.extend(plan.runtimes.iter().map(|runtime| {
                let options = Options { device: Device::Cpu, threads };
                let timed = timed(plan, &target(model, *runtime), *runtime, &options);
                let timed = timed.map_err(|error| error.naming_options(option));
                OperatorTable::new(model, *runtime, threads, timed)
            }));
        }
    }
    Ok(OperatorReport { machine: Machine::here(&plan.runtimes), tables })
}

/// A profile, and of how many patches.
fn timed(
    plan: &Plan,
    path: &Path,
    runtime: Runtime,
    options: &Options,
) -> Result<(usize, Profile)> {
    let mut session = match runtime {
        // Asked for its operators it says why it has none.
        Runtime::Burn => {
            let none = ndarray::ArrayD::zeros(vec![]);
            return Ok((1, runtime::profile(runtime, path, options, none.view(), 1)?));
        }
        _ => runtime::open(runtime, path, options)?,
    };
    let batch = session.input().dims.first().copied().flatten().unwrap_or(1);
    let patch = patch_shape(session.input())?;
    check_patches(Some(batch), patch.iter().product()).map_err(|e| Error::onnx(path, e))?;
    let input = probe(&patch, batch, plan.seed);
    session.run(input.view())?;
    let begin = Instant::now();
    session.run(input.view())?;
    let runs = (plan.seconds / begin.elapsed().as_secs_f64().max(1e-6)).clamp(RUNS[0], RUNS[1]);
    drop(session);
    Ok((batch, runtime::profile(runtime, path, options, input.view(), runs as usize)?))
}

impl OperatorTable {
    fn new(
        model: &Path,
        runtime: Runtime,
        threads: usize,
        timed: Result<(usize, Profile), String>,
    ) -> Self {
        let empty = Self {
            model: model.to_owned(),
            runtime,
            threads,
            batch: 1,
            reason: None,
            run_ms: None,
            operators: vec![],
        };
        match timed {
            Ok((batch, profile)) => {
                let run_ms = Some(profile.run_seconds * 1e3);
                Self { batch, run_ms, operators: rows(&profile), ..empty }
            }
            Err(reason) => Self { reason: Some(reason), ..empty },
        }
    }
}

/// Operators of a kind together.
fn rows(profile: &Profile) -> Vec<OperatorRow> {
    let mut kinds: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for time in &profile.operators {
        let (count, seconds) = kinds.entry(&time.operator).or_default();
        *count += 1;
        *seconds += time.seconds;
    }
    let row = |(operator, (count, seconds)): (&str, (usize, f64))| OperatorRow {
        operator: operator.to_owned(),
        count,
        ms: seconds * 1e3,
        share: if profile.run_seconds > 0.0 { seconds / profile.run_seconds } else { 0.0 },
    };
    let mut rows: Vec<OperatorRow> = kinds.into_iter().map(row).collect();
    rows.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    rows
}

impl OperatorReport {
    /// Whether any model's operators were timed.
    pub fn any_ran(&self) -> bool {
        self.tables.iter().any(|table| table.reason.is_none())
    }

    /// The tables as aligned text.
    pub fn to_text(&self) -> String {
        let mut text = self.machine.lines().join("\n") + "\n";
        for table in &self.tables {
            // Writing to a String cannot fail.
            let _ = table.write(&mut text);
        }
        text
    }
}

impl OperatorTable {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let threads = if self.threads == 1 { "thread" } else { "threads" };
        let name = model_name(&self.model);
        write!(text, "\n{name} in {}, {} {threads}: ", self.runtime, self.threads)?;
        let Some(run_ms) = self.run_ms else {
            return writeln!(text, "{}", self.reason.as_deref().unwrap_or_default());
        };
        match self.batch {
            1 => writeln!(text, "{run_ms:.3} ms a patch")?,
            batch => writeln!(text, "{run_ms:.3} ms for {batch} patches")?,
        }
        let mut line = |name: &str, count: &str, ms: f64, share: f64| {
            writeln!(text, "  {name:<28} {count:>5} {ms:>9.3} ms {:>5.1} %", share * 100.0)
        };
        for row in &self.operators {
            line(&row.operator, &row.count.to_string(), row.ms, row.share)?;
        }
        let rest = run_ms - self.operators.iter().map(|row| row.ms).sum::<f64>();
        line("between them", "", rest, if run_ms > 0.0 { rest / run_ms } else { 0.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::OperatorTime;

    #[test]
    fn operators_of_a_kind_count_together_and_what_is_left_is_said() {
        let time = |operator: &str, ms: f64| OperatorTime {
            operator: operator.to_owned(),
            seconds: ms / 1e3,
        };
        let operators = vec![time("Relu", 1.0), time("Conv", 2.0), time("Conv", 4.0)];
        let profile = Profile { run_seconds: 0.008, operators };
        let table = OperatorTable::new(Path::new("a/net.onnx"), Runtime::Ort, 2, Ok((1, profile)));
        let kinds: Vec<_> = table.operators.iter().map(|row| (&*row.operator, row.count)).collect();
        assert_eq!(kinds, [("Conv", 2), ("Relu", 1)]);
        assert!((table.operators[0].share - 0.75).abs() < 1e-9);
        let mut text = String::new();
        table.write(&mut text).unwrap();
        assert!(text.contains("net in ort, 2 threads: 8.000 ms a patch"), "{text}");
        assert!(text.contains("between them                           1.000 ms  12.5 %"), "{text}");
    }
}
