//! What a model's file says of itself.

use std::path::Path;

use super::records::Row;
#[cfg(feature = "tract")]
use crate::onnx::names::key;
use crate::run::model_file;
use crate::runtime::Runtime;

/// What a model's file says of itself.
#[derive(Default)]
pub(super) struct Facts {
    bytes: Option<u64>,
    precision: Option<String>,
    /// Seconds of audio per patch.
    pub patch_hop_seconds: Option<f64>,
}

impl Facts {
    /// Of what can be read; the case's own row says what is wrong with the file.
    pub fn of(model: &Path) -> Self {
        let file = model_file(model);
        let bytes = std::fs::metadata(&file).ok().map(|found| found.len());
        #[cfg(feature = "tract")]
        if let Ok(model) = crate::onnx::read(&file) {
            let mut metadata = crate::onnx::metadata(&model);
            let front_end = metadata.remove(key::FRONT_END);
            let parsed =
                front_end.and_then(|text| crate::features::Preprocessor::parse(&text).ok());
            return Self {
                bytes,
                precision: metadata.remove(key::PRECISION).filter(|name| name != "fp32"),
                patch_hop_seconds: parsed.and_then(|front_end| front_end.hop_seconds()),
            };
        }
        Self { bytes, ..Self::default() }
    }

    /// `row` with what is known of its file.
    pub fn complete(&self, mut row: Row) -> Row {
        row.precision.clone_from(&self.precision);
        row.model_bytes = self.bytes.filter(|_| row.runtime != Runtime::Burn);
        row
    }
}
