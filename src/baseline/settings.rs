//! The models' hyper-parameters: which are tried, and how a model is fitted with them.

use super::fitted::FittedModel;
use super::problem::FoldRows;
use super::samples::Samples;
use super::{boosting, forest, knn, logistic, mlp, svm};
use crate::error::Result;
use crate::run::{BaselineModel, Settings};

impl BaselineModel {
    /// The hyper-parameters to choose from; the first are the defaults.
    pub(super) fn grid(self) -> Vec<Settings> {
        match self {
            Self::Knn => [5, 1, 3, 7, 9, 13].map(|neighbors| Settings::Knn { neighbors }).into(),
            Self::Logistic => [1.0, 0.1, 10.0].map(|c| Settings::Logistic { c }).into(),
            Self::Svm => pairs(&[3.0, 1.0, 10.0, 30.0], &[0.02, 0.005, 0.01, 0.04], |c, gamma| {
                Settings::Svm { c, gamma }
            }),
            Self::Forest => [8, 4]
                .map(|features_per_split| Settings::Forest { trees: 300, features_per_split })
                .into(),
            Self::Boosting => [(100, 3), (200, 2)]
                .map(|(rounds, depth)| Settings::Boosting { rounds, depth, learning_rate: 0.1 })
                .into(),
            Self::Mlp => pairs(&[64, 128], &[0.1, 0.01], |hidden, weight_decay| Settings::Mlp {
                hidden,
                weight_decay,
                epochs: None,
            }),
        }
    }
}

fn pairs<A: Copy, B: Copy>(a: &[A], b: &[B], make: impl Fn(A, B) -> Settings) -> Vec<Settings> {
    a.iter().flat_map(|&a| b.iter().map(move |&b| (a, b))).map(|(a, b)| make(a, b)).collect()
}

impl Settings {
    /// Fits the final model. `folds` are of `samples`, for what needs rows that the model
    /// has not seen.
    ///
    /// # Errors
    /// [`Error::Fit`](crate::Error::Fit) if the library cannot fit the model to these rows.
    pub(super) fn fit(
        &self,
        samples: &Samples,
        folds: &[FoldRows],
        seed: u64,
    ) -> Result<Box<dyn FittedModel>> {
        Ok(match *self {
            Self::Svm { c, gamma } => Box::new(svm::fit_calibrated(samples, folds, c, gamma)?),
            Self::Mlp { hidden, weight_decay, epochs } => {
                let epochs = epochs.unwrap_or(mlp::EPOCHS);
                Box::new(mlp::fit(samples, hidden, weight_decay, epochs, seed)?)
            }
            _ => self.fit_fold(samples, &Samples::default(), seed)?.0,
        })
    }

    /// Fits a model on one fold's `train` to be judged on `held_out`, and these settings
    /// completed by what only training tells.
    ///
    /// # Errors
    /// As [`Settings::fit`].
    pub(super) fn fit_fold(
        &self,
        train: &Samples,
        held_out: &Samples,
        seed: u64,
    ) -> Result<(Box<dyn FittedModel>, Self)> {
        let mut settings = *self;
        let model: Box<dyn FittedModel> = match &mut settings {
            Self::Knn { neighbors } => Box::new(knn::fit(train, *neighbors)?),
            Self::Logistic { c } => Box::new(logistic::fit(train, *c)?),
            Self::Svm { c, gamma } => Box::new(svm::fit(train, *c, *gamma)?),
            Self::Forest { trees, features_per_split } => {
                // Enough of them to tell settings apart.
                let trees = if held_out.labels.is_empty() { *trees } else { *trees / 3 };
                Box::new(forest::fit(train, trees, *features_per_split, seed)?)
            }
            Self::Boosting { rounds, depth, learning_rate } => {
                Box::new(boosting::fit(train, *rounds, *depth, *learning_rate, seed)?)
            }
            Self::Mlp { hidden, weight_decay, epochs } => {
                let (model, best) =
                    mlp::fit_until_best(train, held_out, *hidden, *weight_decay, seed)?;
                *epochs = Some(best);
                Box::new(model)
            }
        };
        Ok((model, settings))
    }

    /// Whether the library that fits it uses all cores by itself.
    pub(super) fn is_parallel(&self) -> bool {
        matches!(self, Self::Forest { .. } | Self::Mlp { .. })
    }
}
