//! Channels to one.

use super::block::Block;
use super::note::Note;

/// Windows per second in which inverted channels are looked for.
const WINDOWS: u32 = 5;

/// The power of a mix of two channels against the mean of theirs, below which one of them is
/// taken for the other turned over: -10 dB. Of two unrelated channels it is -3 dB.
const LOSS: f64 = 0.1;

/// The power of a channel, below which nothing can be told of it: -60 dB.
const QUIET: f64 = 1e-6;

/// Mixes blocks to the mean of their channels, window by window.
///
/// A channel that is inverted would take the music with it: where the mix of a channel with the
/// loudest loses most of the level of both, it is turned over.
#[derive(Default)]
pub(super) struct Mixer {
    /// Frames of windows that are not complete.
    rest: Block,
    /// Seconds in which a channel was turned over.
    inverted: f64,
}

impl Mixer {
    /// Appends the mix of `block` to `mono`, up to the last complete window. The blocks before
    /// must have had the same form, or have been ended by [`Mixer::finish`].
    pub fn push(&mut self, block: &mut Block, mono: &mut Vec<f32>) {
        if block.channels == 1 {
            mono.append(&mut block.samples);
            return;
        }
        let size = window(block);
        if !self.rest.samples.is_empty() {
            let missing = size - self.rest.samples.len();
            self.rest.samples.extend(block.samples.drain(..missing.min(block.samples.len())));
            if self.rest.samples.len() < size {
                return;
            }
            self.finish(mono);
        }
        let windows = block.samples.chunks_exact(size);
        let rest = windows.remainder();
        windows.for_each(|window| self.mix(window, block, mono));
        self.rest.begin(block.rate, block.channels);
        self.rest.samples.extend_from_slice(rest);
    }

    /// Appends the mix of what is left.
    pub fn finish(&mut self, mono: &mut Vec<f32>) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.samples.is_empty() {
            self.mix(&rest.samples, &rest, mono);
        }
    }

    /// What there is to say of the whole recording: noise inverts a window here and there.
    pub fn note(&self) -> Option<Note> {
        (self.inverted >= 0.5).then_some(Note::Inverted { seconds: self.inverted })
    }

    fn mix(&mut self, window: &[f32], form: &Block, mono: &mut Vec<f32>) {
        let (channels, share) = (form.channels, 1.0 / form.channels as f32);
        let signs = signs(window, channels);
        let frames = window.chunks_exact(channels);
        if signs.iter().all(|sign| *sign > 0.0) {
            match channels {
                2 => mono.extend(window.as_chunks().0.iter().map(|[a, b]| (a + b) * share)),
                _ => mono.extend(frames.map(|frame| frame.iter().sum::<f32>() * share)),
            }
            return;
        }
        self.inverted += frames.len() as f64 / f64::from(form.rate.max(1));
        let turned =
            |frame: &[f32]| frame.iter().zip(&signs).map(|(x, sign)| x * sign).sum::<f32>();
        mono.extend(frames.map(|frame| turned(frame) * share));
    }
}

/// Samples of all channels in a window.
fn window(form: &Block) -> usize {
    (form.rate / WINDOWS).max(1) as usize * form.channels
}

/// For each channel 1, or -1 where it is the loudest one, or the first of equals, turned over.
fn signs(window: &[f32], channels: usize) -> Vec<f32> {
    if channels == 2 {
        return stereo_signs(window);
    }
    let power = |channel: usize| sum(window, channels, |frame| frame[channel] * frame[channel]);
    let powers: Vec<f64> = (0..channels).map(power).collect();
    let louder = |best: usize, channel: usize| {
        if powers[channel] > 1.1 * powers[best] { channel } else { best }
    };
    let loudest = (0..channels).fold(0, louder);
    let sign = |channel: usize| {
        let product = sum(window, channels, |frame| frame[channel] * frame[loudest]);
        sign(powers[channel], powers[loudest], product, window.len() / channels)
    };
    (0..channels).map(sign).collect()
}

/// [`signs`] of two channels, of which the first keeps its own.
fn stereo_signs(window: &[f32]) -> Vec<f32> {
    let (mut first, mut second, mut product) = (0.0, 0.0, 0.0);
    // Single precision in short runs is exact enough, and quick.
    for run in window.chunks(2 * 512) {
        let (mut a2, mut b2, mut ab) = ([0f32; 8], [0f32; 8], [0f32; 8]);
        for frames in run.as_chunks::<16>().0 {
            for lane in 0..8 {
                let (a, b) = (frames[2 * lane], frames[2 * lane + 1]);
                a2[lane] += a * a;
                b2[lane] += b * b;
                ab[lane] += a * b;
            }
        }
        let total = |lanes: [f32; 8]| lanes.iter().map(|x| f64::from(*x)).sum::<f64>();
        first += total(a2);
        second += total(b2);
        product += total(ab);
    }
    vec![1.0, sign(first, second, product, window.len() / 2)]
}

