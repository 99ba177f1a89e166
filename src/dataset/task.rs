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
