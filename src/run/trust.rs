//! What a run knows of how far it can be trusted: `trust.json`, what of it goes into an exported
//! file, and how an answer is judged by that.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::metrics::{Average, Reliability, prediction_set, set_thresholds, tempered};

/// The coverage of sets unless told otherwise.
pub const COVERAGE: f64 = 0.9;

/// The share of known tracks whose embeddings may lie farther from the rest than those of a
/// recording that is answered with a genre.
pub const REFUSED: f64 = 0.05;

/// Which tracks the probabilities were calibrated on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Calibrated {
    /// All that were learned from, each judged by a model that has not learned from it.
    CrossValidation,
    /// The validation part, by which the epoch was chosen too.
    Validation,
}

impl fmt::Display for Calibrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::CrossValidation => "cross-validation",
            Self::Validation => "validation part",
        })
    }
}

/// `trust.json`: what tracks that were not learned from have shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trust {
    /// Which tracks.
    pub calibrated: Calibrated,
    /// How many they are.
    pub tracks: usize,
    /// The mean over a recording's patches that had the lower loss on them; the weights know nothing
    /// of it.
    #[serde(default)]
    pub average: Average,
    /// What the logits of a recording's mean are divided by; the weights know nothing of it.
    pub temperature: f64,
    /// By genre: the probabilities that tracks of it were given of being it.
    pub track_scores: Vec<Vec<f32>>,
    /// The same of single patches, some of them.
    pub patch_scores: Vec<Vec<f32>>,
    /// What tells embeddings that are unlike all that were learned from; none if there were too few
    /// tracks.
    #[serde(default)]
    pub outsider: Option<Outsider>,
}

/// The distance of an embedding from those of the nearest genre: Mahalanobis's, of a projection to
/// the directions in which they vary most.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outsider {
    /// `[features, directions]`, row by row.
    #[serde(with = "Floats")]
    pub projection: Vec<f32>,
    /// `[directions]`, added.
    pub bias: Vec<f32>,
    /// The middle of each genre, `[genres][directions]`.
    pub centers: Vec<Vec<f32>>,
    /// Squared distances of the tracks that it was calibrated on, from small to large.
    pub track_distances: Vec<f32>,
    /// The same of their patches, some of them.
    pub patch_distances: Vec<f32>,
}

/// Floats as base64 of their little-endian bytes.
struct Floats;

impl Floats {
    fn serialize<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f32>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64_STANDARD.decode(text).map_err(D::Error::custom)?;
        let (whole, rest) = bytes.as_chunks::<4>();
        if rest.is_empty() {
            Ok(whole.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
        } else {
            Err(D::Error::custom("no whole number of floats"))
        }
    }
}

impl Outsider {
    /// Directions that are looked at.
    #[must_use]
    pub fn directions(&self) -> usize {
        self.bias.len()
    }

    /// The projection of one embedding, `[directions]`.
    #[must_use]
    pub fn project(&self, embedding: &[f32]) -> Vec<f32> {
        let mut sums: Vec<f64> = self.bias.iter().map(|bias| f64::from(*bias)).collect();
        for (value, row) in embedding.iter().zip(self.projection.chunks_exact(self.directions())) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value) * f64::from(*weight);
            }
        }
        sums.into_iter().map(|sum| sum as f32).collect()
    }

    /// Whether all parts fit each other and embeddings of so many features.
    #[must_use]
    pub fn fits(&self, features: usize, genres: usize) -> bool {
        let directions = self.directions();
        directions > 0
            && self.projection.len() == features * directions
            && self.centers.len() == genres
            && self.centers.iter().all(|center| center.len() == directions)
    }
}

/// The squared distance of a projection from the nearest center.
#[must_use]
pub fn nearest(projected: &[f32], centers: &[Vec<f32>]) -> f32 {
    let distance = |center: &Vec<f32>| -> f64 {
        projected.iter().zip(center).map(|(a, b)| f64::from(a - b).powi(2)).sum()
    };
    centers.iter().map(distance).fold(f64::INFINITY, f64::min) as f32
}

/// The share of known ones that are nearer, of one more than there are: the least share of known
/// ones that are refused where this one is.
#[must_use]
pub fn percentile(distance: f32, sorted: &[f32]) -> f32 {
    let nearer = sorted.iter().filter(|known| **known < distance).count();
    nearer as f32 / (sorted.len() + 1) as f32
}

