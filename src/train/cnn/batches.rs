//! Batches of varied patches, made in a thread of their own while the network computes.
//!
//! A batch is a function of the seed, the epoch and its place in it, so that a run
//! that is killed and resumed sees what the uninterrupted one would have.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::options::Augmentation;
use crate::dataset::Task;
use crate::features::LogMel;
use crate::train::epoch::shuffled;
use crate::train::variation::{cover, mix, mixing, smoothed};

/// A track to learn from or to be scored on.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Indices of its labels: one, unless the task is to tell several.
    pub labels: Vec<usize>,
    /// Its spectrogram, at least a patch long.
    pub log_mel: LogMel,
    /// A teacher's probabilities, where there is one that knows the track.
    pub teacher: Option<Vec<f32>>,
}

/// Patches `[count, frames, mels]` and what the network should say of them.
#[derive(Debug)]
pub struct Batch {
    /// Row-major.
    pub patches: Vec<f32>,
    /// Target probabilities `[count, classes]`.
    pub targets: Vec<f32>,
    /// Patches.
    pub count: usize,
}

/// What batches are made of.
#[derive(Clone, Copy, Debug)]
pub struct Batches<'a> {
    /// Tracks to learn from; each gives one patch an epoch.
    pub samples: &'a [Sample],
    /// Patches a batch.
    pub batch: usize,
    /// Frames of a patch.
    pub patch_frames: usize,
    /// Genres.
    pub classes: usize,
    /// What is told of a track.
    pub task: Task,
    /// How patches are varied.
    pub augmentation: &'a Augmentation,
    /// Probability spread over all genres.
    pub label_smoothing: f32,
    /// The teacher's share of the target.
    pub teacher_share: f32,
    /// Mean and standard deviation over all bands: what masks and levels are measured by.
    pub level: [f32; 2],
    /// Seed of order and variation.
    pub seed: u64,
}

/// Batches on their way, and how long they were waited for.
pub struct Stream {
    receiver: Receiver<Batch>,
    /// The time [`Stream::next`] stood still.
    pub waited: Duration,
}

/// Batches made ahead of the network.
const AHEAD: usize = 3;

impl<'a> Batches<'a> {
    /// Steps an epoch takes.
    pub fn steps(&self) -> usize {
        self.samples.len().div_ceil(self.batch)
    }

    /// The batches of `epoch` from step `first` on, made in a thread of `scope`.
    pub fn stream<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        epoch: usize,
        first: usize,
    ) -> Stream
    where
        'a: 'scope,
    {
        let (sender, receiver) = sync_channel(AHEAD);
        scope.spawn(move || {
            let order = shuffled(self.samples.len(), self.seed, epoch);
            for (step, tracks) in order.chunks(self.batch).enumerate().skip(first) {
                // A receiver that is gone has seen enough: an error or an interruption.
                if sender.send(self.make(tracks, epoch, step)).is_err() {
                    return;
                }
            }
        });
        Stream { receiver, waited: Duration::ZERO }
    }

    fn make(&self, tracks: &[usize], epoch: usize, step: usize) -> Batch {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed ^ 0x0005_eed0_fba7_c4e5);
        random.set_stream(((epoch as u64) << 32) | step as u64);
        let (mut patches, mut targets) = (vec![], vec![]);
        for track in tracks {
            let sample = &self.samples[*track];
            let mut patch = self.patch(&sample.log_mel, &mut random);
            let mut target = self.target(sample);
            if self.augmentation.mixup > 0.0 {
                let other = &self.samples[random.random_range(0..self.samples.len())];
                let share = mixing(self.augmentation.mixup, &mut random);
                mix(&mut patch, &self.patch(&other.log_mel, &mut random), share);
                mix(&mut target, &self.target(other), share);
            }
            let size = [self.patch_frames, sample.log_mel.ncols(), 1];
            let Augmentation { masks, mask_width, .. } = *self.augmentation;
            cover(&mut patch, size, masks, mask_width, self.level[0], &mut random);
            patches.extend(patch);
            targets.extend(target);
        }
        Batch { patches, targets, count: tracks.len() }
    }

    fn target(&self, sample: &Sample) -> Vec<f32> {
        let mut target = smoothed(self.task, &sample.labels, self.classes, self.label_smoothing);
        if let Some(teacher) = &sample.teacher {
            mix(&mut target, teacher, 1.0 - self.teacher_share);
        }
        target
    }

    /// A patch from a random place: stretched, shifted, louder or softer.
    fn patch(&self, log_mel: &LogMel, random: &mut ChaCha8Rng) -> Vec<f32> {
        let (frames, mels) = log_mel.dim();
        let Augmentation { stretch, shift, gain, .. } = *self.augmentation;
        let around = |random: &mut ChaCha8Rng, by: f64| random.random_range(-by..=by) as f32;
        let length = self.patch_frames as f32;
        let room = (frames as f32 - 1.0) / (length - 1.0).max(1.0);
        let speed = (1.0 + around(random, stretch)).min(room);
        let first =
            random.random_range(0.0..=(frames as f32 - 1.0 - speed * (length - 1.0)).max(0.0));
        let shift = random.random_range(-(shift as i32)..=shift as i32) as isize;
        let louder = around(random, gain) * self.level[1];
        let mut patch = Vec::with_capacity(self.patch_frames * mels);
        for frame in 0..self.patch_frames {
            let at = first + frame as f32 * speed;
            let below = (at as usize).min(frames - 1);
            let above = (below + 1).min(frames - 1);
            let share = at - below as f32;
            let (below, above) = (log_mel.row(below), log_mel.row(above));
            let value = |band: usize| {
                let from = band.saturating_add_signed(shift).min(mels - 1);
                below[from] + share * (above[from] - below[from]) + louder
            };
            patch.extend((0..mels).map(value));
        }
        patch
    }
}

