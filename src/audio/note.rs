//! What is odd about a recording that is read all the same.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something about a recording that whoever uses it should know.
///
/// Its text comes after the file's name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// The file ends before the recording does.
    CutShort {
        /// Seconds that are there.
        found: f64,
        /// Seconds that are missing, where the file says how long it should be.
        lost: Option<f64>,
    },
    /// What follows cannot be decoded.
    Stops {
        /// Seconds that are there.
        found: f64,
        /// Why it cannot.
        reason: String,
    },
    /// What the program that decoded it found wrong with it.
    Faulty {
        /// Seconds that are there.
        found: f64,
        /// What it said last.
        reason: String,
    },
    /// Packets that are malformed: silence stands in their place.
    Malformed {
        /// How many.
        malformed: u64,
        /// Of how many.
        packets: u64,
    },
    /// Bytes between two packets that are none.
    Junk {
        /// How many.
        bytes: u64,
        /// Where, in seconds.
        at: f64,
    },
    /// A stretch that is missing between two packets, by their times.
    Gap {
        /// How long it is.
        seconds: f64,
        /// Where, in seconds of what is there.
        at: f64,
    },
    /// Samples that the file holds, and its edit list leaves out.
    LeftOut {
        /// How long they are.
        seconds: f64,
    },
    /// A channel that is another one turned over, so that their mean is next to nothing. It was
    /// turned back before they were mixed.
    Inverted {
        /// How much of the recording, in seconds.
        seconds: f64,
    },
}

impl Note {
    /// Whether part of the recording is missing: what ‹strict› refuses.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        !matches!(self, Self::Inverted { .. } | Self::LeftOut { .. })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort { found, lost: Some(lost) } => write!(
                f,
                "cut short: {found:.3} s are there, {lost:.3} s are missing; re-copy the file from \
                 its source"
            ),
            Self::CutShort { found, lost: None } => write!(
                f,
                "cut short: it ends in the middle of its data after {found:.3} s, and does not say \
                 how much is missing; re-copy the file from its source"
            ),
            Self::Stops { found, reason } => write!(
                f,
                "damaged: nothing behind {found:.3} s can be decoded ({reason}); re-copy the file \
                 from its source"
            ),
            Self::Faulty { found, reason } => write!(
                f,
                "damaged: ffmpeg gave {found:.3} s and said: {reason}; re-copy the file from its \
                 source"
            ),
            Self::Malformed { malformed, packets } => write!(
                f,
                "damaged: {malformed} of {packets} packets are malformed, and silence in their place"
            ),
            Self::Junk { bytes, at } => {
                write!(f, "damaged: {bytes} bytes at {at:.3} s are no audio and were passed over")
            }
            Self::Gap { seconds, at } => {
                write!(
                    f,
                    "damaged: {seconds:.3} s are missing at {at:.3} s; re-copy the file from its source"
                )
            }
            Self::LeftOut { seconds } => {
                write!(f, "{seconds:.3} s are left out, as the file's edit list says")
            }
            Self::Inverted { seconds } => write!(
                f,
                "a channel is inverted for {seconds:.1} s: the mean of the channels would lose most \
                 of their level, so it was turned over before they were mixed"
            ),
        }
    }
}
