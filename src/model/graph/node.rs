//! A node, its attributes, and the values it is given.

use burn::tensor::Device;
use ndarray::ArrayD;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, TensorProto};

use super::fault::{Fault, Outcome, refuse};
use super::floats::Floats;
use super::value::Value;
use crate::model::layers::Bounds;

/// What computes a node.
pub(super) type Operator = fn(&Node, &mut Inputs) -> Outcome<Vec<Value>>;

/// A node of the graph.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its ONNX name.
    pub operator: String,
    /// Its own name, or its first output's.
    pub name: String,
    /// The version of the operator set that it is written for.
    pub opset: i64,
    /// Places of its inputs; none for one that is left out.
    pub inputs: Vec<Option<usize>>,
    /// Places of its outputs.
    pub outputs: Vec<Option<usize>>,
    /// Places whose values nobody asks for after this node.
    pub releases: Vec<usize>,
    /// What a convolution lets through, if the activation behind it is part of it.
    pub bounds: Bounds,
    attributes: Vec<AttributeProto>,
}

impl Node {
    /// A node without its places.
    pub fn new(operator: &str, name: &str, opset: i64, attributes: Vec<AttributeProto>) -> Self {
        Self {
            operator: operator.to_owned(),
            name: name.to_owned(),
            opset,
            inputs: vec![],
            outputs: vec![],
            releases: vec![],
            bounds: Bounds::NONE,
            attributes,
        }
    }

    fn attribute(&self, key: &str) -> Option<&AttributeProto> {
        self.attributes.iter().find(|attribute| attribute.name == key)
    }

    /// Whether it has an attribute.
    pub fn has(&self, key: &str) -> bool {
        self.attribute(key).is_some()
    }

    /// An integer, or what the operator takes without it.
    pub fn int(&self, key: &str, default: i64) -> i64 {
        self.attribute(key).map_or(default, |attribute| attribute.i)
    }

    /// A switch.
    pub fn flag(&self, key: &str, default: bool) -> bool {
        self.int(key, i64::from(default)) != 0
    }

    /// A float, or what the operator takes without it.
    pub fn float(&self, key: &str, default: f32) -> f32 {
        self.attribute(key).map_or(default, |attribute| attribute.f)
    }

    /// A list of floats, if it is there.
    pub fn floats(&self, key: &str) -> Option<&[f32]> {
        self.attribute(key).map(|attribute| attribute.floats.as_slice())
    }

    /// A list of integers, if it is there.
    pub fn ints(&self, key: &str) -> Option<&[i64]> {
        self.attribute(key).map(|attribute| attribute.ints.as_slice())
    }

    /// A text, or what the operator takes without it.
    pub fn text<'a>(&'a self, key: &str, default: &'a str) -> Outcome<&'a str> {
        match self.attribute(key) {
            None => Ok(default),
            Some(attribute) => std::str::from_utf8(&attribute.s)
                .map_err(|_| Fault::new(format!("{key} is no text"))),
        }
    }

    /// A list of texts, if it is there.
    pub fn texts(&self, key: &str) -> Option<Vec<String>> {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        self.attribute(key).map(|attribute| attribute.strings.iter().map(text).collect())
    }

    /// A tensor, if it is there.
    pub fn tensor(&self, key: &str) -> Option<&TensorProto> {
        self.attribute(key).and_then(|attribute| attribute.t.as_ref())
    }

    /// A list of sizes, at least `least` each; none if it is not there or empty.
    pub fn sizes(&self, key: &str, least: usize) -> Outcome<Option<Vec<usize>>> {
        let Some(list) = self.ints(key).filter(|list| !list.is_empty()) else { return Ok(None) };
        let sizes: Option<Vec<usize>> = list
            .iter()
            .map(|size| usize::try_from(*size).ok().filter(|size| (least..1 << 31).contains(size)))
            .collect();
        match sizes {
            Some(sizes) => Ok(Some(sizes)),
            None => refuse(format!("{key} {list:?}; numbers from {least} on are expected")),
        }
    }

    /// A type of elements, if it is there.
    pub fn element(&self, key: &str) -> Option<DataType> {
        DataType::try_from(i32::try_from(self.attribute(key)?.i).ok()?).ok()
    }
}

