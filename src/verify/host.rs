//! What a host has answered to the probes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The most bytes of a file of answers.
const MAX_BYTES: u64 = 16 << 20;

/// A JSON object with the answer to each probe by its name:
/// `{"long": {"rock": 0.9, "jazz": 0.1}, "short": [0.8, 0.2], "stereo": null}`; `null` for a
/// recording that the host does not take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answers(pub(super) BTreeMap<String, Option<Answer>>);

/// The probabilities of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Answer {
    /// Each beside its label.
    ByLabel(BTreeMap<String, f64>),
    /// In the order of the model's labels.
    InOrder(Vec<f64>),
}

impl Answers {
    /// Reads a JSON file.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Format`] if it is something else.
    pub fn read(path: &Path) -> Result<Self> {
        let size = fs::metadata(path).map_err(Error::io(path))?.len();
        if size > MAX_BYTES {
            return Err(Error::format(path, format!("{size} bytes are too many for answers")));
        }
        let text = fs::read_to_string(path).map_err(Error::io(path))?;
        serde_json::from_str(&text).map_err(|error| {
            let reason = format!(
                "{error}; expected an object of probes, such as {{\"long\": {{\"rock\": 0.9}}, \
                 \"short\": [0.8, 0.2], \"stereo\": null}}"
            );
            Error::format(path, reason)
        })
    }
}
