//! The description of a front end, its presets and its bounds.

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidFrontEnd;
use super::patch_kind::{Layout, PatchKind};
use super::windows::Windows;
use crate::audio::{MAX_RATE, MIN_RATE};
use crate::error::{Error, Result};
use crate::files;

/// The longest FFT, in samples.
const MAX_FFT: usize = 16_384;
/// The largest number of mel bands.
const MAX_MELS: usize = 512;
/// The longest patch, in frames.
const MAX_PATCH_FRAMES: usize = 1 << 16;
/// The longest patch, in samples; a recording shorter than a patch is padded to it.
pub(super) const MAX_PATCH_SAMPLES: usize = 1 << 26;
/// The most feature values per sample that hop and patch overlap may produce (VGGish: 0.4).
pub(super) const MAX_VALUES_PER_SAMPLE: usize = 64;

/// What turns samples into log-mel patches: every number that decides a feature.
///
/// Two front ends that are equal give equal features, so a backbone's embeddings
/// mean something only behind the front end it was trained with. In JSON:
///
/// ```
/// # use genre_transfer::features::FrontEnd;
/// # let native: FrontEnd = serde_json::from_str(r#"
/// {
///   "name": "native-22k",
///   "sample_rate": 22050,
///   "window": 2048, "hop": 512, "fft": 2048, "centred": false,
///   "spectrum": "power",
///   "mels": 128, "filterbank": "slaney", "min_hz": 0, "max_hz": 11025,
///   "log": { "kind": "log10", "scale": 10000, "offset": 1 },
///   "patch_frames": 128, "patch_hop": 64
/// }
/// # "#).unwrap();
/// # native.validate().unwrap();
/// ```
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct FrontEnd {
    /// What it is called in reports.
    pub name: String,
    /// The rate audio is resampled to, in Hz.
    pub sample_rate: u32,
    /// The length of the periodic Hann window, in samples; the rest of the FFT is zeros.
    pub window: usize,
    /// Samples from one frame to the next.
    pub hop: usize,
    /// The length of the FFT, in samples; even.
    pub fft: usize,
    /// Whether frame `i` is centred on sample `i * hop`, with silence beyond both
    /// ends (librosa), or begins there and lies wholly inside the recording.
    pub centred: bool,
    /// What of the spectrum is summed into bands.
    pub spectrum: Spectrum,
    /// The number of mel bands.
    pub mels: usize,
    /// The shape of the bands.
    pub filterbank: Filterbank,
    /// Where the lowest band begins, in Hz.
    pub min_hz: f64,
    /// Where the highest band ends, in Hz.
    pub max_hz: f64,
    /// How band energies are compressed.
    pub log: Log,
    /// Frames in a patch, a model's input.
    pub patch_frames: usize,
    /// Frames from one patch to the next; less than `patch_frames` if patches overlap.
    pub patch_hop: usize,
    /// Which axis of a patch comes first in the input of the backbone, for one whose axes are of
    /// one size or of any, and have no names that say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

/// What of a complex spectrum is summed into mel bands.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Spectrum {
    /// `|X|`.
    Magnitude,
    /// `|X|²`.
    Power,
}

/// The shape of mel bands: triangles, each from its lower neighbour's centre to
/// its upper neighbour's. A band narrower than an FFT bin may hold none and is
/// then silent, as in the references.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Filterbank {
    /// HTK's mel scale, triangles linear in mel with a peak of 1, none of them over
    /// the DC bin: Google's `mel_features.py` (VGGish, YAMNet).
    HtkLinearInMel,
    /// HTK's mel scale, triangles linear in Hz with a peak of 1: librosa's
    /// `mel(htk=True, norm=None)`.
    Htk,
    /// Slaney's mel scale, triangles linear in Hz with an area of 1: librosa's
    /// `mel` as it comes (musicnn).
    Slaney,
}

/// The compression `log(scale * x + offset)` of a band's energy `x`.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// The base.
    pub kind: LogKind,
    /// Multiplies the energy.
    pub scale: f32,
    /// Added to it, so that silence has a logarithm.
    pub offset: f32,
}

/// The base of a logarithm.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LogKind {
    /// Base e.
    Natural,
    /// Base 10.
    Log10,
}

