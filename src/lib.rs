//! Transfer learning for music genres: from audio file to portable ONNX.
//!
//! One module per stage, and data flows one way:
//! [`audio`] → [`features`] → [`dataset`] → `model` → `train` → `export` →
//! `runtime` → `bench` → `report`.

pub mod audio;
pub mod dataset;
mod error;
pub mod features;
pub mod files;
pub mod metrics;
pub mod progress;

pub use error::{Error, Result};
#[cfg(feature = "ort")]
use ort as _;
#[cfg(feature = "train")]
use {burn as _, burn_onnx as _};
#[cfg(feature = "tract")]
use {tract_linalg as _, tract_onnx as _};