/// What an exported file's metadata say of how far its answers can be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Promise {
    /// The probability with which the right genre is in the set.
    pub coverage: f64,
    /// Tracks that this was found on.
    pub tracks: usize,
    /// Which these are.
    pub calibrated: Calibrated,
    /// The mean over a recording's patches that is meant; a file that takes recordings has it in its
    /// graph.
    #[serde(default)]
    pub average: Average,
    /// What the logits of a recording's mean are divided by; a file that takes recordings has the
    /// division in its graph.
    pub temperature: f64,
    /// By genre, the probability of a recording (the mean over its patches) from which on it is in
    /// the set.
    pub set_thresholds: Vec<f32>,
    /// Centers of the genres in the output `projection`, `[genres][directions]`; empty if there is
    /// no such output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub centers: Vec<Vec<f32>>,
    /// Squared distances of known recordings (means of their patches' projections) from the nearest
    /// center, from small to large.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distances: Vec<f32>,
    /// The value of `outsider` above which a recording is answered with `unknown`.
    pub refuse_above: f32,
    /// What came of it on the test part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tested: Option<Tested>,
}

/// What the test part has shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tested {
    /// Tracks.
    pub tracks: usize,
    /// Of these, how many had the right genre in their set.
    pub covered: usize,
    /// Genres in all sets together.
    pub in_sets: usize,
    /// Of these, how many were refused as outsiders; none if nothing tells them.
    #[serde(default)]
    pub refused: Option<usize>,
}

/// `calibration` in `metrics.json`: what the test part says of the probabilities.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationMetrics {
    /// Which tracks the temperature was found on.
    pub calibrated: Calibrated,
    /// How many these are.
    pub tracks: usize,
    /// The mean over a track's patches that was chosen on them.
    #[serde(default)]
    pub average: Average,
    /// What logits are divided by.
    pub temperature: f64,
    /// Of the test part, without the division.
    pub before: Reliability,
    /// Of the test part, with it.
    pub after: Reliability,
    /// The coverage that was asked for.
    pub coverage: f64,
    /// What came of it.
    pub tested: Tested,
}

impl CalibrationMetrics {
    /// What came of sets with this coverage, if that is the one that was tested.
    #[must_use]
    pub fn tested_at(&self, coverage: f64) -> Option<Tested> {
        (self.coverage == coverage).then_some(self.tested)
    }
}

impl Trust {
    /// What an exported file says, with sets of this coverage.
    #[must_use]
    pub fn promise(&self, coverage: f64, tested: Option<Tested>) -> Promise {
        let outsider = self.outsider.as_ref();
        Promise {
            coverage,
            tracks: self.tracks,
            calibrated: self.calibrated,
            average: self.average,
            temperature: self.temperature,
            set_thresholds: self.track_thresholds(coverage),
            centers: outsider.map_or(vec![], |outsider| outsider.centers.clone()),
            distances: outsider.map_or(vec![], |outsider| outsider.track_distances.clone()),
            refuse_above: 1.0 - REFUSED as f32,
            tested,
        }
    }

    /// A recording's probabilities `[classes]` from those of its patches, `[patches, classes]` row by
    /// row: their mean, calibrated.
    #[must_use]
    pub fn probabilities(&self, patches: &[f32], classes: usize) -> Vec<f32> {
        tempered(&self.average.of(patches, classes), self.temperature)
    }

    /// By genre, the probability of a recording from which on it is in the set.
    #[must_use]
    pub fn track_thresholds(&self, coverage: f64) -> Vec<f32> {
        set_thresholds(&self.track_scores, coverage)
    }

    /// By genre, the probability of a single patch from which on it is in the set.
    #[must_use]
    pub fn patch_thresholds(&self, coverage: f64) -> Vec<f32> {
        set_thresholds(&self.patch_scores, coverage)
    }
}

/// What is to be thought of an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Doubt {
    /// The genres among which the right one is with the coverage promised, as indices, in the order
    /// of the labels.
    pub set: Vec<usize>,
    /// The share of known recordings that are more like those learned from; none if nothing tells.
    pub outsider: Option<f32>,
    /// Whether it is none of the genres, as far as that can be told.
    pub unknown: bool,
}

impl Promise {
    /// Judges a recording by its probabilities and the mean over its patches' projections.
    #[must_use]
    pub fn judge(&self, probabilities: &[f32], projected: Option<&[f32]>) -> Doubt {
        let set = prediction_set(probabilities, &self.set_thresholds);
        let outsider = projected
            .filter(|_| !self.distances.is_empty())
            .map(|projected| self.percentile(nearest(projected, &self.centers)));
        let is_far = outsider.is_some_and(|outsider| self.is_far(outsider));
        Doubt { unknown: is_far || set.is_empty(), set, outsider }
    }

    /// The share of known recordings that are nearer than this squared distance.
    #[must_use]
    pub fn percentile(&self, distance: f32) -> f32 {
        percentile(distance, &self.distances)
    }

