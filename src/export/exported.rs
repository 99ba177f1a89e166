//! What an export tells of the file it has written.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::precision::{Precision, Validation};
use crate::runtime::Runtime;

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
    /// Its size.
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
        let path = self.path.display();
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
