//! A file tried in each runtime: opened, and run on what fits its input.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ndarray::ArrayD;
use serde::{Deserialize, Serialize};

use super::child;
use super::fits::Fit;
#[cfg(feature = "train")]
use super::imported;
use crate::classify::{Classifier, Options as ClassifyOptions};
use crate::error::{Error, Result};
use crate::runtime::{self, Options, Runtime, Session, Shapes};

/// Runs that are timed, at most, and for how long.
const RUNS: usize = 5;
const ENOUGH: Duration = Duration::from_millis(500);
/// Values of an output that are compared, at most.
const COMPARED: usize = 1 << 20;

/// What a child is asked.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Question {
    /// The shapes of all tensors.
    Shapes {
        model: PathBuf,
        given: BTreeMap<String, Vec<usize>>,
        noted: BTreeMap<String, Vec<usize>>,
    },
    /// Whether `runtime` opens the file, and runs it on each of `fits`.
    Run { model: PathBuf, runtime: Runtime, fits: Vec<Fit>, output: Option<String> },
    /// Whether `classify` takes the file.
    Classify { model: PathBuf },
}

/// What a child answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Shapes(Shapes),
    Ran(Vec<Result<Ran, String>>),
    Refused(Refused),
    Classified,
}

/// Why a runtime does not open a file.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Refused {
    pub reason: String,
    /// The operators it names.
    pub operators: Vec<String>,
}

/// A file that has run.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ran {
    pub milliseconds: f64,
    /// The names of the layers that `finetune` counts, from the input on, where the runtime knows
    /// of such: burn.
    pub layers: Option<Vec<String>>,
    /// Name, shape and first values of each output; NaN is none.
    pub outputs: Vec<(String, Vec<usize>, Vec<Option<f32>>)>,
}

/// What an option looks like.
type Naming = fn(&str) -> String;

/// The child: answers one question from standard input on standard output. `option` writes an
/// option as the program has it.
///
/// # Errors
/// [`Error::Io`] or [`Error::Format`] if it is not asked as it should be.
pub fn serve(option: Naming) -> Result<()> {
    child::serve(|question| answer(question, option).map_err(|error| error.naming_options(option)))
}

fn answer(question: Question, option: Naming) -> Result<Answer> {
    match question {
        Question::Shapes { model, given, noted } => {
            runtime::shapes(&model, &given, &noted).map(Answer::Shapes)
        }
        Question::Run { model, runtime, fits, output } => match runtime {
            Runtime::Burn => in_burn(&model, &fits, output.as_deref(), option),
            _ => in_session(runtime, &model, &fits, option),
        },
        Question::Classify { model } => {
            let classifier = Classifier::open(&model, &ClassifyOptions::default())?;
            // Quiet, but not silent.
            let samples: Vec<f32> =
                (0..3 * 16_000).map(|at| (at as f32 / 7.0).sin() / 4.0).collect();
            classifier.classify(&samples, 16_000)?;
            Ok(Answer::Classified)
        }
    }
}

fn in_session(runtime: Runtime, model: &Path, fits: &[Fit], option: Naming) -> Result<Answer> {
    // On one thread, so that figures of different files can be compared.
    let options = Options { threads: 1, ..Options::default() };
    let mut session: Box<dyn Session> = match runtime::open(runtime, model, &options) {
        Ok(session) => session,
        Err(error) => return Ok(Answer::Refused(refused(&error, option))),
    };
    let names = session.outputs().to_vec();
    let mut ran = vec![];
    for fit in fits {
        let values = fit.values();
        let result = timed(|| session.run(values.view()));
        ran.push(result.map(|(milliseconds, outputs)| Ran {
            milliseconds,
            layers: None,
            outputs:
                names.iter().cloned().zip(&outputs).map(|(name, o)| compared(name, o)).collect(),
        }));
    }
    let said = |error: Error| error.naming_options(option);
    Ok(Answer::Ran(ran.into_iter().map(|ran| ran.map_err(said)).collect()))
}

/// The network that `output` comes from, run in burn as `finetune` would with unfrozen layers.
#[cfg(feature = "train")]
fn in_burn(model: &Path, fits: &[Fit], output: Option<&str>, option: Naming) -> Result<Answer> {
    let mut ran = vec![];
    for fit in fits {
        let mut network = match imported::import(model, fit, output) {
            Ok(network) => network,
            Err(error @ Error::UnsupportedOperator { .. }) => {
                return Ok(Answer::Refused(refused(&error, option)));
            }
            Err(error) => {
                ran.push(Err(error.naming_options(option)));
                continue;
            }
        };
        let result = timed(|| network.run());
        ran.push(result.map_err(|error| error.naming_options(option)).map(
            |(milliseconds, values)| Ran {
                milliseconds,
                layers: Some(network.layers.clone()),
                outputs: vec![compared(network.output.clone(), &values)],
            },
        ));
    }
    Ok(Answer::Ran(ran))
}

#[cfg(not(feature = "train"))]
fn in_burn(_: &Path, _: &[Fit], _: Option<&str>, _: Naming) -> Result<Answer> {
    let reason = "built without the cargo feature \"train\"".to_owned();
    Ok(Answer::Refused(Refused { reason, operators: vec![] }))
}

/// The median of a few runs in milliseconds, after one that is not counted, and the answer.
fn timed<T>(mut run: impl FnMut() -> Result<T>) -> Result<(f64, T)> {
    let mut answer = run()?;
    let started = Instant::now();
    let mut times = vec![];
    while times.is_empty() || (times.len() < RUNS && started.elapsed() < ENOUGH) {
        let start = Instant::now();
        answer = run()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok((times[times.len() / 2], answer))
}

fn compared(name: String, output: &ArrayD<f32>) -> (String, Vec<usize>, Vec<Option<f32>>) {
    let values = output.iter().take(COMPARED).map(|v| (!v.is_nan()).then_some(*v)).collect();
    (name, output.shape().to_vec(), values)
}

fn refused(error: &Error, option: Naming) -> Refused {
    match error {
        // Its text goes on with what to do when one wants to train.
        Error::UnsupportedOperator { operator, node, reason, .. } => Refused {
            reason: format!("operator {operator} (node \"{node}\"): {reason}"),
            operators: vec![operator.clone()],
        },
        _ => {
            let reason = error.naming_options(option);
            let operators = operator_in(&reason).map(str::to_owned).into_iter().collect();
            Refused { reason, operators }
        }
    }
}

/// The operator that a runtime says it lacks. ONNX Runtime has three ways to say so, and none
/// but its text; of several operators it names the first.
fn operator_in(text: &str) -> Option<&str> {
    let ways = [
        ("it has no operator ", " "),
        ("Fatal error: ", "("),
        ("Could not find an implementation for ", "("),
        ("No Op registered for ", " "),
    ];
    ways.into_iter().find_map(|(before, after)| {
        let rest = text.split_once(before)?.1;
        rest.split(after).next().filter(|name| !name.is_empty() && !name.contains(' '))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_is_read_out_of_what_a_runtime_says() {
        for (text, wanted) in [
            (
                "ort: Load model failed:Fatal error: com.x:Foo(-1) is not a registered function/op",
                Some("com.x:Foo"),
            ),
            (
                "NOT_IMPLEMENTED : Could not find an implementation for Foo(7) node with name 'a'",
                Some("Foo"),
            ),
            ("No Op registered for Foo with domain_version of 13", Some("Foo")),
            ("tract: it has no operator SVMClassifier", Some("SVMClassifier")),
            ("the input is too long", None),
        ] {
            assert_eq!(operator_in(text), wanted, "{text}");
        }
    }
}
