//! A small synthetic stand-in for a music collection.
//!
//! Ten made-up styles, named after the genres of GTZAN with `demo-` before them so
//! that nobody takes them for music. They differ in tempo, rhythm, timbre and
//! harmony, and borrow from each other often enough that no single one of these
//! gives a clip away. Figures on them show that a program works, nothing more.

use std::f32::consts::TAU;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

#[cfg(feature = "train")]
use crate::audio::Audio;
use crate::error::{Error, Result};
use crate::files;
use crate::progress;

/// The seed that [`Dataset::resolve`](super::Dataset::resolve) makes the set with.
pub(super) const SEED: u64 = 2002;
/// Clips of each style.
const CLIPS: usize = 12;
/// Samples per second.
const RATE: u32 = 22_050;
/// Length of a clip in seconds.
const SECONDS: f32 = 10.0;
/// Names the set in its folder, for people and for [`is_demo`].
const NOTICE: &str = "SYNTHETIC.txt";
const NOTICE_TEXT: &str = "\
These clips were computed by genre-transfer so that it can be tried without a music
collection. They are not music, and results on them say nothing about music genres.
Delete this folder to have it made again.
";

/// The colour of an instrument.
struct Timbre {
    /// Amplitude of harmonic k is k to the power of -slope.
    slope: f32,
    /// 2 leaves out the even harmonics, as a square wave does.
    step: usize,
    /// Seconds to full loudness.
    attack: f32,
    /// Seconds in which a tone falls to 1/e.
    decay: f32,
}

const PLUCK: Timbre = Timbre { slope: 1.3, step: 1, attack: 0.002, decay: 0.25 };
const ORGAN: Timbre = Timbre { slope: 1.8, step: 1, attack: 0.01, decay: 3.0 };
const REED: Timbre = Timbre { slope: 1.0, step: 2, attack: 0.03, decay: 1.0 };
const STRINGS: Timbre = Timbre { slope: 1.2, step: 1, attack: 0.12, decay: 2.0 };
const SAW: Timbre = Timbre { slope: 0.8, step: 1, attack: 0.005, decay: 0.8 };
const BASS: Timbre = Timbre { slope: 2.0, step: 1, attack: 0.005, decay: 0.4 };

/// A bar of sixteen steps, `x` where something sounds.
type Pattern = &'static str;
const REST: Pattern = "................";

/// Which drums play when.
#[derive(Clone, Copy)]
struct Drums {
    kick: Pattern,
    snare: Pattern,
    hat: Pattern,
}

/// What the clips of a style have in common.
struct Style {
    genre: &'static str,
    /// Slowest and fastest tempo in beats per minute.
    bpm: [f32; 2],
    /// How late every second eighth comes, in sixteenths.
    swing: f32,
    drums: Drums,
    /// When the bass, the chords and the melody play.
    bass: Pattern,
    chords: Pattern,
    melody: Pattern,
    /// Chord roots, one a bar, in semitones above the key.
    roots: &'static [i32],
    /// The chord, and the scale of the melody, in semitones above the root or key.
    chord: &'static [i32],
    scale: &'static [i32],
    timbre: &'static Timbre,
    /// Distortion: the gain before a soft limiter.
    drive: f32,
}

const MAJOR: &[i32] = &[0, 2, 4, 5, 7, 9, 11, 12];
const MINOR: &[i32] = &[0, 2, 3, 5, 7, 8, 10, 12];
const BLUE: &[i32] = &[0, 3, 5, 6, 7, 10, 12];