impl FrontEnd {
    /// The names [`FrontEnd::preset`] knows.
    pub const PRESETS: [&'static str; 4] = ["vggish", "yamnet", "musicnn", "spectrogram"];

    /// The front end of a published backbone or of our own networks, by a name of [`FrontEnd::PRESETS`].
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "vggish" => Some(Self::vggish()),
            "yamnet" => Some(Self::yamnet()),
            "musicnn" => Some(Self::musicnn()),
            "spectrogram" => Some(Self::spectrogram()),
            _ => None,
        }
    }

    /// VGGish: patches of 96 frames (0.96 s) by 64 bands, without overlap.
    ///
    /// Google's `vggish_params.py` and `mel_features.py` (Hershey et al., "CNN
    /// architectures for large-scale audio classification", ICASSP 2017).
    #[doc(hidden)]
    pub fn vggish() -> Self {
        Self {
            name: "vggish".into(),
            sample_rate: 16_000,
            window: 400,
            hop: 160,
            fft: 512,
            centred: false,
            spectrum: Spectrum::Magnitude,
            mels: 64,
            filterbank: Filterbank::HtkLinearInMel,
            min_hz: 125.0,
            max_hz: 7_500.0,
            log: Log { kind: LogKind::Natural, scale: 1.0, offset: 0.01 },
            patch_frames: 96,
            patch_hop: 96,
            layout: None,
        }
    }

    /// YAMNet: VGGish's bands with an offset of 0.001, a patch every 0.48 s.
    ///
    /// Google's `yamnet/params.py` and `features.py`.
    #[doc(hidden)]
    pub fn yamnet() -> Self {
        let vggish = Self::vggish();
        Self {
            name: "yamnet".into(),
            log: Log { offset: 0.001, ..vggish.log },
            patch_hop: 48,
            ..vggish
        }
    }

    /// musicnn: patches of 187 frames (2.99 s) by 96 bands, without overlap.
    ///
    /// musicnn's `configuration.py` and `extractor.py` (Pons & Serra, "musicnn:
    /// pre-trained convolutional neural networks for music audio tagging", 2019).
    #[doc(hidden)]
    pub fn musicnn() -> Self {
        Self {
            name: "musicnn".into(),
            sample_rate: 16_000,
            window: 512,
            hop: 256,
            fft: 512,
            centred: true,
            spectrum: Spectrum::Power,
            mels: 96,
            filterbank: Filterbank::Slaney,
            min_hz: 0.0,
            max_hz: 8_000.0,
            log: Log { kind: LogKind::Log10, scale: 10_000.0, offset: 1.0 },
            patch_frames: 187,
            patch_hop: 187,
            layout: None,
        }
    }

    /// For networks of our own: patches of 128 frames (5.9 s) by 128 bands up to 11,025 Hz.
    pub(crate) fn spectrogram() -> Self {
        Self {
            name: "spectrogram".into(),
            sample_rate: 22_050,
            window: 2048,
            hop: 1024,
            fft: 2048,
            centred: true,
            spectrum: Spectrum::Power,
            mels: 128,
            filterbank: Filterbank::Slaney,
            min_hz: 0.0,
            max_hz: 11_025.0,
            log: Log { kind: LogKind::Log10, scale: 10_000.0, offset: 1.0 },
            patch_frames: 128,
            patch_hop: 128,
            layout: None,
        }
    }

    /// Reads a front end from a JSON file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if it is no front end,
    /// has unknown fields or does not [`validate`](Self::validate).
    pub fn load(path: &Path) -> Result<Self> {
        let front_end: Self = files::read_json(path)?;
        front_end.check().map_err(|invalid| Error::format(path, invalid))?;
        Ok(front_end)
    }

    /// A preset by name, or else the JSON file at that path.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if it is neither, otherwise as [`FrontEnd::load`].
    pub fn resolve(name_or_path: &str) -> Result<Self> {
        let path = Path::new(name_or_path);
        match Self::preset(name_or_path) {
            Some(preset) => Ok(preset),
            None if path.exists() => Self::load(path),
            None => Err(Error::InvalidInput(format!(
                "front end \"{name_or_path}\" is neither a preset ({}) nor a JSON file",
                Self::PRESETS.join(", ")
            ))),
        }
    }

    /// Checks that the numbers define a front end of reasonable size.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] naming the field, its value and what was expected.
    pub fn validate(&self) -> Result<()> {
        self.check_named().map_err(|invalid| Error::InvalidInput(invalid.to_string()))
    }

    /// As [`FrontEnd::validate`], with the reason as a value.
    pub(super) fn check_named(&self) -> Result<(), InvalidFrontEnd> {
        let named =
            |invalid| InvalidFrontEnd::Named { name: self.name.clone(), source: Box::new(invalid) };
        self.check().map_err(named)
    }

    fn check(&self) -> Result<(), InvalidFrontEnd> {
        let nyquist = f64::from(self.sample_rate) / 2.0;
        within("sample_rate", self.sample_rate as usize, MIN_RATE as usize, MAX_RATE as usize)?;
        within("fft", self.fft, 2, MAX_FFT)?;
        within("window", self.window, 2, self.fft)?;
        within("hop", self.hop, 1, MAX_PATCH_SAMPLES)?;
        within("mels", self.mels, 1, MAX_MELS)?;
        within("patch_frames", self.patch_frames, 1, MAX_PATCH_FRAMES)?;
        within("patch_hop", self.patch_hop, 1, MAX_PATCH_FRAMES)?;
        if !self.fft.is_multiple_of(2) {
            return Err(InvalidFrontEnd::field("fft", self.fft, "expected an even number"));
        }
        // Written so that NaN fails too.
        if !(0.0 <= self.min_hz && self.min_hz < self.max_hz && self.max_hz <= nyquist) {
            return Err(InvalidFrontEnd::Combination(format!(
                "min_hz is {} and max_hz {}; expected 0 <= min_hz < max_hz <= {nyquist}, half the \
                 sample rate",
                self.min_hz, self.max_hz
            )));
        }
        for (field, value) in [("log.scale", self.log.scale), ("log.offset", self.log.offset)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(InvalidFrontEnd::field(field, value, "expected a number above 0"));
            }
        }
        self.check_amounts()
    }

    /// Fields that are each in range can still multiply to terabytes.
    fn check_amounts(&self) -> Result<(), InvalidFrontEnd> {
        let patch = self.patch_samples();
        if patch > MAX_PATCH_SAMPLES {
            return Err(InvalidFrontEnd::Combination(format!(
                "patch_frames ({}) times hop ({}) makes patches of {patch} samples; expected at \
                 most {MAX_PATCH_SAMPLES}",
                self.patch_frames, self.hop
            )));
        }
        let values = self.mels * self.patch_frames.max(self.patch_hop);
        if values > MAX_VALUES_PER_SAMPLE * self.hop * self.patch_hop {
            return Err(InvalidFrontEnd::Combination(format!(
                "mels ({}), hop ({}), patch_frames ({}) and patch_hop ({}) make more than \
                 {MAX_VALUES_PER_SAMPLE} values per sample; raise hop or patch_hop",
                self.mels, self.hop, self.patch_frames, self.patch_hop
            )));
        }
        Ok(())
    }

    /// The number of frames in a recording of `samples` samples, for a front end that
    /// [validates](Self::validate).
    pub(crate) fn frames(&self, samples: usize) -> usize {
        if self.centred {
            1 + samples / self.hop
        } else {
            samples.checked_sub(self.window).map_or(0, |rest| 1 + rest / self.hop)
        }
    }

    /// What its patches are.
    #[doc(hidden)]
    pub fn patch_kind(&self) -> PatchKind {
        let &Self { patch_frames: frames, mels, layout, .. } = self;
        PatchKind::LogMel { frames, mels, layout }
    }

    /// The least number of samples that holds one patch.
    #[doc(hidden)]
    pub fn patch_samples(&self) -> usize {
        (self.patch_frames - 1) * self.hop + if self.centred { 0 } else { self.window }
    }

    /// The samples that the frames of one patch touch, of a recording that has
    /// [`lead_samples`](Self::lead_samples) zeros before it: the input of a model that
    /// carries its front end.
    #[doc(hidden)]
    pub fn waveform_samples(&self) -> usize {
        (self.patch_frames - 1) * self.hop + self.window
    }

    /// Zeros before a recording's first sample that its first frame touches.
    #[doc(hidden)]
    pub fn lead_samples(&self) -> usize {
        if self.centred { self.window / 2 } else { 0 }
    }

    /// Samples from one patch to the next.
    #[doc(hidden)]
    pub fn patch_hop_samples(&self) -> usize {
        self.patch_hop * self.hop
    }

    /// Where its patches lie in a recording.
    #[doc(hidden)]
    pub fn windows(&self) -> Windows {
        Windows {
            sample_rate: self.sample_rate,
            size: self.waveform_samples(),
            least: self.patch_samples(),
            lead: self.lead_samples(),
            hop: self.patch_hop_samples(),
            patch_seconds: self.patch_seconds(),
        }
    }

    /// The samples of every patch of a recording, `[patches, waveform_samples]`, with silence
    /// beyond both ends.
    #[doc(hidden)]
    pub fn waveforms(&self, samples: &[f32]) -> Array2<f32> {
        self.windows().cut(samples)
    }

    /// The duration of a patch in seconds, counted in hops: VGGish's 96 frames are 0.96 s.
    #[doc(hidden)]
    pub fn patch_seconds(&self) -> f64 {
        (self.patch_frames * self.hop) as f64 / f64::from(self.sample_rate)
    }
}

