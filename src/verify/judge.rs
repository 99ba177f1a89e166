//! Which mistake a host's answers show.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::host::{Answer, Answers};
use super::probes::{Mistake, Probe, Probes};
use crate::error::{Error, Result};

/// How near a wrong answer must be to that of a known mistake to be called that: as a share of its
/// distance from the right one.
const NEAR: f64 = 1.0 / 3.0;
/// How far off small numbers make an answer at most.
const COARSE: f64 = 0.05;

/// What the answers of a host show.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether every probe that was answered was answered rightly.
    pub right: bool,
    /// Each of the probes.
    pub probes: Vec<Judged>,
    /// The mistake; several if their answers are alike, none if it is none of those known.
    pub mistakes: Vec<Named>,
    /// Mistakes that this model's answers would not show.
    pub not_shown: Vec<String>,
}

/// A probe and how it was answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Its name.
    pub name: String,
    /// What it tests.
    pub tests: String,
    /// How far the probability that is farthest off is off; none if the host has not answered.
    pub off: Option<f64>,
    /// How far it may be.
    pub tolerance: f64,
}

/// A mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// In a word.
    pub name: String,
    /// In a sentence, with what to do.
    pub what: String,
}

impl Named {
    fn new(name: &str, what: impl Into<String>) -> Self {
        Self { name: name.to_owned(), what: what.into() }
    }
}

/// A probe, its place, and the host's probabilities in the order of the labels.
struct Given<'a> {
    place: usize,
    probe: &'a Probe,
    values: Vec<f64>,
}

impl Verdict {
    /// Judges what a host has answered to the probes of a model with these labels.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there is no answer, or one to a probe that is none.
    pub fn of(probes: &Probes, labels: &[String], answers: &Answers) -> Result<Self> {
        let known: Vec<&str> = probes.probes.iter().map(|probe| &*probe.name).collect();
        if let Some(name) = answers.0.keys().find(|name| !known.contains(&&***name)) {
            let reason = format!("there is no probe \"{name}\"; there are {}", known.join(", "));
            return Err(Error::InvalidInput(reason));
        }
        let answered = |probe: &Probe| answers.0.get(&probe.name).and_then(Option::as_ref);
        if probes.probes.iter().all(|probe| answered(probe).is_none()) {
            return Err(Error::InvalidInput("the host has answered no probe".to_owned()));
        }
        let (mut given, mut wrong_labels) = (vec![], None);
        for (place, probe) in probes.probes.iter().enumerate() {
            match answered(probe).map(|answer| in_order(answer, labels)) {
                None => {}
                Some(Ok(values)) => given.push(Given { place, probe, values }),
                Some(Err(named)) => wrong_labels = Some(named),
            }
        }
        let offs: Vec<(usize, f64)> = given.iter().map(|g| (g.place, g.off(&g.values))).collect();
        let right = wrong_labels.is_none() && given.iter().all(|g| g.fits(&g.values));
        let mistakes = match wrong_labels {
            Some(named) => vec![named],
            None if right => vec![],
            None => named(&given, probes, labels),
        };
        let judged = probes.probes.iter().enumerate().map(|(place, probe)| Judged {
            name: probe.name.clone(),
            tests: probe.tests.clone(),
            off: offs.iter().find(|(at, _)| *at == place).map(|(_, off)| *off),
            tolerance: probe.tolerance.into(),
        });
        Ok(Self { right, probes: judged.collect(), mistakes, not_shown: probes.not_shown.clone() })
    }
}

impl Given<'_> {
    fn off(&self, values: &[f64]) -> f64 {
        distance(values, &self.probe.probabilities)
    }

    /// Written so that NaN does not.
    fn fits(&self, values: &[f64]) -> bool {
        self.off(values) <= f64::from(self.probe.tolerance)
    }

    /// In tolerances, how far from what a host with a mistake answers.
    fn from(&self, mistake: &Mistake) -> f64 {
        let wrong = mistake.answers[self.place].as_ref().unwrap_or(&self.probe.probabilities);
        distance(&self.values, wrong) / f64::from(self.probe.tolerance)
    }
}

