//! Log-mel spectrograms and patches.

use std::f64::consts::TAU;
use std::sync::Arc;

use ndarray::{Array2, Array3, ArrayView3, CowArray, Ix3, ShapeBuilder};
use realfft::{RealFftPlanner, RealToComplex};

use super::filterbank::Bands;
use super::front_end::{FrontEnd, LogKind, Spectrum};
use crate::error::Result;

/// A log-mel spectrogram, `[frames, mels]`.
pub type LogMel = Array2<f32>;

/// The patches of `frames` frames of a log-mel, one every `hop` frames (at least 1):
/// `[patches, frames, mels]`. Frames after the last whole patch are left out, and there may be
/// no patch.
///
/// A view, in which patches that overlap share their frames; only a log-mel that is not
/// row-major is copied.
pub fn patches(log_mel: &LogMel, frames: usize, hop: usize) -> CowArray<'_, f32, Ix3> {
    let (length, mels) = log_mel.dim();
    // One more than the last place, or none where the spectrogram is shorter than a patch.
    let places = (length + 1).saturating_sub(frames);
    let shape = (places.div_ceil(hop), frames, mels);
    // With a single patch the hop does not matter, and may be of any size.
    let steps = (hop.min(length) * mels, mels, 1);
    let view =
        log_mel.as_slice().map(|values| ArrayView3::from_shape(shape.strides(steps), values));
    match view {
        Some(Ok(view)) => view.into(),
        _ => {
            Array3::from_shape_fn(shape, |(patch, frame, mel)| log_mel[[patch * hop + frame, mel]])
                .into()
        }
    }
}

/// Patches of a recording: a model's inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Patches {
    /// `[patches, frames, mels]`, at least one patch.
    pub values: Array3<f32>,
    /// Whether the recording was shorter than a patch and silence made up for the rest.
    pub padded: bool,
    /// Whether something about the recording was odd, and was said.
    pub noted: bool,
}

/// A front end made ready to use: window, planned FFT and sparse filterbank.
///
/// One is enough for any number of threads; each call brings its own scratch memory.
pub struct Extractor {
    front_end: FrontEnd,
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    bands: Bands,
}

impl Extractor {
    /// Prepares `front_end`.
    ///
    /// # Errors
    /// As [`FrontEnd::validate`].
    pub fn new(front_end: &FrontEnd) -> Result<Self> {
        front_end.validate()?;
        Ok(Self {
            front_end: front_end.clone(),
            window: periodic_hann(front_end.window),
            fft: RealFftPlanner::new().plan_fft_forward(front_end.fft),
            bands: Bands::new(front_end),
        })
    }

    /// What it was made from.
    pub fn front_end(&self) -> &FrontEnd {
        &self.front_end
    }

    /// The log-mel spectrogram of `samples`, which must be at the front end's rate:
    /// `[frames, mels]` with as many frames as fit, perhaps none.
    pub fn log_mel(&self, samples: &[f32]) -> LogMel {
        let FrontEnd { mels, hop, .. } = self.front_end;
        let frames = self.front_end.frames(samples.len());
        // Around a centred frame the FFT is padded alike on both sides, so that the
        // window's middle, and not the FFT's, lies on the frame's sample.
        let lead = if self.front_end.centred { self.window.len() / 2 } else { 0 };
        let mut log_mel = LogMel::zeros((frames, mels));
        let mut frame = self.fft.make_input_vec();
        let mut bins = self.fft.make_output_vec();
        let mut scratch = self.fft.make_scratch_vec();
        let mut spectrum = vec![0.0; bins.len()];
        for (i, mut row) in log_mel.outer_iter_mut().enumerate() {
            self.windowed(samples, (i * hop) as isize - lead as isize, &mut frame);
            self.fft
                .process_with_scratch(&mut frame, &mut bins, &mut scratch)
                .expect("buffers were made by this FFT");
            match self.front_end.spectrum {
                Spectrum::Power => {
                    spectrum.iter_mut().zip(&bins).for_each(|(s, x)| *s = x.norm_sqr())
                }
                Spectrum::Magnitude => {
                    spectrum.iter_mut().zip(&bins).for_each(|(s, x)| *s = x.norm_sqr().sqrt());
                }
            }
            row.iter_mut().zip(self.bands.energies(&spectrum)).for_each(|(x, band)| *x = band);
        }
        self.compress(&mut log_mel);
        log_mel
    }

