//! ONNX files, byte by byte.

use std::path::PathBuf;

use genre_transfer::inspect::{self, inspect};
use genre_transfer::onnx;
use genre_transfer::runtime;

use crate::scratch;

/// A file, and what is said of it without running it.
pub fn read(data: &[u8]) {
    scratch::file("model/weights.bin", &[0; 256]);
    let path = scratch::file("model/model.onnx", data);
    let Ok(model) = onnx::read(&path) else { return };
    let _ = onnx::input(&model, &path);
    let _ = onnx::outputs(&model, &path);
    let _ = onnx::metadata(&model);
    // Without a program to ask, nothing is run.
    let options = inspect::Options {
        front_end: None,
        output: None,
        program: PathBuf::from("/nothing"),
        seconds: 1,
    };
    let _ = inspect(&path, &options);
    let one = runtime::Options { threads: 1, ..Default::default() };
    let _ = runtime::open(runtime::Runtime::Tract, &path, &one);
}