/// The probabilities in the order of the labels, or what is wrong with the labels.
fn in_order(answer: &Answer, labels: &[String]) -> Result<Vec<f64>, Named> {
    let count = |given: usize| {
        let what = format!("{given} labels are answered, and the model has {}", labels.len());
        Named::new("label-count", what)
    };
    match answer {
        Answer::InOrder(values) if values.len() == labels.len() => Ok(values.clone()),
        Answer::InOrder(values) => Err(count(values.len())),
        Answer::ByLabel(by_label) => {
            let known: BTreeSet<&str> = labels.iter().map(|label| &**label).collect();
            if let Some(foreign) = by_label.keys().find(|label| !known.contains(&***label)) {
                let what = if known.contains(foreign.trim()) {
                    format!(
                        "label {foreign:?} has white space that the model's has not, as of a line's \
                         end; read labels from the metadata, or lines without their ends"
                    )
                } else {
                    format!(
                        "label {foreign:?} is none of the model's, so the host has the labels of \
                         another model; take those in the file's metadata"
                    )
                };
                return Err(Named::new("other-labels", what));
            }
            let values: Vec<f64> =
                labels.iter().filter_map(|label| by_label.get(label).copied()).collect();
            if values.len() == labels.len() { Ok(values) } else { Err(count(values.len())) }
        }
    }
}

/// The mistakes that wrong answers show.
fn named(given: &[Given], probes: &Probes, labels: &[String]) -> Vec<Named> {
    if let Some(one) = of_values(given) {
        return vec![one];
    }
    let from_right = farthest(given, |g| g.off(&g.values) / f64::from(g.probe.tolerance));
    let mut near: Vec<(f64, &Mistake)> = (probes.mistakes.iter())
        .map(|mistake| (farthest(given, |g| g.from(mistake)), mistake))
        .filter(|(far, _)| *far <= NEAR * from_right)
        .collect();
    near.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    if let Some(&(best, _)) = near.first() {
        // Within a tolerance hosts differ.
        near.retain(|(far, _)| *far <= best + 1.0);
        return near.into_iter().map(|(_, m)| Named::new(&m.name, &*m.what)).collect();
    }
    of_labels(given, labels).or_else(|| of_precision(given)).into_iter().collect()
}

/// Values that are no probabilities, or the same to every recording.
fn of_values(given: &[Given]) -> Option<Named> {
    let all =
        |change: &dyn Fn(&[f64]) -> Vec<f64>| given.iter().all(|g| g.fits(&change(&g.values)));
    let each = |change: fn(f64) -> f64| move |v: &[f64]| v.iter().map(|v| change(*v)).collect();
    if given.iter().any(|g| g.values.iter().any(|value| !value.is_finite())) {
        return Some(Named::new("not-finite", "some probabilities are not finite numbers"));
    }
    if all(&each(|v| v / 100.0)) {
        return Some(Named::new("percent", "the answers are in percent; probabilities end at 1"));
    }
    if all(&|values| softmax(values)) || all(&each(|v| 1.0 / (1.0 + (-v).exp()))) {
        let what = "the answers are logits, from before the softmax or sigmoid; take the output \
                    probabilities";
        return Some(Named::new("logits", what));
    }
    if all(&each(f64::exp)) {
        return Some(Named::new("logarithms", "the answers are logarithms of probabilities"));
    }
    let one_hot = |g: &Given| {
        let at = top(&g.values);
        g.values.iter().enumerate().all(|(i, v)| *v == f64::from(u8::from(Some(i) == at)))
            && at == top(&g.right())
    };
    if given.iter().all(one_hot) {
        return Some(Named::new("one-label", "only the best label is answered, with 1"));
    }
    let first = &given.first()?.values;
    let same = given.len() > 1
        && given.iter().all(|g| g.values.iter().zip(first).all(|(a, b)| (a - b).abs() < 1e-6));
    let what = "every recording gets the same answer: the samples do not reach the model, as when a \
                buffer is empty or is read before it is filled";
    same.then(|| Named::new("constant", what))
}

