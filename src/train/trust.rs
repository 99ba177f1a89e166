//! How far a model can be trusted, found on tracks that it has not learned from: a temperature for
//! the logits of a track, what promises sets of genres, and distances that tell outsiders.

use rayon::prelude::*;

use super::embeddings::Embeddings;
use super::fit::Example;
use super::outsider::Moments;
use super::prediction::TrackPrediction;
use crate::metrics::{
    Average, Reliability, best_temperature, mean_probabilities, surprise, tempered,
};
use crate::run::{COVERAGE, Calibrated, CalibrationMetrics, Outsider, Tested, Trust, nearest};

/// Values of single patches that are kept of a genre, or of all: enough for a hundredth.
const KEPT: usize = 400;

/// A track that was not learned from, with what the model says of it.
pub(crate) struct Judged<'a> {
    /// Its genre.
    pub label: usize,
    /// What is said of it, not calibrated.
    pub said: &'a TrackPrediction,
    /// How far it is from what was learned from, and each of its patches; none if nothing tells.
    pub distances: Option<Distances>,
}

/// Squared distances of a track and its patches.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Distances {
    track: f32,
    patches: Vec<f32>,
}

impl Distances {
    /// Of a track with these embeddings.
    pub fn of(outsider: &Outsider, embeddings: &Embeddings) -> Self {
        let projected: Vec<Vec<f32>> = embeddings.rows().map(|row| outsider.project(row)).collect();
        let mean = mean_probabilities(&projected.concat(), outsider.directions());
        let patches = projected.iter().map(|row| nearest(row, &outsider.centers)).collect();
        Self { track: nearest(&mean, &outsider.centers), patches }
    }
}

/// Tracks from which on a calibration says something of tracks to come.
const FEW: usize = 40;

/// The mean over patches, of these, and the temperature with which `judged` tracks are least
/// surprising: the first of several that are alike.
fn best_average(judged: &[Judged], averages: &[Average]) -> (Average, f64) {
    let (mut best, mut least) = ((Average::Arithmetic, 1.0), f64::INFINITY);
    // Of one patch a track there is but one mean.
    let are_several = judged.iter().any(|track| track.said.patches.len() > track.said.mean.len());
    for average in averages.iter().take(if are_several { averages.len() } else { 1 }) {
        let means: Vec<(Vec<f32>, usize)> =
            judged.iter().map(|track| (track.said.averaged(*average), track.label)).collect();
        let means: Vec<(&[f32], usize)> =
            means.iter().map(|(mean, label)| (&mean[..], *label)).collect();
        let temperature = best_temperature(&means);
        let found = surprise(&means, temperature);
        if found < least {
            (best, least) = ((*average, temperature), found);
        }
    }
    best
}

/// The mean over patches that is best for tracks of which a model that has not learned from them
/// `said` this.
pub(crate) fn average_of(examples: &[Example], said: &[TrackPrediction]) -> Average {
    best_average(&judged(None, examples, said), &Average::ALL).0
}

