//! A front end as ordinary ONNX operators.
//!
//! The DFT of `fft = rows * columns` points is made in two stages, as Cooley and Tukey
//! did: sample `n = columns * row + column`, bin `k = k1 + rows * k2`,
//!
//! ```text
//! T[column, k1] = sum over rows    of window[n] x[n] e^(-2 pi i n k1 / fft)
//! X[k1, k2]     = sum over columns of T[column, k1] e^(-2 pi i column k2 / columns)
//! ```
//!
//! which are matrix products with small constant matrices: for YAMNet a sixth of the
//! plain DFT's arithmetic and a thirteenth of its constants, for an FFT of 2048 points a
//! fifteenth and a thirtieth. Samples are real, so only `k1` up to `rows / 2` is needed: the
//! bins left out are conjugates of others. All constants are computed in double precision.

use std::collections::HashSet;
use std::f64::consts::{LOG10_E, TAU};

use super::nodes::ints;
use super::piece::Builder;
use crate::features::{FrontEnd, LogKind, Spectrum, hann, mel_rows};

/// Adds the nodes from frames, each of them the samples of its window in their order and all
/// of them one after the other, to log-mels `[frames, mels]`; their name.
pub(crate) fn log_mel(builder: &mut Builder, front_end: &FrontEnd, framed: &str) -> String {
    let dft = Dft::of(front_end);
    let spectrum = dft.spectrum(builder, framed, front_end.spectrum);
    let mel = builder.floats("mel", &[dft.bins(), front_end.mels], &dft.mel_matrix(front_end));
    let energies = builder.node("MatMul", &[&spectrum, &mel], "energies", vec![]);
    // The scale is in the matrix.
    let offset = builder.floats("offset", &[], &[f64::from(front_end.log.offset)]);
    let raised = builder.node("Add", &[&energies, &offset], "raised", vec![]);
    let natural = builder.node("Log", &[&raised], "log", vec![]);
    match front_end.log.kind {
        LogKind::Natural => natural,
        LogKind::Log10 => {
            let base = builder.floats("base", &[], &[LOG10_E]);
            builder.node("Mul", &[&natural, &base], "log10", vec![])
        }
    }
}

/// The samples in the window of every frame of patches `waveform` `[batch, samples]`. Whole
/// blocks are gathered, the longest that windows and hops consist of.
pub(crate) fn frames_of_patches(
    builder: &mut Builder,
    front_end: &FrontEnd,
    waveform: &str,
) -> String {
    let FrontEnd { window, hop, patch_frames, .. } = *front_end;
    let block = greatest_common_divisor(window, hop);
    let blocks = (front_end.waveform_samples() / block) as i64;
    let blocks = builder.reshape(waveform, "blocks", &[-1, blocks, block as i64]);
    builder.runs(&blocks, "frames", 1, patch_frames, [hop / block, window / block])
}

/// The samples in the window of every frame of a recording `waveform` `[1, samples]`.
pub(crate) fn frames_of_recording(
    builder: &mut Builder,
    front_end: &FrontEnd,
    waveform: &str,
) -> String {
    let column = builder.reshape(waveform, "column", &[1, 1, -1, 1]);
    builder.runs_of_rows(&column, "frames", 1, [front_end.hop, front_end.window])
}

pub(crate) fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The factors of a DFT of a windowed frame.
struct Dft {
    window: usize,
    fft: usize,
    rows: usize,
    columns: usize,
}

impl Dft {
    /// The cheapest factors. `columns` divides the window as well, so that the frame's
    /// zeros after it are whole rows and need not be there.
    fn of(front_end: &FrontEnd) -> Self {
        let FrontEnd { window, fft, .. } = *front_end;
        let common = greatest_common_divisor(window, fft);
        let with = |columns| Self { window, fft, rows: fft / columns, columns };
        let possible = (1..=common).filter(|columns| common.is_multiple_of(*columns)).map(with);
        possible.min_by_key(Self::products).unwrap_or(with(1))
    }

    /// `k1` from 0 to half the rows.
    fn heads(&self) -> usize {
        self.rows / 2 + 1
    }

    /// Bins that are computed, some of them twice.
    fn bins(&self) -> usize {
        self.heads() * self.columns
    }

    /// Multiplications for one frame.
    fn products(&self) -> usize {
        2 * self.heads() * (self.window + 2 * self.columns * self.columns)
    }

