//! Trained runs to self-contained ONNX files, proved before they appear.
//!
//! One [`Input`] of three, outputs `probabilities` and `embeddings`; ordinary operators. A run
//! whose backbone is an ONNX file is exported as that file's own graph, of opset 7 to 23, with a
//! head and, if asked for, the front end, both written in the same opset. One file, unless it
//! would have more than the 2 GB that protobuf can hold: then the weights lie beside it in
//! `NAME.onnx.data`. What another program needs to use the file stands in its metadata: see
//! [`metadata`](fn@metadata).

mod bundle;
mod burn_graph;
mod carry;
mod clip;
mod fuse;
mod image;
mod input;
mod metadata;
mod native;
mod options;
mod precision;
mod probe_input;
mod proof;
mod splice;
mod stages;
mod trust;
mod waveform;

pub use bundle::{Bundle, bundle, bundle_within};
pub use input::Input;
pub use metadata::metadata;
pub use native::open;
pub use options::Options;
pub(crate) use proof::compare_in_runtimes;
pub use proof::{RELATIVE_TOLERANCE, TOLERANCE};
pub use stages::{export, export_within};

pub use crate::run::COVERAGE;
pub(crate) use trust::{Source, append as append_trust, temper};
