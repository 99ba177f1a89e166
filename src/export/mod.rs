//! Trained runs to self-contained ONNX files, proved before they appear.
//!
//! One [`Input`] of three, outputs `probabilities` and `embeddings`; ordinary operators of
//! opset 18 or lower, no external data. What another program needs to use the file stands in
//! its metadata: see [`metadata`](fn@metadata).

mod bundle;
mod burn_graph;
mod clip;
mod front_end;
mod fuse;
mod image;
mod input;
mod metadata;
mod native;
mod options;
mod pooled;
mod precision;
mod proof;
mod splice;
mod stages;
mod waveform;

pub use bundle::{Bundle, bundle};
pub use input::Input;
pub use metadata::metadata;
pub use native::open;
pub use options::Options;
pub(crate) use proof::compare_in_runtimes;
pub use proof::{RELATIVE_TOLERANCE, TOLERANCE};
pub use stages::export;
