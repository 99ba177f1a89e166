//! The leaderboard of a search for an architecture, `search.json`, read without burn.

use std::cmp::Ordering;
use std::fmt;

use serde::Deserialize;

/// `search.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Leaderboard {
    /// All trials.
    pub trials: Vec<Trial>,
    /// Number of the best one.
    #[serde(default)]
    pub winner: Option<usize>,
    /// Wall-clock seconds.
    #[serde(default)]
    pub seconds: f64,
}

/// One architecture with its training.
#[derive(Clone, Debug, Deserialize)]
pub struct Trial {
    /// Counted from one.
    pub number: usize,
    /// The architecture.
    #[serde(default)]
    pub cnn: Architecture,
    /// Largest learning rate.
    #[serde(default)]
    pub learning_rate: f64,
    /// Parameters, but for those of the output.
    #[serde(default)]
    pub parameters: usize,
    /// Results, one for each time it was trained, always for longer.
    #[serde(default)]
    pub rungs: Vec<Rung>,
}

/// One training of a [`Trial`].
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Rung {
    /// Epochs trained.
    pub epochs: usize,
    /// Score on the validation part.
    pub validation: Score,
    /// Wall-clock seconds.
    #[serde(default)]
    pub seconds: f64,
}

/// Loss and accuracy on validation tracks.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Score {
    /// Cross-entropy; huge where training diverged.
    pub loss: f64,
    /// Share of tracks given the right genre.
    pub accuracy: f64,
}

/// What a table says of an architecture.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Architecture {
    filters: Vec<usize>,
    convolutions: usize,
    kernel: usize,
    residual: bool,
    squeeze_excitation: bool,
}

impl Leaderboard {
    /// Trials that were trained at all, from best to worst: the longer trained first, then
    /// by loss.
    #[must_use]
    pub fn ranked(&self) -> Vec<(&Trial, Rung)> {
        let last = |trial| Some((trial, *Trial::last(trial)?));
        let mut trials: Vec<(&Trial, Rung)> = self.trials.iter().filter_map(last).collect();
        trials.sort_by(|(_, a), (_, b)| {
            let loss = a.validation.loss.partial_cmp(&b.validation.loss);
            b.epochs.cmp(&a.epochs).then(loss.unwrap_or(Ordering::Equal))
        });
        trials
    }
}

impl Trial {
    fn last(&self) -> Option<&Rung> {
        self.rungs.last()
    }

    /// Seconds of all its trainings.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.rungs.iter().map(|rung| rung.seconds).sum()
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let filters: Vec<String> = self.filters.iter().map(ToString::to_string).collect();
        let kernel = self.kernel;
        write!(f, "{}, {} of {kernel} × {kernel} each", filters.join("-"), self.convolutions)?;
        let extras = [(self.residual, "residual"), (self.squeeze_excitation, "SE")];
        extras.iter().filter(|(has, _)| *has).try_for_each(|(_, name)| write!(f, ", {name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_trained_come_first_and_unknown_fields_do_not_matter() {
        let board: Leaderboard = serde_json::from_str(
            r#"{"seed": 1, "plan": [[3, 1], [1, 4]], "winner": 2, "seconds": 9, "trials": [
            {"number": 1, "rungs": [{"epochs": 1, "validation": {"loss": 0.1, "accuracy": 1}}]},
            {"number": 2, "mixup": 0.2, "cnn": {"filters": [8, 16], "convolutions": 2,
             "kernel": 3, "residual": true}, "rungs": [
              {"epochs": 1, "validation": {"loss": 2, "accuracy": 0.1}, "seconds": 1},
              {"epochs": 4, "validation": {"loss": 1, "accuracy": 0.5}, "seconds": 4}]},
            {"number": 3, "rungs": []}]}"#,
        )
        .unwrap();
        let ranked = board.ranked();
        assert_eq!(ranked.iter().map(|(t, _)| t.number).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(ranked[0].0.seconds(), 5.0);
        assert_eq!(ranked[0].0.cnn.to_string(), "8-16, 2 of 3 × 3 each, residual");
    }
}
