//! What the runtimes answered, put together.

use std::path::Path;

use serde::Serialize;

use super::about::shortened;
use super::fits::Fit;
use super::trial::{Answer, Ran, Refused};
use crate::runtime::Runtime;

/// A file in one runtime.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tried {
    /// The runtime.
    pub runtime: Runtime,
    /// Its version, if it is there.
    pub version: Option<String>,
    /// How long one run of the first input that worked took, on one thread; none if none did.
    pub milliseconds: Option<f64>,
    /// Why none did.
    pub reason: Option<String>,
    /// Operators that it does not have: in tract all of them, in others the first it names.
    pub refused_operators: Vec<String>,
}

/// Two runtimes' answers to the same input.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The runtimes.
    pub runtimes: [Runtime; 2],
    /// The output.
    pub output: String,
    /// The largest difference of two values; none if only one of them is a number, or the
    /// answers have different shapes.
    pub absolute: Option<f32>,
    /// That, relative to the output's largest value.
    pub relative: Option<f32>,
}

/// What a child said.
pub(super) type Answered = Result<Answer, String>;

fn ran(answer: &Answered) -> &[Result<Ran, String>] {
    match answer {
        Ok(Answer::Ran(ran)) => ran,
        _ => &[],
    }
}

/// The place of the first of `fits` that `answer` ran.
fn first(answer: &Answered) -> Option<usize> {
    ran(answer).iter().position(Result::is_ok)
}

/// The names of the layers that `finetune` counts, from the input on; none if burn, in which it
/// trains, did not run the file.
pub(super) fn layer_names(answers: &[(Runtime, Answered)]) -> Option<Vec<String>> {
    let mut ran = answers.iter().flat_map(|(_, answer)| ran(answer)).flatten();
    ran.find_map(|ran| ran.layers.clone())
}

/// Notes in `fits` which of them ran somewhere, and else the first reason; what no runtime even
/// opened stays unknown.
pub(super) fn agree(fits: &mut [Fit], answers: &[(Runtime, Answered)]) {
    for (place, fit) in fits.iter_mut().enumerate() {
        let tried: Vec<&Result<Ran, String>> = answers
            .iter()
            .filter(|(runtime, _)| *runtime != Runtime::Burn)
            .filter_map(|(_, answer)| ran(answer).get(place))
            .collect();
        if !tried.is_empty() {
            fit.runs = Some(tried.iter().any(|result| result.is_ok()));
        }
        if fit.runs == Some(false) {
            fit.reason = tried.iter().find_map(|r| r.as_ref().err()).map(|text| shortened(text));
        }
    }
}

/// The answer of `runtime` in a few words.
pub(super) fn tried(path: &Path, runtime: Runtime, answer: Answered) -> Tried {
    let milliseconds =
        first(&answer).and_then(|at| ran(&answer)[at].as_ref().ok().map(|ran| ran.milliseconds));
    let (reason, refused_operators) = match answer {
        _ if milliseconds.is_some() => (None, vec![]),
        Ok(Answer::Refused(Refused { reason, operators })) => (Some(reason), operators),
        Ok(Answer::Ran(ran)) => (ran.into_iter().find_map(Result::err), vec![]),
        Err(reason) => (Some(reason), vec![]),
        Ok(_) => (None, vec![]),
    };
    let nothing = || "it was given no input".to_owned();
    let reason = milliseconds.is_none().then(|| reason.unwrap_or_else(nothing));
    let reason = reason.map(|reason| bare(&reason, runtime, path));
    Tried { runtime, version: runtime.version(), milliseconds, reason, refused_operators }
}

/// A reason on one line, without the runtime and the file that it is shown beside.
fn bare(reason: &str, runtime: Runtime, path: &Path) -> String {
    let path = format!("{}: ", path.display());
    let reason = reason.strip_prefix(&format!("{runtime}: ")).unwrap_or(reason);
    shortened(&reason.replace(&path, ""))
}

/// The largest difference between two runtimes, relative to the output's largest value, in what
/// they answered to the first input that ran in both.
pub(super) fn difference(fits: &[Fit], answers: &[(Runtime, Answered)]) -> Option<Difference> {
    let mut largest: Option<Difference> = None;
    for (place, (one, first)) in answers.iter().enumerate() {
        for (other, second) in &answers[place + 1..] {
            let both = (0..fits.len()).find_map(|at| {
                let of = |answer| ran(answer).get(at)?.as_ref().ok();
                of(first).zip(of(second))
            });
            let Some((first, second)) = both else { continue };
            for found in differences([*one, *other], first, second) {
                let size = |difference: &Difference| difference.relative.unwrap_or(f32::INFINITY);
                if largest.as_ref().is_none_or(|known| size(&found) > size(known)) {
                    largest = Some(found);
                }
            }
        }
    }
    largest
}

/// A difference for each output that both have.
fn differences(runtimes: [Runtime; 2], first: &Ran, second: &Ran) -> Vec<Difference> {
    let mut found = vec![];
    for (name, shape, values) in &first.outputs {
        let same = second.outputs.iter().find(|(other, ..)| other == name);
        let Some((_, other_shape, others)) = same else { continue };
        // A network in burn gives its embeddings as a matrix, whatever the file's shape.
        let alike = shape == other_shape || runtimes[1] == Runtime::Burn;
        let largest = (alike && values.len() == others.len()).then(|| largest(values, others));
        let (absolute, relative) = largest.flatten().unzip();
        found.push(Difference { runtimes, output: name.clone(), absolute, relative });
    }
    found
}

/// The largest difference, and that relative to the largest value; none where only one value
/// of two is a number.
fn largest(values: &[Option<f32>], others: &[Option<f32>]) -> Option<(f32, f32)> {
    let (mut difference, mut largest) = (0f32, 0f32);
    for pair in values.iter().zip(others) {
        match pair {
            (Some(one), Some(other)) if one == other => largest = largest.max(one.abs()),
            (Some(one), Some(other)) => {
                difference = difference.max((one - other).abs());
                largest = largest.max(one.abs());
            }
            (None, None) => {}
            _ => return None,
        }
    }
    let relative = if difference == 0.0 { 0.0 } else { difference / largest };
    (difference.is_finite() && relative.is_finite()).then_some((difference, relative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_relative_and_infinities_may_agree() {
        let some = |values: &[f32]| -> Vec<Option<f32>> {
            values.iter().map(|v| (!v.is_nan()).then_some(*v)).collect()
        };
        let of = |a: &[f32], b: &[f32]| largest(&some(a), &some(b));
        assert_eq!(of(&[1.0, -4.0], &[1.0, -3.0]), Some((1.0, 0.25)));
        assert_eq!(of(&[f32::NAN, 0.0], &[f32::NAN, 0.0]), Some((0.0, 0.0)));
        assert_eq!(of(&[f32::INFINITY, 2.0], &[f32::INFINITY, 2.0]).unwrap().0, 0.0);
        assert_eq!(of(&[f32::NAN], &[0.0]), None);
    }
}
