//! The inputs and outputs of a model.

use std::fmt;

/// A named input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the ONNX graph.
    pub name: String,
    /// The size of each axis; `None` where any size will do.
    pub dims: Vec<Option<usize>>,
}

impl fmt::Display for Port {
    /// `"name" [N, 96, 64]`, with N for sizes that are free.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> =
            self.dims.iter().map(|d| d.map_or("N".to_string(), |size| size.to_string())).collect();
        write!(f, "\"{}\" [{}]", self.name, dims.join(", "))
    }
}
