//! Sample rates that can be meant.

/// The lowest sample rate taken for real, in Hz. Resampling multiplies the length
/// by the ratio of rates, so a header that lies here would ask for terabytes.
pub const MIN_RATE: u32 = 1_000;

/// The highest sample rate taken for real, in Hz; nothing records faster.
pub const MAX_RATE: u32 = 1_000_000;

/// A sample rate, in Hz, that no recording has.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a sample rate of {0} Hz; expected {MIN_RATE} to {MAX_RATE} Hz")]
pub(super) struct ImplausibleRate(u32);

/// Refuses a rate outside [`MIN_RATE`] to [`MAX_RATE`].
pub(super) fn check(rate: u32) -> Result<(), ImplausibleRate> {
    if (MIN_RATE..=MAX_RATE).contains(&rate) { Ok(()) } else { Err(ImplausibleRate(rate)) }
}

impl From<ImplausibleRate> for crate::error::Error {
    fn from(rate: ImplausibleRate) -> Self {
        Self::InvalidInput(rate.to_string())
    }
}
