//! How long a case takes: in turns with those it is compared with.

use super::case::Case;
use super::plan::Plan;
use super::records::{Latency, Row};
use crate::metrics::{Rule, quantile};

/// How long one child runs before it is the next one's turn, in seconds.
const TURN: f64 = 0.1;
/// A median is stable when both halves of the runs agree on it this well.
const STABLE: f64 = 0.02;

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
                row.reason = Some(reason.to_string());
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
                self.row.reason = Some(reason.to_string());
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
pub(super) fn measure(plan: &Plan, group: Vec<Row>, hop: Option<f64>) -> Vec<Row> {
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

/// The `p` quantile of measured times, itself one that was measured.
fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, p, Rule::InvertedCdf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([0.5, 0.9, 0.99].map(|p| percentile(&values, p)), [50., 90., 99.].map(Some));
        assert_eq!(percentile(&[], 0.5), None);
        assert_eq!(percentile(&[7.0], 0.01), Some(7.0));
    }
}
