//! Names of the files in a run's folder; [`crate::run`] says what they hold.

/// Options of the run.
pub const CONFIG: &str = "config.json";
/// Which track is in which part.
pub const SPLIT: &str = "split.json";
/// One genre a line.
pub const LABELS: &str = "labels.txt";
/// Results, written last.
pub const METRICS: &str = "metrics.json";
/// Probabilities of every test track.
pub const PREDICTIONS: &str = "predictions.json";
/// The exported model; of a network, the one that takes log-mels.
pub const MODEL: &str = "model.onnx";
/// The exported model that takes the samples of a patch.
pub const WAVEFORM: &str = "waveform.onnx";
/// The exported model that takes the samples of a recording.
pub const CLIP: &str = "clip.onnx";
/// The front end.
pub const PREPROCESSOR: &str = "preprocessor.json";
/// The shape of the burn model.
pub const MODEL_SPEC: &str = "model.json";
/// Weights of the whole burn model.
pub const WEIGHTS: &str = "weights.bpk";
/// Weights of the head alone, beside [`BACKBONE`].
pub const HEAD: &str = "head.bpk";
/// The backbone, with the weights that it was trained to.
pub const BACKBONE: &str = "backbone.onnx";
/// Weights of the backbone, where it has more than the 2 GB of an ONNX file.
pub const BACKBONE_DATA: &str = "backbone.onnx.data";
/// What tracks that were not learned from say of how far the model can be trusted.
pub const TRUST: &str = "trust.json";
/// Losses and accuracies, epoch by epoch.
pub const HISTORY: &str = "history.json";
/// The folds of a cross-validation.
pub const FOLDS: &str = "folds.json";
/// The leaderboard of a search for an architecture.
pub const SEARCH: &str = "search.json";
/// The chart of that search.
pub const SEARCH_CHART: &str = "search.svg";
/// Learning curves.
pub const CURVES: &str = "curves.svg";
/// The folder to resume a training from.
pub const CHECKPOINT: &str = "checkpoint";
/// Looks at test parts, in the folder of runs.
pub const TEST_USES: &str = "test-uses.json";
