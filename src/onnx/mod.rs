//! All that is known of the ONNX file format, once: reading a stranger's file safely, what a
//! model says of itself, the values inside it, and writing graphs of our own.
//!
//! A model file is often a stranger's. [`read`](fn@read) therefore refuses, before any runtime
//! sees them, files that are truncated or not ONNX at all, tensors whose declared shape does
//! not match the bytes that are there (a claim of 2^40 elements costs nothing to write and a
//! machine to believe), and external data outside the model's own folder.
//!
//! Format: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

#[cfg(feature = "tract")]
pub(crate) mod attributes;
#[cfg(feature = "tract")]
mod bounds;
#[cfg(feature = "tract")]
mod check;
#[cfg(feature = "tract")]
mod describe;
#[cfg(feature = "train")]
pub(crate) mod external;
#[cfg(feature = "train")]
pub(crate) mod front_end;
#[cfg(feature = "tract")]
mod graph;
pub mod names;
#[cfg(feature = "train")]
pub(crate) mod nodes;
#[cfg(feature = "train")]
pub(crate) mod opset;
#[cfg(feature = "train")]
pub(crate) mod piece;
mod port;
#[cfg(feature = "tract")]
pub(crate) mod prune;
#[cfg(feature = "tract")]
mod read;
#[cfg(feature = "tract")]
mod scalars;
#[cfg(feature = "tract")]
mod scope;
#[cfg(feature = "tract")]
mod tensors;
#[cfg(feature = "tract")]
pub(crate) mod values;
#[cfg(feature = "train")]
mod wire;
#[cfg(feature = "train")]
pub(crate) mod write;

#[cfg(feature = "tract")]
pub(crate) use check::{external_files, weight_bytes};
#[cfg(feature = "train")]
pub(crate) use describe::has_small_numbers;
#[cfg(feature = "tract")]
pub(crate) use describe::output;
#[cfg(feature = "tract")]
pub use describe::{input, metadata, outputs};
#[cfg(feature = "tract")]
pub(crate) use graph::graph;
#[cfg(feature = "train")]
pub(crate) use graph::graph_mut;
#[doc(hidden)]
pub use port::Float;
pub use port::Port;
#[cfg(feature = "tract")]
pub use read::read;
