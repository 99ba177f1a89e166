//! Names that exported files and their readers share: ports and keys of the metadata.

/// The input for log-mels, `[batch, frames, mels]`.
pub const LOG_MEL: &str = "log_mel";
/// The input for samples, of a patch or of a recording.
pub const WAVEFORM: &str = "waveform";
/// What a file for whole recordings says that it takes.
pub const CLIP: &str = "clip";
/// The input for normalized pictures, `[batch, channels, height, width]`.
pub const IMAGE: &str = "image";
/// The input for hand-made features, `[batch, features]`.
pub const FEATURES: &str = "features";
/// The output `[batch, classes]`.
pub const PROBABILITIES: &str = "probabilities";
/// The output `[batch, features]`.
pub const EMBEDDINGS: &str = "embeddings";
/// The output `[patches, classes]` that a model for recordings has besides.
pub const PATCH_PROBABILITIES: &str = "patch_probabilities";
/// The output `[batch, classes]`: 1 for the genres among which the right one is, as far as the
/// metadata promise it, else 0.
pub const SET: &str = "set";
/// The output `[batch, 1]`: the share of known sounds that are more like those learned from.
pub const OUTSIDER: &str = "outsider";
/// The output `[batch, directions]` that it is computed from.
pub const PROJECTION: &str = "projection";
/// The outputs of every genre model, in its order.
pub const OUTPUTS: [&str; 2] = [PROBABILITIES, EMBEDDINGS];

/// Keys of the metadata.
pub mod key {
    /// JSON array of the genres, in the order of the probabilities.
    pub const LABELS: &str = "labels";
    /// `multi-label` where a track has any number of labels, and a probability for each; none where
    /// it has one.
    pub const TASK: &str = "task";
    /// JSON array of the probabilities from which on a track has a label, in the order of the
    /// labels; where it has any number of them only.
    pub const THRESHOLDS: &str = "thresholds";
    /// JSON array of the labels that are no genres: their tracks are none of the others. None where
    /// all are genres.
    pub const NEGATIVES: &str = "negatives";
    /// What is promised of sets and outsiders, and what came of it on the test part, as JSON.
    pub const TRUST: &str = "trust";
    /// The front end as JSON.
    pub const FRONT_END: &str = "front_end";
    /// What the file takes: `log_mel`, `waveform`, `clip` or `image`.
    pub const INPUT: &str = "input";
    /// The numbers the file is made of; none for 32-bit floats in older files.
    pub const PRECISION: &str = "precision";
    /// What is not of that precision.
    pub const KEPT_IN_FLOAT: &str = "kept_in_float";
    /// Samples a second.
    pub const SAMPLE_RATE: &str = "sample_rate";
    /// Samples from one patch to the next.
    pub const PATCH_HOP_SAMPLES: &str = "patch_hop_samples";
    /// Samples of a patch.
    pub const PATCH_SAMPLES: &str = "patch_samples";
    /// Zeros before a recording whose patch `k` begins at `k` hops.
    pub const LEAD_SAMPLES: &str = "lead_samples";
    /// The collection, as JSON.
    pub const TRAINING_DATA: &str = "training_data";
    /// Method, seed and sizes of the split, as JSON.
    pub const SPLIT: &str = "split";
    /// Test results, as JSON.
    pub const METRICS: &str = "metrics";
    /// The program that wrote the file.
    pub const SOFTWARE: &str = "software";
    /// The backbone's licence.
    pub const LICENSE: &str = "license";
    /// Name, licence and digest of the backbone, as JSON.
    pub const BACKBONE: &str = "backbone";
    /// A CNN's architecture, as JSON.
    pub const ARCHITECTURE: &str = "architecture";
    /// The columns that a baseline takes, in order, as JSON.
    pub const FEATURES: &str = "features";
    /// The kind of a baseline's model.
    pub const MODEL: &str = "model";
    /// A baseline's hyper-parameters, as JSON.
    pub const HYPER_PARAMETERS: &str = "hyper_parameters";
    /// Recordings and the right answers to them, for hosts to test themselves by, as JSON.
    pub const PROBES: &str = "probes";

    /// All of them: no other note in a file of ours has one of these keys.
    #[cfg(feature = "train")]
    pub(crate) const ALL: [&str; 24] = [
        LABELS,
        TASK,
        THRESHOLDS,
        TRUST,
        NEGATIVES,
        FRONT_END,
        INPUT,
        PRECISION,
        KEPT_IN_FLOAT,
        SAMPLE_RATE,
        PATCH_HOP_SAMPLES,
        PATCH_SAMPLES,
        LEAD_SAMPLES,
        TRAINING_DATA,
        SPLIT,
        METRICS,
        SOFTWARE,
        LICENSE,
        BACKBONE,
        ARCHITECTURE,
        FEATURES,
        MODEL,
        HYPER_PARAMETERS,
        PROBES,
    ];
}