impl Stream {
    /// The next batch; none at the end of the epoch.
    pub fn next(&mut self) -> Option<Batch> {
        let started = Instant::now();
        let batch = self.receiver.recv().ok();
        self.waited += started.elapsed();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Sample> {
        let one = |label: usize| {
            let value = |(frame, mel)| (label * 1000 + frame * 8 + mel) as f32;
            let log_mel = LogMel::from_shape_fn((40, 8), value);
            Sample { labels: vec![label], log_mel, teacher: None }
        };
        (0..5).map(one).collect()
    }

    fn batches<'a>(samples: &'a [Sample], augmentation: &'a Augmentation) -> Batches<'a> {
        Batches {
            samples,
            batch: 2,
            patch_frames: 16,
            classes: 5,
            task: Task::SingleLabel,
            augmentation,
            label_smoothing: 0.0,
            teacher_share: 0.5,
            level: [0.0, 1.0],
            seed: 3,
        }
    }

    fn collect(batches: Batches, epoch: usize, first: usize) -> Vec<Batch> {
        std::thread::scope(|scope| {
            let mut stream = batches.stream(scope, epoch, first);
            std::iter::from_fn(|| stream.next()).collect()
        })
    }

    #[test]
    fn without_variation_patches_are_cut_out_as_they_are() {
        let (samples, plain) = (samples(), Augmentation::none());
        let mut seen = vec![];
        for batch in collect(batches(&samples, &plain), 1, 0) {
            assert_eq!(batch.patches.len(), batch.count * 16 * 8);
            for (patch, target) in batch.patches.chunks(16 * 8).zip(batch.targets.chunks(5)) {
                let label = target.iter().position(|p| *p == 1.0).unwrap();
                let source = samples[label].log_mel.flatten();
                // Positions are whole frames only by chance: neighbours blend linearly.
                assert!(patch[0] >= source[0] && patch[127] <= source[319] + 1e-3);
                assert!((patch[8] - patch[0] - 8.0).abs() < 1e-2);
                seen.push(label);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_stream_that_starts_later_gives_the_same_batches() {
        let samples = samples();
        let vary = Augmentation {
            mixup: 0.4,
            masks: 2,
            mask_width: 0.3,
            stretch: 0.2,
            shift: 2,
            gain: 0.1,
        };
        let all = collect(batches(&samples, &vary), 4, 0);
        let late = collect(batches(&samples, &vary), 4, 1);
        assert_eq!((all.len(), late.len()), (3, 2));
        assert_eq!(all[1].patches, late[0].patches);
        assert_eq!(all[2].targets, late[1].targets);
        assert_ne!(all[1].patches, collect(batches(&samples, &vary), 5, 1)[0].patches);
    }

    #[test]
    fn targets_are_probabilities_however_they_are_mixed() {
        let mut samples = samples();
        samples[2].teacher = Some(vec![0.1, 0.2, 0.3, 0.2, 0.2]);
        let vary = Augmentation { mixup: 1.0, ..Augmentation::none() };
        let smooth = Batches { label_smoothing: 0.1, ..batches(&samples, &vary) };
        for batch in collect(smooth, 1, 0) {
            for target in batch.targets.chunks(5) {
                assert!((target.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                assert!(target.iter().all(|p| *p > 0.0));
            }
        }
    }

    #[test]
    fn a_mask_covers_whole_frames_and_bands_with_the_mean() {
        let samples = samples();
        let vary = Augmentation { masks: 3, mask_width: 0.5, ..Augmentation::none() };
        let masked = Batches { level: [-7.0, 1.0], ..batches(&samples, &vary) };
        let batch = collect(masked, 1, 0).swap_remove(0);
        let patch = &batch.patches[..16 * 8];
        let line = |values: Vec<f32>| values.iter().all(|v| *v == -7.0);
        let frames = (0..16).filter(|f| line(patch[f * 8..][..8].to_vec())).count();
        let band = |b: &usize| line(patch.iter().skip(*b).step_by(8).copied().collect());
        let bands = (0..8).filter(band).count();
        assert!(frames + bands > 0 && frames < 16 && bands < 8, "{frames} {bands}");
        let outside = patch.iter().filter(|v| **v != -7.0).count();
        assert_eq!(outside, (16 - frames) * (8 - bands));
    }
}
