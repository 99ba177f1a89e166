//! Einstein's sums: products over named axes.

use super::super::fault::{Outcome, refuse};
use super::super::floats::{Floats, count};
use super::super::node::{Inputs, Node};
use super::super::value::Value;
use super::gathering::picked_floats;
use super::matrix::product;
use super::reduction::summed;

/// An axis's name. Those that an ellipsis stands for are numbers, counted from the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Label {
    Hidden(usize),
    Letter(char),
}

/// A tensor and the names of its axes.
struct Term {
    floats: Floats,
    labels: Vec<Label>,
}

/// The names in one part of the equation, for a tensor of `rank` axes.
fn labels(part: &str, rank: usize) -> Outcome<Vec<Label>> {
    let named = part.replace("...", "");
    let mut found: Vec<Label> = vec![];
    if !named.chars().all(|letter| letter.is_ascii_alphabetic()) {
        return refuse(format!("equation part {part}"));
    }
    let Some(hidden) = rank.checked_sub(named.len()) else {
        return refuse(format!("{part} for {rank} axes"));
    };
    match part.split_once("...") {
        Some((before, after)) if !after.contains('.') => {
            found.extend(before.chars().map(Label::Letter));
            found.extend((0..hidden).rev().map(Label::Hidden));
            found.extend(after.chars().map(Label::Letter));
        }
        None if hidden == 0 => found.extend(part.chars().map(Label::Letter)),
        _ => return refuse(format!("{part} for {rank} axes")),
    }
    Ok(found)
}

/// Names that stand in the equation's answer, if it does not say: all hidden ones, and letters
/// that stand once, in order.
fn usual_answer(terms: &[Term]) -> Vec<Label> {
    let all = || terms.iter().flat_map(|term| &term.labels);
    let once = |label: &Label| all().filter(|other| *other == label).count() == 1;
    let (mut hidden, mut letters): (Vec<Label>, Vec<Label>) =
        all().copied().partition(|label| matches!(label, Label::Hidden(_)));
    letters.retain(once);
    letters.sort_unstable();
    hidden.sort_unstable();
    hidden.dedup();
    hidden.reverse();
    hidden.extend(letters);
    hidden
}

pub(super) fn einsum(node: &Node, inputs: &mut Inputs) -> Outcome<Vec<Value>> {
    let equation: String =
        node.text("equation", "")?.chars().filter(|letter| !letter.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (equation.as_str(), None),
    };
    let parts: Vec<&str> = left.split(',').collect();
    if parts.len() != inputs.len() {
        return refuse(format!("{equation} for {} inputs", inputs.len()));
    }
    let mut terms = vec![];
    for (index, part) in parts.into_iter().enumerate() {
        let floats = inputs.filled(index)?;
        let labels = labels(part, floats.rank())?;
        terms.push(diagonal(Term { floats, labels })?);
    }
    let hidden = terms.iter().flat_map(|term| &term.labels).filter_map(|label| match label {
        Label::Hidden(place) => Some(place + 1),
        Label::Letter(_) => None,
    });
    let hidden = hidden.max().unwrap_or(0);
    let answer = match right {
        // An ellipsis that the answer does not name is summed.
        Some(right) => {
            let letters = right.replace("...", "").len();
            labels(right, letters + if right.contains("...") { hidden } else { 0 })?
        }
        None => usual_answer(&terms),
    };
    let mut left: Vec<Term> = stretched(terms)?.into_iter().rev().collect();
    let Some(mut so_far) = left.pop() else { return refuse("no inputs") };
    while let Some(next) = left.pop() {
        let wanted = |label: &Label| {
            answer.contains(label) || left.iter().any(|term| term.labels.contains(label))
        };
        so_far = multiplied(so_far, next, wanted)?;
    }
    let all = so_far.only(|label| answer.contains(label))?;
    Ok(vec![Value::Float(all.in_order(&answer)?)])
}

/// A name that stands twice takes the diagonal.
fn diagonal(term: Term) -> Outcome<Term> {
    let Term { mut floats, mut labels } = term;
    while let Some(second) = (0..labels.len()).find(|at| labels[..*at].contains(&labels[*at])) {
        let first = labels.iter().position(|label| *label == labels[second]).unwrap_or(0);
        let mut shape = floats.shape().to_vec();
        if shape[first] != shape[second] {
            return refuse(format!("a diagonal of {shape:?}"));
        }
        let strides: Vec<usize> =
            (0..shape.len()).map(|at| shape[at + 1..].iter().product()).collect();
        let sizes = shape.clone();
        let flat: Vec<usize> = (0..floats.len())
            .filter(|at| {
                let step = |axis: usize| at / strides[axis] % sizes[axis];
                step(first) == step(second)
            })
            .collect();
        shape.remove(second);
        labels.remove(second);
        floats = picked_floats(floats, &flat, shape)?;
    }
    Ok(Term { floats, labels })
}

