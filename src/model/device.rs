//! Where burn computes.

use burn::tensor::Device;

use crate::error::Result;
use crate::runtime::{self, Runtime};

/// The burn device for `device`.
///
/// # Errors
/// [`Error::Runtime`](crate::Error::Runtime) for CUDA without the cargo features or without a
/// driver.
pub fn burn_device(device: runtime::Device) -> Result<Device> {
    match device {
        runtime::Device::Cpu => Ok(Device::flex()),
        runtime::Device::Cuda => cuda(),
    }
}

/// The first CUDA device.
fn cuda() -> Result<Device> {
    runtime::check_cuda(Runtime::Burn)?;
    #[cfg(feature = "burn-cuda")]
    return Ok(Device::cuda(0));
    #[cfg(not(feature = "burn-cuda"))]
    Err(runtime::missing_feature(Runtime::Burn, "burn-cuda"))
}
