//! A stream of samples to pieces that hold whole patches.

use crate::features::Windows;

/// Samples of some consecutive patches: the first begins at sample 0, the next ones
/// [`Windows::hop`] further each.
pub(super) struct Piece {
    pub samples: Vec<f32>,
    /// Patches before those wanted: answered with the piece before, or wrong here, because the
    /// model puts silence where the recording went on.
    pub ignored: usize,
    /// Patches wanted.
    pub patches: usize,
}

/// Cuts a recording, at the front end's rate, into pieces as it comes.
pub(super) struct Cutter {
    /// Samples from one patch to the next.
    hop: usize,
    /// Samples from a patch's beginning to its end.
    span: usize,
    /// Patches that a piece repeats from the one before.
    repeat: usize,
    /// The least number of samples in a recording that need not be padded.
    least: usize,
    /// Samples from patch `first` on.
    buffer: Vec<f32>,
    /// The patch that `buffer` begins with.
    first: u64,
    /// The next patch to be given out.
    next: u64,
    taken: u64,
}

impl Cutter {
    /// For models that take single patches: what a centred frame needs beyond the recording's
    /// ends is silence, which is put there before it is cut.
    pub fn patches(windows: &Windows) -> Self {
        Self::new(windows, windows.lead, windows.size, 0)
    }

    /// For models that take clips and put silence around them themselves: a piece inside a
    /// recording repeats patches, and those which that silence reaches are ignored.
    pub fn clips(windows: &Windows) -> Self {
        let repeat = windows.lead.div_ceil(windows.hop);
        Self::new(windows, 0, windows.size - windows.lead, repeat)
    }

    fn new(windows: &Windows, lead: usize, span: usize, repeat: usize) -> Self {
        Self {
            hop: windows.hop,
            span,
            repeat,
            least: windows.least,
            buffer: vec![0.0; lead],
            first: 0,
            next: 0,
            taken: 0,
        }
    }

    /// Takes the recording's next samples.
    pub fn push(&mut self, samples: &[f32]) {
        self.taken += samples.len() as u64;
        self.buffer.extend_from_slice(samples);
    }

    /// The next piece: at most `most` patches, and none if fewer than `least` are whole.
    pub fn take(&mut self, least: usize, most: usize) -> Option<Piece> {
        let ignored = (self.next - self.first) as usize;
        let whole = match self.buffer.len().checked_sub(ignored * self.hop + self.span) {
            Some(rest) => 1 + rest / self.hop,
            None => 0,
        };
        if whole < least.max(1) {
            return None;
        }
        let patches = whole.min(most);
        let end = (ignored + patches - 1) * self.hop + self.span;
        let samples = self.buffer[..end].to_vec();
        self.next += patches as u64;
        let first = self.next.saturating_sub(self.repeat as u64);
        // With patches further apart than they are long, this may be more than there is yet.
        let gone = ((first - self.first) as usize * self.hop).min(self.buffer.len());
        let skipped = gone / self.hop;
        self.buffer.drain(..skipped * self.hop);
        self.first += skipped as u64;
        Some(Piece { samples, ignored, patches })
    }

    /// Ends the recording: after it, [`Cutter::take`] gives every patch that is left. Returns
    /// whether the recording was shorter than a patch and has been padded with silence.
    pub fn end(&mut self) -> bool {
        let taken = self.taken as usize;
        let count = 1 + taken.saturating_sub(self.least) / self.hop;
        // Not if all are given out: the buffer may then begin with a patch that never comes.
        if count as u64 > self.next {
            let needed = (count as u64 - 1 - self.first) as usize * self.hop + self.span;
            self.buffer.resize(needed.max(self.buffer.len()), 0.0);
        }
        taken < self.least
    }
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Axis, s};
    use proptest::prelude::*;

    use super::*;
    use crate::features::{Extractor, FrontEnd};

    fn noise(length: usize) -> Vec<f32> {
        let one = |i: u32| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0 - 0.5;
        (0..length as u32).map(one).collect()
    }

    /// The pieces of `samples`, pushed in blocks of the sizes given.
    fn cut(mut cutter: Cutter, samples: &[f32], sizes: &[usize], batch: usize) -> Vec<Piece> {
        let (mut rest, mut sizes, mut pieces) = (samples, sizes.iter().cycle(), vec![]);
        while !rest.is_empty() {
            let (block, more) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            cutter.push(block);
            pieces.extend(std::iter::from_fn(|| cutter.take(batch, batch)));
            rest = more;
        }
        cutter.end();
        pieces.extend(std::iter::from_fn(|| cutter.take(1, batch)));
        pieces
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn pieces_hold_the_bits_of_the_whole_recording(
            length in 1usize..120_000,
            sizes in prop::collection::vec(1usize..40_000, 1..4),
            batch in 1usize..5,
            name in prop::sample::select(FrontEnd::PRESETS.to_vec()),
            hop in prop::option::of(2usize..300),
        ) {
            let preset = FrontEnd::preset(name).unwrap();
            let patch_hop = hop.unwrap_or(preset.patch_hop);
            let front_end = FrontEnd { patch_hop, ..preset };
            let samples = noise(length);
            let wanted = Extractor::new(&front_end).unwrap().patches(&samples).values;
            let inside = FrontEnd { centred: false, ..front_end.clone() };
            for (cutter, extractor) in [
                (Cutter::patches(&front_end.windows()), Extractor::new(&inside).unwrap()),
                (Cutter::clips(&front_end.windows()), Extractor::new(&front_end).unwrap()),
            ] {
                let mut given = Array3::zeros((0, front_end.patch_frames, front_end.mels));
                for piece in cut(cutter, &samples, &sizes, batch) {
                    prop_assert!(piece.patches <= batch);
                    let patches = extractor.patches(&piece.samples).values;
                    let (first, end) = (piece.ignored, piece.ignored + piece.patches);
                    prop_assert!(patches.len_of(Axis(0)) >= end);
                    given.append(Axis(0), patches.slice(s![first..end, .., ..])).unwrap();
                }
                prop_assert!(given == wanted, "{:?} of {:?}", given.dim(), wanted.dim());
            }
        }
    }
}
