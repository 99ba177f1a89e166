//! What is put into an exported file to prove it: synthesized music, so that the proof needs no data
//! and is always the same.

use std::path::Path;

use ndarray::{Array1, Array2, Array3, ArrayD, Axis, IxDyn};

use super::input::Input;
use crate::dataset::demo;
use crate::error::{Error, Result};
use crate::features::{Extractor, FrontEnd, Preprocessor};

/// What is put into an exported file, and the log-mel patches `[patches, frames, mels]` that
/// the native front end makes of it.
pub(super) struct ProbeInput {
    pub input: ArrayD<f32>,
    pub log_mels: Array3<f32>,
}

impl ProbeInput {
    /// Patches as the model is made for: from the middle of synthesized music of different
    /// styles. So the proof needs no data and is always the same.
    pub fn patches(count: usize, preprocessor: &Preprocessor, input: Input) -> Result<Self> {
        let [frames, features] = preprocessor.patch();
        let mut log_mels = Array3::zeros((count, frames, features));
        let mut waveforms = vec![];
        for number in 0..count {
            let (patch, waveform) = middle(number, preprocessor)?;
            log_mels.index_axis_mut(Axis(0), number).assign(&patch);
            waveforms.extend(waveform);
        }
        let input = match (input, preprocessor) {
            (Input::LogMel, _) => log_mels.clone().into_dyn(),
            (Input::Waveform, Preprocessor::Audio(_)) => {
                let shape = IxDyn(&[count, waveforms.len() / count]);
                ArrayD::from_shape_vec(shape, waveforms)
                    .map_err(|error| Error::Mismatch(error.to_string()))?
            }
            _ => preprocessor.natural(log_mels.clone()),
        };
        Ok(Self { input, log_mels })
    }
}

/// The patch in the middle of the demo clip of this number, and its samples where it is heard
/// through a front end.
fn middle(number: usize, preprocessor: &Preprocessor) -> Result<(Array2<f32>, Vec<f32>)> {
    let heard = |front_end: &FrontEnd| -> Result<(Array2<f32>, Vec<f32>)> {
        let samples = demo::clip(number).resampled(front_end.sample_rate)?.samples;
        let patches = Extractor::new(front_end)?.patches(&samples).values;
        let middle = patches.len_of(Axis(0)) / 2;
        let waveform = front_end.waveforms(&samples).row(middle).to_vec();
        Ok((patches.index_axis_move(Axis(0), middle), waveform))
    };
    // Intensities go from 0 to 1.
    let seen = |front_end: &FrontEnd| -> Result<Array2<f32>> {
        let (mut log_mel, _) = heard(front_end)?;
        let largest = log_mel.iter().copied().fold(f32::MIN_POSITIVE, f32::max);
        log_mel.mapv_inplace(|value| (value / largest).max(0.0));
        Ok(log_mel)
    };
    match preprocessor {
        Preprocessor::Audio(front_end) => heard(front_end),
        Preprocessor::Samples(front_end) => {
            let samples = demo::clip(number).resampled(front_end.sample_rate)?.samples;
            let size = front_end.patch_samples;
            let start = samples.len().saturating_sub(size) / 2;
            let patch: Vec<f32> = samples.into_iter().cycle().skip(start).take(size).collect();
            Ok((Array1::from(patch).insert_axis(Axis(1)), vec![]))
        }
        Preprocessor::Picture(picture) => {
            let front_end = FrontEnd {
                mels: picture.mels,
                patch_frames: picture.patch_frames,
                patch_hop: picture.patch_hop,
                ..FrontEnd::spectrogram()
            };
            Ok((seen(&front_end)?, vec![]))
        }
        Preprocessor::Image(front_end) => {
            let log_mel = seen(&FrontEnd::spectrogram())?;
            Ok((front_end.drawn(log_mel.t()), vec![]))
        }
    }
}

/// Music of odd lengths, from several patches to a single sample.
pub(super) fn recordings(preprocessor: &Preprocessor) -> Result<Vec<ProbeInput>> {
    let reader = preprocessor.reader()?;
    let Some(windows) = preprocessor.windows() else { return Ok(vec![]) };
    let (patch, hop) = (windows.least, windows.hop);
    let lengths = [patch + 2 * hop + 37, patch + hop, patch / 3 + 1, 1];
    let one = |(number, length): (usize, usize)| {
        let music = demo::clip(number).resampled(windows.sample_rate)?.samples;
        let middle = music.len() / 2;
        let data: Vec<f32> = music.into_iter().cycle().skip(middle).take(length).collect();
        let log_mels = reader.patches_of(&data, Path::new("probe"))?;
        Ok(ProbeInput { input: Array1::from(data).insert_axis(Axis(0)).into_dyn(), log_mels })
    };
    lengths.into_iter().enumerate().map(one).collect()
}