    /// Whether a recording of this percentile is answered with `unknown`.
    #[must_use]
    pub fn is_far(&self, percentile: f32) -> bool {
        percentile > self.refuse_above
    }

    /// Whether all parts fit each other and so many genres.
    #[must_use]
    pub fn fits(&self, genres: usize) -> bool {
        let directions = self.centers.first().map_or(0, Vec::len);
        self.temperature.is_finite()
            && self.temperature > 0.0
            && self.set_thresholds.len() == genres
            && (self.centers.is_empty() || self.centers.len() == genres)
            && self.centers.iter().all(|center| center.len() == directions)
            && self.centers.is_empty() == self.distances.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outsider() -> Outsider {
        Outsider {
            projection: vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0],
            bias: vec![0.5, 0.0],
            centers: vec![vec![0.0, 0.0], vec![10.0, 0.0]],
            track_distances: (1..=39).map(|n| n as f32).collect(),
            patch_distances: vec![1.0, 2.0],
        }
    }

    fn trust() -> Trust {
        Trust {
            calibrated: Calibrated::CrossValidation,
            tracks: 39,
            average: Average::Geometric,
            temperature: 1.5,
            track_scores: vec![(1..=20).map(|p| p as f32 / 20.0).collect(), vec![0.5]],
            patch_scores: vec![vec![0.25; 20], vec![0.5; 20]],
            outsider: Some(outsider()),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let text = serde_json::to_string(&trust()).unwrap();
        assert_eq!(serde_json::from_str::<Trust>(&text).unwrap(), trust());
        let broken = text.replace("\"projection\":\"", "\"projection\":\"AA");
        assert!(serde_json::from_str::<Trust>(&broken).is_err());
        let promise = trust().promise(0.9, None);
        let text = serde_json::to_string(&promise).unwrap();
        assert_eq!(serde_json::from_str::<Promise>(&text).unwrap(), promise);
        assert!(promise.fits(2) && !promise.fits(3));
        for temperature in [0.0, -1.5, f64::INFINITY, f64::NAN] {
            assert!(!Promise { temperature, ..promise.clone() }.fits(2), "{temperature}");
        }
    }

    /// Files of before there was a choice of means are read, and mean the arithmetic one.
    #[test]
    fn what_names_no_mean_means_the_arithmetic_one() {
        let without = |text: String| {
            let cut = text.replace(r#""average":"geometric","#, "");
            assert_ne!(cut, text);
            cut
        };
        let text = without(serde_json::to_string(&trust()).unwrap());
        assert_eq!(serde_json::from_str::<Trust>(&text).unwrap().average, Average::Arithmetic);
        let text = without(serde_json::to_string(&trust().promise(0.9, None)).unwrap());
        assert_eq!(serde_json::from_str::<Promise>(&text).unwrap().average, Average::Arithmetic);
        let metrics = CalibrationMetrics {
            calibrated: Calibrated::Validation,
            tracks: 1,
            average: Average::Geometric,
            temperature: 1.0,
            before: Reliability::default(),
            after: Reliability::default(),
            coverage: COVERAGE,
            tested: Tested::default(),
        };
        let text = without(serde_json::to_string(&metrics).unwrap());
        let read: CalibrationMetrics = serde_json::from_str(&text).unwrap();
        assert_eq!(read.average, Average::Arithmetic);
    }

    #[test]
    fn projections_and_distances_are_as_written_down() {
        let outsider = outsider();
        assert!(outsider.fits(3, 2) && !outsider.fits(2, 2) && !outsider.fits(3, 1));
        let projected = outsider.project(&[9.0, 1.0, 7.0]);
        assert_eq!(projected, [9.5, 2.0]);
        assert!((nearest(&projected, &outsider.centers) - 4.25).abs() < 1e-6);
        assert_eq!(percentile(4.25, &[1.0, 4.0, 5.0]), 0.5);
    }

    #[test]
    fn what_is_far_or_like_nothing_is_unknown() {
        let promise = trust().promise(0.9, None);
        let near = promise.judge(&[0.6, 0.4], Some(&[0.5, 0.0]));
        assert_eq!(near, Doubt { set: vec![0, 1], outsider: Some(0.0), unknown: false });
        let far = promise.judge(&[1.0, 0.0], Some(&[0.0, 9.0]));
        assert!(far.unknown && far.outsider == Some(39.0 / 40.0), "{far:?}");
        // The thresholds are 0.1 and that of all 21 together.
        let neither = promise.judge(&[0.01, 0.01], None);
        assert_eq!(neither, Doubt { set: vec![], outsider: None, unknown: true });
    }
}