#[rustfmt::skip]
static STYLES: [Style; 10] = [
    Style {
        genre: "demo-blues", bpm: [75.0, 115.0], swing: 1.2,
        drums: Drums { kick: "x.......x.......", snare: "....x.......x...", hat: "x.x.x.x.x.x.x.x." },
        bass: "x...x...x...x...", chords: "x.....x.x.....x.", melody: "x.x...x...x.x...",
        roots: &[0, 0, 5, 0, 7, 5], chord: &[0, 4, 7, 10], scale: BLUE, timbre: &PLUCK, drive: 1.8,
    },
    Style {
        genre: "demo-classical", bpm: [65.0, 120.0], swing: 0.0,
        drums: Drums { kick: REST, snare: REST, hat: REST },
        bass: "x.......x.......", chords: "x.......x.......", melody: "x.x.x.x.x.x.x.x.",
        roots: &[0, 7, 9, 5], chord: &[0, 4, 7], scale: MAJOR, timbre: &STRINGS, drive: 0.7,
    },
    Style {
        genre: "demo-country", bpm: [95.0, 140.0], swing: 0.3,
        drums: Drums { kick: "x.......x.......", snare: "..x.x.x...x.x.x.", hat: "x.x.x.x.x.x.x.x." },
        bass: "x.......x.......", chords: "....x.......x...", melody: "x.xxx.x.x.xxx.x.",
        roots: &[0, 5, 0, 7], chord: &[0, 4, 7], scale: MAJOR, timbre: &PLUCK, drive: 0.9,
    },
    Style {
        genre: "demo-disco", bpm: [108.0, 132.0], swing: 0.0,
        drums: Drums { kick: "x...x...x...x...", snare: "....x.......x...", hat: "..x...x...x...x." },
        bass: "x.x.x.x.x.x.x.x.", chords: "..x..x..x.x..x..", melody: "x.....x.....x...",
        roots: &[0, 0, 10, 8], chord: &[0, 3, 7, 10], scale: MINOR, timbre: &STRINGS, drive: 1.1,
    },
    Style {
        genre: "demo-hiphop", bpm: [78.0, 104.0], swing: 0.5,
        drums: Drums { kick: "x..x......x..x..", snare: "....x.......x...", hat: "x.x.x.xxx.x.x.x." },
        bass: "x..x......x.....", chords: "x...............", melody: "......x.......x.",
        roots: &[0, 0, 8, 0], chord: &[0, 3, 7], scale: MINOR, timbre: &ORGAN, drive: 1.3,
    },
    Style {
        genre: "demo-jazz", bpm: [100.0, 175.0], swing: 1.1,
        drums: Drums { kick: "x...............", snare: "......x.......x.", hat: "x...x.x.x...x.x." },
        bass: "x...x...x...x...", chords: "..x......x....x.", melody: "x.x.xx..x.xx..x.",
        roots: &[2, 7, 0, 9], chord: &[0, 4, 7, 11, 14], scale: MAJOR, timbre: &REED, drive: 0.8,
    },
    Style {
        genre: "demo-metal", bpm: [120.0, 185.0], swing: 0.0,
        drums: Drums { kick: "x.xxx.xxx.xxx.xx", snare: "....x.......x...", hat: "x...x...x...x..." },
        bass: "x.xxx.xxx.xxx.xx", chords: "x.xxx.xxx.xxx.xx", melody: "........x.x.x.x.",
        roots: &[0, 0, 1, 6], chord: &[0, 7, 12], scale: MINOR, timbre: &SAW, drive: 7.0,
    },
    Style {
        genre: "demo-pop", bpm: [95.0, 130.0], swing: 0.0,
        drums: Drums { kick: "x.....x.x.....x.", snare: "....x.......x...", hat: "x.x.x.x.x.x.x.x." },
        bass: "x..x..x.x..x..x.", chords: "x.......x.......", melody: "x.x.x...x.x.x...",
        roots: &[0, 7, 9, 5], chord: &[0, 4, 7], scale: MAJOR, timbre: &ORGAN, drive: 1.1,
    },
    Style {
        genre: "demo-reggae", bpm: [66.0, 96.0], swing: 0.4,
        drums: Drums { kick: "........x.......", snare: "........x.......", hat: "x.x.x.x.x.x.x.x." },
        bass: "x..x..x...x.x...", chords: "..x...x...x...x.", melody: "....x.....x.....",
        roots: &[0, 5, 0, 7], chord: &[0, 3, 7], scale: MINOR, timbre: &ORGAN, drive: 1.0,
    },
    Style {
        genre: "demo-rock", bpm: [105.0, 150.0], swing: 0.0,
        drums: Drums { kick: "x.....x.x.x.....", snare: "....x.......x...", hat: "x.x.x.x.x.x.x.x." },
        bass: "x.x.x.x.x.x.x.x.", chords: "x.x...x.x.x...x.", melody: "x...x.x.....x...",
        roots: &[0, 10, 5, 0], chord: &[0, 4, 7], scale: BLUE, timbre: &SAW, drive: 3.5,
    },
];

