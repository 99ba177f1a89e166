//! Layers with weights, as `inspect-onnx` lists them and `unfreeze` counts them.

/// A layer: a convolution, a matrix product or a recurrent layer, with the biases, scales and
/// normalizations that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// The name of the node that begins it, or of its first output where it has none.
    pub name: String,
    /// Places of its parameters among the graph's.
    pub(super) places: Vec<usize>,
}