/// What `judged` tracks show of a model, with the best of these `averages` over patches; `outsider`
/// is what gave their distances, or what is to be used from now on instead.
pub(crate) fn trust(
    calibrated: Calibrated,
    judged: &[Judged],
    classes: usize,
    averages: &[Average],
    outsider: Option<Outsider>,
) -> Trust {
    let (average, temperature) = best_average(judged, averages);
    if averages.len() > 1 {
        tracing::info!(
            "calibrated on {} tracks, each judged by a network that had not learned from it: a track is \
             the {average} over its patches, at a temperature of {temperature:.2}",
            judged.len()
        );
    }
    if judged.len() < FEW {
        tracing::warn!(
            "{} tracks are few to calibrate on: how sure the probabilities are is hardly tested, and \
             recordings of genres that were not learned are seldom called unknown; give ten or more \
             recordings a genre",
            judged.len()
        );
    }
    let (mut track_scores, mut patch_scores) = (vec![vec![]; classes], vec![vec![]; classes]);
    for Judged { label, said, .. } in judged {
        let (label, patches) = (*label, said.patches.chunks_exact(classes));
        track_scores[label].push(tempered(&said.averaged(average), temperature)[label]);
        patch_scores[label].extend(patches.map(|row| row[label]));
    }
    let distances: Vec<&Distances> =
        judged.iter().filter_map(|track| track.distances.as_ref()).collect();
    let outsider = outsider.filter(|_| distances.len() == judged.len()).map(|outsider| Outsider {
        track_distances: thinned(distances.iter().map(|track| track.track).collect()),
        patch_distances: thinned(distances.iter().flat_map(|d| d.patches.clone()).collect()),
        ..outsider
    });
    Trust {
        calibrated,
        tracks: judged.len(),
        average,
        temperature,
        track_scores: track_scores.into_iter().map(sorted).collect(),
        patch_scores: patch_scores.into_iter().map(thinned).collect(),
        outsider,
    }
}

fn sorted(mut values: Vec<f32>) -> Vec<f32> {
    values.sort_by(f32::total_cmp);
    values
}

/// At most [`KEPT`] of them, evenly spread, sorted.
fn thinned(values: Vec<f32>) -> Vec<f32> {
    let (values, kept) = (sorted(values), KEPT as f64);
    if values.len() <= KEPT {
        return values;
    }
    let step = values.len() as f64 / kept;
    (0..KEPT).map(|place| values[((place as f64 + 0.5) * step) as usize]).collect()
}

/// A distance for all `examples`, and for each of the `parts` of them (places of examples) one that
/// has not seen it.
pub(crate) fn outsiders(
    examples: &[Example],
    classes: usize,
    parts: &[Vec<usize>],
) -> (Option<Outsider>, Vec<Option<Outsider>>) {
    let Some(features) = examples.first().map(|example| example.embeddings.features) else {
        return (None, vec![]);
    };
    let origin = origin(examples, features);
    let moments = |part: &Vec<usize>| {
        let part: Vec<Example> = part.iter().map(|place| examples[*place]).collect();
        Moments::of(&part, classes, &origin, examples.len())
    };
    let of_parts: Vec<Moments> = parts.par_iter().map(moments).collect();
    let Some(whole) = Moments::total(&of_parts) else { return (None, vec![]) };
    let without = |part: &Moments| whole.without(part).fit(&origin);
    let of_rest =
        if of_parts.len() > 1 { of_parts.par_iter().map(without).collect() } else { vec![] };
    (whole.fit(&origin), of_rest)
}

/// About the middle of all patches.
fn origin(examples: &[Example], features: usize) -> Vec<f64> {
    let mut sums = vec![0.0; features];
    for example in examples {
        if let Some(row) = example.embeddings.rows().next() {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
    }
    let count = examples.len().max(1) as f64;
    sums.into_iter().map(|sum| sum / count).collect()
}

/// A network with tracks that it has learned from, and tracks that it has not.
pub(crate) struct HeldOut<'a> {
    /// Which tracks the others are.
    pub calibrated: Calibrated,
    /// Genres.
    pub classes: usize,
    /// Tracks that it has learned from; none where its embeddings are not to be looked at.
    pub learned: Vec<Example<'a>>,
    /// The others.
    pub held_out: Vec<Example<'a>>,
    /// What it says of the others.
    pub said: &'a [TrackPrediction],
}

impl HeldOut<'_> {
    /// How far it can be trusted.
    pub fn trust(&self) -> Trust {
        let all = (0..self.learned.len()).collect();
        let (outsider, _) = outsiders(&self.learned, self.classes, &[all]);
        let judged = judged(outsider.as_ref(), &self.held_out, self.said);
        trust(self.calibrated, &judged, self.classes, &Average::ALL, outsider)
    }
}