    /// The log-mel of `samples`, and whether they had to be padded: a recording
    /// shorter than a patch is padded with silence to exactly one.
    pub(crate) fn padded_log_mel(&self, samples: &[f32]) -> (LogMel, bool) {
        if self.front_end.frames(samples.len()) >= self.front_end.patch_frames {
            return (self.log_mel(samples), false);
        }
        let mut samples = samples.to_vec();
        samples.resize(self.front_end.patch_samples(), 0.0);
        (self.log_mel(&samples), true)
    }

    /// The patches of `samples`, which must be at the front end's rate.
    ///
    /// Frames after the last whole patch are left out. A recording shorter than a
    /// patch is padded with silence to exactly one, and the result says so.
    pub fn patches(&self, samples: &[f32]) -> Patches {
        let FrontEnd { patch_frames, patch_hop, .. } = self.front_end;
        let (log_mel, padded) = self.padded_log_mel(samples);
        Patches {
            values: patches(&log_mel, patch_frames, patch_hop).into_owned(),
            padded,
            noted: false,
        }
    }

    /// Fills `frame` with the windowed samples from `start` on, silence beyond the
    /// recording's ends, and zeros after the window.
    fn windowed(&self, samples: &[f32], start: isize, frame: &mut [f32]) {
        frame.fill(0.0);
        let before = start.min(0).unsigned_abs().min(self.window.len());
        let from = start.max(0) as usize;
        let inside = samples.get(from..).unwrap_or_default();
        for ((out, x), w) in frame[before..].iter_mut().zip(inside).zip(&self.window[before..]) {
            *out = x * w;
        }
    }

    /// `log(scale * x + offset)` in place.
    fn compress(&self, energies: &mut LogMel) {
        let log = self.front_end.log;
        let base = match log.kind {
            LogKind::Natural => 1.0,
            LogKind::Log10 => std::f32::consts::LOG10_E,
        };
        energies.mapv_inplace(|x| (log.scale * x + log.offset).ln() * base);
    }
}

/// The periodic Hann window in single precision.
pub(super) fn periodic_hann(n: usize) -> Vec<f32> {
    hann(n).map(|w| w as f32).collect()
}

/// `0.5 - 0.5 cos(2 pi i / n)`: the Hann window whose next period begins at `n`.
pub(crate) fn hann(n: usize) -> impl Iterator<Item = f64> {
    (0..n).map(move |i| 0.5 - 0.5 * (TAU * i as f64 / n as f64).cos())
}

#[cfg(test)]
mod tests {
    use ndarray::{Axis, s};
    use proptest::prelude::*;

    use super::*;

    fn extractor(name: &str) -> Extractor {
        Extractor::new(&FrontEnd::preset(name).unwrap()).unwrap()
    }