/// Without the axes of one whose name is longer elsewhere.
fn stretched(terms: Vec<Term>) -> Outcome<Vec<Term>> {
    let mut sizes = std::collections::HashMap::new();
    for term in &terms {
        for (label, size) in term.labels.iter().zip(term.floats.shape()) {
            let known = sizes.entry(*label).or_insert(*size);
            if *known == 1 {
                *known = *size;
            } else if *size != 1 && *size != *known {
                return refuse(format!("{known} and {size} values along one axis"));
            }
        }
    }
    terms
        .into_iter()
        .map(|Term { floats, labels }| {
            let axes = labels.iter().zip(floats.shape());
            let kept = axes.filter(|(label, size)| **size != 1 || sizes[*label] == 1);
            let (labels, shape) = kept.map(|(label, size)| (*label, *size)).unzip();
            Ok(Term { floats: floats.reshape(shape)?, labels })
        })
        .collect()
}

/// The product of two terms, summed over all names that are not wanted any more.
fn multiplied(a: Term, b: Term, wanted: impl Fn(&Label) -> bool) -> Outcome<Term> {
    // What only one of them has and nobody wants is summed before.
    let (of_a, of_b) = (a.labels.clone(), b.labels.clone());
    let a = a.only(|label| wanted(label) || of_b.contains(label))?;
    let b = b.only(|label| wanted(label) || of_a.contains(label))?;
    let some = |labels: &[Label], which: &dyn Fn(&Label) -> bool| -> Vec<Label> {
        labels.iter().copied().filter(|label| which(label)).collect()
    };
    let batch = some(&a.labels, &|label| b.labels.contains(label) && wanted(label));
    let inner = some(&a.labels, &|label| b.labels.contains(label) && !wanted(label));
    let rows = some(&a.labels, &|label| !b.labels.contains(label));
    let columns = some(&b.labels, &|label| !a.labels.contains(label));
    let sizes = |term: &Term, labels: &[Label]| -> Vec<usize> {
        labels.iter().map(|label| term.size(label)).collect()
    };
    let mut shape = sizes(&a, &batch);
    shape.extend(sizes(&a, &rows));
    shape.extend(sizes(&b, &columns));
    count(&shape)?;
    let total = |term: &Term, labels: &[Label]| sizes(term, labels).iter().product::<usize>();
    let [batches, inside] = [total(&a, &batch), total(&a, &inner)];
    let matrix_a = vec![batches, total(&a, &rows), inside];
    let matrix_b = vec![batches, inside, total(&b, &columns)];
    let a = a.in_order(&[batch.clone(), rows.clone(), inner.clone()].concat())?;
    let b = b.in_order(&[batch.clone(), inner, columns.clone()].concat())?;
    let floats = product(a.reshape(matrix_a)?, b.reshape(matrix_b)?)?.reshape(shape)?;
    Ok(Term { floats, labels: [batch, rows, columns].concat() })
}

impl Term {
    fn size(&self, label: &Label) -> usize {
        let at = self.labels.iter().position(|other| other == label);
        at.map_or(1, |at| self.floats.shape()[at])
    }

    /// Summed over all names but these.
    fn only(self, kept: impl Fn(&Label) -> bool) -> Outcome<Self> {
        let gone: Vec<usize> =
            (0..self.labels.len()).filter(|at| !kept(&self.labels[*at])).collect();
        if gone.is_empty() {
            return Ok(self);
        }
        let left = |at: &usize| !gone.contains(at);
        let shape = (0..self.labels.len()).filter(left).map(|at| self.floats.shape()[at]).collect();
        let labels = (0..self.labels.len()).filter(left).map(|at| self.labels[at]).collect();
        Ok(Self { floats: summed(self.floats, &gone)?.reshape(shape)?, labels })
    }

    /// With its axes in this order, and ones for names that it does not have.
    fn in_order(self, order: &[Label]) -> Outcome<Floats> {
        let places: Vec<usize> = order
            .iter()
            .filter_map(|label| self.labels.iter().position(|other| other == label))
            .collect();
        if places.len() != self.labels.len() || places.len() != order.len() {
            return refuse("the answer names an axis that no input has, or one twice");
        }
        self.floats.permute(&places)
    }
}
