//! ONNX graphs as burn modules: read at run time, trainable, and written back.
//!
//! A file's nodes are interpreted in their own order. Floats are burn tensors and
//! differentiable; integers and truth values, which are shapes, places and masks, stay on the
//! processor. Every float weight of a layer is a parameter. What depends on no data and no
//! parameter is computed once, when the file is read. Every import is then **proved**: the
//! original file runs in another runtime on seeded patches, and the graph is refused if its
//! answers differ.

mod evaluate;
mod fault;
mod floats;
mod fuse;
mod import;
mod layers;
mod module;
mod node;
mod operators;
mod plan;
mod proof;
mod value;
mod weights;
mod write;

pub(crate) use evaluate::Whole;
#[doc(hidden)]
pub use evaluate::{evaluate, gradients};
#[doc(hidden)]
pub use fault::Fault;
#[doc(hidden)]
pub use floats::Floats;
pub use import::{Imported, import};
pub(crate) use import::{import_fed, load};
#[doc(hidden)]
pub use layers::Layer;
pub use module::OnnxGraph;
pub use plan::stored_value;
pub use proof::TOLERANCE;
#[doc(hidden)]
pub use value::Value;
