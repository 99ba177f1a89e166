//! 2-D convolution for training (first with burn's own; replaced below).
use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

/// Stride and padding, the same in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Step of the kernel.
    pub stride: usize,
    /// Zeros around the map.
    pub padding: usize,
}

/// Cross-correlation of `x` `[batch, in, height, width]` with `weight`
/// `[out, in, kernel, kernel]`.
pub fn convolution(x: Tensor<4>, weight: Tensor<4>, geometry: Geometry) -> Tensor<4> {
    let Geometry { stride, padding } = geometry;
    conv2d(x, weight, None, ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1))
}