pub(super) fn within(
    field: &'static str,
    value: usize,
    min: usize,
    max: usize,
) -> Result<(), InvalidFrontEnd> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(InvalidFrontEnd::field(field, value, format!("expected {min} to {max}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_survive_json() {
        for name in FrontEnd::PRESETS {
            let preset = FrontEnd::resolve(name).unwrap();
            preset.validate().unwrap();
            assert_eq!(preset.name, name);
            let json = serde_json::to_string(&preset).unwrap();
            assert_eq!(serde_json::from_str::<FrontEnd>(&json).unwrap(), preset, "{json}");
        }
        assert_eq!(FrontEnd::vggish().patch_seconds(), 0.96);
        assert_eq!(FrontEnd::yamnet().windows().hop_seconds(), 0.48);
    }

    #[test]
    fn values_out_of_range_are_named() {
        type Change = fn(&mut FrontEnd);
        let cases: [(Change, &str); 14] = [
            (|f| f.window = 600, "window is 600; expected 2 to 512"),
            (|f| f.hop = 0, "hop is 0"),
            (|f| f.fft = 513, "fft is 513; expected an even"),
            (|f| f.fft = usize::MAX, "expected 2 to 16384"),
            (|f| f.mels = 0, "mels is 0"),
            (|f| f.mels = 1 << 40, "expected 1 to 512"),
            (|f| f.sample_rate = 0, "sample_rate is 0"),
            (|f| f.min_hz = -1.0, "min_hz is -1"),
            (|f| f.max_hz = 8_001.0, "max_hz 8001; expected 0 <= min_hz < max_hz <= 8000"),
            (|f| f.min_hz = f64::NAN, "min_hz is NaN"),
            (|f| f.log.offset = 0.0, "log.offset is 0"),
            (|f| f.log.scale = f32::INFINITY, "log.scale is inf"),
            (|f| (f.patch_frames, f.hop) = (60_000, 60_000), "patches of"),
            (|f| (f.patch_frames, f.patch_hop, f.hop) = (60_000, 1, 100), "values per sample"),
        ];
        for (change, text) in cases {
            let mut front_end = FrontEnd::vggish();
            change(&mut front_end);
            let error = front_end.validate().unwrap_err();
            assert!(matches!(error, Error::InvalidInput(_)));
            assert!(error.to_string().contains(text), "{error}");
            assert!(error.to_string().contains("vggish"), "{error}");
        }
    }

    #[test]
    fn files_that_are_no_front_end_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("preprocessor.json");
        let mut json = serde_json::to_value(FrontEnd::vggish()).unwrap();
        files::write_json(&path, &json).unwrap();
        assert_eq!(FrontEnd::resolve(path.to_str().unwrap()).unwrap(), FrontEnd::vggish());

        json["window"] = 600.into();
        files::write_json(&path, &json).unwrap();
        let text = FrontEnd::load(&path).unwrap_err().to_string();
        assert!(text.contains("preprocessor.json: window is 600"), "{text}");

        json["windowing"] = 400.into();
        files::write_json(&path, &json).unwrap();
        let text = FrontEnd::load(&path).unwrap_err().to_string();
        assert!(text.contains("preprocessor.json") && text.contains("windowing"), "{text}");

        let text = FrontEnd::resolve("no-such").unwrap_err().to_string();
        assert!(text.contains("no-such") && text.contains("yamnet"), "{text}");
    }
}
