//! What an exported file says of its probes.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::recipe::Recipe;
use crate::files;

/// The most bytes that probes take in a file's metadata.
pub const MAX_BYTES: usize = 60_000;

/// The recipe's version: that of [`Recipe`].
const VERSION: u32 = 1;

/// The recordings, the right answers, and the wrong ones of typical mistakes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probes {
    /// How samples are made of a recipe: 1.
    pub version: u32,
    /// The SHA-256 of the JSON array of the labels, as it stands under `labels`.
    pub labels_sha256: String,
    /// The numbers of the file that gave the answers.
    pub precision: String,
    /// The recordings with the right answers.
    pub probes: Vec<Probe>,
    /// What hosts with one mistake each would answer.
    pub mistakes: Vec<Mistake>,
    /// Mistakes that this model's answers do not show, by what they are.
    #[serde(default)]
    pub not_shown: Vec<String>,
}

/// A recording and the right answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// `long`, `short` or `stereo`.
    pub name: String,
    /// What it is there for, in a few words.
    pub tests: String,
    /// How it is made.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// [`Recipe::sha256`].
    pub sha256: String,
    /// How many patches the model hears in it.
    pub patches: usize,
    /// How far a probability may be off.
    pub tolerance: f32,
    /// The right answer, in the order of the labels.
    pub probabilities: Vec<f32>,
}

/// A mistake of hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// In a word: `unscaled`.
    pub name: String,
    /// In a sentence, with what to do.
    pub what: String,
    /// The probabilities for each of the probes; none where the mistake changes nothing.
    pub answers: Vec<Option<Vec<f32>>>,
}

impl Probes {
    /// Of a file with this `labels` array in its metadata.
    pub(super) fn new(labels: &str, precision: &str, probes: Vec<Probe>) -> Self {
        Self {
            version: VERSION,
            labels_sha256: digest(labels),
            precision: precision.to_owned(),
            probes,
            mistakes: vec![],
            not_shown: vec![],
        }
    }

    /// Reads them from a file's metadata, whose `labels` are `count` in this JSON array.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(json: &str, labels: &str, count: usize) -> Result<Self, String> {
        let version = serde_json::from_str::<serde_json::Value>(json)
            .map_err(|error| error.to_string())?["version"]
            .as_u64();
        if version != Some(VERSION.into()) {
            return Err(format!(
                "they are of version {}, and this program knows {VERSION}; take a newer one",
                version.map_or_else(|| "?".to_owned(), |version| version.to_string())
            ));
        }
        let probes: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        probes.check(labels, count)?;
        Ok(probes)
    }

    fn check(&self, labels: &str, count: usize) -> Result<(), String> {
        if self.labels_sha256 != digest(labels) {
            return Err(
                "they are of other labels than the file's: one of the two was changed after \
                        the export; export the model again"
                    .to_owned(),
            );
        }
        let fits = |answer: &[f32]| answer.len() == count && answer.iter().all(|p| p.is_finite());
        for probe in &self.probes {
            let Probe { name, recipe, probabilities, sha256, .. } = probe;
            recipe.check().map_err(|reason| format!("probe {name}: {reason}"))?;
            if !fits(probabilities) || !probe.tolerance.is_finite() {
                return Err(format!("probe {name} does not fit {count} labels"));
            }
            if recipe.sha256() != *sha256 {
                return Err(format!(
                    "probe {name}: its recipe does not make the samples it promises"
                ));
            }
        }
        let fitting = |mistake: &Mistake| {
            mistake.answers.len() == self.probes.len()
                && mistake.answers.iter().flatten().all(|answer| fits(answer))
        };
        match self.mistakes.iter().find(|mistake| !fitting(mistake)) {
            _ if self.probes.is_empty() => Err("there are none in the list".to_owned()),
            Some(mistake) => Err(format!("mistake {} does not fit the probes", mistake.name)),
            None => Ok(()),
        }
    }

    /// As JSON of [`MAX_BYTES`] at most: of models with very many labels the last mistakes are left
    /// out, and named as [`Self::not_shown`].
    #[cfg(feature = "train")]
    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        let mut some = self.clone();
        loop {
            let json = serde_json::to_string(&some)?;
            if json.len() <= MAX_BYTES {
                return Ok(json);
            }
            match some.mistakes.pop() {
                Some(mistake) => some.not_shown.push(mistake.name),
                None => return Ok(json),
            }
        }
    }
}

fn digest(labels: &str) -> String {
    files::hex(&Sha256::digest(labels))
}