/// What a node is given, each value to be taken once.
pub(super) struct Inputs {
    values: Vec<Option<Value>>,
    /// Where floats are computed with.
    pub device: Device,
    /// Whether batch normalizations use, and move, the statistics of this batch.
    pub learns_statistics: bool,
    /// Statistics that were moved: the input, and its new value.
    pub moved: Vec<(usize, Floats)>,
}

impl Inputs {
    /// In the order of the node's inputs.
    pub fn new(values: Vec<Option<Value>>, device: Device, learns_statistics: bool) -> Self {
        Self { values, device, learns_statistics, moved: vec![] }
    }

    /// How many there are, left out ones included.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is such an input.
    pub fn has(&self, index: usize) -> bool {
        self.values.get(index).is_some_and(Option::is_some)
    }

    /// An input without taking it.
    pub fn peek(&self, index: usize) -> Outcome<&Value> {
        match self.values.get(index) {
            Some(Some(value)) => Ok(value),
            _ => refuse(format!("its input {index} is missing")),
        }
    }

    /// An input.
    pub fn take(&mut self, index: usize) -> Outcome<Value> {
        match self.values.get_mut(index).and_then(Option::take) {
            Some(value) => Ok(value),
            None => refuse(format!("its input {index} is missing")),
        }
    }

    /// All inputs that are there.
    pub fn take_all(&mut self) -> Vec<Value> {
        self.values.drain(..).flatten().collect()
    }

    /// An input of floats.
    pub fn floats(&mut self, index: usize) -> Outcome<Floats> {
        match self.take(index)? {
            Value::Float(floats) => Ok(floats),
            other => refuse(format!("its input {index} holds {}, not floats", other.kind())),
        }
    }

    /// An input of floats, of which there are some: burn knows no norm, product or largest of
    /// nothing.
    pub fn filled(&mut self, index: usize) -> Outcome<Floats> {
        let floats = self.floats(index)?;
        if floats.len() > 0 {
            Ok(floats)
        } else {
            refuse(format!("its input {index} is empty: {:?}", floats.shape()))
        }
    }

    /// An input of floats that may be missing.
    pub fn optional_floats(&mut self, index: usize) -> Outcome<Option<Floats>> {
        if self.has(index) { self.floats(index).map(Some) } else { Ok(None) }
    }

    /// An input of integers.
    pub fn ints(&mut self, index: usize) -> Outcome<ArrayD<i64>> {
        match self.take(index)? {
            Value::Int(ints) => Ok(ints),
            other => refuse(format!("its input {index} holds {}, not integers", other.kind())),
        }
    }

    /// The integers of an input, row-major, if it is there.
    pub fn optional_list(&mut self, index: usize) -> Outcome<Option<Vec<i64>>> {
        if !self.has(index) {
            return Ok(None);
        }
        Ok(Some(self.ints(index)?.into_iter().collect()))
    }

    /// The integers of an input, row-major.
    pub fn list(&mut self, index: usize) -> Outcome<Vec<i64>> {
        Ok(self.ints(index)?.into_iter().collect())
    }

    /// An input of truth values.
    pub fn bools(&mut self, index: usize) -> Outcome<ArrayD<bool>> {
        match self.take(index)? {
            Value::Bool(bools) => Ok(bools),
            other => refuse(format!("its input {index} holds {}, not truth values", other.kind())),
        }
    }

    /// A single float, if it is there.
    pub fn optional_number(&mut self, index: usize) -> Outcome<Option<f32>> {
        let Some(floats) = self.optional_floats(index)? else { return Ok(None) };
        match floats.values()[..] {
            [value] => Ok(Some(value)),
            _ => refuse(format!("its input {index} is {:?}, not one number", floats.shape())),
        }
    }
}

/// An axis counted from the start, of `rank` of them.
pub(super) fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    let found = if axis < 0 { axis + rank as i64 } else { axis };
    match usize::try_from(found) {
        Ok(found) if found < rank => Ok(found),
        _ => refuse(format!("axis {axis} of {rank}")),
    }
}

/// Axes counted from the start, in order and each once.
pub(super) fn axes(given: &[i64], rank: usize) -> Outcome<Vec<usize>> {
    let mut found = given.iter().map(|at| axis(*at, rank)).collect::<Outcome<Vec<_>>>()?;
    found.sort_unstable();
    found.dedup();
    if found.len() == given.len() { Ok(found) } else { refuse(format!("axes {given:?}")) }
}
