//! How a recording is cut into stretches of samples, one a patch.

use ndarray::Array2;

/// Where the patches of a recording lie in its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Windows {
    /// Samples a second.
    pub sample_rate: u32,
    /// Samples that a patch is made of, silence before and behind the recording included: the
    /// input of a model that takes the samples of patches.
    pub size: usize,
    /// The fewest samples of a recording that need not be padded.
    pub least: usize,
    /// Zeros before a recording, so that patch `k` begins at `k * hop`.
    pub lead: usize,
    /// Samples from one patch to the next.
    pub hop: usize,
    /// How long a patch is said to be.
    pub patch_seconds: f64,
}

impl Windows {
    /// The time from one patch to the next, in seconds.
    #[must_use]
    pub fn hop_seconds(&self) -> f64 {
        self.hop as f64 / f64::from(self.sample_rate)
    }

    /// The number of patches in a recording of `samples` samples: at least 1, for a short one
    /// is padded with silence.
    #[must_use]
    pub fn count(&self, samples: usize) -> usize {
        1 + samples.saturating_sub(self.least) / self.hop
    }

    /// The samples of every patch of a recording, `[patches, size]`, with silence beyond both
    /// ends.
    #[must_use]
    pub fn cut(&self, samples: &[f32]) -> Array2<f32> {
        let mut windows = Array2::zeros((self.count(samples.len()), self.size));
        for (patch, mut window) in windows.outer_iter_mut().enumerate() {
            let start = patch * self.hop;
            let silence = self.lead.saturating_sub(start).min(self.size);
            let from = samples.get(start.saturating_sub(self.lead)..).unwrap_or_default();
            let inside = window.iter_mut().skip(silence);
            inside.zip(from).for_each(|(out, sample)| *out = *sample);
        }
        windows
    }
}