/// Whether `root` is a folder that [`synthesize`] made.
pub(super) fn is_demo(root: &Path) -> bool {
    root.join(NOTICE).is_file()
}

/// Computes the set into `folder`, whole or not at all: 10 styles, [`CLIPS`] clips of
/// 10 s each, 22,050 Hz mono 16-bit WAV, `demo-blues/demo-blues.00000.wav` and so on.
/// The same seed gives the same clips.
///
/// # Errors
/// [`Error::Io`] if a file cannot be written or something is already in `folder`.
pub(super) fn synthesize(folder: &Path, seed: u64) -> Result<()> {
    if let Some(parent) = folder.parent() {
        files::create_dir(parent)?;
    }
    let draft = files::folder_beside(folder)?;
    for style in &STYLES {
        files::create_dir(&draft.path().join(style.genre))?;
    }
    let notice = draft.path().join(NOTICE);
    fs::write(&notice, NOTICE_TEXT).map_err(Error::io(&notice))?;

    let clips = STYLES.len() * CLIPS;
    let bar = progress::begin(clips, "Making demo set", "clips");
    (0..clips).into_par_iter().try_for_each(|clip| -> Result<()> {
        let genre = STYLES[clip / CLIPS].genre;
        let name = format!("{genre}/{genre}.{:05}.wav", clip % CLIPS);
        write_wav(&draft.path().join(name), &samples(clip, seed))?;
        bar.advance(1);
        Ok(())
    })?;
    files::sync_folder(draft.path())?;
    fs::rename(draft.path(), folder).map_err(Error::io(folder))
}

/// One clip of the set that [`SEED`] makes; the first ten numbers are of ten styles.
#[cfg(feature = "train")]
pub(crate) fn clip(number: usize) -> Audio {
    let clip = number % STYLES.len() * CLIPS + number / STYLES.len() % CLIPS;
    Audio { samples: samples(clip, SEED), rate: RATE }
}

/// The clip with this number, counted style by style.
fn samples(clip: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(clip as u64);
    render(&STYLES[clip / CLIPS], &mut rng)
}

fn write_wav(path: &Path, samples: &[f32]) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut bytes = Cursor::new(Vec::with_capacity(44 + 2 * samples.len()));
    let mut encode = || -> hound::Result<()> {
        let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
        for sample in samples {
            writer.write_sample((sample * f32::from(i16::MAX)) as i16)?;
        }
        writer.finalize()
    };
    encode().map_err(|e| Error::audio(path, e))?;
    fs::write(path, bytes.into_inner()).map_err(Error::io(path))
}

/// One clip of a style: samples in -1..1.
fn render(style: &'static Style, rng: &mut ChaCha8Rng) -> Vec<f32> {
    // Now and then a clip has the drums or the instrument of another style.
    let mut borrow = |own: &'static Style, chance: f64| match STYLES.choose(rng) {
        Some(other) if rng.random_bool(chance) => other,
        _ => own,
    };
    let drums = borrow(style, 0.2).drums;
    let timbre = borrow(style, 0.2).timbre;
    let mut band = Band {
        mix: vec![0.0; (SECONDS * RATE as f32) as usize],
        step: 15.0 / rng.random_range(style.bpm[0]..style.bpm[1]),
        swing: style.swing * rng.random_range(0.8..1.2),
        rng,
    };
    band.play_tones(style, &wave(timbre), timbre);
    limit(&mut band.mix, style.drive * band.rng.random_range(0.7..1.4));
    band.play_drums(drums);
    master(band.mix, band.rng)
}

