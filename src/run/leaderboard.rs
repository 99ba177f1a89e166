//! The leaderboard of a search for an architecture.

use std::fmt::{self, Write};

use serde::{Deserialize, Deserializer, Serialize};

use super::architecture::CnnConfig;
use super::records::Score;

/// No loss of a training that went well comes near this: probabilities count as 1e-12 at least,
/// so it is below 28.
const DIVERGED: f64 = 1e6;

/// One architecture with its training, and how it did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Counted from one.
    pub number: usize,
    /// The architecture.
    #[serde(default)]
    pub cnn: CnnConfig,
    /// Largest learning rate.
    #[serde(default)]
    pub learning_rate: f64,
    /// Alpha of mixup.
    #[serde(default)]
    pub mixup: f64,
    /// Whether patches were varied as the search's options say; else they were taken as they are.
    #[serde(default = "yes")]
    pub varied: bool,
    /// Parameters, but for those of the output.
    #[serde(default)]
    pub parameters: usize,
    /// Multiplications a patch takes.
    #[serde(default)]
    pub multiply_adds: usize,
    /// Results, one for each rung it came to: each time trained from scratch, and for longer.
    #[serde(default)]
    pub rungs: Vec<Rung>,
}

/// Trials of older versions do not say it.
fn yes() -> bool {
    true
}

/// One training of a [`Trial`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// Epochs trained.
    pub epochs: usize,
    /// Score on the validation part; none where training diverged.
    #[serde(default, deserialize_with = "score")]
    pub validation: Option<Score>,
    /// Wall-clock seconds.
    #[serde(default)]
    pub seconds: f64,
}

/// `search.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Leaderboard {
    /// Seed of the sampler.
    #[serde(default)]
    pub seed: u64,
    /// Architectures and epochs of each rung.
    #[serde(default)]
    pub plan: Vec<(usize, usize)>,
    /// All trials.
    pub trials: Vec<Trial>,
    /// Number of the best one, once the search is complete.
    #[serde(default)]
    pub winner: Option<usize>,
    /// Wall-clock seconds, summed up over interruptions.
    #[serde(default)]
    pub seconds: f64,
}

/// Older files have the largest number there is as the loss of a training that diverged.
fn score<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Score>, D::Error> {
    let score = Option::<Score>::deserialize(json)?;
    Ok(score.filter(|score| score.loss < DIVERGED))
}

impl Rung {
    /// The validation loss; infinite where training diverged.
    #[must_use]
    pub(crate) fn loss(&self) -> f64 {
        Score::loss_of(self.validation)
    }

    /// The validation accuracy; 0 where training diverged.
    #[must_use]
    pub(crate) fn accuracy(&self) -> f64 {
        self.validation.map_or(0.0, |score| score.quality.value())
    }
}

impl Trial {
    /// The longest training.
    #[must_use]
    pub(crate) fn last(&self) -> Option<Rung> {
        self.rungs.last().copied()
    }

    /// Seconds of all its trainings.
    #[must_use]
    pub(crate) fn seconds(&self) -> f64 {
        self.rungs.iter().map(|rung| rung.seconds).sum()
    }
}

impl Leaderboard {
    /// Trials that were trained at all with their longest training, from best to worst: the
    /// longer trained first, then by loss.
    #[must_use]
    pub(crate) fn ranked(&self) -> Vec<(&Trial, Rung)> {
        let last = |trial| Some((trial, Trial::last(trial)?));
        let mut trials: Vec<(&Trial, Rung)> = self.trials.iter().filter_map(last).collect();
        trials
            .sort_by(|(_, a), (_, b)| b.epochs.cmp(&a.epochs).then(a.loss().total_cmp(&b.loss())));
        trials
    }

    /// The best trial of those whose longest training did not diverge.
    #[must_use]
    pub(crate) fn best(&self) -> Option<&Trial> {
        let ranked = self.ranked();
        ranked.into_iter().find(|(_, rung)| rung.validation.is_some()).map(|(trial, _)| trial)
    }

    /// The best `count` of the trials that have come to `rung`, without those that have
    /// already passed it.
    #[must_use]
    pub(crate) fn due(&self, rung: usize, count: usize) -> Vec<Trial> {
        let mut there: Vec<&Trial> =
            self.trials.iter().filter(|trial| trial.rungs.len() >= rung).collect();
        if let Some(before) = rung.checked_sub(1) {
            there.sort_by(|a, b| a.rungs[before].loss().total_cmp(&b.rungs[before].loss()));
        }
        let first = there.into_iter().take(count);
        first.filter(|trial| trial.rungs.len() == rung).cloned().collect()
    }