/// Right probabilities at wrong labels.
fn of_labels(given: &[Given], labels: &[String]) -> Option<Named> {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    let rights: Vec<Vec<f64>> = given.iter().map(Given::right).collect();
    // The most probable first, which can be told apart best.
    let weight = |label: usize| rights.iter().map(|right| right[label]).sum::<f64>();
    order.sort_by(|&a, &b| weight(b).total_cmp(&weight(a)));
    let mut free: BTreeSet<usize> = (0..labels.len()).collect();
    let mut moved = vec![];
    for label in order {
        let far = |at: usize| {
            let one = |(g, right): (&Given, &Vec<f64>)| {
                (g.values[at] - right[label]).abs() / f64::from(g.probe.tolerance)
            };
            given.iter().zip(&rights).map(one).fold(0.0, worse)
        };
        // What is in its place stays there.
        let stays = free.contains(&label) && far(label) <= 1.0;
        let nearest = free.iter().copied().min_by(|&a, &b| far(a).total_cmp(&far(b)))?;
        let at = if stays { label } else { nearest };
        if far(at) > 1.0 {
            return None;
        }
        free.remove(&at);
        if at != label {
            moved.push(format!("that of {:?} stands at {:?}", labels[label], labels[at]));
        }
    }
    moved.truncate(3);
    let what = format!(
        "the probabilities are right, but at other labels ({}): the labels are in another order, or \
         those of another model; take them from the file's metadata",
        moved.join(", ")
    );
    (!moved.is_empty()).then(|| Named::new("labels", what))
}

/// Answers that are nearly right.
fn of_precision(given: &[Given]) -> Option<Named> {
    let close = |g: &Given| g.off(&g.values) <= COARSE && top(&g.values) == top(&g.right());
    let what = "the answers are close to the right ones, as numbers of fewer bits make them (a model \
                made fp16 or int8 after the export, a runtime that computes with fewer), or another \
                resampler; take the file as it was exported";
    given.iter().all(close).then(|| Named::new("precision", what))
}

impl Given<'_> {
    fn right(&self) -> Vec<f64> {
        self.probe.probabilities.iter().map(|p| f64::from(*p)).collect()
    }
}

fn softmax(values: &[f64]) -> Vec<f64> {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|value| (value - most).exp()).sum();
    values.iter().map(|value| (value - most).exp() / sum).collect()
}

fn top(values: &[f64]) -> Option<usize> {
    (0..values.len()).max_by(|&a, &b| values[a].total_cmp(&values[b]))
}

fn distance(given: &[f64], wanted: &[f32]) -> f64 {
    given.iter().zip(wanted).map(|(a, b)| (a - f64::from(*b)).abs()).fold(0.0, worse)
}

fn farthest(given: &[Given], far: impl Fn(&Given) -> f64) -> f64 {
    given.iter().map(far).fold(0.0, worse)
}

/// The greater of both, or NaN, which `f64::max` would swallow.
fn worse(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Judged { name, tests, off, tolerance } in &self.probes {
            match off {
                Some(off) => {
                    let word = if *off <= *tolerance { "right" } else { "wrong" };
                    writeln!(
                        f,
                        "{name}: {word}, off by {off:.5} of {tolerance:.5} allowed ({tests})"
                    )?;
                }
                None => {
                    writeln!(f, "{name}: not answered or not comparable, so not tested: {tests}")?
                }
            }
        }
        if !self.right {
            match &self.mistakes[..] {
                [] => writeln!(f, "the mistake is none of those that are known")?,
                [Named { name, what }] => writeln!(f, "mistake: {name}: {what}")?,
                several => {
                    writeln!(f, "one of these mistakes, whose answers are alike:")?;
                    several.iter().try_for_each(|m| writeln!(f, "  {}: {}", m.name, m.what))?;
                }
            }
        }
        if self.right && !self.not_shown.is_empty() {
            let names = self.not_shown.join(", ");
            writeln!(f, "not tested, as this model answers the same with them: {names}")?;
        }
        Ok(())
    }
}