fn judged<'a>(
    outsider: Option<&Outsider>,
    examples: &[Example],
    said: &'a [TrackPrediction],
) -> Vec<Judged<'a>> {
    let one = |(example, said): (&Example, &'a TrackPrediction)| Judged {
        label: example.labels[0],
        said,
        distances: outsider.map(|outsider| Distances::of(outsider, example.embeddings)),
    };
    examples.iter().zip(said).map(one).collect()
}

/// What a model that is to be trusted so far `said` of tracks, calibrated.
pub(crate) fn calibrated(
    said: Vec<TrackPrediction>,
    trust: Option<&Trust>,
) -> Vec<TrackPrediction> {
    let Some(trust) = trust else { return said };
    let recording = |said: TrackPrediction| TrackPrediction {
        mean: trust.probabilities(&said.patches, said.mean.len()),
        ..said
    };
    said.into_iter().map(recording).collect()
}

impl Trust {
    /// What the test part says of it: tracks, and what the model says of them, not calibrated.
    pub(crate) fn test(
        &self,
        examples: &[Example],
        said: &[TrackPrediction],
    ) -> CalibrationMetrics {
        let promise = self.promise(COVERAGE, None);
        let mut tested = Tested { tracks: said.len(), ..Tested::default() };
        let (mut before, mut after) = (vec![], vec![]);
        for Judged { label, said, distances } in judged(self.outsider.as_ref(), examples, said) {
            let mean = self.probabilities(&said.patches, said.mean.len());
            let doubt = promise.judge(&mean, None);
            tested.covered += usize::from(doubt.set.contains(&label));
            tested.in_sets += doubt.set.len();
            if let Some(distances) = distances {
                let is_far = promise.is_far(promise.percentile(distances.track));
                *tested.refused.get_or_insert(0) += usize::from(is_far);
            }
            before.push((&said.mean[..], label));
            after.push((mean, label));
        }
        CalibrationMetrics {
            calibrated: self.calibrated,
            tracks: self.tracks,
            average: self.average,
            temperature: self.temperature,
            before: Reliability::of(before),
            after: Reliability::of(after.iter().map(|(mean, label)| (&mean[..], *label))),
            coverage: COVERAGE,
            tested,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged_by<'a>(tracks: &'a [(TrackPrediction, usize)]) -> Vec<Judged<'a>> {
        let one = |(said, label): &'a (TrackPrediction, usize)| Judged {
            label: *label,
            said,
            distances: None,
        };
        tracks.iter().map(one).collect()
    }

    #[test]
    fn the_mean_with_fewer_surprises_is_chosen() {
        let track = |patches: &[f32], label| (TrackPrediction::new(patches.to_vec(), 2), label);
        // A patch that doubts a genre very much is right about it here, ...
        let doubts = [track(&[0.3, 0.7, 0.3, 0.7, 0.999, 0.001], 0), track(&[0.4, 0.6], 1)];
        assert_eq!(best_average(&judged_by(&doubts), &Average::ALL).0, Average::Geometric);
        // ... and wrong here.
        let errs = [track(&[0.3, 0.7, 0.3, 0.7, 0.999, 0.001], 1), track(&[0.4, 0.6], 1)];
        assert_eq!(best_average(&judged_by(&errs), &Average::ALL).0, Average::Arithmetic);
        let only = best_average(&judged_by(&doubts), &[Average::Arithmetic]);
        assert_eq!(only.0, Average::Arithmetic);
        // Of one patch there is but one mean.
        let single = [track(&[0.9, 0.1], 0), track(&[0.2, 0.8], 0), track(&[0.3, 0.7], 1)];
        assert_eq!(best_average(&judged_by(&single), &Average::ALL).0, Average::Arithmetic);
        let trust = trust(Calibrated::Validation, &judged_by(&doubts), 2, &Average::ALL, None);
        assert_eq!(trust.average, Average::Geometric);
    }
}
