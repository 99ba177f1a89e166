//! Layers computed on maps that lie in memory place by place, each place with all its channels
//! (NHWC), on the widest vectors of the processor and in safe Rust.
//!
//! They are what tract computes networks with on x86-64 (`runtime`), for which it has no kernels of
//! this order of its own, and what training computes imported networks with (`model`). A
//! dense convolution reads its tiles straight from the map: nothing is unrolled into columns or
//! packed first, and bias, activation and batch normalization are applied before the sums leave
//! the registers.
//!
//! `cargo bench --bench kernels` times them.

mod dense;
mod depthwise;
mod ending;
pub mod few;
mod lanes;
mod pool;
mod share;
#[cfg(test)]
mod testing;
mod window;

pub use dense::Dense;
pub use depthwise::{Depthwise, by_place};
pub use ending::{Bounds, Ending};
pub use lanes::Vectors;
pub use pool::MaxPool;
pub use share::{Alone, Fill, Share, Together, in_parts};
pub use window::Window;
