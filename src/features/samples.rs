//! Front ends of backbones that take raw samples.

use serde::{Deserialize, Serialize};

use super::front_end::{MAX_PATCH_SAMPLES, MAX_VALUES_PER_SAMPLE, within};
use super::invalid::InvalidFrontEnd;
use super::windows::Windows;
use crate::audio::{MAX_RATE, MIN_RATE};

/// Seconds of a patch where neither the description nor the backbone's file says: as musicnn's,
/// and long enough for networks whose own front end cuts patches of about a second.
const DEFAULT_SECONDS: usize = 3;

/// What turns a recording into patches of samples, for backbones that take these as they are:
/// `[N, samples]`, `[N, 1, samples]` or `[samples]`. In JSON:
///
/// ```
/// # use genre_transfer::features::Preprocessor;
/// # let raw = r#"
/// {
///   "kind": "samples", "name": "raw-16k",
///   "sample_rate": 16000,
///   "patch_samples": 48000, "patch_hop_samples": 24000
/// }
/// # "#;
/// # Preprocessor::parse(raw).unwrap();
/// ```
///
/// `patch_samples` may be left out where a backbone's file fixes it, or for patches of 3
/// seconds; `patch_hop_samples` for patches without overlap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SamplesFrontEnd {
    /// Always `samples`: tells this description from others.
    pub kind: SamplesKind,
    /// What it is called in reports.
    pub name: String,
    /// The rate audio is resampled to, in Hz.
    pub sample_rate: u32,
    /// Samples of a patch; 0 until a backbone's file has been asked.
    #[serde(default)]
    pub patch_samples: usize,
    /// Samples from one patch to the next; 0 until `patch_samples` is known.
    #[serde(default)]
    pub patch_hop_samples: usize,
}

/// The one kind of [`SamplesFrontEnd`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SamplesKind {
    /// Samples.
    #[default]
    Samples,
}

impl SamplesFrontEnd {
    /// With what was left out, for a backbone whose file takes `axes` (`None`: any size).
    ///
    /// # Errors
    /// [`InvalidFrontEnd`] if the file takes something else than samples or another number of
    /// them.
    pub(super) fn completed(mut self, axes: &[Option<usize>]) -> Result<Self, InvalidFrontEnd> {
        let fixed = match *axes {
            [samples] | [_, samples] | [_, Some(1) | None, samples] => samples,
            _ => {
                return Err(InvalidFrontEnd::axes(
                    axes,
                    "raw samples, [N, samples], [N, 1, samples] or [samples]",
                ));
            }
        };
        self.patch_samples = match (self.patch_samples, fixed) {
            (0, Some(fixed)) => fixed,
            (0, None) => {
                tracing::info!(
                    "note: front end \"{}\" has no patch_samples and the backbone takes any \
                     number: patches of {DEFAULT_SECONDS} s are taken",
                    self.name
                );
                DEFAULT_SECONDS * self.sample_rate as usize
            }
            (given, Some(fixed)) if given != fixed => {
                let expected = format!("the backbone's file takes {fixed}");
                return Err(InvalidFrontEnd::field("patch_samples", given, expected));
            }
            (given, _) => given,
        };
        if self.patch_hop_samples == 0 {
            self.patch_hop_samples = self.patch_samples;
        }
        Ok(self)
    }

    /// Checks that the numbers define patches of reasonable size.
    ///
    /// # Errors
    /// [`InvalidFrontEnd`] naming the field and its value.
    pub(super) fn check(&self) -> Result<(), InvalidFrontEnd> {
        within("sample_rate", self.sample_rate as usize, MIN_RATE as usize, MAX_RATE as usize)?;
        within("patch_samples", self.patch_samples, 1, MAX_PATCH_SAMPLES)?;
        // Overlap multiplies what a recording becomes.
        let least = self.patch_samples.div_ceil(MAX_VALUES_PER_SAMPLE);
        within("patch_hop_samples", self.patch_hop_samples, least, MAX_PATCH_SAMPLES)
    }

    /// Where its patches lie in a recording.
    pub(super) fn windows(&self) -> Windows {
        Windows {
            sample_rate: self.sample_rate,
            size: self.patch_samples,
            least: self.patch_samples,
            lead: 0,
            hop: self.patch_hop_samples,
            patch_seconds: self.patch_samples as f64 / f64::from(self.sample_rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(patch_samples: usize, patch_hop_samples: usize) -> SamplesFrontEnd {
        SamplesFrontEnd {
            kind: SamplesKind::Samples,
            name: "raw".into(),
            sample_rate: 16_000,
            patch_samples,
            patch_hop_samples,
        }
    }

    #[test]
    fn what_is_left_out_is_what_the_file_says() {
        let completed = |front_end: SamplesFrontEnd, axes: &[Option<usize>]| {
            let found = front_end.completed(axes).map(|f| (f.patch_samples, f.patch_hop_samples));
            found.map_err(|invalid| invalid.to_string())
        };
        assert_eq!(completed(raw(0, 0), &[None, Some(15_600)]), Ok((15_600, 15_600)));
        assert_eq!(completed(raw(0, 800), &[None, Some(1), Some(1_600)]), Ok((1_600, 800)));
        assert_eq!(completed(raw(0, 0), &[None]), Ok((48_000, 48_000)));
        assert_eq!(completed(raw(700, 0), &[Some(1), None]), Ok((700, 700)));
        let wrong = completed(raw(700, 0), &[None, Some(900)]).unwrap_err();
        assert_eq!(wrong, "patch_samples is 700; the backbone's file takes 900");
        for axes in [&[][..], &[None, Some(96), Some(64)], &[None, Some(1), Some(96), Some(64)]] {
            assert!(completed(raw(0, 0), axes).unwrap_err().contains("not raw samples"));
        }
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        raw(48_000, 750).check().unwrap();
        for (front_end, text) in [
            (raw(0, 0), "patch_samples is 0"),
            (raw(1 << 40, 1 << 40), "patch_samples is 1099511627776; expected 1 to 67108864"),
            (raw(48_000, 749), "patch_hop_samples is 749; expected 750"),
            (raw(48_000, usize::MAX), "patch_hop_samples is 18446744073709551615"),
            (SamplesFrontEnd { sample_rate: 0, ..raw(1, 1) }, "sample_rate is 0"),
        ] {
            let found = front_end.check().unwrap_err().to_string();
            assert!(found.contains(text), "{found}");
        }
    }
}
