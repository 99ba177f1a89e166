//! What is told of a track: its one genre, or all labels that it has.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What a model tells of a track.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One label each: probabilities of a track sum to one.
    #[default]
    SingleLabel,
    /// Any number of labels each: every label has a probability of its own.
    MultiLabel,
}

/// How often each of so many labels is among `labels`.
pub(crate) fn label_counts<'l>(
    labels: impl Iterator<Item = &'l usize>,
    classes: usize,
) -> Vec<usize> {
    let mut counts = vec![0; classes];
    labels.for_each(|label| counts[*label] += 1);
    counts
}

/// What a genre is called whose tracks are none of the genres: BirdNET's habit, and that of speech
/// commands.
pub const NEGATIVES: [&str; 4] = ["other", "others", "noise", "background"];

/// The labels that are called so, capitals or not.
#[must_use]
pub fn negatives<'l>(labels: &'l [String], names: &[impl AsRef<str>]) -> Vec<&'l str> {
    let is_one = |label: &&str| {
        names.iter().any(|name| name.as_ref().to_lowercase() == label.to_lowercase())
    };
    labels.iter().map(String::as_str).filter(is_one).collect()
}

impl Task {
    /// Whether a track has one label: what files that do not name their task are about.
    #[must_use]
    pub fn is_single(&self) -> bool {
        *self == Self::SingleLabel
    }

    /// `single-label` or `multi-label`, as options and metadata have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleLabel => "single-label",
            Self::MultiLabel => "multi-label",
        }
    }

    /// The task of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::SingleLabel, Self::MultiLabel].into_iter().find(|task| task.name() == name)
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negatives_are_told_by_their_names() {
        let labels = ["Noise", "jazz", "other rock"].map(str::to_owned);
        assert_eq!(negatives(&labels, &NEGATIVES), ["Noise"]);
        assert!(negatives(&labels, &[""; 0]).is_empty());
    }
}