    #[test]
    fn an_extractor_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Extractor>();
    }

    #[test]
    fn a_tone_lights_the_band_around_it() {
        let tone: Vec<f32> =
            (0..16_000).map(|i| (TAU * 1_000.0 * f64::from(i) / 16_000.0).sin() as f32).collect();
        let log_mel = extractor("vggish").log_mel(&tone);
        let frame = log_mel.row(50);
        let loudest = (0..64).max_by(|&a, &b| frame[a].total_cmp(&frame[b])).unwrap();
        let mel = |hz: f64| 1127.0 * (1.0 + hz / 700.0).ln();
        let expected = (mel(1_000.0) - mel(125.0)) / (mel(7_500.0) - mel(125.0)) * 65.0 - 1.0;
        assert!((loudest as f64 - expected).abs() < 1.0, "{loudest} for {expected}");
    }

    #[test]
    fn silence_is_the_logarithm_of_the_offset() {
        let silence = extractor("vggish").log_mel(&[0.0; 1_000]);
        assert!(silence.iter().all(|&x| x == 0.01f32.ln()));
        let silence = extractor("musicnn").log_mel(&[0.0; 1_000]);
        assert!(silence.iter().all(|&x| x == 0.0));
    }

    #[test]
    fn a_short_recording_makes_one_padded_patch() {
        for name in FrontEnd::PRESETS {
            let extractor = extractor(name);
            let need = extractor.front_end().patch_samples();
            let FrontEnd { patch_frames, mels, .. } = *extractor.front_end();
            let shape = (1, patch_frames, mels);
            let short = extractor.patches(&vec![0.5; need - 1]);
            assert_eq!((short.values.dim(), short.padded), (shape, true), "{name}");
            let silent = extractor.patches(&[]);
            assert_eq!((silent.values.dim(), silent.padded), (shape, true), "{name}");
            let whole = extractor.patches(&vec![0.5; need]);
            assert_eq!((whole.values.dim(), whole.padded), (shape, false), "{name}");
        }
    }

    #[test]
    fn overlapping_patches_repeat_frames() {
        let noise: Vec<f32> = (0..40_000u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5)
            .collect();
        let patches = extractor("yamnet").patches(&noise).values;
        assert!(patches.len_of(Axis(0)) >= 3);
        assert_eq!(patches.slice(s![0, 48.., ..]), patches.slice(s![1, ..48, ..]));
    }

    #[test]
    fn patches_are_windows_of_a_log_mel_in_any_layout() {
        let log_mel = LogMel::from_shape_fn((7, 2), |(frame, mel)| (10 * frame + mel) as f32);
        let turned = log_mel.t().as_standard_layout().into_owned().reversed_axes();
        assert!(!turned.is_standard_layout());
        for (frames, hop, starts) in [
            (3, 2, &[0, 2, 4][..]),
            (3, 3, &[0, 3]),
            (2, 3, &[0, 3]),
            (7, usize::MAX, &[0]),
            (8, 1, &[]),
        ] {
            let view = patches(&log_mel, frames, hop);
            assert_eq!(view.is_view(), !starts.is_empty(), "{frames}, {hop}");
            assert_eq!(view, patches(&turned, frames, hop));
            assert_eq!(view.dim(), (starts.len(), frames, 2));
            for (patch, &start) in view.outer_iter().zip(starts) {
                assert_eq!(patch, log_mel.slice(s![start..start + frames, ..]));
            }
        }
    }

    /// Patch `k` of a recording is what its waveform alone gives: the frames of an
    /// uncentred front end.
    #[test]
    fn waveforms_hold_all_that_their_patches_need() {
        for name in FrontEnd::PRESETS {
            let extractor = extractor(name);
            let front_end = extractor.front_end();
            let alone = Extractor::new(&FrontEnd { centred: false, ..front_end.clone() }).unwrap();
            let (need, hop) = (front_end.patch_samples(), front_end.patch_hop_samples());
            for length in [1, need - 1, need, need + hop - 1, need + hop, 2 * need + 3 * hop + 7] {
                let noise: Vec<f32> = (0..length as u32)
                    .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5)
                    .collect();
                let wanted = extractor.patches(&noise).values;
                let count = wanted.len_of(Axis(0));
                assert_eq!(front_end.windows().count(length), count, "{name}, {length}");
                let waveforms = front_end.waveforms(&noise);
                assert_eq!(waveforms.dim(), (count, front_end.waveform_samples()));
                for (waveform, wanted) in waveforms.outer_iter().zip(wanted.outer_iter()) {
                    let given = alone.log_mel(waveform.as_slice().unwrap());
                    assert!(given == wanted, "{name}, {length}");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Against a count of the frames that fit, not the formula.
        #[test]
        fn frames_are_those_that_fit(
            n in 0usize..3_000, window in 2usize..=512, hop in 1usize..600, centred: bool,
        ) {
            let front_end = FrontEnd { window, hop, centred, patch_frames: 1, patch_hop: 1, ..FrontEnd::vggish() };
            let log_mel = Extractor::new(&front_end).unwrap().log_mel(&vec![0.1; n]);
            let fits = |i: &usize| if centred { i * hop <= n } else { i * hop + window <= n };
            prop_assert_eq!(log_mel.dim(), ((0..).take_while(fits).count(), front_end.mels));
            prop_assert!(log_mel.iter().all(|x| x.is_finite()));
        }

        #[test]
        fn a_frame_depends_only_on_its_window(at in 0usize..4_000) {
            let extractor = extractor("vggish");
            let mut samples = vec![0.0; 4_000];
            samples[at] = 1.0;
            let log_mel = extractor.log_mel(&samples);
            for (i, frame) in log_mel.outer_iter().enumerate() {
                let touched = (i * 160 + 1..i * 160 + 400).contains(&at); // The window begins with 0.
                prop_assert_eq!(frame.iter().any(|&x| x != 0.01f32.ln()), touched);
            }
        }
    }
}
