//! A benchmark from its plan to its report.

use std::path::Path;

use super::facts::Facts;
use super::judge::judge;
use super::machine::Machine;
use super::measure::measure;
use super::plan::Plan;
use super::records::Report;
use super::set::EvaluationSet;
use super::table;
use crate::error::Result;
use crate::progress;

/// Runs every case of `plan`.
///
/// `evaluation` is asked once for each model for patches with known answers; without them
/// (`None`) runtimes are compared on seeded random patches, and accuracy stays unknown.
///
/// # Errors
/// [`Error::InvalidInput`](crate::error::Error::InvalidInput) if the plan is empty somewhere,
/// [`Error::Mismatch`](crate::error::Error::Mismatch) if an evaluation set
/// contradicts itself, and whatever `evaluation` returns. A case that fails is no error.
pub fn run(
    plan: &Plan,
    mut evaluation: impl FnMut(&Path) -> Result<Option<EvaluationSet>>,
) -> Result<Report> {
    plan.check()?;
    let groups = plan.models.len() * plan.devices.len() * plan.threads.len() * plan.batches.len();
    let bar = progress::begin(groups, "benchmark", "comparisons");
    let mut rows = Vec::new();
    for model in &plan.models {
        bar.note(&table::model_name(model));
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
            bar.advance(1);
        }
    }
    drop(bar);
    let machine = Machine::here(&plan.runtimes);
    Ok(Report { machine, seconds_per_case: plan.seconds, seed: plan.seed, rows })
}
