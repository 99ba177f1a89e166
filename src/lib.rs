//! Transfer learning for music genres: from audio file to portable ONNX.
//!
//! One module per stage, and data flows one way:
//! [`audio`] → [`features`] → [`dataset`] → `model` → `train` → `export` →
//! [`runtime`] → [`mod@bench`] → [`report`]; [`metrics`] is what they are judged by, and [`run`]
//! the folder that a training leaves behind. `baseline`
//! is a way of its own from hand-made features to ONNX, and [`classify`] is what an application
//! does with an exported model: audio in, genres out.
//!
//! Without default features the crate is an inference library; the feature `train`
//! adds burn and with it `model`, `train`, `export` and `baseline`.

pub mod audio;
#[cfg(feature = "train")]
pub mod baseline;
pub mod bench;
pub mod charts;
pub mod classify;
pub mod cli;
pub mod dataset;
pub mod error;
#[cfg(feature = "train")]
pub mod export;
pub mod features;
pub mod files;
pub mod interrupt;
pub mod metrics;
#[cfg(feature = "train")]
pub mod model;
pub mod onnx;
pub mod progress;
pub mod report;
pub mod run;
pub mod runtime;
pub mod text;
#[cfg(feature = "train")]
pub mod train;

pub use classify::Classifier;
pub use error::{Error, Result};

#[cfg(all(feature = "cuda", feature = "tract"))]
use tract_cuda as _; // registers its runtime with tract
