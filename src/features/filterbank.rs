//! Mel filterbanks, sparse.

use std::ops::Range;

use mel_spec::mel::{hz_to_mel, mel};

use super::front_end::{Filterbank, FrontEnd};

/// Triangular bands over the bins of a real FFT, storing only the run of bins
/// that each band touches.
pub(super) struct Bands {
    bands: Vec<Band>,
    weights: Vec<f32>,
}

struct Band {
    bins: Range<usize>,
    weights: Range<usize>,
}

impl Bands {
    pub(super) fn new(front_end: &FrontEnd) -> Self {
        Self::from_rows(mel_rows(front_end).into_iter())
    }

    /// librosa's default: `mels` bands from 0 Hz to half the sample rate, straight in Hz and
    /// each of the same area.
    pub(super) fn slaney(rate: u32, fft: usize, mels: usize) -> Self {
        let rows = mel(rate.into(), fft, mels, None, None, false, true);
        Self::from_rows(rows.rows().into_iter().map(|row| row.to_vec()))
    }

    /// Keeps of each row the run from its first to its last weight that is not zero.
    fn from_rows(rows: impl Iterator<Item = Vec<f64>>) -> Self {
        let (mut bands, mut weights) = (Vec::new(), Vec::new());
        for row in rows {
            let first = row.iter().position(|&w| w != 0.0).unwrap_or(0);
            let end = row.iter().rposition(|&w| w != 0.0).map_or(first, |last| last + 1);
            let begin = weights.len();
            weights.extend(row[first..end].iter().map(|&w| w as f32));
            bands.push(Band { bins: first..end, weights: begin..weights.len() });
        }
        Self { bands, weights }
    }

    /// The energy of every band, from the `fft / 2 + 1` bins of a spectrum.
    pub(super) fn energies<'a>(&'a self, spectrum: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.bands.iter().map(|band| {
            let weights = &self.weights[band.weights.clone()];
            spectrum[band.bins.clone()].iter().zip(weights).map(|(x, w)| x * w).sum()
        })
    }
}

/// The weight of every bin of an FFT in every band: `mels` rows of `fft / 2 + 1`.
pub(crate) fn mel_rows(front_end: &FrontEnd) -> Vec<Vec<f64>> {
    let FrontEnd { sample_rate, fft, mels, min_hz, max_hz, .. } = *front_end;
    let in_hz = |htk, norm| {
        let rows = mel(sample_rate.into(), fft, mels, Some(min_hz), Some(max_hz), htk, norm);
        rows.rows().into_iter().map(|row| row.to_vec()).collect()
    };
    match front_end.filterbank {
        Filterbank::HtkLinearInMel => linear_in_mel(front_end).collect(),
        Filterbank::Htk => in_hz(true, false),
        Filterbank::Slaney => in_hz(false, true),
    }
}

/// The rows of Google's `spectrogram_to_mel_matrix`: triangles whose slopes are
/// straight on the mel axis. (`mel_spec`, as librosa, draws them straight in Hz.)
/// That code also zeroes the DC bin, which never lies above a band's lower edge here.
fn linear_in_mel(front_end: &FrontEnd) -> impl Iterator<Item = Vec<f64>> {
    let &FrontEnd { sample_rate, fft, mels, min_hz, max_hz, .. } = front_end;
    let bin_mels: Vec<f64> = (0..=fft / 2)
        .map(|bin| hz_to_mel(bin as f64 * f64::from(sample_rate) / fft as f64, true))
        .collect();
    let (low, high) = (hz_to_mel(min_hz, true), hz_to_mel(max_hz, true));
    let step = (high - low) / (mels + 1) as f64;
    (0..mels).map(move |band| {
        let (lower, centre, upper) = (
            low + step * band as f64,
            low + step * (band + 1) as f64,
            low + step * (band + 2) as f64,
        );
        let slope = |m: f64| ((m - lower) / (centre - lower)).min((upper - m) / (upper - centre));
        bin_mels.iter().map(|&m| slope(m).max(0.0)).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bin_reaches_at_most_two_linear_bands_that_sum_to_one() {
        let bands = Bands::new(&FrontEnd::vggish());
        for bin in 0..257 {
            let mut spectrum = vec![0.0; 257];
            spectrum[bin] = 1.0;
            let energies: Vec<f32> = bands.energies(&spectrum).filter(|&x| x > 0.0).collect();
            assert!(energies.len() <= 2, "bin {bin}");
            // Neighbouring triangles overlap so that their sum is 1 between the outer centres.
            if (6..230).contains(&bin) {
                assert!((energies.iter().sum::<f32>() - 1.0).abs() < 1e-5, "bin {bin}");
            }
        }
    }

    #[test]
    fn slaney_triangles_have_an_area_of_one() {
        let front_end = FrontEnd { fft: 16_384, ..FrontEnd::musicnn() };
        let bins = vec![16_000.0 / 16_384.0; 8_193];
        for (band, area) in Bands::new(&front_end).energies(&bins).enumerate() {
            assert!((area - 1.0).abs() < 1e-3, "band {band}: {area}");
        }
    }

    #[test]
    fn a_band_without_bins_is_silent() {
        let front_end = FrontEnd { mels: 512, ..FrontEnd::vggish() };
        let energies: Vec<f32> = Bands::new(&front_end).energies(&[1.0; 257]).collect();
        assert_eq!(energies.len(), 512);
        assert!(energies.contains(&0.0) && energies.iter().all(|x| x.is_finite()));
    }
}
