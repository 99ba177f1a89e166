//! How to export.

use std::path::PathBuf;

use super::input::Input;
use crate::dataset::NEGATIVES;
use crate::error::{Error, Result};
use crate::run::{COVERAGE, Precision};

/// How to export.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What the file takes.
    pub input: Input,
    /// The numbers it is made of.
    pub precision: Precision,
    /// The most points that a smaller variant's accuracy on the validation part may fall.
    pub max_drop: f64,
    /// Where the run's collection is now; none for where it was.
    pub data: Option<PathBuf>,
    /// The probability with which the right genre is in the set of an answer.
    pub coverage: f64,
    /// What labels are called whose tracks are none of the genres.
    pub negatives: Vec<String>,
}

impl Options {
    /// What `max_drop` is unless told otherwise.
    pub const MAX_DROP: f64 = 1.0;

    /// In 32-bit floats.
    pub fn new(input: Input) -> Self {
        Self {
            input,
            precision: Precision::Fp32,
            max_drop: Self::MAX_DROP,
            data: None,
            coverage: COVERAGE,
            negatives: NEGATIVES.map(str::to_owned).to_vec(),
        }
    }

    /// What the file is called in a run's folder: `waveform.onnx`, `waveform-int8.onnx`.
    pub fn file_name(&self) -> String {
        let name = self.input.file_name();
        match (self.precision, name.strip_suffix(".onnx")) {
            (Precision::Fp32, _) | (_, None) => name.to_owned(),
            (precision, Some(stem)) => format!("{stem}-{precision}.onnx"),
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        if !(0.0..=100.0).contains(&self.max_drop) {
            return Err(Error::out_of_range("max-drop", self.max_drop, "give 0 to 100 points"));
        }
        if self.coverage > 0.0 && self.coverage < 1.0 {
            return Ok(());
        }
        let hint = "give a share between 0 and 1, 0.9 for 90 %";
        Err(Error::out_of_range("coverage", self.coverage, hint))
    }
}
