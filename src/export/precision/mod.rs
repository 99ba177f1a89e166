//! Smaller variants of a model: weights as half floats or bytes, and arithmetic in bytes.

mod fp16;
mod int8_dynamic;
mod int8_static;
mod int8_weights;
mod layer;
mod opset;
mod trial;
mod variant;

pub(super) use trial::Trial;
