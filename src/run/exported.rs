//! An exported file and how it was checked.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::runtime::Runtime;

/// The numbers an exported file is made of. Inputs and outputs are 32-bit floats in every one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// Weights stored as 16-bit floats, half the size; made 32-bit ones when the file is
    /// opened, so that any runtime runs it, as fast as before.
    Fp16,
    /// Weights stored as bytes with a scale for each output channel, a quarter of the size;
    /// made floats when the file is opened.
    Int8Weights,
    /// Weights as bytes, and activations made bytes as they come: arithmetic with bytes in any
    /// runtime that has `ConvInteger` and `MatMulInteger`, without calibration.
    Int8,
    /// Weights and activations as bytes (`QuantizeLinear`, `DequantizeLinear`), calibrated on
    /// training clips: for runtimes that turn these into arithmetic with bytes, as ONNX
    /// Runtime does.
    Int8Static,
}

impl Precision {
    /// All of them, the largest file first.
    pub const ALL: [Self; 5] =
        [Self::Fp32, Self::Fp16, Self::Int8Weights, Self::Int8, Self::Int8Static];

    /// `fp32`, `fp16`, `int8-weights`, `int8` or `int8-static`, as `precision` in a file's
    /// metadata says.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Int8Weights => "int8-weights",
            Self::Int8 => "int8",
            Self::Int8Static => "int8-static",
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| {
            let choices = "fp32, fp16, int8-weights, int8 or int8-static".to_owned();
            Error::Unknown { what: "precision", name: text.to_owned(), choices }
        })
    }
}

/// How one runtime agrees with the trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The runtime.
    pub runtime: Runtime,
    /// The largest difference of a probability; none if it could not be run.
    pub max_abs_difference: Option<f32>,
    /// The largest difference of an embedding or a logit, relative to the largest of them.
    pub max_relative_difference: Option<f32>,
    /// Why it could not be run.
    pub reason: Option<String>,
}

/// An exported file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exported {
    /// Where it is.
    pub path: PathBuf,
    /// The file with its weights beside it, `NAME.onnx.data`: for models of more than 2 GB, which
    /// one ONNX file cannot hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Its size, that of its weights' file included.
    pub bytes: u64,
    /// Its digest: the same run gives the same.
    pub sha256: String,
    /// The operator set it needs.
    pub opset: i64,
    /// The numbers it is made of.
    #[serde(default)]
    pub precision: Precision,
    /// How the runtimes agree with the trained model; for a smaller variant, how the model in
    /// 32-bit floats does that it was made from.
    pub agreement: Vec<Agreement>,
    /// What a smaller variant costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = self.bytes as f64 / 1e6;
        let mut path = self.path.display().to_string();
        if let Some(data) = &self.data {
            path = format!("{path} and {}", data.display());
        }
        match &self.validation {
            None => {
                writeln!(f, "{path} ({mb:.1} MB, opset {})", self.opset)?;
                self.agreement.iter().try_for_each(|agreement| writeln!(f, "  {agreement}"))
            }
            Some(validation) => {
                let Self { opset, precision, .. } = self;
                writeln!(f, "{path} ({mb:.1} MB, opset {opset}, {precision})")?;
                write!(f, "{validation}")
            }
        }
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.max_abs_difference, self.max_relative_difference) {
            (Some(absolute), Some(relative)) => write!(
                f,
                "{}: agrees with the trained model within {absolute:.1e} (embeddings and logits: \
                 {relative:.1e} of the largest)",
                self.runtime
            ),
            (Some(absolute), None) => {
                write!(f, "{}: agrees with the trained model within {absolute:.1e}", self.runtime)
            }
            _ => write!(f, "not checked in {}", self.reason.as_deref().unwrap_or("it")),
        }
    }
}

/// How a variant does on the validation part of its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Tracks of the validation part that could be read.
    pub tracks: usize,
    /// Share of them given the right genre in 32-bit floats.
    pub fp32_accuracy: f64,
    /// Their patches.
    pub patches: usize,
    /// Share of the patches given the right genre in 32-bit floats.
    pub fp32_patch_accuracy: f64,
    /// The variant in each runtime.
    pub runtimes: Vec<Checked>,
}

/// A variant in one runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// The runtime.
    pub runtime: Runtime,
    /// Share of the tracks given the right genre; none if it could not be run.
    pub accuracy: Option<f64>,
    /// Share of the patches given the right genre.
    pub patch_accuracy: Option<f64>,
    /// The largest difference of a track's probability from the model in 32-bit floats.
    pub max_abs_difference: Option<f32>,
    /// Why it could not be run.
    pub reason: Option<String>,
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tracks, fp32_accuracy, patches, fp32_patch_accuracy, runtimes } = self;
        writeln!(
            f,
            "  accuracy on the {tracks} tracks ({patches} patches) of the validation part: \
             {fp32_accuracy:.3} ({fp32_patch_accuracy:.3}) in 32-bit floats"
        )?;
        for checked in runtimes {
            let Checked { runtime, accuracy, patch_accuracy, max_abs_difference, reason } = checked;
            match (accuracy, patch_accuracy, max_abs_difference) {
                (Some(accuracy), Some(patch_accuracy), Some(difference)) => writeln!(
                    f,
                    "  {runtime}: {accuracy:.3} ({patch_accuracy:.3}), {:+.1} ({:+.1}) points; \
                     probabilities of a track differ by {difference:.1e} at most",
                    (accuracy - fp32_accuracy) * 100.0,
                    (patch_accuracy - fp32_patch_accuracy) * 100.0,
                )?,
                _ => writeln!(f, "  not checked in {}", reason.as_deref().unwrap_or("it"))?,
            }
        }
        Ok(())
    }
}
