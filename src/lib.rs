//! Transfer learning for music genres: from audio file to portable ONNX.
//!
//! One module per stage, and data flows one way: [`audio`] → [`features`] → [`dataset`] turns
//! recordings into examples; [`runtime`] runs ONNX files, [`run`] is the folder that a training
//! leaves behind, and [`classify`] is what an application does with an exported model: audio in,
//! genres out. [`metrics`] is what models are judged by.
//!
//! ```no_run
//! use genre_transfer::Classifier;
//!
//! let classifier = Classifier::open("genres.onnx".as_ref(), &Default::default())?;
//! let song = classifier.classify_file("song.mp3".as_ref())?;
//! println!("{}", classifier.labels()[song.best()]);
//! # Ok::<(), genre_transfer::Error>(())
//! ```
//!
//! Without default features the crate is an inference library. The feature `train` adds burn,
//! and with it `train` (fine-tuning, and CNNs from scratch), `export` and the baselines;
//! `bench` compares runtimes on the same models.
//!
//! The library does not print. What it has to say goes through the crate `tracing`, how far long
//! work has come through [`progress`], and long work stops where [`interrupt`] asks it to.
//! Modules that only our own programs need are not shown here.

// A run's folder and its records are written by trainings alone.
#![cfg_attr(not(feature = "train"), allow(dead_code))]

pub mod audio;
#[cfg(feature = "train")]
#[doc(hidden)]
pub mod baseline;
#[cfg_attr(not(feature = "train"), doc(hidden))]
pub mod bench;
mod charts;
pub mod classify;
#[doc(hidden)]
pub mod cli;
pub mod dataset;
pub mod error;
#[cfg(feature = "train")]
pub mod export;
pub mod features;
#[doc(hidden)]
pub mod files;
#[cfg(feature = "tract")]
#[doc(hidden)]
pub mod inspect;
pub mod interrupt;
#[cfg(feature = "tract")]
#[doc(hidden)]
pub mod kernels;
pub mod metrics;
#[cfg(feature = "train")]
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod onnx;
mod panics;
pub mod progress;
#[doc(hidden)]
pub mod report;
pub mod run;
pub mod runtime;
#[doc(hidden)]
pub mod text;
#[cfg(feature = "train")]
pub mod train;
pub mod verify;

pub use classify::Classifier;
pub use error::{Error, Result};

#[cfg(all(feature = "cuda", feature = "tract"))]
use tract_cuda as _; // registers its runtime with tract
