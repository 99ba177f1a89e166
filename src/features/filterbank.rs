//! Mel filterbanks, sparse.

use std::ops::Range;

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
        let rows = slaney_rows(mels, 0.0, f64::from(rate) / 2.0, &bins_hz(rate, fft));
        Self::from_rows(rows.into_iter())
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
    let bins = bins_hz(sample_rate, fft);
    match front_end.filterbank {
        // Google's `spectrogram_to_mel_matrix`: slopes straight on the mel axis, where librosa's
        // are in Hz. That code also zeroes the DC bin, which never lies above a band's lower edge.
        Filterbank::HtkLinearInMel => {
            let edges = edges(mels, min_hz, max_hz, htk_mel, |mel| mel);
            let bins: Vec<f64> = bins.into_iter().map(htk_mel).collect();
            triangles(&edges, &bins).collect()
        }
        Filterbank::Htk => {
            let edges = edges(mels, min_hz, max_hz, htk_mel, htk_hz);
            triangles(&edges, &bins).collect()
        }
        Filterbank::Slaney => slaney_rows(mels, min_hz, max_hz, &bins),
    }
}

/// librosa's default: slopes straight in Hz, all bands of the same area.
fn slaney_rows(mels: usize, min_hz: f64, max_hz: f64, bins: &[f64]) -> Vec<Vec<f64>> {
    let edges = edges(mels, min_hz, max_hz, slaney_mel, slaney_hz);
    let scales = edges.windows(3).map(|edges| 2.0 / (edges[2] - edges[0]));
    let bands = triangles(&edges, bins).zip(scales);
    bands.map(|(band, scale)| band.iter().map(|weight| weight * scale).collect()).collect()
}

/// Hz to mel as HTK has it.
fn htk_mel(hz: f64) -> f64 {
    2595.0 * (1.0 + hz / 700.0).log10()
}

fn htk_hz(mel: f64) -> f64 {
    700.0 * (10f64.powf(mel / 2595.0) - 1.0)
}

/// Where Slaney's scale turns from straight to logarithmic, and how wide a mel is below.
const SLANEY_TURN_HZ: f64 = 1000.0;
const SLANEY_MEL_HZ: f64 = 200.0 / 3.0;

/// By how much of the logarithm of the frequency a mel of Slaney's is higher above the turn.
fn slaney_step() -> f64 {
    6.4f64.ln() / 27.0
}

/// Hz to mel as Slaney's Auditory Toolbox (and librosa by default) has it.
fn slaney_mel(hz: f64) -> f64 {
    if hz < SLANEY_TURN_HZ {
        return hz / SLANEY_MEL_HZ;
    }
    SLANEY_TURN_HZ / SLANEY_MEL_HZ + (hz / SLANEY_TURN_HZ).ln() / slaney_step()
}

fn slaney_hz(mel: f64) -> f64 {
    let turn = SLANEY_TURN_HZ / SLANEY_MEL_HZ;
    if mel < turn {
        return SLANEY_MEL_HZ * mel;
    }
    SLANEY_TURN_HZ * (slaney_step() * (mel - turn)).exp()
}

/// The corners of `mels` bands that overlap by half, on the axis that `from_mel` leads to: `mels + 2`,
/// evenly apart in mels.
fn edges(
    mels: usize,
    low_hz: f64,
    high_hz: f64,
    to_mel: fn(f64) -> f64,
    from_mel: fn(f64) -> f64,
) -> Vec<f64> {
    let (low, high) = (to_mel(low_hz), to_mel(high_hz));
    let step = (high - low) / (mels + 1) as f64;
    (0..mels + 2).map(|edge| from_mel(low + step * edge as f64)).collect()
}

/// Triangles of height 1 between `edges` over `bins`, both on the axis on which slopes are straight.
fn triangles(edges: &[f64], bins: &[f64]) -> impl Iterator<Item = Vec<f64>> {
    edges.windows(3).map(|edges| {
        let (rise, fall) = (edges[1] - edges[0], edges[2] - edges[1]);
        let weight = |bin: &f64| {
            let (up, down) = ((bin - edges[0]) / rise, (edges[2] - bin) / fall);
            // Where two corners are one, both slopes may be 0 / 0: `max` takes the number.
            up.max(0.0).min(down.max(0.0)).min(1.0)
        };
        bins.iter().map(weight).collect()
    })
}

/// The frequencies of a real FFT's bins.
fn bins_hz(rate: u32, fft: usize) -> Vec<f64> {
    let step = f64::from(rate) / fft as f64;
    (0..=fft / 2).map(|bin| step * bin as f64).collect()
}

#[cfg(test)]
mod tests {
    use mel_spec::mel::mel;
    use proptest::prelude::*;

    use super::*;

    /// `mel_spec` draws librosa's bands; where all is the same computation, so are the weights.
    fn theirs(front_end: &FrontEnd) -> Vec<Vec<f64>> {
        let FrontEnd { sample_rate, fft, mels, min_hz, max_hz, .. } = *front_end;
        let htk = front_end.filterbank == Filterbank::Htk;
        mel(sample_rate.into(), fft, mels, Some(min_hz), Some(max_hz), htk, !htk)
            .rows()
            .into_iter()
            .map(|row| row.to_vec())
            .collect()
    }

    proptest! {
        #[test]
        fn bands_straight_in_hz_are_those_of_mel_spec(
            sample_rate in 4_000u32..96_000,
            fft in (5u32..13).prop_map(|power| 1usize << power),
            mels in 1usize..200,
            low in 0.0..0.45f64,
            width in 0.05..0.5f64,
            htk: bool,
        ) {
            let filterbank = if htk { Filterbank::Htk } else { Filterbank::Slaney };
            let (min_hz, max_hz) = (low, (low + width).min(0.5));
            let rate = f64::from(sample_rate);
            let front_end = FrontEnd {
                sample_rate, fft, mels, filterbank, min_hz: min_hz * rate, max_hz: max_hz * rate,
                ..FrontEnd::musicnn()
            };
            let (ours, theirs) = (mel_rows(&front_end), theirs(&front_end));
            prop_assert_eq!(ours.len(), theirs.len());
            for (ours, theirs) in ours.iter().zip(theirs) {
                prop_assert_eq!(ours.len(), theirs.len());
                for (ours, theirs) in ours.iter().zip(theirs) {
                    prop_assert!((ours - theirs).abs() <= 1e-9 * theirs.abs().max(1e-6));
                }
            }
        }
    }

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
