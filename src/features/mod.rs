//! Samples to log-mel patches.
