//! How good predictions are: of one genre a track, and of any number of labels; and whether their
//! probabilities mean what they say.

mod average;
mod calibration;
mod evaluation;
mod share;
mod tags;

pub use average::{Average, FLOOR};
pub use calibration::{
    LEAST, Reliability, ReliabilityBin, best_temperature, prediction_set, set_threshold,
    set_thresholds, surprise, tempered,
};
pub use evaluation::{
    Epoch, Evaluation, GenreScore, Rule, argmax, evaluate, mean_probabilities, quantile,
};
pub use share::share_interval;
pub use tags::{
    HALF, TagEvaluation, TagScore, above, average_precision, best_threshold, evaluate_tags,
    macro_average_precision, roc_auc,
};