/// What plays a clip: its samples so far, and its time.
struct Band<'a> {
    mix: Vec<f32>,
    /// Seconds in a sixteenth.
    step: f32,
    /// How late every second eighth comes, in sixteenths.
    swing: f32,
    rng: &'a mut ChaCha8Rng,
}

impl Band<'_> {
    /// The hits of a pattern as `(bar, seconds)`, with some left out and some moved, as
    /// people play.
    fn hits(&mut self, pattern: Pattern) -> Vec<(usize, f32)> {
        let bars = (SECONDS / (16.0 * self.step)).ceil() as usize;
        let mut hits = vec![];
        for bar in 0..bars {
            for (step, _) in pattern.bytes().enumerate().filter(|&(_, byte)| byte == b'x') {
                let late = if step % 4 == 2 { self.swing } else { 0.0 };
                let time = (16 * bar + step) as f32 + late + self.rng.random_range(0.0..0.06);
                if self.rng.random_bool(0.93) {
                    hits.push((bar, time * self.step));
                }
            }
        }
        hits
    }

    fn play_tones(&mut self, style: &Style, wave: &[f32], timbre: &Timbre) {
        let key = self.rng.random_range(-5..=6);
        let first = self.rng.random_range(0..style.roots.len());
        let root = |bar: usize| key + style.roots[(first + bar) % style.roots.len()];
        let bass = self::wave(&BASS);
        for (bar, time) in self.hits(style.bass) {
            self.tone(&bass, &BASS, time, 36 + root(bar), 0.5);
        }
        for (bar, time) in self.hits(style.chords) {
            for interval in style.chord {
                self.tone(wave, timbre, time, 55 + root(bar) + interval, 0.18);
            }
        }
        let mut degree = self.rng.random_range(0..style.scale.len());
        for (_, time) in self.hits(style.melody) {
            // A melody walks up and down its scale.
            degree = (degree + self.rng.random_range(0..5)).saturating_sub(2);
            degree = degree.min(style.scale.len() - 1);
            self.tone(wave, timbre, time, 67 + key + style.scale[degree], 0.22);
        }
    }

    /// Adds a tone from `time` (seconds) on; `pitch` is a MIDI note number.
    fn tone(&mut self, wave: &[f32], timbre: &Timbre, time: f32, pitch: i32, gain: f32) {
        let advance = 440.0 * ((pitch - 69) as f32 / 12.0).exp2() / RATE as f32;
        let length = 2.0 * timbre.decay.min(4.0 * self.step);
        let fall = (-1.0 / (timbre.decay * RATE as f32)).exp();
        let (mut phase, mut level) = (0.0f32, gain);
        for (i, sample) in span(&mut self.mix, time, length).iter_mut().enumerate() {
            let rise = (i as f32 / (timbre.attack * RATE as f32)).min(1.0);
            *sample += rise * level * wave[(phase * wave.len() as f32) as usize % wave.len()];
            level *= fall;
            phase = (phase + advance).fract();
        }
    }

    fn play_drums(&mut self, drums: Drums) {
        let loudness = self.rng.random_range(0.5..1.1);
        for (_, time) in self.hits(drums.kick) {
            for (i, sample) in span(&mut self.mix, time, 0.25).iter_mut().enumerate() {
                let t = i as f32 / RATE as f32;
                // A tone that falls from 150 Hz to 50 Hz: phase is the integral of that.
                let phase = 50.0 * t + 100.0 * 0.03 * (1.0 - (-t / 0.03).exp());
                *sample += loudness * (-t / 0.08).exp() * (TAU * phase).sin();
            }
        }
        for (_, time) in self.hits(drums.snare) {
            self.noise(time, 0.08, 0.6 * loudness, false);
        }
        for (_, time) in self.hits(drums.hat) {
            self.noise(time, 0.025, 0.4 * loudness, true);
        }
    }

    /// Adds a burst of noise that falls to 1/e in `decay` seconds.
    fn noise(&mut self, time: f32, decay: f32, gain: f32, bright: bool) {
        let mut last = 0.0;
        for (i, sample) in span(&mut self.mix, time, 4.0 * decay).iter_mut().enumerate() {
            let now: f32 = self.rng.random_range(-1.0..1.0);
            // The difference of neighbours is a high-pass filter.
            let colour = if bright { 0.5 * (now - last) } else { now };
            *sample += gain * (-(i as f32) / (decay * RATE as f32)).exp() * colour;
            last = now;
        }
    }
}

