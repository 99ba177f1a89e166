//! ONNX files to trainable burn modules, at run time and with proof.
//!
//! The importer takes chain-shaped CNNs: convolutions, batch normalization,
//! activations, pooling and fully connected layers. Operators that only move
//! axes about (Transpose, Reshape with its shape arithmetic, Flatten, Squeeze,
//! Unsqueeze) are folded into the weights and never run. Every import is then
//! **proved**: the original file runs in tract on a seeded batch of patches, and
//! the module is refused if its answers differ.

mod dense;
mod graph;
mod importer;
mod layout;
mod lower;
mod proof;
mod spatial;

pub use importer::{Imported, import};
pub use proof::TOLERANCE;
