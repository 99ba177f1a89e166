//! Where the time of a run goes, operator by operator.
//!
//! Each runtime times its own operators, as it calls them after all that it makes of a graph: ONNX
//! Runtime by its profiler, tract between one operator of its plan and the next.

#[cfg(any(feature = "ort", feature = "tract"))]
use std::collections::BTreeMap;

#[cfg(any(feature = "ort", feature = "tract"))]
use crate::metrics::{Rule, quantile};

/// How long one operator of a graph takes.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorTime {
    /// What kind of operator, as the runtime calls it.
    pub operator: String,
    /// Seconds of one run, in the median.
    pub seconds: f64,
}

/// Where the time of a run goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Seconds of a whole run, in the median; with its operators timed a run takes longer.
    pub run_seconds: f64,
    /// Every operator that was called.
    pub operators: Vec<OperatorTime>,
}

/// Runs that are not counted.
#[cfg(any(feature = "ort", feature = "tract"))]
const WARM_UP: usize = 3;

/// All calls of all runs.
#[cfg(any(feature = "ort", feature = "tract"))]
#[derive(Debug, Default)]
pub(super) struct Calls {
    runs: Vec<f64>,
    /// By what tells a node from all others: its kind, and its seconds in each run.
    nodes: BTreeMap<String, (String, Vec<f64>)>,
    /// The seconds of the run that is under way; a node in a loop is called more than once.
    now: BTreeMap<String, (String, f64)>,
}

#[cfg(any(feature = "ort", feature = "tract"))]
impl Calls {
    /// How many runs to make for so many that count.
    pub fn runs_for(counted: usize) -> usize {
        counted.max(1) + WARM_UP
    }

    /// A call of a node took so many seconds, in the run that is under way.
    pub fn node(&mut self, name: &str, operator: &str, seconds: f64) {
        let call = self.now.entry(name.to_owned()).or_insert_with(|| (operator.to_owned(), 0.0));
        call.1 += seconds;
    }

    /// The run that was under way took so many seconds.
    pub fn run(&mut self, seconds: f64) {
        self.runs.push(seconds);
        for (name, (operator, seconds)) in std::mem::take(&mut self.now) {
            self.nodes.entry(name).or_insert_with(|| (operator, vec![])).1.push(seconds);
        }
    }

    /// The medians, without the first runs.
    pub fn profile(self) -> Profile {
        let median = |seconds: &[f64]| {
            let mut counted = seconds.get(WARM_UP..).unwrap_or_default().to_vec();
            counted.sort_by(f64::total_cmp);
            quantile(&counted, 0.5, Rule::InvertedCdf).unwrap_or_default()
        };
        let operators = self.nodes.into_values();
        let operator = |(operator, seconds): (String, Vec<f64>)| OperatorTime {
            seconds: median(&seconds),
            operator,
        };
        Profile { run_seconds: median(&self.runs), operators: operators.map(operator).collect() }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(any(feature = "ort", feature = "tract"))]
    use super::*;

    #[cfg(any(feature = "ort", feature = "tract"))]
    #[test]
    fn medians_are_of_what_comes_after_the_first_runs() {
        let mut calls = Calls::default();
        for run in 0..Calls::runs_for(3) {
            // One in a loop is called twice.
            calls.node("second", "Relu", 0.125);
            calls.node("second", "Relu", 0.125);
            calls.node("first", "Conv", if run < WARM_UP { 8.0 } else { 0.5 });
            calls.run(if run < WARM_UP { 9.0 } else { run as f64 });
        }
        let found = calls.profile();
        let time = |operator: &str, seconds| OperatorTime { operator: operator.into(), seconds };
        assert_eq!(found.run_seconds, 4.0);
        assert_eq!(found.operators, [time("Conv", 0.5), time("Relu", 0.25)]);
    }
}
