//! Early stopping: which epoch was the best, and when to wait no longer for a better one.

use serde::{Deserialize, Serialize};

use crate::run::Score;

/// The best epoch of a training so far, by validation loss. Checkpoints keep it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// The best epoch, counted from one; 0 before the first.
    pub best_epoch: usize,
    /// Its score on the validation tracks, where there are any.
    pub best: Option<Score>,
}

impl EarlyStopping {
    /// Takes the score of `epoch`; whether it is the best so far.
    ///
    /// Without validation tracks no epoch has a score, and the last one is the best.
    pub fn improves(&mut self, epoch: usize, score: Option<Score>) -> bool {
        let improves = self.best.is_none() || Score::loss_of(score) < Score::loss_of(self.best);
        if improves {
            (self.best_epoch, self.best) = (epoch, score);
        }
        improves
    }

    /// Whether, after `epoch`, there has been no better one for `patience` epochs (at least 1).
    pub fn patience_exhausted(&self, epoch: usize, patience: usize) -> bool {
        epoch - self.best_epoch >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The epochs that improve, and the one after which a patience of 2 is exhausted.
    fn course(losses: &[Option<f64>]) -> (Vec<usize>, Option<usize>) {
        let mut stopping = EarlyStopping::default();
        let mut better = vec![];
        for (epoch, loss) in (1..).zip(losses) {
            if stopping.improves(epoch, loss.map(|loss| Score::of_genres(loss, 0.5))) {
                better.push(epoch);
            }
            if stopping.patience_exhausted(epoch, 2) {
                return (better, Some(epoch));
            }
        }
        (better, None)
    }

    #[test]
    fn the_first_of_the_lowest_losses_is_the_best() {
        let losses = [3.0, 2.0, 2.0, 1.0, 1.5, 1.0, 0.5].map(Some);
        assert_eq!(course(&losses), (vec![1, 2, 4], Some(6)));
        assert!(!EarlyStopping::default().patience_exhausted(0, 1), "before the first epoch");
    }

    #[test]
    fn without_validation_tracks_it_never_stops_and_the_last_epoch_is_the_best() {
        assert_eq!(course(&[None, None, None]), (vec![1, 2, 3], None));
    }

    #[test]
    fn checkpoints_name_its_fields_as_they_always_did() {
        let stopping = EarlyStopping { best_epoch: 3, best: Some(Score::of_genres(0.5, 1.0)) };
        let text = serde_json::to_string(&stopping).unwrap();
        assert_eq!(text, r#"{"best_epoch":3,"best":{"loss":0.5,"accuracy":1.0}}"#);
    }
}
