//! Transfer learning for music genres: from audio file to portable ONNX.
//!
//! One module per stage, and data flows one way:
//! [`audio`] → [`features`] → [`dataset`] → `model` → `train` → `export` →
//! `runtime` → `bench` → `report`.

pub mod audio;
pub mod bench;
pub mod dataset;
mod error;
pub mod features;
pub mod files;
#[cfg(feature = "tract")]
pub mod onnx;
pub mod progress;
pub mod runtime;

pub use error::{Error, Result};
#[cfg(all(feature = "cuda", feature = "tract"))]
use tract_cuda as _;
#[cfg(feature = "train")]
use {burn as _, burn_onnx as _}; // registers its runtime with tract