/// The sign for a channel beside another: their powers and the product of both, summed over
/// `frames`.
fn sign(power: f64, other: f64, product: f64, frames: usize) -> f32 {
    let (mix, mean) = ((power + other + 2.0 * product) / 4.0, (power + other) / 2.0);
    let heard = power.min(other) > QUIET * frames as f64;
    if heard && mix < LOSS * mean { -1.0 } else { 1.0 }
}

fn sum(window: &[f32], channels: usize, of: impl Fn(&[f32]) -> f32) -> f64 {
    window.chunks_exact(channels).map(|frame| f64::from(of(frame))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 8_000;

    /// Frames of channels that are mixtures of two tones.
    fn block(seconds: f32, channels: &[(f32, f32)]) -> Block {
        let frames = 0..(seconds * RATE as f32) as usize;
        let tone =
            |i: usize, hz: f32| (i as f32 * hz * std::f32::consts::TAU / RATE as f32).sin() * 0.3;
        let frame =
            |i: usize| channels.iter().map(move |(a, b)| a * tone(i, 440.0) + b * tone(i, 610.0));
        Block { rate: RATE, channels: channels.len(), samples: frames.flat_map(frame).collect() }
    }

    fn mixed(blocks: impl IntoIterator<Item = Block>) -> (Vec<f32>, Option<Note>) {
        let (mut mixer, mut mono) = (Mixer::default(), vec![]);
        for mut block in blocks {
            mixer.push(&mut block, &mut mono);
        }
        mixer.finish(&mut mono);
        (mono, mixer.note())
    }

    fn power(samples: &[f32]) -> f32 {
        samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32
    }

    #[test]
    fn channels_are_averaged() {
        let samples = vec![0.5, -0.25, 1.0, 0.0];
        let (mono, note) = mixed([Block { rate: RATE, channels: 2, samples }]);
        assert_eq!((mono, note), (vec![0.125, 0.5], None));
    }

    #[test]
    fn an_inverted_channel_is_turned_over_and_named() {
        let single = block(1.0, &[(1.0, 0.5)]).samples;
        for other in [-1.0, -0.999, -0.6] {
            let (mono, note) = mixed([block(1.0, &[(1.0, 0.5), (other, other * 0.5)])]);
            assert_eq!(mono.len(), single.len());
            assert!(power(&mono) > 0.5 * power(&single), "{other}: {}", power(&mono));
            let Some(Note::Inverted { seconds }) = note else { panic!("{other}: {note:?}") };
            assert!((seconds - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn half_a_recording_is_enough_and_nothing_jumps() {
        let (inverted, plain) = ([(1.0, 0.5), (-1.0, -0.5)], [(1.0, 0.5), (1.0, 0.5)]);
        let (mono, note) = mixed([block(1.0, &inverted), block(1.0, &plain)]);
        let single = block(1.0, &plain[..1]).samples;
        assert!(mono[..8_000].iter().zip(&single).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(mono[8_000..].iter().zip(&single).all(|(a, b)| (a - b).abs() < 1e-6));
        assert!(matches!(note, Some(Note::Inverted { .. })));
    }

    #[test]
    fn wide_stereo_is_left_alone() {
        for channels in
            [[(1.0, 0.0), (0.0, 1.0)], [(1.0, 0.6), (-0.6, 1.0)], [(1.0, 1.0), (0.3, -1.0)]]
        {
            let (mono, note) = mixed([block(1.0, &channels)]);
            let plain = block(
                1.0,
                &[((channels[0].0 + channels[1].0) / 2.0, (channels[0].1 + channels[1].1) / 2.0)],
            );
            assert!(mono.iter().zip(&plain.samples).all(|(a, b)| (a - b).abs() < 1e-5));
            assert_eq!(note, None);
        }
    }

    #[test]
    fn of_six_channels_the_inverted_one_is_found() {
        let (mono, note) = mixed([block(
            1.0,
            &[(1.0, 0.0), (-1.0, 0.0), (0.0, 0.3), (0.0, 0.0), (0.1, 0.1), (0.1, -0.1)],
        )]);
        assert!(note.is_some() && power(&mono) > 0.1 * power(&block(1.0, &[(1.0, 0.0)]).samples));
    }
}
