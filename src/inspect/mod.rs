//! What an ONNX file is, and what can be done with it: its ports, layers and operators, what
//! fits its input, and in which runtimes it runs, tried and not guessed.
//!
//! A file may be a stranger's. Every loop over its graph is bounded by its size, and runtimes
//! are tried in processes of their own ([`serve`]), so that one that crashes, never ends or takes
//! all memory is a finding among others.

mod about;
mod child;
mod fits;
#[cfg(feature = "train")]
mod imported;
mod inspection;
mod layers;
mod ports;
mod runs;
mod trial;
mod walk;
mod work;

pub use about::Own;
pub use fits::{Fed, Fit};
pub use inspection::{Inspection, OperatorSet, Options, inspect};
pub use layers::Layer;
pub use ports::{Axis, TypedPort};
pub use runs::{Difference, Tried};
pub use trial::serve;
