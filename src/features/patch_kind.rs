//! What kind of patch a model's input is made of, and how it lies in memory.

use serde::{Deserialize, Serialize};

/// Which axis of a spectrogram comes first in a model's input, where sizes and names of its
/// axes do not say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `[frames, mels]`.
    FramesFirst,
    /// `[mels, frames]`.
    MelsFirst,
}

/// What a patch is. Whatever it is, it is kept as `[frames, features]`, row-major.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchKind {
    /// Frames by mel bands, lowest band first.
    LogMel {
        /// Frames.
        frames: usize,
        /// Mel bands.
        mels: usize,
        /// Which of them comes first in the model's input, where that is known.
        layout: Option<Layout>,
    },
    /// A picture: a frame for each column from left to right, in which the pixels lie from top
    /// to bottom, the channels of each beside each other.
    Picture {
        /// Columns.
        columns: usize,
        /// Rows.
        rows: usize,
        /// Channels: 1 for grey, 3 for red, green and blue.
        channels: usize,
    },
    /// Samples of sound: a frame of one value each.
    Samples(usize),
}

impl PatchKind {
    /// Frames and values of each: the shape in which a patch is kept.
    #[must_use]
    pub fn shape(self) -> [usize; 2] {
        let [frames, rows, channels] = self.parts();
        [frames, rows * channels]
    }

    /// The axes that the values of a patch are in order, row-major: frames (columns of a
    /// picture, samples), bands or rows in each, channels of each.
    #[must_use]
    pub fn parts(self) -> [usize; 3] {
        match self {
            Self::LogMel { frames, mels, .. } => [frames, mels, 1],
            Self::Picture { columns, rows, channels } => [columns, rows, channels],
            Self::Samples(samples) => [samples, 1, 1],
        }
    }
}

impl From<[usize; 2]> for PatchKind {
    /// A log-mel of `[frames, mels]`.
    fn from([frames, mels]: [usize; 2]) -> Self {
        Self::LogMel { frames, mels, layout: None }
    }
}