    /// The best `count` trials as a plain table.
    #[must_use]
    pub(crate) fn table(&self, count: usize) -> String {
        let mut text = String::new();
        let mut line = |content: fmt::Arguments| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{content}");
        };
        line(format_args!(
            "{:>5} {:>6} {:>8} {:>8} {:>10} {:>7}  architecture",
            "trial", "epochs", "loss", "accuracy", "parameters", "seconds"
        ));
        for (trial, Rung { epochs, validation, seconds }) in self.ranked().into_iter().take(count) {
            let [loss, accuracy] = match validation {
                Some(score) => {
                    [score.loss, score.quality.value()].map(|value| format!("{value:.3}"))
                }
                None => ["diverged", "-"].map(str::to_owned),
            };
            line(format_args!(
                "{:>5} {epochs:>6} {loss:>8} {accuracy:>8} {:>10} {seconds:>7.1}  {}",
                trial.number, trial.parameters, trial.cnn
            ));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A board of trials with these losses, one for each rung; none where training diverged.
    fn board(losses: &[&[Option<f64>]]) -> Leaderboard {
        let rung = |(at, loss): (usize, &Option<f64>)| Rung {
            epochs: 5 * (at + 1),
            validation: loss.map(|loss| Score::of_genres(loss, 0.5)),
            seconds: 1.0,
        };
        let trial = |(at, losses): (usize, &&[Option<f64>])| Trial {
            number: at + 1,
            cnn: CnnConfig::default(),
            learning_rate: 0.01,
            mixup: 0.0,
            varied: true,
            parameters: 1000,
            multiply_adds: 1000,
            rungs: losses.iter().enumerate().map(rung).collect(),
        };
        let trials = losses.iter().enumerate().map(trial).collect();
        Leaderboard { seed: 0, plan: vec![], trials, winner: None, seconds: 0.0 }
    }

    #[test]
    fn the_longest_trained_come_first_and_unknown_fields_do_not_matter() {
        let board: Leaderboard = serde_json::from_str(
            r#"{"seed": 1, "plan": [[3, 1], [1, 4]], "winner": 2, "seconds": 9, "trials": [
            {"number": 1, "rungs": [{"epochs": 1, "validation": {"loss": 0.1, "accuracy": 1}}]},
            {"number": 2, "mixup": 0.2, "new": true, "cnn": {"filters": [8, 16],
             "convolutions": 2, "kernel": 3, "residual": true}, "rungs": [
              {"epochs": 1, "validation": {"loss": 2, "accuracy": 0.1}, "seconds": 1},
              {"epochs": 4, "validation": {"loss": 1, "accuracy": 0.5}, "seconds": 4}]},
            {"number": 3, "rungs": []}]}"#,
        )
        .unwrap();
        let ranked = board.ranked();
        assert_eq!(ranked.iter().map(|(t, _)| t.number).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(ranked[0].0.seconds(), 5.0);
    }

    #[test]
    fn a_third_goes_on_and_what_is_done_is_not_done_again() {
        let losses: Vec<Vec<Option<f64>>> = (0..9).map(|at| vec![Some(f64::from(at))]).collect();
        let mut board = board(&losses.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let numbers = |trials: Vec<Trial>| trials.iter().map(|t| t.number).collect::<Vec<_>>();
        let rung = |loss: f64| Rung {
            epochs: 5,
            validation: Some(Score::of_genres(loss, 0.5)),
            seconds: 1.0,
        };
        board.trials[0].rungs.clear();
        assert_eq!(numbers(board.due(0, 9)), [1], "only the first is left to do");
        board.trials[0].rungs.push(rung(3.5));
        assert_eq!(numbers(board.due(1, 3)), [2, 3, 4]);
        board.trials[2].rungs.push(rung(0.1));
        assert_eq!(numbers(board.due(1, 3)), [2, 4], "an interrupted rung goes on");
        assert_eq!(board.ranked()[0].0.number, 3);
        assert_eq!(board.table(3).lines().count(), 4);
    }

    #[test]
    fn a_training_that_diverged_has_no_score_and_never_wins() {
        let none = board(&[&[None], &[None, None]]);
        assert_eq!(none.best(), None, "every architecture diverged");
        let one = board(&[&[None], &[Some(2.0), None], &[Some(3.0)]]);
        assert_eq!(one.best().map(|trial| trial.number), Some(3));
        let table = one.table(10);
        assert!(table.lines().all(|line| line.len() < 120), "{table}");
        assert_eq!(table.matches("diverged").count(), 2, "{table}");
    }

    #[test]
    fn the_largest_number_in_an_old_file_is_read_as_none_and_none_is_written_as_null() {
        let old = format!(
            r#"{{"epochs": 1, "validation": {{"loss": {:?}, "accuracy": 0.0}}, "seconds": 1.0}}"#,
            f64::MAX
        );
        let rung: Rung = serde_json::from_str(&old).unwrap();
        assert_eq!((rung.validation, rung.loss(), rung.accuracy()), (None, f64::INFINITY, 0.0));
        let text = serde_json::to_string(&rung).unwrap();
        assert_eq!(text, r#"{"epochs":1,"validation":null,"seconds":1.0}"#);
        assert_eq!(serde_json::from_str::<Rung>(&text).unwrap(), rung);
    }
}