    /// The nodes from frames to `[frames, bins]`.
    fn spectrum(&self, builder: &mut Builder, framed: &str, kind: Spectrum) -> String {
        let [rows, columns, heads] =
            [self.window / self.columns, self.columns, self.heads()].map(|size| size as i64);
        let grid = builder.reshape(framed, "grid", &[-1, rows, columns]);
        let turned = builder.node("Transpose", &[&grid], "columns", vec![ints("perm", &[2, 0, 1])]);
        let shape = [self.columns, self.window / self.columns, 2 * self.heads()];
        let first = builder.floats("dft.first", &shape, &self.first_stage());
        let first = builder.node("MatMul", &[&turned, &first], "first", vec![]);
        let turned = vec![ints("perm", &[1, 2, 0])];
        let heads_first = builder.node("Transpose", &[&first], "first.heads", turned);
        let lines = builder.reshape(&heads_first, "first.lines", &[-1, 2 * columns]);
        let [real, imaginary] = ["real", "imaginary"].map(|part| {
            let shape = [2 * self.columns, self.columns];
            let second = self.second_stage(part == "real");
            let second = builder.floats(&format!("dft.{part}"), &shape, &second);
            let value = builder.node("MatMul", &[&lines, &second], part, vec![]);
            builder.node("Mul", &[&value, &value], &format!("{part}.squared"), vec![])
        });
        let power = builder.node("Add", &[&real, &imaginary], "power", vec![]);
        let spectrum = match kind {
            Spectrum::Power => power,
            Spectrum::Magnitude => builder.node("Sqrt", &[&power], "magnitude", vec![]),
        };
        builder.reshape(&spectrum, "spectrum", &[-1, heads * columns])
    }

    /// `[columns, rows, heads * (real, imaginary)]`, with the window.
    fn first_stage(&self) -> Vec<f64> {
        let window: Vec<f64> = hann(self.window).collect();
        let mut matrix = vec![];
        for column in 0..self.columns {
            for n in (column..self.window).step_by(self.columns) {
                for head in 0..self.heads() {
                    let turn = -TAU * (n * head % self.fft) as f64 / self.fft as f64;
                    matrix.extend([window[n] * turn.cos(), window[n] * turn.sin()]);
                }
            }
        }
        matrix
    }

    /// `[(real, imaginary) * columns, columns]`: the real or the imaginary part of the spectrum.
    fn second_stage(&self, real: bool) -> Vec<f64> {
        let columns = self.columns;
        let turn =
            |at: usize| -TAU * (at / columns * (at % columns) % columns) as f64 / columns as f64;
        let turns = || (0..columns * columns).map(turn);
        if real {
            turns().map(f64::cos).chain(turns().map(|turn| -turn.sin())).collect()
        } else {
            turns().map(f64::sin).chain(turns().map(f64::cos)).collect()
        }
    }

    /// `[bins, mels]`: the filterbank times the logarithm's scale. Of a bin that is computed
    /// twice, only the first counts.
    fn mel_matrix(&self, front_end: &FrontEnd) -> Vec<f64> {
        let rows = mel_rows(front_end);
        let mut seen = HashSet::new();
        let mut matrix = vec![];
        for head in 0..self.heads() {
            for tail in 0..self.columns {
                let bin = head + self.rows * tail;
                let bin = bin.min(self.fft - bin);
                let scale = if seen.insert(bin) { f64::from(front_end.log.scale) } else { 0.0 };
                matrix.extend(rows.iter().map(|row| scale * row[bin]));
            }
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_in_two_places_count_once() {
        for columns in [1, 2, 16] {
            let front_end = FrontEnd::vggish();
            let dft = Dft { window: 400, fft: 512, rows: 512 / columns, columns };
            let matrix = dft.mel_matrix(&front_end);
            for (mel, row) in mel_rows(&front_end).iter().enumerate() {
                let given: f64 = matrix.iter().skip(mel).step_by(front_end.mels).sum();
                assert!((given - row.iter().sum::<f64>()).abs() < 1e-9, "{columns}, {mel}");
            }
        }
    }

    #[test]
    fn the_dft_is_split_where_it_can_be() {
        let of = |name| Dft::of(&FrontEnd::preset(name).unwrap());
        let plain = |dft: &Dft| 2 * (dft.fft / 2 + 1) * dft.window;
        for (name, columns, saved) in
            [("yamnet", 16, 6), ("musicnn", 16, 7), ("spectrogram", 32, 15)]
        {
            let dft = of(name);
            assert_eq!((dft.columns, plain(&dft) / dft.products()), (columns, saved), "{name}");
        }
    }
}