/// One period of a timbre, with 12 harmonics at most and peaks near 1.
fn wave(timbre: &Timbre) -> Vec<f32> {
    const POINTS: usize = 2048;
    let harmonics =
        || (1..=12).step_by(timbre.step).map(|k| (k as f32, (k as f32).powf(-timbre.slope)));
    let sum: f32 = harmonics().map(|(_, amplitude)| amplitude).sum();
    (0..POINTS)
        .map(|i| {
            let angle = TAU * i as f32 / POINTS as f32;
            harmonics().map(|(k, a)| a * (k * angle).sin()).sum::<f32>() / sum.sqrt()
        })
        .collect()
}

/// The samples from `time` on for `length` seconds, as far as the clip goes.
fn span(mix: &mut [f32], time: f32, length: f32) -> &mut [f32] {
    let at = |seconds: f32| ((seconds * RATE as f32) as usize).min(mix.len());
    let (start, end) = (at(time), at(time + length));
    &mut mix[start..end]
}

fn limit(mix: &mut [f32], drive: f32) {
    for sample in mix {
        *sample = (*sample * drive).tanh();
    }
}

/// What every recording does to music: dull it, add noise, set a level.
fn master(mut mix: Vec<f32>, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let smooth = rng.random_range(0.3..1.0);
    let hiss = 10f32.powf(rng.random_range(-3.5..-1.5));
    let peak_wanted = rng.random_range(0.25..0.95);
    let mut low = 0.0;
    for sample in &mut mix {
        low += smooth * (*sample + hiss * rng.random_range(-1.0f32..1.0) - low);
        *sample = low;
    }
    let peak = mix.iter().fold(f32::EPSILON, |peak, sample| peak.max(sample.abs()));
    mix.iter_mut().for_each(|sample| *sample *= peak_wanted / peak);
    mix
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(SEED)
    }

    #[test]
    fn clips_are_full_length_loud_enough_and_repeatable() {
        for style in &STYLES {
            let clip = render(style, &mut rng());
            assert_eq!(clip.len(), 220_500);
            let peak = clip.iter().fold(0f32, |peak, sample| peak.max(sample.abs()));
            assert!((0.25..0.951).contains(&peak), "{peak}");
            let rms = (clip.iter().map(|s| s * s).sum::<f32>() / clip.len() as f32).sqrt();
            assert!(rms > 0.01, "{} has an RMS of {rms}", style.genre);
            assert_eq!(clip, render(style, &mut rng()));
        }
    }

    #[test]
    fn patterns_are_bars_of_sixteen_steps() {
        for Style { genre, drums, bass, chords, melody, .. } in &STYLES {
            for pattern in [drums.kick, drums.snare, drums.hat, bass, chords, melody] {
                assert!(pattern.len() == 16, "{genre}: {pattern}");
                assert!(pattern.bytes().all(|b| b == b'x' || b == b'.'), "{genre}: {pattern}");
            }
        }
    }

    #[test]
    fn the_set_is_whole_or_absent() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("demo");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("mine.txt"), "mine").unwrap();
        assert!(matches!(synthesize(&folder, SEED), Err(Error::Io { .. })));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "what was there must stay");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no scraps beside it");
    }
}
