//! The inputs and outputs of a model.

use std::fmt;

/// The numbers that a tensor of a model is made of. Whatever they are, a session is given and
/// gives 32-bit floats, and converts them at the model's border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Float {
    /// 16 bits.
    Half,
    /// 32 bits.
    #[default]
    Single,
    /// 64 bits.
    Double,
}

/// A named input or output of a model, a tensor of floats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// Its name in the ONNX graph.
    pub name: String,
    /// The size of each axis; `None` where any size will do.
    pub dims: Vec<Option<usize>>,
    /// What the file calls each axis, where it does; no entries where it calls none so.
    pub axes: Vec<Option<String>>,
    /// Its numbers in the file.
    pub float: Float,
}

impl Port {
    /// What the file calls axis `axis`, if it does.
    pub(crate) fn axis_name(&self, axis: usize) -> Option<&str> {
        self.axes.get(axis)?.as_deref()
    }
}

/// A tensor that does not fit the input it was given to.
#[cfg(any(feature = "ort", feature = "tract"))]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input {input} was given a tensor of shape {shape:?}")]
pub(crate) struct WrongShape {
    /// The input.
    input: Port,
    /// The shape of the tensor.
    shape: Vec<usize>,
}

#[cfg(any(feature = "ort", feature = "tract"))]
impl Port {
    /// Checks that a tensor of this `shape` fits this input, and is not empty.
    ///
    /// # Errors
    /// [`WrongShape`] with the expected and the given shape.
    pub(crate) fn check(&self, shape: &[usize]) -> Result<(), WrongShape> {
        let fits = shape.len() == self.dims.len()
            && self.dims.iter().zip(shape).all(|(want, have)| want.is_none_or(|w| w == *have))
            && !shape.contains(&0);
        if fits { Ok(()) } else { Err(WrongShape { input: self.clone(), shape: shape.to_vec() }) }
    }
}

impl fmt::Display for Port {
    /// `"name" [N, 96, 64]`, with N for sizes that are free.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> =
            self.dims.iter().map(|d| d.map_or("N".to_string(), |size| size.to_string())).collect();
        write!(f, "\"{}\" [{}]", self.name, dims.join(", "))
    }
}
