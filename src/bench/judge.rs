//! How right a runtime is, and how like the first one.

use std::path::Path;

use super::case::{self, Case};
use super::outputs::{Outputs, agreement, max_difference, primary};
use super::plan::Plan;
use super::records::Row;
use super::set::EvaluationSet;
use crate::error::{Error, Result};
use crate::runtime::{Device, Runtime};

/// Patches in the probe that stands in for evaluation data.
const PROBE_PATCHES: usize = 32;

/// What the outputs of one runtime on one device say.
#[derive(Clone, Copy)]
struct Verdict {
    runtime: Runtime,
    device: Device,
    accuracy: Option<f64>,
    average_precision: Option<f64>,
    agreement: Option<f64>,
    max_difference: Option<f64>,
}

/// The verdicts on one model.
pub(super) struct Judged(Vec<Verdict>);

impl Judged {
    /// `row` with what its runtime's verdict says, if the case ran.
    pub fn complete(&self, mut row: Row) -> Row {
        let this = |v: &&Verdict| v.runtime == row.runtime && v.device == row.device;
        if let (Some(verdict), Some(_)) = (self.0.iter().find(this), &row.latency) {
            row.accuracy = verdict.accuracy;
            row.average_precision = verdict.average_precision;
            row.agreement = verdict.agreement;
            row.max_difference = verdict.max_difference;
        }
        row
    }
}

/// Runs the evaluation patches, or the probe, once in each runtime on each device.
pub(super) fn judge(plan: &Plan, model: &Path, set: Option<EvaluationSet>) -> Result<Judged> {
    if let Some(set) = &set {
        set.check()?;
    }
    let file = tempfile::NamedTempFile::new().map_err(Error::io("temporary file"))?;
    let mut patches: Option<Vec<usize>> = None;
    if let Some(set) = &set {
        case::write_floats(file.path(), set.patches.iter())?;
        patches = Some(set.patches.shape().to_vec());
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
                    case::write_floats(file.path(), probe.iter())?;
                    patches.insert(probe.shape().to_vec())
                }
            };
            // A runtime that fails here fails in its rows as well, and they say why.
            let Ok(outputs) = case.evaluate(file.path(), shape) else { continue };
            let reference = reference.get_or_insert_with(|| outputs.clone());
            verdicts.push(Verdict {
                runtime,
                device,
                accuracy: set.as_ref().and_then(|set| set.accuracy(primary(&outputs)?)),
                average_precision: (set.as_ref())
                    .and_then(|set| set.average_precision(primary(&outputs)?)),
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
