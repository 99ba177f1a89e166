//! What flows from node to node.

use ndarray::{ArrayD, IxDyn};

use super::fault::{Outcome, refuse};
use super::floats::Floats;

/// A tensor of any type and shape.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // most are floats
pub enum Value {
    /// Floats, wherever the model is: what can be learned through.
    Float(Floats),
    /// Integers of any width: shapes, places.
    Int(ArrayD<i64>),
    /// Truth values: masks.
    Bool(ArrayD<bool>),
}

impl Value {
    /// The size of each axis.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Float(floats) => floats.shape(),
            Self::Int(array) => array.shape(),
            Self::Bool(array) => array.shape(),
        }
    }

    /// Integers in a list.
    pub(super) fn list(values: Vec<i64>) -> Self {
        Self::Int(ArrayD::from_shape_vec(IxDyn(&[values.len()]), values).unwrap_or_default())
    }

    /// What it holds, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Float(_) => "floats",
            Self::Int(_) => "integers",
            Self::Bool(_) => "truth values",
        }
    }
}

/// Integers or truth values arranged as `shape`.
pub(super) fn array<T>(values: Vec<T>, shape: &[usize]) -> Outcome<ArrayD<T>> {
    let count = values.len();
    match ArrayD::from_shape_vec(IxDyn(shape), values) {
        Ok(array) => Ok(array),
        Err(_) => refuse(format!("{count} values for the shape {shape:?}")),
    }
}
