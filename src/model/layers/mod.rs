//! The layers that a small CNN spends its training in, made fast on the CPU.
//!
//! burn's CPU backend (flex 0.22) takes the gradient of a convolution's weights by way of
//! a convolution whose kernel is as large as the map, and that of its input by a transposed
//! convolution, and makes batch normalization out of a dozen passes over the map. On flex
//! these layers have kernels of their own here (`convolution`, `normalization`,
//! `pooling`), given to burn as an extension of its backends (`backend`); on every
//! other device they are burn's (`ops`).
//!
//! `cargo bench --bench layers` compares the two.

mod backend;
mod convolution;
mod normalization;
mod ops;
mod pooling;

pub use convolution::Geometry;
pub use ops::{convolve, max_pool_2x2, normalize};
