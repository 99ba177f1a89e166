//! Where burn computes.

use crate::error::Result;
use crate::runtime::{self, Device};

/// The burn device for `device`.
///
/// # Errors
/// [`crate::error::Error::Runtime`] for CUDA without the cargo feature or without a driver.
pub fn burn_device(device: Device) -> Result<burn::tensor::Device> {
    match device {
        Device::Cpu => Ok(burn::tensor::Device::flex()),
        Device::Cuda => runtime::burn_cuda(),
    }
}
