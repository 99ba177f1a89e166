//! Smaller variants of a model: weights as half floats or bytes, and arithmetic in bytes.

mod fp16;
mod int8_dynamic;
mod int8_static;
mod int8_weights;
mod kind;
mod layer;
mod opset;
mod trial;

pub use kind::Precision;
pub(super) use trial::Trial;
pub use trial::{Checked, Validation};
